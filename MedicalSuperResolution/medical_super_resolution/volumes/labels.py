"""Label maps on a finer grid: shape-based interpolation, one axis at a time.

Between two slices the boundary of a label moves as its signed distances say, and each fine voxel goes to the label
that lies deepest inside. Then the labels are held to what was drawn: within each thick voxel the old label keeps the
majority of the fine voxels, those that were nearest to it.

References
----------
.. [1] Raya and Udupa (1990), Shape-based interpolation of multidimensional objects. DOI 10.1109/42.52980
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from ..errors import VolumeError
from ..progress import Progress, ignore
from .grid import AXES_IJK, Grid, array_axis
from .io.files import to_image
from .volume import Volume

BACKGROUND = 0
_MOST_LABELS = 65535
_SLAB = 16  # slices at a time
_REACH = 3  # slices beyond them that matter: cubic interpolation takes two, and a distance is cut off before the third
_CUT_SLICES, _CUT_PIXELS = 0.6, 2.0  # distances are cut off here; more of one shape must not outweigh all of another
_ALIGNED = 1e-3  # of a voxel: what two grids may differ by over their whole length and still count as parallel


def refine_labels(labels: Volume, grid: Grid, progress: Progress = ignore) -> Volume:
    """The label map on another grid of the same space, mostly a finer one.

    Parameters
    ----------
    labels : whole numbers, (K, J, I), of any type.
    grid : of the result. Along axes parallel to those of the label map, shapes are interpolated; on an oblique grid
        the label map is first refined on its own axes, then each voxel takes the nearest label.
    progress : called with slices done and in total; it may raise `errors.Cancelled`.

    Returns
    -------
    Volume of the same type, with no label that was not there; beyond the label map it is 0.

    Raises
    ------
    VolumeError : a voxel is not a whole number, there are more than 65535 labels, or the grids do not overlap.

    Notes
    -----
    Where the new grid splits each voxel, the most frequent label inside an old voxel is the old label.
    """
    _check(labels, grid)
    values, indices = _as_indices(labels.array)
    transform = np.linalg.inv(labels.grid.ijk_to_ras) @ grid.ijk_to_ras
    if _is_parallel(transform, grid):
        return replace(labels, array=values[_along_axes(indices, labels.grid, grid, transform, progress)], grid=grid)
    own = _as_fine(labels.grid, min(grid.spacing_ijk_mm))
    transform = np.linalg.inv(labels.grid.ijk_to_ras) @ own.ijk_to_ras
    fine = replace(labels, array=values[_along_axes(indices, labels.grid, own, transform, progress)], grid=own)
    return replace(labels, array=_nearest(fine, grid), grid=grid)


def label_values(labels: Volume) -> np.ndarray:
    """The labels that occur, ascending, without the background."""
    values, _ = _as_indices(labels.array)
    return values[values != BACKGROUND]


def _check(labels: Volume, grid: Grid) -> None:
    array = labels.array
    if array.dtype.kind == "f" and not all(np.array_equal(plane, np.round(plane)) for plane in array):
        raise VolumeError("the label map holds values that are not whole numbers; give the segmentation, not an image")
    (low, high), (here_low, here_high) = grid.bounds_ras_mm, labels.grid.bounds_ras_mm
    if (np.minimum(high, here_high) - np.maximum(low, here_low)).min() <= 0:
        raise VolumeError("the label map does not overlap the volume in space; is it of the same scan?")


def _as_indices(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values that occur, background first, and the array with their numbers in place of them, uint16."""
    found = np.unique(np.concatenate([np.unique(plane) for plane in array]))
    values = np.concatenate([[BACKGROUND], found[found != BACKGROUND]]).astype(array.dtype)
    if len(values) > _MOST_LABELS:
        raise VolumeError(f"the label map holds {len(values)} labels; {_MOST_LABELS} are the most that can be refined")
    order = np.argsort(values)
    indices = np.empty(array.shape, np.uint16)
    for plane, into in zip(array, indices, strict=True):
        into[...] = order[np.searchsorted(values[order], plane)]
    return values, indices


def _is_parallel(transform: np.ndarray, grid: Grid) -> bool:
    leaning = np.abs(transform[:3, :3] - np.diag(np.diag(transform[:3, :3])))
    return bool((leaning * np.array(grid.shape_kji[::-1])).max() < _ALIGNED)


def _as_fine(grid: Grid, spacing_mm: float) -> Grid:
    for axis in AXES_IJK:
        spacing = grid.spacing_ijk_mm[AXES_IJK.index(axis)]
        grid = grid.refined(axis, spacing / spacing_mm) if spacing > spacing_mm else grid
    return grid


def _nearest(labels: Volume, grid: Grid) -> np.ndarray:
    reference = to_image(Volume(np.broadcast_to(np.uint8(0), grid.shape_kji), grid))
    image = sitk.Resample(to_image(labels), reference, sitk.Transform(), sitk.sitkNearestNeighbor, float(BACKGROUND))
    return sitk.GetArrayFromImage(image)


def _along_axes(
    indices: np.ndarray, source: Grid, target: Grid, transform: np.ndarray, progress: Progress
) -> np.ndarray:
    """One pass for each axis that changes, the through-plane axis first."""
    through_plane = source.through_plane_axis
    spacing_kji = list(source.spacing_ijk_mm[::-1])
    for axis in sorted(AXES_IJK, key=lambda name: (name != through_plane, name)):
        column, number = AXES_IJK.index(axis), array_axis(axis)
        positions = np.arange(target.count(axis)) * transform[column, column] + transform[column, 3]
        moved = np.moveaxis(indices, number, 0)
        first, second = (value for other, value in enumerate(spacing_kji) if other != number)
        one = _AxisRefinement(moved, positions, (spacing_kji[number], first, second), progress)
        indices = np.moveaxis(one.refined(), 0, number)
        spacing_kji[number] = target.spacing_ijk_mm[column]
    return indices


@dataclass(frozen=True)
class _AxisRefinement:
    """One axis of a label map refined, slab by slab.

    slices : (K, J, I) numbers of labels, the axis first.
    positions : (M,) places of the fine slices, in units of the old ones; ascending or descending.
    spacing_mm : of the old slices, and of the two axes across.
    """

    slices: np.ndarray
    positions: np.ndarray
    spacing_mm: tuple[float, float, float]
    progress: Progress

    def refined(self) -> np.ndarray:
        """(M, J, I) numbers of labels; 0 beyond the old slices."""
        count = len(self.slices)
        fine = np.zeros((len(self.positions), *self.slices.shape[1:]), self.slices.dtype)
        nearest = np.floor(self.positions + 0.5 + _ALIGNED).astype(int)
        inside = (nearest >= 0) & (nearest < count)
        if np.abs(self.positions - nearest)[inside].max(initial=0) < _ALIGNED or count == 1:
            fine[inside] = self.slices[nearest[inside]]
            return fine
        for start in range(0, count, _SLAB):
            stop = min(start + _SLAB, count)
            self.progress(start, count)
            rows = np.flatnonzero((nearest >= start) & (nearest < stop))
            if len(rows):
                low, high = max(start - _REACH, 0), min(stop + _REACH, count)
                fine[rows] = self._slab(low, high, self.positions[rows] - low, nearest[rows] - low)
        self.progress(count, count)
        return fine

    def _slab(self, low: int, high: int, positions: np.ndarray, nearest: np.ndarray) -> np.ndarray:
        """The fine slices at ``positions`` among the old ones from ``low`` to ``high``."""
        old = self.slices[low:high]
        scores = _Scores(old, positions, nearest)
        for label, box in _boxes(old, self._margin()):
            distance = self._signed_distance(old[box] == label)
            scores.offer(label, box, distance)
        return scores.labels_with_majority()

    @property
    def _cut_mm(self) -> float:
        return max(_CUT_SLICES * self.spacing_mm[0], _CUT_PIXELS * max(self.spacing_mm[1:]))

    def _margin(self) -> tuple[int, int, int]:
        across = [int(np.ceil(self._cut_mm / spacing)) + 1 for spacing in self.spacing_mm[1:]]
        return 2, across[0], across[1]

    def _signed_distance(self, mask: np.ndarray) -> np.ndarray:
        """Distance to the boundary in mm, (K, J, I) float32: positive inside, cut off on both sides."""
        if mask.all():
            return np.full(mask.shape, self._cut_mm, np.float32)
        image = sitk.GetImageFromArray(mask.astype(np.uint8))
        image.SetSpacing(self.spacing_mm[::-1])
        distance = sitk.SignedMaurerDistanceMap(
            image, insideIsPositive=True, squaredDistance=False, useImageSpacing=True
        )
        values = sitk.GetArrayFromImage(distance)
        values += np.float32(min(self.spacing_mm[1:]) / 2)  # 0 is the centre of the outermost voxel inside
        return values.clip(-self._cut_mm, self._cut_mm, out=values)


class _Scores:
    """Which label each fine voxel belongs to, the label that lies deepest inside it.

    old : (K, J, I) label numbers. positions : (M,) of the fine slices among them. nearest : (M,) the old slice of each.
    """

    def __init__(self, old: np.ndarray, positions: np.ndarray, nearest: np.ndarray) -> None:
        self._old, self._positions, self._nearest = old, positions, nearest
        shape = (len(positions), *old.shape[1:])
        self._best = np.full(shape, -np.inf, np.float32)
        self._kept = np.zeros(shape, np.float32)  # the score of the old label
        self._labels = old[nearest]

    def offer(self, label: int, box: tuple[slice, slice, slice], distance: np.ndarray) -> None:
        """Give the fine voxels to ``label`` where its interpolated ``distance`` is the largest so far."""
        first, stop, plane = box[0].start, box[0].stop, box[1:]
        begins = first == 0 or self._positions > first
        for row in np.flatnonzero(begins & ((stop == len(self._old)) | (self._positions < stop - 1))):
            taps, weights = _cubic(self._positions[row], len(self._old))
            score = np.tensordot(weights, distance[np.clip(taps - first, 0, stop - first - 1)], 1)
            best, labels = self._best[row][plane], self._labels[row][plane]
            np.copyto(self._kept[row][plane], score, where=self._old[self._nearest[row]][plane] == label)
            better = score > best
            np.copyto(best, score, where=better)
            np.copyto(labels, label, where=better)

    def labels_with_majority(self) -> np.ndarray:
        """The label of each fine voxel; more than half of those inside an old voxel keep its label."""
        for number in np.unique(self._nearest):
            rows = np.flatnonzero(self._nearest == number)
            self._keep_majority(slice(rows[0], rows[-1] + 1), self._old[number])
        return self._labels

    def _keep_majority(self, rows: slice, old: np.ndarray) -> None:
        labels = self._labels[rows]
        is_kept = labels == old
        missing = (len(labels) + 1) // 2 - is_kept.sum(axis=0)
        where = np.nonzero(missing > 0)
        if not len(where[0]):
            return
        lead = np.where(is_kept, np.inf, self._best[rows] - self._kept[rows])[:, where[0], where[1]]
        rank = lead.argsort(axis=0).argsort(axis=0)
        columns = labels[:, where[0], where[1]]
        labels[:, where[0], where[1]] = np.where(rank < missing[where], old[where], columns)


def _cubic(position: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The four slices around a place and their weights, by Keys' cubic convolution; the end slices go on beyond."""
    base = int(np.floor(position))
    part = position - base
    weights = np.array(
        [
            -0.5 * part**3 + part**2 - 0.5 * part,
            1.5 * part**3 - 2.5 * part**2 + 1,
            -1.5 * part**3 + 2 * part**2 + 0.5 * part,
            0.5 * part**3 - 0.5 * part**2,
        ],
        np.float32,
    )
    return np.clip(np.arange(base - 1, base + 3), 0, count - 1), weights


def _boxes(labels: np.ndarray, margin: tuple[int, int, int]) -> Iterator[tuple[int, tuple[slice, slice, slice]]]:
    """Each label number that occurs, and the box around its voxels with a margin."""
    count = int(labels.max()) + 1
    bounds = []
    for axis, width in enumerate(margin):
        planes = np.moveaxis(labels, axis, 0)
        occurs = np.array([np.bincount(plane.ravel(), minlength=count) > 0 for plane in planes])
        first, last = occurs.argmax(axis=0), len(planes) - 1 - occurs[::-1].argmax(axis=0)
        bounds.append((np.maximum(first - width, 0), np.minimum(last + width + 1, len(planes))))
    for label in np.flatnonzero(occurs.any(axis=0)):
        k, j, i = (slice(int(low[label]), int(stop[label])) for low, stop in bounds)
        yield int(label), (k, j, i)
