"""One discriminator a file, each with its configuration. `DISCRIMINATORS` lists them all."""

from __future__ import annotations

from ..contracts import Discriminator
from .cuts import CutsConfig, CutsDiscriminator
from .patch import PatchConfig, PatchDiscriminator
from .refined_sequence import RefinedSequenceConfig, RefinedSequenceCritic
from .sequence_lstm import SequenceLstmConfig, SequenceLstmDiscriminator
from .vgg_style import VggStyleConfig, VggStyleDiscriminator
from .wavelet_conditional import WaveletConditionalConfig, WaveletConditionalDiscriminator

DISCRIMINATORS: dict[str, tuple[type, type[Discriminator]]] = {
    "vgg-style": (VggStyleConfig, VggStyleDiscriminator),
    "patch": (PatchConfig, PatchDiscriminator),
    "sequence-lstm": (SequenceLstmConfig, SequenceLstmDiscriminator),
    "refined-sequence": (RefinedSequenceConfig, RefinedSequenceCritic),
    "cuts": (CutsConfig, CutsDiscriminator),
    "wavelet-conditional": (WaveletConditionalConfig, WaveletConditionalDiscriminator),
}
