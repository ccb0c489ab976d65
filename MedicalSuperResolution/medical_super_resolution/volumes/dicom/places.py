"""Places of slices along their normal: whether they are even, and interpolation to even ones."""

from __future__ import annotations

import numpy as np

from ...errors import VolumeError
from ..intensity import in_type

ROUNDED_MM = 0.08  # positions are often written with a single digit behind the point
_UNEVEN = 0.02  # of the slice distance
_JITTER = 1.5  # steps that differ by no more than this many times scatter around one spacing
_ALIKE = 1.3  # else, steps up to this many times the smallest one are those of the finest zone
_SAME_ZONE = 1.6  # a step up to this many times the smallest one is of the same spacing
_WIDEST_GAP = 2.1  # slice distances: a single slice may be missing
_TO_WHOLE = 0.52  # counts round halves up, which leaves no slice out; also where positions were rounded
_MOST_MISSING = 8  # one slice in as many may be missing
_WIDEST_ZONE = 8.0  # slice distances, where a part of the stack was measured with a larger spacing


def even_places(places: np.ndarray, where: str) -> tuple[float, np.ndarray | None, tuple[str, ...]]:
    """The distance of slices; where they are not evenly spaced, the even places and a sentence, too.

    Parameters
    ----------
    places
        (K,) in mm along the normal of the slices, ascending from 0.
    where
        What the slices are of, for a refusal.

    Raises
    ------
    VolumeError
        More than a single slice is missing somewhere, or many are missing.
    """
    steps = np.diff(places)
    base = finest_step(steps)
    numbers = numbered(places, base)
    distance, first = np.polyfit(numbers, places, 1)
    is_near = float(np.abs(first + distance * numbers - places).max()) <= tolerance_mm(distance)
    are_multiples = is_near and bool(np.diff(numbers).all())
    count = int(numbers[-1]) + 1
    if are_multiples and count == len(places):
        return float(distance), None, ()
    _check_gaps(steps, base, where)
    if not are_multiples:
        count = int(float(places[-1]) / base + _TO_WHOLE) + 1
        distance = float(places[-1]) / (count - 1)
    if are_multiples and not _zones(steps, base).any():
        note = _missing(numbers, count)
    else:
        note = (
            f"the slices are {steps.min():.2f} to {steps.max():.2f} mm apart; the network sees them interpolated to an"
            f" even distance of {distance:.3g} mm, and the result reproduces them at their true places"
        )
    return float(distance), distance * np.arange(count), (note,)


def numbered(places: np.ndarray, base: float) -> np.ndarray:
    """(K,) how many slice distances of about ``base`` mm each of the ascending places lies from the first."""
    return np.concatenate([[0], np.cumsum(np.rint(np.diff(places) / base))])


def tolerance_mm(distance: float) -> float:
    """How far a slice may lie from its even place, for a slice distance in mm."""
    return min(max(_UNEVEN * distance, ROUNDED_MM), distance / 4)


def finest_step(steps: np.ndarray) -> float:
    """The mean of the smallest steps that are alike; a single small one, as where two zones overlap, is passed over."""
    alike = _ALIKE if steps.max() > _JITTER * steps.min() else _JITTER
    for smallest in np.sort(steps):
        near = steps[(steps >= smallest) & (steps <= alike * smallest)]
        if len(near) > 1:
            return float(near.mean())
    return float(steps.min())


def _missing(numbers: np.ndarray, count: int) -> str:
    """A sentence that names the missing ones of ``count`` slices; ``numbers`` are those of the others, from 0."""
    gaps = ", ".join(str(int(number) + 2) for number in numbers[:-1][np.diff(numbers) > 1])
    if count - len(numbers) == 1:
        return f"slice {gaps} of {count} is missing and was interpolated from the neighbors: nothing was measured there"
    return f"slices {gaps} of {count} are missing and were interpolated from the neighbors: nothing was measured there"


def _zones(steps: np.ndarray, base: float) -> np.ndarray:
    """Which of the wide steps belong to a part of the stack that was measured with a larger spacing."""
    alike = np.abs(np.diff(steps)) < 0.05 * steps[:-1]
    has_neighbor = np.concatenate([[False], alike]) | np.concatenate([alike, [False]])
    return has_neighbor & (steps > _SAME_ZONE * base) & (steps <= _WIDEST_ZONE * base)


def _check_gaps(steps: np.ndarray, base: float, where: str) -> None:
    wide = (steps > _SAME_ZONE * base) & ~_zones(steps, base)
    between = np.zeros(len(steps), bool)  # a wide step from one zone to the other is no gap
    between[1:-1] = _zones(steps, base)[:-2] | _zones(steps, base)[2:]
    few = wide.sum() <= max(1, (len(steps) + 1) // _MOST_MISSING)
    limit = np.where(between, _WIDEST_ZONE, _WIDEST_GAP) * base
    if not few or (steps[wide] > limit[wide]).any():
        raise VolumeError(
            f"the slices of {where} are {steps.min():.2f} to {steps.max():.2f} mm apart; more than a single slice is"
            " missing: get the complete series, or name the files of one part of it"
        )


def resampled(planes: np.ndarray, places: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Planes at other places, by the cubic through the four measured planes around each; measured ones are kept.

    The cubic overshoots beside edges; what lies beyond all measured values, such as below air, is cut off.

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
    same = min(ROUNDED_MM, float(np.diff(places).min()) / 4)  # in mm
    low, high = planes.min(), planes.max()
    for number, target in enumerate(targets):
        nearest = int(np.abs(places - target).argmin())
        if abs(places[nearest] - target) <= same:
            result[number] = planes[nearest]
            continue
        weights = _hermite(places, float(target))
        plane = sum(weight * planes[index].astype(np.float64) for index, weight in weights.items())
        result[number] = in_type(np.clip(plane, low, high), planes.dtype)
    return result


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
