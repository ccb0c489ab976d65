"""The voxels of a stack: rescaled slice by slice, with their padding, interpolated to regular places."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from ..intensity import in_type
from .frames import Frame
from .stored import number_type, stored_numbers
from .values import has_table, looked_up, padding_of, rescale

LOWEST_HU = -1024.0  # vacuum is -1000 HU; some margin for noise and rounding
ROUNDED_MM = 0.08  # positions are often written with a single digit behind the point
_PADDING_GAP = 0.05  # of the range of all other values: padding lies further away, or else it is background
_INTEGERS = tuple(np.dtype(name) for name in ("int16", "int32", "int64"))


def voxels_of(frames: list[Frame]) -> tuple[np.ndarray, np.ndarray | None]:
    """The values of images, each rescaled by its own slope and intercept, and where they were padded.

    Returns
    -------
    tuple
        (K, J, I) of the smallest type that holds them, whole where all are whole; and (K, J, I) bool or None.
    """
    shape = (len(frames), *frames[0].shape_ji)
    stored = np.empty(shape, np.result_type(*{number_type(frame.file) for frame in frames}))
    padding, extremes = None, []
    by_file: dict[Path, list[int]] = defaultdict(list)
    for k, frame in enumerate(frames):
        by_file[frame.file.path].append(k)
    for places in by_file.values():
        planes = stored_numbers(frames[places[0]].file, [frames[k] for k in places])
        for k, plane in zip(places, planes, strict=True):
            stored[k] = plane
            extremes.append((k, float(plane.min()), float(plane.max())))
            padded = padding_of(frames[k], plane)
            if padded is not None and padded.any():
                padding = np.zeros(shape, bool) if padding is None else padding
                padding[k] = padded
    extremes.sort()
    return _rescaled(stored, frames, [(low, high) for _, low, high in extremes]), padding


def _rescaled(stored: np.ndarray, frames: list[Frame], extremes: list[tuple[float, float]]) -> np.ndarray:
    """Stored numbers as values; in place where their type allows it."""
    if any(map(has_table, frames)):
        return np.stack([looked_up(frame, plane) for frame, plane in zip(frames, stored, strict=True)])
    scales = [rescale(frame) for frame in frames]
    if all(scale == (1, 0) for scale in scales):
        return stored
    ends = [slope * end + intercept for (slope, intercept), pair in zip(scales, extremes, strict=True) for end in pair]
    if stored.dtype.kind == "f" or any(value != int(value) for scale in scales for value in scale):
        values = np.empty(stored.shape, np.float32 if stored.itemsize <= 2 else np.float64)
    else:
        dtype = next(one for one in _INTEGERS if np.iinfo(one).min <= min(ends) and max(ends) <= np.iinfo(one).max)
        values = stored.view(dtype) if dtype.itemsize == stored.itemsize else np.empty(stored.shape, dtype)
    exact = np.float64 if values.dtype.kind == "f" else np.int64 if stored.itemsize > 2 else np.int32
    for plane, target, (slope, intercept) in zip(stored, values, scales, strict=True):
        if exact == np.float64:
            target[:] = plane * slope + intercept
        elif slope == 1:
            target[:] = np.add(plane, exact(intercept), dtype=exact)
        else:
            target[:] = np.multiply(plane, exact(slope), dtype=exact) + exact(intercept)
    return values


def is_far_away(array: np.ndarray, padding: np.ndarray, modality: str | None) -> bool:
    """Whether values identify padding; otherwise it is treated as background."""
    padded = array[padding]
    low, high, lowest, highest = np.inf, -np.inf, float(padded.min()), float(padded.max())
    for plane, mask in zip(array, padding, strict=True):
        if not mask.all():
            measured = plane[~mask]
            low, high = min(low, float(measured.min())), max(high, float(measured.max()))
    if low > high:
        return False
    if modality == "ct" and highest < LOWEST_HU:
        return True
    gap = _PADDING_GAP * (high - low)
    return highest < low - gap or lowest > high + gap


def resampled(planes: np.ndarray, places: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Planes at other places, by the cubic through the four measured planes around each; measured ones are kept.

    Parameters
    ----------
    planes : numpy.ndarray
        (K, J, I).
    places, targets : numpy.ndarray
        (K,) and (N,) ascending, where the planes are and where they are wanted.

    Returns
    -------
    numpy.ndarray
        (N, J, I), of the same type.
    """
    result = np.empty((len(targets), *planes.shape[1:]), planes.dtype)
    same = _same_place(places)
    for number, target in enumerate(targets):
        nearest = int(np.abs(places - target).argmin())
        if abs(places[nearest] - target) <= same:
            result[number] = planes[nearest]
            continue
        weights = _hermite(places, float(target))
        plane = sum(weight * planes[index].astype(np.float64) for index, weight in weights.items())
        result[number] = in_type(plane, planes.dtype)
    return result


def _same_place(places: np.ndarray) -> float:
    """Largest distance in mm of two positions that count as the same."""
    return min(ROUNDED_MM, float(np.diff(places).min()) / 4)


def _hermite(places: np.ndarray, target: float) -> dict[int, float]:
    """Weights of the planes around a place: a cubic with the slopes of parabolas through three planes."""
    above = int(np.clip(np.searchsorted(places, target), 1, len(places) - 1))
    below, step = above - 1, float(places[above] - places[above - 1])
    part = (target - float(places[below])) / step
    weights = {below: (1 + 2 * part) * (1 - part) ** 2, above: part**2 * (3 - 2 * part)}
    for index, weight in ((below, part * (1 - part) ** 2 * step), (above, part**2 * (part - 1) * step)):
        for other, share in _slope(places, index).items():
            weights[other] = weights.get(other, 0.0) + weight * share
    return weights


def _slope(places: np.ndarray, index: int) -> dict[int, float]:
    """Weights of the planes whose sum is the slope at one of them; a straight line at the ends."""
    last = len(places) - 1
    if index in (0, last):
        one, other = (0, 1) if index == 0 else (last - 1, last)
        step = float(places[other] - places[one])
        return {one: -1 / step, other: 1 / step}
    before, after = float(places[index] - places[index - 1]), float(places[index + 1] - places[index])
    whole = before + after
    left, right = after / (whole * before), before / (whole * after)
    return {index - 1: -left, index: left - right, index + 1: right}
