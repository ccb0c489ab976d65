"""One discriminator a file, each with its configuration. DISCRIMINATORS is the whole registry.

A discriminator takes volumes (N, 1, K, J, I) and gives raw scores (N, M), high for real ones: M judgements of each
volume, without a sigmoid. A conditional one takes two channels, see `to_judge`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .cuts import CutsConfig, CutsDiscriminator
from .patch import PatchConfig, PatchDiscriminator
from .refined_sequence import RefinedSequenceConfig, RefinedSequenceCritic
from .sequence_lstm import SequenceLstmConfig, SequenceLstmDiscriminator
from .vgg_style import VggStyleConfig, VggStyleDiscriminator
from .wavelet_conditional import WaveletConditionalConfig, WaveletConditionalDiscriminator

Discriminator = (
    VggStyleDiscriminator
    | PatchDiscriminator
    | SequenceLstmDiscriminator
    | RefinedSequenceCritic
    | WaveletConditionalDiscriminator
    | CutsDiscriminator
)

DISCRIMINATORS: dict[str, tuple[type, type[Discriminator]]] = {
    "vgg-style": (VggStyleConfig, VggStyleDiscriminator),
    "patch": (PatchConfig, PatchDiscriminator),
    "sequence-lstm": (SequenceLstmConfig, SequenceLstmDiscriminator),
    "refined-sequence": (RefinedSequenceConfig, RefinedSequenceCritic),
    "cuts": (CutsConfig, CutsDiscriminator),
    "wavelet-conditional": (WaveletConditionalConfig, WaveletConditionalDiscriminator),
}


def to_judge(discriminator: Discriminator, volume: Tensor, interpolated: Tensor) -> Tensor:
    """What the discriminator takes: the volume, and if it is conditional, the interpolated input as second channel."""
    return torch.cat([volume, interpolated], dim=1) if discriminator.conditional else volume
