"""Training data of the slice-profile estimator: cuts across slices made thick by a known profile."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.physics.acquisition import PROFILES, SliceProfile, acquisition_matrix, gaussian_weights
from medical_super_resolution.physics.profile_cuts import FINE_SAMPLES, cuts

from ...config.recipe import Recipe
from ..batch import Batch
from ..manifest import Entry
from ..volume_sampler import FLAT_BELOW, MAX_DRAWS, MAX_TRIES, VolumePool, drawn_factor, share_of

_CUTS = 8  # of each group of a scan
_SMALLEST_FACTOR, _LARGEST_FACTOR = 1.6, 8  # slice distance over in-plane spacing
_THICK = 1.8  # largest over smallest spacing, above which the slices stay slices
_ENOUGH_CONTRAST = FLAT_BELOW * MAX_TRIES  # standard deviation of a patch, above which no other is drawn
_FEWEST_SLICES, _LEAST_EXTENT = 8, 6  # measured slices; slice distances that the plane extends over
_SMOOTH_SHARE, _SMOOTHNESS = 0.25, (0.3, 1.1)  # of the scans; full width at half maximum in slice distances
_KERNEL_SHARE = 0.5  # of the scans that are sharpened or softened in plane, as convolution kernels do
_SHARPENING, _SOFTENING = (0.5, 3.0), (0.9, 2.8)  # weight of what is taken off; full width at half maximum in voxels
_SHARPENING_WIDTH = 2.35  # voxels


@dataclass(frozen=True, kw_only=True, eq=False)
class ProfileBatch(Batch):
    """Cuts of scans whose slice profile is known.

    Parameters
    ----------
    lr
        (N, G, P, K, T) groups of cuts of N scans, see `profile_cuts.cuts`.
    known
        (N, G, P, K, T) bool, where they hold values.
    log_width
        (N,) natural logarithm of the width of the Gaussian that blurs like the profile, in slice distances.
    """

    lr: Tensor
    known: Tensor
    log_width: Tensor


class ProfileSampler:
    """Draws scans from prepared volumes; factor, width, shape, kernel and noise are drawn for each of them.

    ``patch_slices`` and ``patch_in_plane`` of the recipe are the slices and the fine samples of a cut.
    """

    def __init__(self, entries: list[Entry], recipe: Recipe) -> None:
        self.recipe = recipe
        self.pool = VolumePool(entries, recipe)

    def batch(self, step: int, rank: int = 0, world: int = 1) -> ProfileBatch:
        """The batch of one step, or the share of it that one of several processes takes."""
        numbers = range(self.recipe.batch_size)[share_of(self.recipe.batch_size, rank, world)]
        scans = [self._scan(np.random.default_rng((self.recipe.seed, step, number))) for number in numbers]
        lr, known, log_width, files = zip(*scans, strict=True)
        return ProfileBatch(
            lr=torch.from_numpy(np.stack(lr)),
            known=torch.from_numpy(np.stack(known)),
            log_width=torch.tensor(log_width),
            files=files,
        )

    def _scan(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float, str]:
        fine, spacing, source = self._fine(random)
        factor = self._factor(random, fine.shape, spacing)
        profile = self._profile(random)
        fine = _smooth(random, fine, factor, spacing)
        count = int(len(fine) / factor + 1e-6)
        matrix = acquisition_matrix(count, len(fine), factor, profile=profile.shape, thickness=profile.width)
        slices = np.tensordot(matrix.astype(np.float32), _through_a_kernel(random, fine), axes=1)
        slices = self._noisy(random, slices)
        ratios = factor * spacing[0] / spacing[1], factor * spacing[0] / spacing[2]
        groups = cuts(slices, ratios, lambda part: np.clip(part, 0, 1.5).astype(np.float32))
        cropped = [self._cropped(random, [plane for planes in group for plane in planes]) for group in groups]
        chosen, known = (np.stack(parts) for parts in zip(*cropped, strict=True))
        return chosen, known, math.log(_apparent_width(profile, factor, spacing)), source

    def _fine(self, random: np.random.Generator) -> tuple[np.ndarray, tuple[float, ...], str]:
        """The patch with the highest contrast of some drawn ones; see `_patch`."""
        best, contrast = None, -1.0
        for _ in range(MAX_DRAWS):
            drawn = self._patch(random)
            if drawn is not None and (deviation := float(drawn[0].std())) > contrast:
                best, contrast = drawn, deviation
            if contrast > _ENOUGH_CONTRAST:
                break
        if best is None:
            raise SettingsError("no volume has enough slices to learn slice profiles from; 13 along an axis are needed")
        return best

    def _patch(self, random: np.random.Generator) -> tuple[np.ndarray, tuple[float, ...], str] | None:
        """A part of a volume in the network's range, slices first, with its spacing and the file of the volume.

        The slice axis is drawn, except where slices are thicker than their pixels. None if there are too few slices.
        """
        which = self.pool.draw(random)
        entry, shape = self.pool.entries[which], self.pool.arrays[which].shape
        is_thick = max(entry.spacing_kji_mm) > _THICK * min(entry.spacing_kji_mm)
        axis = 0 if is_thick else int(random.integers(3))
        wanted = [_LARGEST_FACTOR * self.recipe.patch_in_plane // FINE_SAMPLES] * 3
        wanted[axis] = 2 * _LARGEST_FACTOR * self.recipe.patch_slices
        size = [min(count, one) for count, one in zip(shape, wanted, strict=True)]
        if size[axis] < _SMALLEST_FACTOR * _FEWEST_SLICES:
            return None
        first = [int(random.integers(count - one + 1)) for count, one in zip(shape, size, strict=True)]
        where = tuple(slice(start, start + one) for start, one in zip(first, size, strict=True))
        order = (axis, *(other for other in range(3) if other != axis))
        spacing = tuple(entry.spacing_kji_mm[other] for other in order)
        return np.moveaxis(self.pool.patch(which, where), axis, 0), spacing, entry.source

    def _factor(self, random: np.random.Generator, shape: tuple[int, ...], spacing: tuple[float, ...]) -> float:
        factor = drawn_factor(random, self.recipe, (_SMALLEST_FACTOR, _LARGEST_FACTOR))
        least = _SMALLEST_FACTOR * max(spacing[1:]) / spacing[0]
        extent = min(shape[1] * spacing[1], shape[2] * spacing[2]) / spacing[0]
        most = min(shape[0] / _FEWEST_SLICES, extent / _LEAST_EXTENT)
        return float(np.clip(factor, max(least, 1.25), max(most, least, 1.25)))

    def _profile(self, random: np.random.Generator) -> SliceProfile:
        thinnest, thickest = self.recipe.thickness_range
        width = math.exp(random.uniform(math.log(thinnest), math.log(thickest)))
        if random.random() < self.recipe.box_fraction:
            return SliceProfile("box", width / PROFILES["box"])
        return SliceProfile("gaussian", width)

    def _noisy(self, random: np.random.Generator, slices: np.ndarray) -> np.ndarray:
        if random.random() >= self.recipe.noise_fraction:
            return slices
        noise = random.normal(0, 1, slices.shape).astype(np.float32)
        if random.random() < 0.5:
            noise = _in_plane(noise, float(random.uniform(1.0, _SHARPENING_WIDTH)))
            noise /= noise.std()
        return slices + np.float32(random.uniform(0, self.recipe.noise_maximum)) * noise

    def _cropped(self, random: np.random.Generator, planes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Parts of cuts, all of the recipe's size; shorter cuts are padded by edge values, marked as not known."""
        size = (self.recipe.patch_slices, self.recipe.patch_in_plane)
        order = random.permutation(len(planes))
        chosen, known = [], []
        for number in range(_CUTS):
            plane = planes[order[number % len(planes)]]
            first = [
                int(random.integers(max(1, count - one + 1))) for count, one in zip(plane.shape, size, strict=True)
            ]
            part = plane[first[0] : first[0] + size[0], first[1] : first[1] + size[1]]
            beyond = [(0, one - count) for count, one in zip(part.shape, size, strict=True)]
            chosen.append(np.pad(part, beyond, mode="edge"))
            known.append(np.pad(np.ones(part.shape, bool), beyond))
        return np.stack(chosen), np.stack(known)


def _apparent_width(profile: SliceProfile, factor: float, spacing: tuple[float, ...]) -> float:
    """The width relative to the in-plane resolution, including that of the fine slices where they are coarser."""
    own = max(0.0, spacing[0] ** 2 - (spacing[1] + spacing[2]) ** 2 / 4) / (factor * spacing[0]) ** 2
    return math.sqrt(profile.gaussian_width**2 + own)


def _smooth(random: np.random.Generator, fine: np.ndarray, factor: float, spacing: tuple[float, ...]) -> np.ndarray:
    """The volume blurred alike along all axes, as templates and PET are, or as it is."""
    if random.random() >= _SMOOTH_SHARE:
        return fine
    width_mm = random.uniform(*_SMOOTHNESS) * factor * spacing[0]
    return _blurred(fine, (0, 1, 2), tuple(width_mm / one for one in spacing))


def _through_a_kernel(random: np.random.Generator, fine: np.ndarray) -> np.ndarray:
    """The slices sharpened or softened in their plane, or as they are."""
    if random.random() >= _KERNEL_SHARE:
        return fine
    if random.random() < 0.6:
        weight = np.float32(random.uniform(*_SHARPENING))
        return fine + weight * (fine - _in_plane(fine, _SHARPENING_WIDTH))
    return _in_plane(fine, float(random.uniform(*_SOFTENING)))


def _in_plane(slices: np.ndarray, width: float) -> np.ndarray:
    """(K, J, I) blurred along J and I by a Gaussian of this full width at half maximum, in voxels."""
    return _blurred(slices, (1, 2), (width, width))


def _blurred(array: np.ndarray, axes: tuple[int, ...], widths: tuple[float, ...]) -> np.ndarray:
    """(K, J, I) blurred along axes by Gaussians of these full widths at half maximum, in voxels."""
    for axis, width in zip(axes, widths, strict=True):
        weights = gaussian_weights(array.shape[axis], np.arange(array.shape[axis]), width).astype(np.float32)
        array = np.moveaxis(np.tensordot(weights, array, axes=(1, axis)), 0, axis)
    return array
