"""Periodic changes from slice to slice, and the error of the last slices."""

from __future__ import annotations

import math

import numpy as np

from medical_super_resolution.volumes.grid import array_axis

from ..cases import Case

_LAST = 2  # thick slices at each end of the volume


def changes_by_phase(array: np.ndarray, factor: int, inside: np.ndarray) -> np.ndarray:
    """Root mean square of the change from slice to slice, by the place of the change inside a measured slice.

    Parameters
    ----------
    array
        (K, J, I), refined ``factor`` times along K.
    inside
        (K, J, I) bool, where changes count.

    Returns
    -------
    (factor,) float64: from the first fine slice of a measured one to its second, ..., from its last to the next one's
    first.
    """
    squares = np.square(np.diff(array.astype(np.float64), axis=0))
    counted = inside[1:] & inside[:-1]
    totals = (squares * counted).sum(axis=(1, 2)), counted.sum(axis=(1, 2))
    square, count = (np.array([total[phase::factor].sum() for phase in range(factor)]) for total in totals)
    return np.sqrt(square / np.maximum(count, 1))


def pulse(made: np.ndarray, true: np.ndarray, inside: np.ndarray, case: Case) -> float:
    """Ratio of the largest to the smallest slice-to-slice change by phase, each relative to the truth; 1 is ideal.

    Not a number where the factor is no whole number, or a phase of the truth or of the result does not change.
    """
    factor = round(case.factor)
    if abs(factor - case.factor) > 1e-6:
        return math.nan
    found = []
    for axis in map(array_axis, case.axes):
        first = [np.moveaxis(array, axis, 0) for array in (made, true, inside)]
        changes = changes_by_phase(first[0], factor, first[2]), changes_by_phase(first[1], factor, first[2])
        if not (changes[1] > 0).all() or not (changes[0] > 0).all():
            return math.nan
        ratios = changes[0] / changes[1]
        found.append(ratios.max() / ratios.min())
    return float(np.mean(found))


def error_of_last(made: np.ndarray, true: np.ndarray, inside: np.ndarray, case: Case) -> float:
    """The root mean square error in the last two thick slices at each end, over that between them.

    Not a number where there are no slices between them, or the error there is 0.
    """
    found = []
    for axis in map(array_axis, case.axes):
        squares, counted = (np.moveaxis(array, axis, 0) for array in (np.square(made - true, dtype=np.float64), inside))
        depth = round(_LAST * case.factor)
        is_last = np.zeros(len(squares), bool)
        is_last[:depth] = is_last[-depth:] = True
        last, middle = (squares[of][counted[of]] for of in (is_last, ~is_last))
        if not last.size or not middle.any():
            return math.nan
        found.append(math.sqrt(last.mean() / middle.mean()))
    return float(np.mean(found))
