"""How well a result reproduces what was measured."""

from __future__ import annotations

import math

import numpy as np

from ..physics.acquisition import SliceProfile, acquisition_matrix
from ..physics.projection import BandedMatrix, acquired
from ..volumes.grid import array_axis
from ..volumes.memmap import release_pages
from .planning import Plan

_SLICES = 8  # measured ones, at a time


def consistency_error_rms(
    measured: np.ndarray, fine: np.ndarray, planned: Plan, profiles: dict[str, SliceProfile]
) -> float:
    """Root mean square of (acquisition model applied to the result) - input, in the units of both.

    Parameters
    ----------
    measured, fine : (K, J, I) and (M, N, O), before and after all passes of the plan.
    profiles : the slice profile of each index axis.
    """
    matrices = {}
    for one in planned.passes:
        axis, profile = array_axis(one.axis), profiles[one.axis]
        count, fine_count = one.source.shape_kji[axis], one.target.shape_kji[axis]
        matrices[axis] = acquisition_matrix(
            count, fine_count, one.factor, profile=profile.shape, thickness=profile.thickness
        )
    slowest = matrices.pop(0, np.eye(len(measured)) if len(measured) == len(fine) else None)
    assert slowest is not None  # an axis that no pass refines keeps its length
    band, squares = BandedMatrix(slowest), 0.0
    for start in range(0, len(measured), _SLICES):
        stop = min(start + _SLICES, len(measured))
        first, last = band.columns(start, stop)
        again = np.asarray(fine[first:last])
        for axis, matrix in matrices.items():
            again = acquired(again, matrix, axis)
        again = acquired(again, slowest[start:stop, first:last], 0)
        again -= measured[start:stop].astype(np.float32)
        squares += float(np.square(again, dtype=np.float64).sum())
        release_pages(fine)
        release_pages(measured)
    return math.sqrt(squares / measured.size)
