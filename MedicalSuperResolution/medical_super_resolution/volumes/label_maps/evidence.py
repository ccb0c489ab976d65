"""Evidence of the image near label boundaries: how different each fine voxel is from a label's tissue.

References
----------
.. [1] Van Leemput et al. (1999), Automated model-based tissue classification of MR images of the brain: tissues as
   Gaussians whose parameters vary smoothly. DOI 10.1109/42.811270
"""

from __future__ import annotations

import numpy as np

from ...physics.acquisition import SIGMA_PER_FULL_WIDTH, gaussian_weights

_AROUND_MM = 6.0  # standard deviation of the neighborhood that describes a label's tissue
_BLOCK_MM = 2.0  # side of the blocks over which pixels are averaged
_MOST_VARIANCES = 9.0  # largest squared distance to a label's mean that counts
_LEAST_VARIANCE = 0.05  # of the label's variance over the whole slab
_FAINT = 1e-4  # weight of the label's mean over the whole slab
_ROUNDING = 1e-5  # of the brightness: variation of a constant by rounding
_TINY = float(np.finfo(np.float32).tiny)  # against division by zero; values can be of any magnitude
_WEIGHT = 0.75  # of the image against the shape, which can differ by twice the cut


class ImageEvidence:
    """The image of some old slices and of the fine ones among them.

    Parameters
    ----------
    fine
        (M, J, I), the image on fine slices.
    nearest
        (M,), the old slice of each, counted from the first of ``count``.
    count
        Number of old slices.
    spacing_mm
        Spacing of the old slices and along the two axes across, in mm.
    first
        The fine slice that `Penalty.of` counts from.
    """

    def __init__(
        self, fine: np.ndarray, nearest: np.ndarray, count: int, spacing_mm: tuple[float, ...], first: int = 0
    ) -> None:
        self._fine = fine[first:]
        self._spacing_mm = spacing_mm
        self._mean, self._variance = np.zeros((2, count, *fine.shape[1:]), np.float32)
        for number in np.unique(nearest):
            values = fine[nearest == number].astype(np.float32)
            self._mean[number], self._variance[number] = values.mean(axis=0), values.var(axis=0)

    def penalties(self, mask: np.ndarray, distance: np.ndarray, box: tuple[slice, slice, slice], cut: float) -> Penalty:
        """Dissimilarity of each voxel in a box to a label, whose brightness is taken from its inner voxels.

        Parameters
        ----------
        mask
            (k, j, i), where the label was drawn in the box.
        distance
            Signed, of the same shape, cut off at ``cut``.
        """
        core = _core(mask, distance >= min(min(self._spacing_mm[1:]), cut)).astype(np.float32)
        total = float(core.sum())
        middle = float((core * self._mean[box]).sum()) / total
        shifted = self._mean[box] - np.float32(middle)
        squared = self._variance[box] + shifted**2
        spread = max(float((core * squared).sum()) / total, (_ROUNDING * middle) ** 2, _TINY)
        blocks = [max(1, int(_BLOCK_MM / spacing)) for spacing in self._spacing_mm[1:]]
        weight, first, second = (
            self._smoothed(_in_blocks(field, blocks), blocks) for field in (core, core * shifted, core * squared)
        )
        weight += _FAINT
        mean = first / weight
        variance = np.maximum((second + _FAINT * spread) / weight - mean**2, _LEAST_VARIANCE * spread)
        shape = mask.shape[1:]
        return Penalty(
            self._fine[:, box[1], box[2]],
            _repeated(mean + middle, blocks, shape),
            _repeated(variance, blocks, shape),
            _WEIGHT * cut,
        )

    def _smoothed(self, field: np.ndarray, blocks: list[int]) -> np.ndarray:
        for axis, (spacing, size) in enumerate(zip(self._spacing_mm, (1, *blocks), strict=True)):
            count = field.shape[axis]
            width = _AROUND_MM / SIGMA_PER_FULL_WIDTH / (spacing * size)
            weights = gaussian_weights(count, np.arange(count), width).astype(np.float32)
            field = np.moveaxis(np.tensordot(weights, field, (1, axis)), 0, axis)
        return field


class Penalty:
    """Penalty of one label in a box, from its mean and variance (k, j, i) and the image there (M, j, i)."""

    def __init__(self, fine: np.ndarray, mean: np.ndarray, variance: np.ndarray, most: float) -> None:
        self._fine, self._mean, self._variance, self._most = fine, mean, variance, most

    def of(self, row: int, old: int) -> np.ndarray:
        """Penalty in one fine slice, (j, i), in mm like the distances; ``old`` is the old slice in the box."""
        away = (self._fine[row] - self._mean[old]) ** 2 / self._variance[old]
        return np.minimum(away, _MOST_VARIANCES) * (self._most / _MOST_VARIANCES)


def _core(mask: np.ndarray, is_deep: np.ndarray) -> np.ndarray:
    """Voxels inside a label: away from the boundary in their slice, and inside in the adjacent slices."""
    core = mask & is_deep
    core[1:] &= mask[:-1]
    core[:-1] &= mask[1:]
    for found in (core, mask & is_deep):
        if found.any():
            return found
    return mask


def _in_blocks(field: np.ndarray, blocks: list[int]) -> np.ndarray:
    """Means over blocks of pixels; blocks at the end may be smaller."""
    for axis, size in enumerate(blocks, start=1):
        begins = np.arange(0, field.shape[axis], size)
        counts = np.diff([*begins, field.shape[axis]]).astype(np.float32)
        field = np.add.reduceat(field, begins, axis=axis) / np.expand_dims(counts, [a for a in range(3) if a != axis])
    return field


def _repeated(field: np.ndarray, blocks: list[int], shape: tuple[int, ...]) -> np.ndarray:
    for axis, size in enumerate(blocks, start=1):
        field = field.repeat(size, axis=axis)
    return field[:, : shape[0], : shape[1]]
