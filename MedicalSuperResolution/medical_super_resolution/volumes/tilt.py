"""Slices that are shifted against each other, as by a tilted gantry: onto a straight grid, and back.

The slices stay where they were measured; only the rows or columns of each are interpolated, at its own sub-voxel place.
Along the slices nothing is interpolated, so the model of the acquisition holds on the straight grid.

References
----------
.. [1] Duchon (1979), Lanczos filtering in one and two dimensions. doi:10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..errors import VolumeError
from .grid import AXES_IJK, Grid, array_axis
from .volume import Volume

_SHEARED = 1e-3  # cosine between two axes: 0.06 degrees
_TAPS = np.arange(-2, 4)  # voxels around the one below a place, of the Lanczos kernel of order 3
_ON_A_VOXEL = 1e-4  # voxels: nearer than this nothing is interpolated


def tilt_degrees(grid: Grid) -> float:
    """The angle between the slice axis and the normal of the slices, in degrees."""
    along_u, along_v, along_w = _axes_of_slices(grid)
    normal = np.cross(along_u, along_v)
    cosine = abs(float(along_w @ normal)) / float(np.linalg.norm(along_w) * np.linalg.norm(normal))
    return math.degrees(math.acos(min(1.0, cosine)))


def straightened(volume: Volume, fill: float | None = None) -> Volume:
    """A volume on a sheared grid, brought onto a straight one that covers all of its slices.

    Parameters
    ----------
    volume : Volume
        Its slices, across ``grid.through_plane_axis``, have rows and columns at right angles.
    fill : float or None
        The value outside the slices; None is the lowest of the volume.

    Returns
    -------
    Volume
        Its ``padding`` is true outside the slices; its ``sheared_grid`` is the grid that it came on, for `sheared`.

    Raises
    ------
    VolumeError
        Rows and columns are not at right angles, or the slices lie beside each other.
    """
    grid = volume.grid
    axis = grid.through_plane_axis
    along_u, along_v, along_w = _axes_of_slices(grid)
    if abs(along_u @ along_v) > _SHEARED * np.linalg.norm(along_u) * np.linalg.norm(along_v):
        raise VolumeError("the rows and columns of the slices are not at right angles; resample the volume first")
    counts = [grid.count(one) for one in AXES_IJK if one != axis]
    steps = np.array([along_w @ along_v / (along_v @ along_v), along_w @ along_u / (along_u @ along_u)])  # voxels
    shifts = np.arange(grid.count(axis))[:, None] * steps
    starts, shape, before = covering(shifts, (counts[1], counts[0]))
    normal = np.cross(along_u, along_v)
    normal /= np.linalg.norm(normal)
    matrix = grid.ijk_to_ras.copy()
    matrix[:3, AXES_IJK.index(axis)] = (along_w @ normal) * normal
    matrix[:3, 3] -= before[0] * along_v + before[1] * along_u
    moved = _on_windows(volume, axis, starts, shape, fill)
    return replace(moved, grid=Grid(moved.array.shape, matrix, axis), sheared_grid=grid)


def sheared(volume: Volume, grid: Grid, fill: float | None = None) -> Volume:
    """A straight volume on the sheared grid that its slices came from, refined as the volume was.

    Parameters
    ----------
    volume : Volume
        Made from what `straightened` gave, its axes possibly finer.
    grid : Grid
        The ``sheared_grid`` of that.
    fill : float or None
        The value where the straight volume does not reach; None is its lowest.
    """
    axis = grid.through_plane_axis
    straight = _straight_spacing(grid, axis)
    target = grid
    for one, before, after in zip(AXES_IJK, straight, volume.grid.spacing_ijk_mm, strict=True):
        if before > after * (1 + 1e-6):
            target = target.refined(one, before / after)
    to_index = np.linalg.inv(volume.grid.ijk_to_ras) @ target.ijk_to_ras
    places = np.zeros((target.count(axis), 4))
    places[:, 3], places[:, AXES_IJK.index(axis)] = 1, np.arange(target.count(axis))
    first_ijk = places @ to_index.T
    slow, fast = [one for one in reversed(AXES_IJK) if one != axis]
    starts = first_ijk[:, [AXES_IJK.index(slow), AXES_IJK.index(fast)]]
    moved = _on_windows(volume, axis, starts, (target.count(slow), target.count(fast)), fill)
    return replace(moved, grid=target, sheared_grid=None)


def covering(shifts: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
    """The windows that show shifted planes side by side, with nothing cut off.

    Parameters
    ----------
    shifts : numpy.ndarray
        (N, 2) how far each plane lies along its rows' and columns' count, in voxels.
    shape : tuple of int
        Of each plane.

    Returns
    -------
    tuple
        (N, 2) where the window of each plane begins, in its voxels; the shape of all windows; how many voxels they
        begin before a plane without shift.
    """
    shifts = np.where(np.abs(shifts - np.rint(shifts)) < _ON_A_VOXEL, np.rint(shifts), shifts)
    before = np.ceil(np.maximum(-shifts.min(axis=0), 0)).astype(int)
    after = np.ceil(np.maximum(shifts.max(axis=0), 0)).astype(int)
    rows, columns = (int(count) for count in np.array(shape) + before + after)
    return -before - shifts, (rows, columns), (int(before[0]), int(before[1]))


def windows(
    planes: np.ndarray, starts: np.ndarray, shape: tuple[int, int], fill: float, padding: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a window out of each plane, at sub-voxel places.

    Parameters
    ----------
    planes : numpy.ndarray
        (N, J, I).
    starts : numpy.ndarray
        (N, 2) the place of each window's first voxel in its plane, in voxels.
    shape : tuple of int
        Of the windows.
    fill : float
        The value outside a plane, and where it was padded.
    padding : numpy.ndarray or None
        (N, J, I) bool, where nothing was measured.

    Returns
    -------
    tuple of numpy.ndarray
        (N, *shape) of the type of ``planes``, and where they hold the fill.
    """
    result = np.empty((len(planes), *shape), planes.dtype)
    outside = np.zeros(result.shape, bool)
    for number, start in enumerate(starts):
        plane = planes[number]
        if padding is not None and padding[number].any():
            plane = _continued(plane, padding[number])
        inside = _measured(start, shape, plane.shape, None if padding is None else padding[number])
        moved = _shifted(_shifted(plane, start[0], shape[0], 0), start[1], shape[1], 1)
        if planes.dtype.kind in "iu":
            limits = np.iinfo(planes.dtype)
            moved = np.rint(moved).clip(limits.min, limits.max)
        result[number] = np.where(inside, moved, fill)
        outside[number] = ~inside
    return result, outside


def _measured(
    start: np.ndarray, shape: tuple[int, int], plane_shape: tuple[int, ...], padded: np.ndarray | None
) -> np.ndarray:
    """Which voxels of a window lie within its plane and not on padding."""
    inside = np.ones(shape, bool)
    nearest = []
    for axis in (0, 1):
        place = start[axis] + np.arange(shape[axis])
        within = (place > -0.5 - _ON_A_VOXEL) & (place < plane_shape[axis] - 0.5 + _ON_A_VOXEL)
        inside &= np.expand_dims(within, 1 - axis)
        nearest.append(np.rint(place).astype(int).clip(0, plane_shape[axis] - 1))
    return inside if padded is None else inside & ~padded[np.ix_(*nearest)]


def _continued(plane: np.ndarray, padded: np.ndarray) -> np.ndarray:
    """A plane whose padding takes the value of the nearest measured voxel of its column, or else of its row."""
    for axis in (0, 1):
        order = np.arange(plane.shape[axis]).reshape((-1, 1) if axis == 0 else (1, -1))
        last = plane.shape[axis]
        before = np.maximum.accumulate(np.where(padded, -last, order), axis)
        after = np.flip(np.minimum.accumulate(np.flip(np.where(padded, 2 * last, order), axis), axis), axis)
        nearest = np.where(order - before <= after - order, before, after)
        found = (nearest >= 0) & (nearest < last)
        plane = np.where(found, np.take_along_axis(plane, nearest.clip(0, last - 1), axis), plane)
        padded = padded & ~found
    return plane


def _shifted(plane: np.ndarray, start: float, count: int, axis: int) -> np.ndarray:
    """``count`` values along one axis from the sub-voxel place ``start`` on; the borders continue outside."""
    below = math.floor(start + _ON_A_VOXEL)
    part = start - below
    places = below + np.arange(count)
    last = plane.shape[axis] - 1
    if abs(part) <= _ON_A_VOXEL:
        return plane.take(places.clip(0, last), axis)
    away = _TAPS - part
    weights = np.sinc(away) * np.sinc(away / 3)
    weights = (weights / weights.sum()).astype(np.float32 if plane.dtype.itemsize <= 4 else np.float64)
    taps = [plane.take((places + tap).clip(0, last), axis) for tap in _TAPS]
    moved = sum(weight * tap for weight, tap in zip(weights, taps, strict=True))
    return np.clip(moved, np.minimum.reduce(taps), np.maximum.reduce(taps))  # no ringing beyond what was measured


def _on_windows(volume: Volume, axis: str, starts: np.ndarray, shape: tuple[int, int], fill: float | None) -> Volume:
    """The windows of the slices across ``axis`` as a volume that still lies on the old grid's axes."""
    place = array_axis(axis)
    planes = np.moveaxis(volume.array, place, 0)
    padding = None if volume.padding is None else np.moveaxis(volume.padding, place, 0)
    value = float(volume.array.min()) if fill is None else fill
    array, outside = windows(planes, starts, shape, value, padding)
    array, outside = (np.ascontiguousarray(np.moveaxis(one, 0, place)) for one in (array, outside))
    grid = Grid(array.shape, volume.grid.ijk_to_ras, volume.grid.slice_axis)
    return replace(volume, array=array, grid=grid, padding=outside if outside.any() else None)


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
