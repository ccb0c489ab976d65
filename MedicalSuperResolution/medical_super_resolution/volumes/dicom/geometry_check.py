"""Whether a volume still lies where the DICOM series lies that it is said to come from."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from ...errors import VolumeError
from ..grid import Grid
from ..io import files
from .header import UNREADABLE

if TYPE_CHECKING:
    from pydicom import Dataset

_MARGIN = 1.0  # voxels of the source: a grid with other borders may begin or end this much outside


def check_place(grid: Grid, sources: list[Dataset]) -> None:
    """Refuse a volume that was moved: it may not claim the source's frame of reference.

    Parameters
    ----------
    grid : of the result. sources : headers of the source's slices, in their order.

    Raises
    ------
    VolumeError : the volume reaches out of the source. Nothing is said where the source does not tell its own place.
    """
    with suppress(*UNREADABLE):
        outside_mm = _outside_mm(grid, sources)
        if outside_mm > 0:
            raise VolumeError(
                f"the volume reaches {outside_mm:.3g} mm out of the DICOM series that it comes from; it was moved"
                " since: export it before it is moved, or save it as .nrrd or .nii.gz instead"
            )


def _outside_mm(grid: Grid, sources: list[Dataset]) -> float:
    """How far voxel centers of a grid lie outside of the voxel centers of a series; 0 or less where none does."""
    first, last = sources[0], sources[-1]
    along_i, along_j = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    axes = np.array([along_i, along_j, np.cross(along_i, along_j)])
    row_distance, column_distance = map(float, first.PixelSpacing)
    begin = axes @ np.array(first.ImagePositionPatient, float)
    length = abs(float(axes[2] @ np.array(last.ImagePositionPatient, float)) - float(begin[2]))
    spacing = np.array([column_distance, row_distance, length / max(len(sources) - 1, 1)])
    size = np.array([(first.Columns - 1) * column_distance, (first.Rows - 1) * row_distance, length])
    lowest = np.array([begin[0], begin[1], min(begin[2], axes[2] @ np.array(last.ImagePositionPatient, float))])
    corners = np.array(np.meshgrid(*((0.0, count - 1.0) for count in grid.shape_kji[::-1]), [1.0])).reshape(4, -1)
    places = (axes @ (files.ijk_to_lps(grid) @ corners)[:3]).T - lowest
    margin = _MARGIN * spacing
    return float(np.maximum(-margin - places, places - size - margin).max())
