"""The label of each fine voxel: the one inside which it lies deepest, while measured voxels keep their majority."""

from __future__ import annotations

import numpy as np

from .evidence import Penalty

Box = tuple[slice, slice, slice]


class Scores:
    """The best score so far of each fine voxel, and the label that reached it.

    Parameters
    ----------
    old
        (K, J, I) label numbers of the measured slices.
    positions
        (M,) places of the fine slices among them.
    nearest
        (M,) the measured slice of each.
    """

    def __init__(self, old: np.ndarray, positions: np.ndarray, nearest: np.ndarray) -> None:
        self._old, self._positions, self._nearest = old, positions, nearest
        shape = (len(positions), *old.shape[1:])
        self._best = np.full(shape, -np.inf, np.float32)
        self._of_old = np.zeros(shape, np.float32)  # the score of the measured label
        self._labels = old[nearest]

    def offer(self, label: int, box: Box, distance: np.ndarray, penalty: Penalty | None = None) -> None:
        """Give fine voxels to a label where its score exceeds that of the labels before.

        Parameters
        ----------
        label
            Number of the label.
        box
            Where it may occur, among the measured slices.
        distance
            (k, j, i) signed distances to its boundary in the box; between slices they are interpolated.
        penalty
            Subtracted from them.
        """
        slices, in_plane = box[0], box[1:]
        for row in self._rows_in(slices):
            taps, weights = _cubic(self._positions[row])
            score = np.tensordot(weights, distance[_within(taps, slices)], 1)
            if penalty is not None:
                score -= penalty.of(int(row), int(_within(self._nearest[row], slices)))
            best, labels, of_old = (array[row][in_plane] for array in (self._best, self._labels, self._of_old))
            np.copyto(of_old, score, where=self._old[self._nearest[row]][in_plane] == label)
            is_better = score > best
            np.copyto(best, score, where=is_better)
            np.copyto(labels, label, where=is_better)

    def _rows_in(self, slices: slice) -> np.ndarray:
        """The fine slices inside a box, which begins and ends at a measured slice or goes on to the end of all."""
        is_after = slices.start == 0 or self._positions > slices.start
        is_before = slices.stop == len(self._old) or self._positions < slices.stop - 1
        return np.flatnonzero(np.broadcast_to(is_after & is_before, self._positions.shape))

    @property
    def labels(self) -> np.ndarray:
        """(M, J, I) the labels as they were offered."""
        return self._labels

    def labels_with_majority(self) -> np.ndarray:
        """(M, J, I) the labels; at least half of the fine voxels inside a measured voxel keep its label."""
        for number in np.unique(self._nearest):
            rows = np.flatnonzero(self._nearest == number)
            self._give_back(slice(rows[0], rows[-1] + 1), self._old[number])
        return self._labels

    def _give_back(self, rows: slice, old: np.ndarray) -> None:
        """Give voxels of one measured slice back to its labels, first those that were lost by the smallest lead."""
        labels = self._labels[rows]
        is_old = labels == old
        missing = (len(labels) + 1) // 2 - is_old.sum(axis=0)
        j, i = np.nonzero(missing > 0)
        lead = np.where(is_old, np.inf, self._best[rows] - self._of_old[rows])[:, j, i]
        rank = lead.argsort(axis=0).argsort(axis=0)
        labels[:, j, i] = np.where(rank < missing[j, i], old[j, i], labels[:, j, i])


def _within(numbers: np.ndarray, slices: slice) -> np.ndarray:
    """Numbers of slices counted from the first of a box; those outside it become its first or last."""
    return np.clip(numbers - slices.start, 0, slices.stop - slices.start - 1)


def _cubic(position: float) -> tuple[np.ndarray, np.ndarray]:
    """The four slices around a place and their weights, by Keys' cubic convolution; see `physics.interpolation`."""
    taps = int(np.floor(position)) + np.arange(-1, 3)
    distance = np.abs(position - taps)
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    return taps, np.where(distance <= 1, near, far).astype(np.float32)
