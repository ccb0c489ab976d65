"""Windows cut out of planes at sub-voxel places.

References
----------
.. [1] Duchon (1979), Lanczos filtering in one and two dimensions. doi:10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2
"""

from __future__ import annotations

import math

import numpy as np

from .intensity import in_type

_TAPS = np.arange(-2, 4)  # voxels around the one below a place, of the Lanczos kernel of order 3
_ON_A_VOXEL = 1e-4  # voxels: nearer than this nothing is interpolated


def covering(shifts: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
    """The windows that show shifted planes side by side, with nothing cut off.

    Parameters
    ----------
    shifts : numpy.ndarray
        (N, 2) how far each plane lies along its rows' and columns' count, in voxels.
    shape : tuple of int
        Rows and columns of each plane.

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
    planes: np.ndarray, starts: np.ndarray, shape: tuple[int, int], fill: float, padding: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a window out of each plane, at sub-voxel places.

    Parameters
    ----------
    planes : numpy.ndarray
        (N, J, I).
    starts : numpy.ndarray
        (N, 2) the place of each window's first voxel in its plane, in voxels.
    shape : tuple of int
        Rows and columns of the windows.
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
            plane = continued(plane, padding[number])
        inside = _measured(start, shape, plane.shape, None if padding is None else padding[number])
        moved = _shifted(_shifted(plane, start[0], shape[0], 0), start[1], shape[1], 1)
        result[number] = np.where(inside, in_type(moved, planes.dtype), fill)
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


def continued(plane: np.ndarray, padded: np.ndarray) -> np.ndarray:
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
