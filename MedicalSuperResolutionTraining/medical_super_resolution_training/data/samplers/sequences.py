"""Random pairs of thick and fine slices. The batch of a step depends only on the seed and the step."""

from __future__ import annotations

import numpy as np
import torch

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.physics.acquisition import SliceProfile, acquisition_matrix, consistency_matrix

from ...config.recipe import Recipe
from ..batch import SequenceBatch
from ..manifest import Entry
from ..patch_size import fits, sequence_patch
from ..volume_sampler import FLAT_BELOW, MAX_DRAWS, MAX_TRIES, VolumePool, drawn_factor, share_of, varied_contrast

FACTOR_RANGE = (1.25, 8.0)
_SECOND_FACTOR_RANGE = (1.5, 4.0)


class PatchSampler:
    """Draws batches from prepared volumes; see `Recipe` for what varies."""

    def __init__(self, entries: list[Entry], recipe: Recipe) -> None:
        self.recipe = recipe
        self.pool = VolumePool(entries, recipe)
        self._shapes = list({array.shape for array in self.pool.arrays})  # of all volumes

    def batch(self, step: int, rank: int = 0, world: int = 1) -> SequenceBatch:
        """The batch of one step, or the share of it that one of several processes takes."""
        recipe = self.recipe
        random = np.random.default_rng((recipe.seed, step, recipe.batch_size))  # (seed, step) are those of patch 0
        factor = drawn_factor(random, recipe, FACTOR_RANGE)
        thinnest, thickest = recipe.thickness_range
        thickness = float(random.uniform(thinnest, thickest))
        profile = "box" if random.random() < recipe.box_fraction else "gaussian"
        second = 1.0
        if random.random() < recipe.thick_in_plane_fraction:
            second = float(random.uniform(*_SECOND_FACTOR_RANGE))
        slices, side = sequence_patch(recipe, factor, self._shapes)
        fine = round(slices * factor)
        shape = (fine, round(side * second), side)
        if not any(fits(shape, volume) for volume in self._shapes):
            second, shape = 1.0, (fine, side, side)  # all volumes are too small for a plane that is coarse
        noise = random.uniform(0, recipe.noise_maximum) if random.random() < recipe.noise_fraction else 0.0
        mine = range(recipe.batch_size)[share_of(recipe.batch_size, rank, world)]
        randoms = [np.random.default_rng((recipe.seed, step, number)) for number in mine]  # one for each patch
        patches, files = zip(*(self._patch(each, shape) for each in randoms), strict=True)
        hr = torch.from_numpy(np.stack(patches))
        if second > 1:
            thick = acquisition_matrix(side, hr.shape[2], second)
            hr = torch.einsum("jm,nkmi->nkji", torch.from_numpy(thick).float(), hr)
        matrix = acquisition_matrix(slices, fine, factor, profile=profile, thickness=thickness)
        acquisition = torch.from_numpy(matrix).float()
        lr = torch.einsum("km,nmji->nkji", acquisition, hr)
        if noise:
            drawn = np.stack([each.normal(0, noise, lr.shape[1:]) for each in randoms])
            lr = lr + torch.from_numpy(drawn.astype(np.float32))
        return SequenceBatch(
            lr=lr[:, None],
            hr=hr[:, None],
            factor=factor,
            files=files,
            positions=((torch.arange(fine, dtype=torch.float64) + 0.5) / factor - 0.5).float(),
            profile_width=SliceProfile(profile, thickness).gaussian_width,
            acquisition=acquisition,
            consistency=torch.from_numpy(consistency_matrix(matrix)).float(),
            seed=step,
        )

    def _patch(self, random: np.random.Generator, shape: tuple[int, int, int]) -> tuple[np.ndarray, str]:
        """A patch of fine slices, in the network's range, any axis of the volume as the sequence; and its file."""
        best = self._candidate(random, shape)
        for _ in range(MAX_TRIES):
            if best[0].std() > FLAT_BELOW:
                break
            best = max(best, self._candidate(random, shape), key=lambda found: np.std(found[0]))
        return varied_contrast(random, best[0], self.recipe.contrast_range), best[1]

    def _candidate(self, random: np.random.Generator, shape: tuple[int, int, int]) -> tuple[np.ndarray, str]:
        for _ in range(MAX_DRAWS):
            which = self.pool.draw(random)
            volume = self.pool.arrays[which]
            sequence = random.choice(3, p=(0.5, 0.25, 0.25))
            others = [axis for axis in range(3) if axis != sequence]
            random.shuffle(others)
            axes = (sequence, *others)
            room = [volume.shape[axis] - size for axis, size in zip(axes, shape, strict=True)]
            if min(room) >= 0:
                break
        else:
            raise SettingsError(
                f"the volumes are too small for patches of {shape[0]} slices of {shape[1]} x {shape[2]} voxels;"
                " lower patch_slices or patch_in_plane, or add larger volumes"
            )
        where: list[slice] = [slice(None)] * 3
        for axis, size, free in zip(axes, shape, room, strict=True):
            start = int(random.integers(free + 1))
            where[axis] = slice(start, start + size)
        patch = self.pool.patch(which, tuple(where)).transpose(axes)
        for axis in range(3):
            if random.random() < 0.5:
                patch = np.flip(patch, axis)
        return np.ascontiguousarray(patch), self.pool.entries[which].source
