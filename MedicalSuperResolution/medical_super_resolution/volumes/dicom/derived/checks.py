"""Checks of a derived series: the volume lies where its source lies, and the written files read back unchanged."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ....errors import VolumeError
from ...grid import Grid
from ...io import files
from ...volume import Volume
from ..images.header import UNREADABLE
from .pixels import Encoding

if TYPE_CHECKING:
    from pydicom import Dataset

_DISPLACED_MM = 1e-3  # far above what decimal strings lose, and far below a voxel
_MARGIN = 1.0  # voxels of the source: a grid with other borders may begin or end this much outside


def check_place(grid: Grid, sources: list[Dataset]) -> None:
    """Refuse a volume that was moved: it may not claim the source's frame of reference.

    Parameters
    ----------
    grid
        Grid of the result.
    sources
        Headers of the source's slices, in their order.

    Raises
    ------
    VolumeError
        The volume reaches out of the source. A source without a position is not checked.
    """
    with suppress(*UNREADABLE):
        outside_mm = _outside_mm(grid, sources)
        if outside_mm > 0:
            raise VolumeError(
                f"the volume reaches {outside_mm:.3g} mm out of the DICOM series that it comes from; it was moved"
                " since: export it before it is moved, or save it as .nrrd or .nii.gz instead"
            )


def _outside_mm(grid: Grid, sources: list[Dataset]) -> float:
    """Distance by which voxel centers of a grid exceed those of a series; 0 or less where none does."""
    first = sources[0]
    along_i, along_j = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    axes = np.array([along_i, along_j, np.cross(along_i, along_j)])
    row_distance, column_distance = map(float, first.PixelSpacing)
    begins = np.array([source.ImagePositionPatient for source in sources], float) @ axes.T  # apart, of tilted slices
    lowest, size = begins.min(axis=0), np.ptp(begins, axis=0)
    spacing = np.array([column_distance, row_distance, size[2] / max(len(sources) - 1, 1)])
    size += ((first.Columns - 1) * column_distance, (first.Rows - 1) * row_distance, 0)
    corners = np.array(np.meshgrid(*((0.0, count - 1.0) for count in grid.shape_kji[::-1]), [1.0])).reshape(4, -1)
    places = (axes @ (grid.ijk_to_lps @ corners)[:3]).T - lowest
    margin = _MARGIN * spacing
    return float(np.maximum(-margin - places, places - size - margin).max())


def check_files(series: Path, volume: Volume, encoding: Encoding) -> None:
    """Read the series again, by another library than wrote it.

    Raises
    ------
    VolumeError
        It cannot be read, or its values or its place are not those of the volume.
    """
    written = files.read(series)
    wrong = "the DICOM series does not read back as it was written"
    if written.array.shape != volume.array.shape:
        raise VolumeError(f"{wrong}: {written.grid.described()}; nothing was kept, please report this")
    corners = np.array(np.meshgrid(*((0.0, count) for count in volume.array.shape[::-1]), [1.0])).reshape(4, -1)
    displaced = float(np.abs((written.grid.ijk_to_ras - volume.grid.ijk_to_ras) @ corners).max())
    if displaced > _DISPLACED_MM:
        raise VolumeError(f"{wrong}: displaced by {displaced:.3g} mm; nothing was kept, please report this")
    allowed = encoding.largest_error * 1.001
    if not encoding.is_exact:  # real values are read as float32
        allowed += float(np.spacing(np.float32(max(abs(float(volume.array.min())), abs(float(volume.array.max()))))))
    for k, (before, after) in enumerate(zip(volume.array, written.array, strict=True)):
        change = float(np.abs(before.astype(np.float64) - after).max())
        if change > allowed:
            raise VolumeError(f"{wrong}: slice {k} differs by {change:.3g}; nothing was kept, please report this")
