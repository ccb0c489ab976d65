"""The pretext task of the slice encoder: slices are corrupted, and the network restores them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...config.recipe import Recipe
from ..batch import PairedBatch
from ..manifest import Entry
from .planes import PlaneSampler

_SHARE = 0.6  # of the slices, to which each kind of corruption is applied
_BLUR_VOXELS = (0.4, 2.5)  # standard deviation
_NOISE = (0.01, 0.12)  # standard deviation, of the intensity range
_HOLES = (1, 6)
_HOLE_VOXELS = (3, 14)


class CorruptedSampler:
    """Sequences of slices as `PlaneSampler` draws them (``hr``), and corrupted by blur, noise and holes (``lr``).

    Blur teaches what detail is, noise what texture is, holes what belongs beside what.
    """

    def __init__(self, entries: list[Entry], recipe: Recipe) -> None:
        self.recipe = recipe
        self.slices = PlaneSampler(entries, recipe)

    def batch(self, step: int, rank: int = 0, world: int = 1) -> PairedBatch:
        """The batch of one step, or the share of it that one of several processes takes."""
        hr, files = self.slices.patches(step, rank, world)
        first = rank * len(hr)
        lr = [
            corrupted(volume[None], np.random.default_rng((self.recipe.seed, step, first + number, 1)))
            for number, volume in enumerate(hr)
        ]
        return PairedBatch(lr=torch.cat(lr), hr=hr, factor=1, files=files)


def corrupted(volume: Tensor, random: np.random.Generator) -> Tensor:
    """(1, 1, K, J, I) -> the same, blurred, with holes, noisy, or several of these; all K slices alike."""
    kinds = random.random(3) < _SHARE
    if not kinds.any():
        kinds[random.integers(3)] = True
    if kinds[0]:
        volume = _blurred(volume, float(random.uniform(*_BLUR_VOXELS)))
    if kinds[1]:
        volume = _with_holes(volume, random)
    if kinds[2]:
        noise = random.normal(0, random.uniform(*_NOISE), volume.shape)
        volume = volume + torch.from_numpy(noise.astype(np.float32))
    return volume


def _blurred(volume: Tensor, deviation: float) -> Tensor:
    reach = int(3 * deviation) + 1
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
    kernel = (kernel / kernel.sum()).reshape(1, 1, 1, 1, -1)
    padded = functional.pad(volume, (reach, reach, reach, reach, 0, 0), mode="replicate")
    return functional.conv3d(functional.conv3d(padded, kernel), kernel.transpose(3, 4))


def _with_holes(volume: Tensor, random: np.random.Generator) -> Tensor:
    volume = volume.clone()
    rows, columns = volume.shape[-2:]
    for _ in range(random.integers(*_HOLES, endpoint=True)):
        height, width = (int(size) for size in random.integers(*_HOLE_VOXELS, size=2, endpoint=True))
        top, left = int(random.integers(rows)), int(random.integers(columns))
        volume[..., top : top + height, left : left + width] = volume.mean()
    return volume
