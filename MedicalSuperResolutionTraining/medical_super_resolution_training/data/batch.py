"""Batches of a training step: tensors that are moved to a device together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

BatchType = TypeVar("BatchType", bound="Batch")


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """A batch of one training step.

    Parameters
    ----------
    files
        Where the samples come from, for messages.
    """

    files: tuple[str, ...] = ()

    def to(self: BatchType, device: str | torch.device) -> BatchType:
        """Copy the batch to a device."""
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True, kw_only=True, eq=False)
class PairedBatch(Batch):
    """Low- and high-resolution patches in the range of the network.

    Parameters
    ----------
    lr
        (N, 1, K, J, I) float32, low resolution.
    hr
        High resolution: (N, 1, K, factor * J, factor * I) where the plane is refined, (N, 1, M, J, I) where the
        sequence is. Of a down-sampler, ``lr`` and ``hr`` show different scans.
    factor
        How many times finer ``hr`` is along the refined axes.
    """

    lr: Tensor
    hr: Tensor
    factor: float


@dataclass(frozen=True, kw_only=True, eq=False)
class SequenceBatch(PairedBatch):
    """Thick and fine slices, with the acquisition that connects them.

    Parameters
    ----------
    positions
        (M,) float32, places of the fine slices in units of the thick ones.
    profile_width
        Full width at half maximum of the slice profile in slice distances; of a box, that of the Gaussian like it.
    acquisition, consistency
        (K, M) and (M, K) matrices A and G of `physics.acquisition`.
    seed
        Seed of random texture, where the generator has any.
    """

    positions: Tensor
    profile_width: float
    acquisition: Tensor
    consistency: Tensor
    seed: int
