"""Random coarse and fine slices: pairs of one scan, or of scans that do not belong together.

The batch of a step depends on the seed and the step alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medical_super_resolution.errors import SettingsError

from ...config.recipe import Recipe
from ..batch import PairedBatch
from ..manifest import Entry, of_split, read_manifest
from ..plane_degradation import PatchDegradation, plane_factor, with_noise
from ..volume_sampler import FLAT_BELOW, MAX_DRAWS, MAX_TRIES, VolumePool, share_of, varied_contrast

_ALMOST_SQUARE = 1.2  # largest ratio of the spacings inside a slice
_ACQUIRED_SHARE = 0.7  # of the slices that are drawn; the rest are cut across them


@dataclass(frozen=True)
class _Place:
    """A patch in a volume: its corner, and the axes of the array that become K, J and I."""

    which: int
    axes: tuple[int, int, int]
    start_kji: tuple[int, int, int]


class PlaneSampler:
    """Draws sequences of slices from prepared volumes, makes them coarse, and adds noise; see `Recipe`.

    The slices are mostly those that the scanner made; the others are cut across them where the spacing is almost the
    same along both axes, so that no network learns from pictures that are squeezed.
    """

    def __init__(self, entries: list[Entry], recipe: Recipe) -> None:
        self.recipe = recipe
        self.pool = VolumePool(entries, recipe)
        self.degradation = PatchDegradation(recipe)
        self.sequences = [sequence_axes(entry.spacing_kji_mm) for entry in entries]
        if recipe.patch_in_plane % self.degradation.factor:
            raise SettingsError(
                f"patch_in_plane must be a multiple of the factor {self.degradation.factor}, got"
                f" {recipe.patch_in_plane}"
            )

    def batch(self, step: int, rank: int = 0, world: int = 1) -> PairedBatch:
        """The batch of one step, or the share of it that one of several processes takes."""
        pairs = [self._pair(random) for random in self._randoms(step, rank, world)]
        lr, hr, files = zip(*pairs, strict=True)
        return PairedBatch(lr=torch.cat(lr), hr=torch.cat(hr), factor=self.degradation.factor, files=files)

    def patches(self, step: int, rank: int = 0, world: int = 1) -> tuple[Tensor, tuple[str, ...]]:
        """The same without low resolution: fine slices, (N, 1, K, J, I), and where they come from."""
        patches, files = [], []
        for random in self._randoms(step, rank, world):
            place = self._place_with_structure(random)
            whole, dimensions = self._shown(place, self._inside(place), random)
            patches.append(whole.flip(dimensions))
            files.append(self.pool.entries[place.which].source)
        return torch.cat(patches), tuple(files)

    def _randoms(self, step: int, rank: int, world: int) -> list[np.random.Generator]:
        """Random numbers for each sample of a process."""
        mine = range(self.recipe.batch_size)[share_of(self.recipe.batch_size, rank, world)]
        return [np.random.default_rng((self.recipe.seed, step, number)) for number in mine]

    def _pair(self, random: np.random.Generator) -> tuple[Tensor, Tensor, str]:
        """(1, 1, K, J, I), (1, 1, K, factor*J, factor*I) and the file."""
        place = self._place_with_structure(random)
        margins, outer = self._outer(place)
        whole, dimensions = self._shown(place, outer, random)
        factor, side = self.degradation.factor, self.recipe.patch_in_plane
        lr = _inner(self.degradation.shrunk(whole, random), margins, side // factor)
        hr = _inner(whole, (factor * margins[0], factor * margins[1]), side)
        entry = self.pool.entries[place.which]
        lr = with_noise(lr, entry.modality, self.recipe, random)
        return lr.flip(dimensions), hr.flip(dimensions), entry.source

    def _shown(self, place: _Place, where: tuple[slice, ...], random: np.random.Generator) -> tuple[Tensor, list[int]]:
        """Part of a volume, (1, 1, K, J, I), as some scanner would show it; and the dimensions to be flipped."""
        patch = self.pool.patch(place.which, where).transpose(place.axes)
        flipped = [axis + 2 for axis in range(3) if random.random() < 0.5]
        patch = varied_contrast(random, patch, self.recipe.contrast_range)
        return torch.from_numpy(np.ascontiguousarray(patch))[None, None], flipped

    def _place_with_structure(self, random: np.random.Generator) -> _Place:
        """A place that is not mostly air, or the best of a few."""
        best, contrast = self._place(random), -1.0
        for number in range(1 + MAX_TRIES):
            place = self._place(random) if number else best
            found = float(self.pool.patch(place.which, self._inside(place)).std())
            if found > contrast:
                best, contrast = place, found
            if contrast > FLAT_BELOW:
                break
        return best

    def _place(self, random: np.random.Generator) -> _Place:
        recipe = self.recipe
        size = (recipe.patch_slices, recipe.patch_in_plane, recipe.patch_in_plane)
        for _ in range(MAX_DRAWS):
            which = self.pool.draw(random)
            axes = _drawn_axes(random, self.sequences[which])
            room = [self.pool.arrays[which].shape[axis] - need for axis, need in zip(axes, size, strict=True)]
            if min(room) >= 0:
                k, j, i = (int(random.integers(free + 1)) for free in room)
                return _Place(which, axes, (k, j, i))
        raise SettingsError(
            f"the volumes are too small for {size[0]} slices of {size[1]} x {size[2]} voxels; lower patch_slices or"
            " patch_in_plane, or add larger volumes"
        )

    def _inside(self, place: _Place, margins: tuple[tuple[int, int], ...] = ((0, 0), (0, 0))) -> tuple[slice, ...]:
        """Position of the patch in the array, with margins (before, after) along J and I."""
        side = self.recipe.patch_in_plane
        where = [slice(0)] * 3
        lengths = (self.recipe.patch_slices, side, side)
        for axis, start, length, (before, after) in zip(
            place.axes, place.start_kji, lengths, ((0, 0), *margins), strict=True
        ):
            where[axis] = slice(start - before, start + length + after)
        return tuple(where)

    def _outer(self, place: _Place) -> tuple[tuple[int, int], tuple[slice, ...]]:
        """The patch with what its degradation must see of the slice: low-resolution voxels before it, and where."""
        factor, reach, side = self.degradation.factor, self.degradation.reach, self.recipe.patch_in_plane
        shape = self.pool.arrays[place.which].shape
        margins = []
        for axis, start in zip(place.axes[1:], place.start_kji[1:], strict=True):
            after = shape[axis] - start - side
            margins.append((min(start // factor, reach), min(after // factor, reach)))
        fine = tuple((factor * before, factor * after) for before, after in margins)
        return (margins[0][0], margins[1][0]), self._inside(place, fine)


def sequence_axes(spacing_kji_mm: tuple[float, float, float]) -> list[int]:
    """Array axes across which slices may be cut, the scanner's own (the largest spacing) first."""
    acquired = int(np.argmax(np.array(spacing_kji_mm) > max(spacing_kji_mm) * (1 - 1e-4)))  # k on a tie
    others = [
        axis
        for axis in range(3)
        if axis != acquired and _ratio([s for a, s in enumerate(spacing_kji_mm) if a != axis]) <= _ALMOST_SQUARE
    ]
    return [acquired, *others]


def _ratio(spacings: list[float]) -> float:
    return max(spacings) / min(spacings)


def _drawn_axes(random: np.random.Generator, sequences: list[int]) -> tuple[int, int, int]:
    """Array axes as K, J and I: the scanner's slices most of the time, rows and columns exchanged half of it."""
    is_acquired = len(sequences) == 1 or random.random() < _ACQUIRED_SHARE
    sequence = sequences[0] if is_acquired else sequences[1 + int(random.integers(len(sequences) - 1))]
    first, second = (axis for axis in range(3) if axis != sequence)
    return (sequence, second, first) if random.random() < 0.5 else (sequence, first, second)


def _inner(slices: Tensor, start: tuple[int, int], side: int) -> Tensor:
    return slices[..., start[0] : start[0] + side, start[1] : start[1] + side]


class UnpairedSampler:
    """Draws fine slices from the entries, and coarse ones from the manifest ``low_resolution`` of the recipe."""

    def __init__(self, entries: list[Entry], recipe: Recipe) -> None:
        self.factor = plane_factor(recipe)
        coarse = of_split(read_manifest(Path(recipe.low_resolution)), "train")
        if not coarse:
            raise SettingsError(f"the manifest {recipe.low_resolution} has no volumes of the split train")
        self.fine = PlaneSampler(entries, recipe)
        in_coarse = replace(recipe, seed=recipe.seed + 1, patch_in_plane=recipe.patch_in_plane // self.factor)
        self.coarse = PlaneSampler(coarse, replace(in_coarse, generator_config={"factor": self.factor}))

    def batch(self, step: int, rank: int = 0, world: int = 1) -> PairedBatch:
        """The batch of one step, or the share of it that one of several processes takes."""
        hr, fine_files = self.fine.patches(step, rank, world)
        lr, coarse_files = self.coarse.patches(step, rank, world)
        return PairedBatch(lr=lr, hr=hr, factor=self.factor, files=fine_files + coarse_files)
