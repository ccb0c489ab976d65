"""The shapes of labels between slices: signed distances, interpolated along one axis.

Between two slices the boundary of a label moves with its signed distances, and each fine voxel goes to the label
that lies deepest inside. Then the labels are made consistent with the measured ones: within each thick voxel the old
label keeps at least half of the fine voxels, those nearest to it. Where an image is given, a label is penalized by the
difference between the fine voxel and its tissue; boundaries move only in the partial-volume zone, as shape weighs more.

References
----------
.. [1] Raya and Udupa (1990), Shape-based interpolation of multidimensional objects. DOI 10.1109/42.52980
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...progress import Progress
from .evidence import ImageEvidence, Penalty

_SLAB = 16  # slices at a time
_REACH = 3  # further slices on each side that have an influence: two by cubic interpolation, one by the distances
_CUT_SLICES, _CUT_PIXELS = 0.3, 2.0  # limits of the distances, so that a large shape does not outweigh a small one
ALIGNED = 1e-3  # of a voxel: largest deviation of parallel grids over their whole length


@dataclass(frozen=True, eq=False)
class AxisRefinement:
    """One axis of a label map refined, slab by slab.

    Parameters
    ----------
    slices
        (K, J, I) numbers of labels, the axis first.
    positions
        (M,) positions of the fine slices, in units of the old ones; ascending or descending.
    spacing_mm
        Spacing of the old slices and along the two axes across, in mm.
    image
        (M, J, I) values of an image on the fine slices, whose edges the boundaries follow where they are uncertain.
    """

    slices: np.ndarray
    positions: np.ndarray
    spacing_mm: tuple[float, float, float]
    progress: Progress
    image: np.ndarray | None = None

    def refined(self) -> np.ndarray:
        """(M, J, I) numbers of labels; 0 beyond the old slices."""
        count = len(self.slices)
        fine = np.zeros((len(self.positions), *self.slices.shape[1:]), self.slices.dtype)
        nearest = np.floor(self.positions + 0.5 + ALIGNED).astype(int)
        inside = (nearest >= 0) & (nearest < count)
        if np.abs(self.positions - nearest)[inside].max(initial=0) < ALIGNED or count == 1:
            fine[inside] = self.slices[nearest[inside]]
            return fine
        for start in range(0, count, _SLAB):
            stop = min(start + _SLAB, count)
            self.progress(start, count)
            rows = np.flatnonzero((nearest >= start) & (nearest < stop))
            if len(rows):
                low, high = max(start - _REACH, 0), min(stop + _REACH, count)
                evidence = self._evidence(low, high, nearest, rows[0])
                fine[rows] = self._slab(low, high, self.positions[rows] - low, nearest[rows] - low, evidence)
        self.progress(count, count)
        return fine

    def _slab(
        self, low: int, high: int, positions: np.ndarray, nearest: np.ndarray, evidence: ImageEvidence | None
    ) -> np.ndarray:
        """The fine slices at ``positions`` among the old ones from ``low`` to ``high``."""
        old = self.slices[low:high]
        scores = _Scores(old, positions, nearest)
        for label, box in _boxes(old, self._margin()):
            mask = old[box] == label
            distance = self._signed_distance(mask)
            penalty = None if evidence is None else evidence.penalties(mask, distance, box, self._cut_mm)
            scores.offer(label, box, distance, penalty)
        return scores.labels_with_majority()

    def _evidence(self, low: int, high: int, nearest: np.ndarray, first: int) -> ImageEvidence | None:
        """The evidence of the image for slices ``low`` to ``high``; ``first`` is the first row of the slab."""
        if self.image is None:
            return None
        rows = np.flatnonzero((nearest >= low) & (nearest < high))
        return ImageEvidence(self.image[rows], nearest[rows] - low, high - low, self.spacing_mm, first - int(rows[0]))

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
        import SimpleITK as sitk

        image = sitk.GetImageFromArray(mask.astype(np.uint8))
        image.SetSpacing(self.spacing_mm[::-1])
        distance = sitk.SignedMaurerDistanceMap(
            image, insideIsPositive=True, squaredDistance=False, useImageSpacing=True
        )
        values = sitk.GetArrayFromImage(distance)
        values += np.float32(min(self.spacing_mm[1:]) / 2)  # 0 is the center of the outermost voxel inside
        return values.clip(-self._cut_mm, self._cut_mm, out=values)


class _Scores:
    """The label of each fine voxel: the one inside which it lies deepest.

    Parameters
    ----------
    old
        (K, J, I) label numbers.
    positions
        (M,) places of the fine slices among them.
    nearest
        (M,) the old slice of each.
    """

    def __init__(self, old: np.ndarray, positions: np.ndarray, nearest: np.ndarray) -> None:
        self._old, self._positions, self._nearest = old, positions, nearest
        shape = (len(positions), *old.shape[1:])
        self._best = np.full(shape, -np.inf, np.float32)
        self._kept = np.zeros(shape, np.float32)  # the score of the old label
        self._labels = old[nearest]

    def offer(
        self, label: int, box: tuple[slice, slice, slice], distance: np.ndarray, penalty: Penalty | None = None
    ) -> None:
        """Give the fine voxels to ``label`` where its interpolated ``distance``, less a penalty, is the largest."""
        first, stop, plane = box[0].start, box[0].stop, box[1:]
        begins = first == 0 or self._positions > first
        for row in np.flatnonzero(begins & ((stop == len(self._old)) | (self._positions < stop - 1))):
            taps, weights = _cubic(self._positions[row], len(self._old))
            score = np.tensordot(weights, distance[np.clip(taps - first, 0, stop - first - 1)], 1)
            if penalty is not None:
                score -= penalty.of(int(row), min(max(int(self._nearest[row]) - first, 0), stop - first - 1))
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
    """The four slices around a place and their weights, by Keys' cubic convolution; end slices are repeated."""
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
