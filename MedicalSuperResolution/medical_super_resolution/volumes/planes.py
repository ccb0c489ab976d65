"""Slices of a volume as a radiologist sees them: axial, coronal and sagittal, with the patient's right at the left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .grid import AXES_IJK, Grid

PLANES = {"axial": 2, "coronal": 1, "sagittal": 0}  # the RAS axis that each is across


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice.

    Parameters
    ----------
    pixels : numpy.ndarray
        (rows, columns).
    width_mm, height_mm : float
        Size of the whole slice.
    left, top : str
        Letters of the directions there: "R" or "A", and "A" or "S".
    """

    pixels: np.ndarray
    width_mm: float
    height_mm: float
    left: str
    top: str


def plane_of(array: np.ndarray, grid: Grid, ras_axis: int, number: int | None = None) -> Plane:
    """A slice across a RAS axis.

    Left is the patient's right or front, up is the front or the head.

    Parameters
    ----------
    array : numpy.ndarray
        The volume, (K, J, I).
    grid : Grid
        Grid of the volume.
    ras_axis : int
        0, 1 or 2 for R, A or S.
    number : int or None
        Number of the slice, from 0, in the order of the array; None for the middle one.
    """
    nearest = index_axes(grid)
    across = nearest[ras_axis]
    columns_ras, rows_ras = [axis for axis in range(3) if axis != ras_axis]
    columns, rows = nearest[columns_ras], nearest[rows_ras]
    number = array.shape[2 - across] // 2 if number is None else number
    plane = array.transpose(2, 1, 0).take(number, axis=across)
    if columns < rows:  # what is left has the lower index axis first
        plane = plane.T
    direction, spacing = grid.direction, grid.spacing_ijk_mm
    if direction[rows_ras, rows] > 0:  # rows go down: the anterior or superior end comes first
        plane = plane[::-1]
    if direction[columns_ras, columns] > 0:  # the right or anterior end is shown at the left
        plane = plane[:, ::-1]
    height, width = plane.shape[0] * spacing[rows], plane.shape[1] * spacing[columns]
    return Plane(plane, width, height, "RAS"[columns_ras], "RAS"[rows_ras])


def index_axes(grid: Grid) -> list[int]:
    """For R, A and S: which of i, j, k (0, 1, 2) runs nearest to it; each once."""
    left = {0, 1, 2}
    found = [0, 0, 0]
    size = np.abs(grid.direction)
    for ras in np.argsort(-size.max(axis=1)):
        best = max(left, key=lambda axis: size[ras, axis])
        found[int(ras)] = best
        left.remove(best)
    return found


def revealing_planes(grid: Grid) -> list[str]:
    """The two planes that cut through the slices, where thick slices are seen as steps; coronal before sagittal."""
    through_plane = AXES_IJK.index(grid.through_plane_axis)
    names = ("coronal", "sagittal", "axial")
    return [name for name in names if index_axes(grid)[PLANES[name]] != through_plane]
