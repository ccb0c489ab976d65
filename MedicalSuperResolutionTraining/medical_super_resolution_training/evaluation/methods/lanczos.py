"""Lanczos interpolation between slices, as image libraries do it: a windowed sinc, not normalized."""

from __future__ import annotations

import numpy as np

from medical_super_resolution.physics.acquisition import fine_centers
from medical_super_resolution.volumes.grid import array_axis

from ..cases import Case

_REACH = 5  # samples to either side, as SimpleITK takes them


def lanczos(coarse: np.ndarray, shape_kji: tuple[int, int, int], case: Case) -> np.ndarray:
    """Refine the axes of a case, (K, J, I) -> ``shape_kji`` float32; the end samples are repeated beyond the ends.

    An axis that is not refined keeps its samples: there the window is 1 on the sample itself and 0 on its neighbors.

    References
    ----------
    .. [1] Duchon (1979), Lanczos filtering in one and two dimensions.
       DOI 10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2
    """
    result = coarse.astype(np.float32)
    for axis in case.axes:
        at = array_axis(axis)
        matrix = _matrix(coarse.shape[at], fine_centers(shape_kji[at], case.factor)).astype(np.float32)
        result = np.moveaxis(np.tensordot(matrix, result, axes=(1, at)), 0, at)
    return np.ascontiguousarray(result)


def _matrix(count: int, positions: np.ndarray) -> np.ndarray:
    """Weights of ``count`` samples at places (M,) in units of the sample index -> (M, count)."""
    matrix = np.zeros((len(positions), count))
    first = np.floor(positions).astype(int)
    rows = np.arange(len(positions))
    for tap in range(1 - _REACH, 1 + _REACH):
        distance = positions - (first + tap)
        weight = np.sinc(distance) * np.sinc(distance / _REACH)
        np.add.at(matrix, (rows, np.clip(first + tap, 0, count - 1)), weight)
    return matrix
