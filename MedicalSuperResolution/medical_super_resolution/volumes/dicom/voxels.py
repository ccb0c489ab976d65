"""The voxels of a stack: rescaled slice by slice, with their padding."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from .images.frames import Frame
from .images.stored import number_type, stored_numbers
from .images.values import has_table, looked_up, padding_of, rescale

LOWEST_HU = -1024.0  # vacuum is -1000 HU; some margin for noise and rounding
_PADDING_GAP = 0.05  # of the range of all other values: padding lies further away, or else it is background
_LARGEST = 2.0**63  # beyond what whole numbers hold
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
    numbers = [value for scale in scales for value in scale]
    largest = max(map(abs, (*ends, *numbers)))
    if stored.dtype.kind == "f" or largest >= _LARGEST or any(value != int(value) for value in numbers):
        values = np.empty(stored.shape, np.float32 if stored.itemsize <= 2 else np.float64)
    else:
        dtype = next(one for one in _INTEGERS if np.iinfo(one).min <= min(ends) and max(ends) <= np.iinfo(one).max)
        values = stored.view(dtype) if dtype.itemsize == stored.itemsize else np.empty(stored.shape, dtype)
    whole = np.int32 if stored.itemsize <= 2 and largest <= np.iinfo(np.int32).max else np.int64
    exact = np.float64 if values.dtype.kind == "f" else whole
    for plane, target, (slope, intercept) in zip(stored, values, scales, strict=True):
        scaled = plane if slope == 1 else np.multiply(plane, exact(slope), dtype=exact)
        target[:] = np.add(scaled, exact(intercept), dtype=exact)
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
