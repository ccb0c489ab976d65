"""The data-consistency error of a result."""

from __future__ import annotations

import math

import numpy as np

from ..physics.acquisition import SliceProfile, acquisition_matrix
from ..physics.projection import BandedMatrix, acquired
from ..volumes.grid import array_axis
from ..volumes.memmap import release_pages
from ..volumes.volume import MeasuredSlices
from .planning import Plan
from .refiners.padding import Padding, padding_of_slices

_SLICES = 8  # measured slices processed at a time
_NEGLIGIBLE = 1e-6  # weight of padding in a measured voxel
_ALL = slice(None)


def consistency_error_rms(
    measured: np.ndarray,
    fine: np.ndarray,
    planned: Plan,
    profiles: dict[str, SliceProfile],
    padding: Padding | None = None,
    slices: MeasuredSlices | None = None,
) -> float:
    """Root mean square of (acquisition model applied to the result) - input, in the units of both.

    Parameters
    ----------
    measured, fine : ndarray
        (K, J, I) and (M, N, O), before and after all passes of the plan.
    planned : Plan
        The passes.
    profiles : dict of str to SliceProfile
        The slice profile of each index axis.
    padding : Padding, optional
        Padding of the measured volume; measured voxels that contain some of it are left out.
    slices : MeasuredSlices, optional
        The measured slices where they are not regularly spaced; they replace the measured volume if k is refined.
    """
    matrices = _acquisition_matrices(planned, profiles, slices)
    coarse = padding.along(planned.source, "k") if padding else None
    finer = padding.along(planned.target, "k") if padding else None
    if slices is not None and 0 in matrices:
        measured, coarse = slices.array, padding_of_slices(padding, slices)
    slowest = matrices.pop(0, np.eye(len(measured)) if len(measured) == len(fine) else None)
    assert slowest is not None  # an axis that no pass refines keeps its length
    band, squares, count = BandedMatrix(slowest), 0.0, 0
    for start in range(0, len(measured), _SLICES):
        stop = min(start + _SLICES, len(measured))
        first, last = band.columns(start, stop)
        steps = [*matrices.items(), (0, slowest[start:stop, first:last])]
        part = np.asarray(fine[first:last])
        if coarse is not None and finer is not None:
            is_padding, _ = finer.at(slice(first, last), _ALL, _ALL)
            is_measured = _acquired(is_padding.astype(np.float32), steps) < _NEGLIGIBLE
            is_measured &= ~coarse.at(slice(start, stop), _ALL, _ALL)[0]
            part = np.where(is_padding, 0, part)
        again = _acquired(part, steps)
        error = again - measured[start:stop].astype(again.dtype)
        error = error[is_measured] if coarse is not None else error
        squares += float(np.square(error, dtype=np.float64).sum())
        count += error.size
        release_pages(fine)
        release_pages(measured)
    return math.sqrt(squares / max(count, 1))


def _acquisition_matrices(
    planned: Plan, profiles: dict[str, SliceProfile], slices: MeasuredSlices | None
) -> dict[int, np.ndarray]:
    """The matrix that acquires each refined array axis again."""
    matrices = {}
    for one in planned.passes:
        axis, profile = array_axis(one.axis), profiles[one.axis]
        count, fine_count = one.source.shape_kji[axis], one.target.shape_kji[axis]
        width: float | np.ndarray = profile.width
        places = None
        if slices is not None and one.axis == "k":
            count, width, places = len(slices.places), width * slices.thickness, slices.places
        matrices[axis] = acquisition_matrix(
            count, fine_count, one.factor, profile=profile.shape, thickness=width, places=places
        )
    return matrices


def _acquired(part: np.ndarray, steps: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """Apply the acquisition along several axes; ``steps`` are pairs of array axis and acquisition matrix."""
    for axis, matrix in steps:
        part = acquired(part, matrix, axis)
    return part
