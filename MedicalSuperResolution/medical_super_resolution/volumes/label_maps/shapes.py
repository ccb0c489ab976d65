"""The shapes of labels between slices: signed distances, interpolated along one axis.

Each fine voxel goes to the label inside which it lies deepest by the interpolated distances. Then the labels are made
consistent with the measured ones: within each thick voxel, the measured label keeps at least half of the fine voxels.
Where an image is given, a label is penalized by the difference between the fine voxel and its tissue. Shape weighs
more, so boundaries move only where a slice holds several tissues.

References
----------
.. [1] Raya and Udupa (1990), Shape-based interpolation of multidimensional objects. DOI 10.1109/42.52980
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...progress import Progress
from .evidence import ImageEvidence
from .scores import Box, Scores

_SLAB = 16  # slices at a time
REACH = 3  # further slices on each side that have an influence: two by cubic interpolation, one by the distances
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
        inside = (self.positions > -0.5 - ALIGNED) & (self.positions < count - 0.5 + ALIGNED)
        nearest = np.floor(self.positions + 0.5 + ALIGNED).astype(int)
        nearest[inside] = nearest[inside].clip(max=count - 1)  # a center on the last border lies in the last slice
        if np.abs(self.positions - nearest)[inside].max(initial=0) < ALIGNED or count == 1:
            fine[inside] = self.slices[nearest[inside]]
            return fine
        for start in range(0, count, _SLAB):
            self.progress(start, count)
            rows = np.flatnonzero((nearest >= start) & (nearest < start + _SLAB) & inside)
            if len(rows):
                fine[rows] = self._slab(start, rows, nearest)
        self.progress(count, count)
        return fine

    def _slab(self, start: int, rows: np.ndarray, nearest: np.ndarray) -> np.ndarray:
        """The fine slices ``rows``, which lie among the `_SLAB` old ones from ``start``."""
        low, high = max(start - REACH, 0), min(start + _SLAB + REACH, len(self.slices))
        old, evidence = self.slices[low:high], self._evidence(low, high, nearest, rows[0])
        scores = Scores(old, self.positions[rows] - low, nearest[rows] - low)
        for label, box in _boxes(old, self._margin()):
            mask = old[box] == label
            distance = self._signed_distance(mask)
            penalty = None if evidence is None else evidence.penalties(mask, distance, box, self._cut_mm)
            scores.offer(label, box, distance, penalty)
        if np.abs(np.diff(self.positions)).max(initial=0) > 1 + ALIGNED:  # coarser slices, which lie in none of the old
            return scores.labels
        return scores.labels_with_majority()

    def _evidence(self, low: int, high: int, nearest: np.ndarray, first: int) -> ImageEvidence | None:
        """The evidence of the image for slices ``low`` to ``high``; ``first`` is the first row of the slab."""
        if self.image is None:
            return None
        rows = np.flatnonzero((nearest >= low) & (nearest < high))
        return ImageEvidence(self.image[rows], nearest[rows] - low, high - low, self.spacing_mm, first - int(rows[0]))

    @property
    def _cut_mm(self) -> float:
        """The largest distance to a boundary that counts."""
        return max(_CUT_SLICES * self.spacing_mm[0], _CUT_PIXELS * max(self.spacing_mm[1:]))

    def _margin(self) -> tuple[int, int, int]:
        """Voxels around a label beyond which its distances are cut off."""
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


def _boxes(labels: np.ndarray, margin: tuple[int, int, int]) -> Iterator[tuple[int, Box]]:
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
