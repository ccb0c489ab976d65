"""Straightening of tilted slices, such as of a tilted gantry, and the way back.

The slices stay where they were measured; only the rows or columns of each are interpolated, at its own sub-voxel place.
Along the slices nothing is interpolated, so the model of the acquisition holds on the straight grid.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..errors import VolumeError
from .grid import AXES_IJK, SHEARED, Grid, array_axis
from .volume import Volume
from .windows import covering, windows

_LARGEST_TILT = 60.0  # degrees
_MOST_LARGER = 64  # largest ratio of the sizes of the straight and the sheared volume


def tilt_degrees(grid: Grid) -> float:
    """The angle between the slice axis and the normal of the slices, in degrees."""
    along_u, along_v, along_w = _axes_of_slices(grid)
    normal = np.cross(along_u, along_v)
    cosine = abs(float(along_w @ normal)) / float(np.linalg.norm(along_w) * np.linalg.norm(normal))
    return math.degrees(math.acos(min(1.0, cosine)))


def is_tilted(grid: Grid) -> bool:
    """Whether a sheared grid is one of tilted slices: with rows and columns at right angles."""
    along_u, along_v, _ = _axes_of_slices(grid)
    return bool(abs(along_u @ along_v) <= SHEARED * np.linalg.norm(along_u) * np.linalg.norm(along_v))


def straight_grid(grid: Grid) -> Grid:
    """The straight grid that covers all slices of a sheared one; a straight grid as it is.

    Raises
    ------
    VolumeError
        Rows and columns are not at right angles, or the slices lie far beside each other.
    """
    return _straight(grid)[0] if grid.is_sheared else grid


def straightened(volume: Volume) -> Volume:
    """A volume on a sheared grid, brought onto the straight one that covers all of its slices; a straight one as it is.

    Parameters
    ----------
    volume : Volume
        Its slices, across ``grid.through_plane_axis``, have rows and columns at right angles.

    Returns
    -------
    Volume
        Its ``padding`` is true outside the slices, where it has the lowest value of the volume; its ``sheared_grid`` is
        the original grid, for `sheared`; its ``notes`` name the angle.

    Raises
    ------
    VolumeError
        See `straight_grid`.
    """
    if not volume.grid.is_sheared:
        return volume
    grid, starts = _straight(volume.grid)
    axis = grid.through_plane_axis
    rows, columns = (grid.count(one) for one in reversed(AXES_IJK) if one != axis)
    moved = _on_windows(volume, axis, starts, (rows, columns))
    note = f"the slices were tilted by {tilt_degrees(volume.grid):.1f} degrees and were straightened"
    return replace(moved, grid=grid, sheared_grid=volume.grid, notes=(*volume.notes, note))


def _straight(grid: Grid) -> tuple[Grid, np.ndarray]:
    """The straight grid that covers all slices of a sheared one, and (N, 2) where its window of each slice begins."""
    axis = grid.through_plane_axis
    along_u, along_v, along_w = _axes_of_slices(grid)
    if not is_tilted(grid):
        raise VolumeError(
            "the axes of the volume are not at right angles, nor are the rows and columns of its slices;"
            " resample it to a straight grid first"
        )
    if tilt_degrees(grid) > _LARGEST_TILT:
        raise VolumeError(
            f"the slices of the volume are tilted by {tilt_degrees(grid):.0f} degrees, {_LARGEST_TILT:g} at most can be"
            " straightened; resample it to a straight grid first"
        )
    counts = tuple(grid.count(one) for one in reversed(AXES_IJK) if one != axis)
    steps = np.array([along_w @ along_v / (along_v @ along_v), along_w @ along_u / (along_u @ along_u)])  # voxels
    shifts = np.arange(grid.count(axis))[:, None] * steps
    larger = float(np.prod(1 + np.ptp(shifts, axis=0) / counts))
    if not larger <= _MOST_LARGER:
        raise VolumeError(
            f"the slices of the volume are tilted so that a straight grid around them would be {larger:.3g} times as"
            f" large, {_MOST_LARGER} at most; its place in space may be damaged, else resample it to a straight grid"
        )
    starts, shape, before = covering(shifts, (counts[0], counts[1]))
    normal = np.cross(along_u, along_v)
    normal /= np.linalg.norm(normal)
    matrix = grid.ijk_to_ras.copy()
    matrix[:3, AXES_IJK.index(axis)] = (along_w @ normal) * normal
    matrix[:3, 3] -= before[0] * along_v + before[1] * along_u
    shape_kji = list(shape)
    shape_kji.insert(array_axis(axis), grid.count(axis))
    return Grid((shape_kji[0], shape_kji[1], shape_kji[2]), matrix, axis), starts


def sheared(volume: Volume, grid: Grid) -> Volume:
    """A straight volume on the original sheared grid of its slices, refined or made coarser as the volume was.

    Where the straight volume does not reach, it has its lowest value.

    Parameters
    ----------
    volume : Volume
        Made from what `straightened` gave, its axes possibly finer or coarser.
    grid : Grid
        The ``sheared_grid`` of that.
    """
    axis, target = grid.through_plane_axis, sheared_grid(grid, volume.grid)
    to_index = np.linalg.inv(volume.grid.ijk_to_ras) @ target.ijk_to_ras
    places = np.zeros((target.count(axis), 4))
    places[:, 3], places[:, AXES_IJK.index(axis)] = 1, np.arange(target.count(axis))
    first_ijk = places @ to_index.T
    slow, fast = [one for one in reversed(AXES_IJK) if one != axis]
    starts = first_ijk[:, [AXES_IJK.index(slow), AXES_IJK.index(fast)]]
    moved = _on_windows(volume, axis, starts, (target.count(slow), target.count(fast)))
    return replace(moved, grid=target, sheared_grid=None)


def sheared_grid(grid: Grid, straight: Grid) -> Grid:
    """A sheared grid, refined or made coarser as the straight grid of its slices was."""
    axis, target = grid.through_plane_axis, grid
    for one, before, after in zip(AXES_IJK, _straight_spacing(grid, axis), straight.spacing_ijk_mm, strict=True):
        if abs(before - after) > 1e-6 * after:
            target = target.refined(one, before / after)
    shape = list(target.shape_kji)
    shape[array_axis(axis)] = straight.count(axis)  # rounding may give one slice more or less
    return replace(target, shape_kji=(shape[0], shape[1], shape[2]))


def _on_windows(volume: Volume, axis: str, starts: np.ndarray, shape: tuple[int, int]) -> Volume:
    """The windows of the slices across ``axis`` as a volume that still lies on the old grid's axes."""
    place = array_axis(axis)
    planes = np.moveaxis(volume.array, place, 0)
    padding = None if volume.padding is None else np.moveaxis(volume.padding, place, 0)
    array, outside = windows(planes, starts, shape, float(volume.array.min()), padding)
    array, outside = (np.ascontiguousarray(np.moveaxis(one, 0, place)) for one in (array, outside))
    return replace(
        volume, array=array, grid=Grid(array.shape, volume.grid.ijk_to_ras), padding=outside if outside.any() else None
    )


def _axes_of_slices(grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The steps in mm along the fast and the slow axis of the slices, and from slice to slice."""
    across = AXES_IJK.index(grid.through_plane_axis)
    fast, slow = [column for column in range(3) if column != across]
    return grid.ijk_to_ras[:3, fast], grid.ijk_to_ras[:3, slow], grid.ijk_to_ras[:3, across]


def _straight_spacing(grid: Grid, axis: str) -> list[float]:
    """Spacing along i, j and k once the grid is straightened."""
    spacing = list(grid.spacing_ijk_mm)
    spacing[AXES_IJK.index(axis)] *= math.cos(math.radians(tilt_degrees(grid)))
    return spacing
