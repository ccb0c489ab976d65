"""Thumbnail of a volume before and after, and a summary of its uncertainty, made while both are in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..volumes.volume import Enhanced, Volume

_LARGEST = 150  # pixels along the longer side of each half
_BLACK, _WHITE = 1.0, 99.0  # percentiles of the cut after


@dataclass
class Preview:
    """Called with a volume before and after; see `task.Task`.

    Parameters
    ----------
    path : Path
        The picture to write, a PNG: before | after, cut across the slices through the middle of the volume.
    uncertainty : str
        Root mean square over the volume, in its units; empty if it was not requested.
    """

    path: Path
    uncertainty: str = ""

    def __call__(self, before: Volume, done: Enhanced[Volume]) -> None:
        """Write the picture, and remember the uncertainty."""
        from PIL import Image

        if done.uncertainty is not None:
            square = np.square(done.uncertainty.array, dtype=np.float64)
            self.uncertainty = f"{np.sqrt(square.mean()):.3g}"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        across = 2 - int(np.argmax(done.report.factor_ijk))
        Image.fromarray(picture(before, done.volume, across)).save(self.path, optimize=True)


def picture(before: Volume, after: Volume, across: int) -> np.ndarray:
    """The cut before | after as gray values, (rows, columns) uint8.

    Parameters
    ----------
    before, after : Volume
        The same place on two grids.
    across : int
        Axis of the arrays, in the order (K, J, I), across the slices; it runs down the picture.
    """
    fixed = 1 if across != 1 else 0
    along = next(axis for axis in (2, 1, 0) if axis not in (across, fixed))
    extent_mm = np.multiply(after.array.shape, after.grid.spacing_ijk_mm[::-1])
    size = np.maximum(1, np.round(_LARGEST * extent_mm / max(extent_mm[across], extent_mm[along]))).astype(int)
    halves = [_cut(volume, fixed, across, along, size[across], size[along]) for volume in (before, after)]
    black, white = np.percentile(halves[1], (_BLACK, _WHITE))
    scaled = (np.hstack(halves) - black) / max(float(white - black), np.finfo(np.float32).tiny)
    gray = (255 * np.clip(scaled, 0, 1)).astype(np.uint8)
    points_up = after.grid.ijk_to_ras[2, 2 - across] > 0
    return gray[::-1] if points_up else gray


def _cut(volume: Volume, fixed: int, across: int, along: int, rows: int, columns: int) -> np.ndarray:
    """The middle plane of a volume, with ``across`` down and ``along`` to the right, by nearest voxels."""
    array = volume.array
    plane = np.take(array, array.shape[fixed] // 2, axis=fixed)
    plane = plane if across < along else plane.T
    j = (np.arange(rows) * plane.shape[0]) // rows
    i = (np.arange(columns) * plane.shape[1]) // columns
    return np.asarray(plane[np.ix_(j, i)], dtype=np.float32)
