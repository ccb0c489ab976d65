"""The part of an error that is noise, which no method can predict.

Noise in the reference is part of what a result is compared with. Along a refined axis the measured slices hold only
some of it: of white noise in n fine samples, the n / factor combinations that were measured. A perfect result that
keeps these still misses the rest, so the error of no result can be expected to be below the variance times
(1 - 1 / factor). The noise is looked for along the refined axes only: what is smooth along them was measured.
"""

from __future__ import annotations

import math

import numpy as np

from medical_super_resolution.volumes.grid import array_axis
from medical_super_resolution.volumes.volume import Volume

from ..cases import Case
from ..measures.foreground import Foreground

_BLOCK = 6  # voxels along each axis
_FEWEST_BLOCKS = 8
_PLAIN_PERCENTILE = 25  # the quarter of the body with the least structure
_GAINS = {1: 70.0, 2: 36.0, 3: 216.0}  # sum of the squared weights of the filter for so many refined axes


def noise_deviation(reference: Volume, body: Foreground, case: Case) -> float:
    """Standard deviation of the noise along the refined axes, in the units of the volume; nan where body is scarce.

    Second differences along each refined axis (twice along a single one) are blind to flat and sloping structure [1]_.
    Their mean square is taken in blocks of the body, and of the blocks the lower quartile, which has the least
    structure [2]_. Noise that is correlated along these axes or varies in space is underestimated, not overestimated.

    References
    ----------
    .. [1] Immerkaer (1996), Fast noise variance estimation. DOI 10.1006/cviu.1996.0060
    .. [2] Olsen (1993), Estimation of noise in images: an evaluation. DOI 10.1006/cgip.1993.1022
    """
    differences = reference.array.astype(np.float32)
    inside = body.inside & (differences < body.high)
    for axis in case.axes * 2 if len(case.axes) == 1 else case.axes:
        differences = _second_difference(differences, array_axis(axis))
        inside = _with_neighbors(inside, array_axis(axis))
    is_body = _blocks(inside).all(axis=-1)
    squares = np.square(_blocks(differences)).mean(axis=-1, dtype=np.float64)[is_body]
    if squares.size < _FEWEST_BLOCKS:
        return math.nan
    return math.sqrt(np.percentile(squares, _PLAIN_PERCENTILE) / _GAINS[len(case.axes)])


def noise_bound(deviation: float, peak: float, case: Case) -> float:
    """PSNR in dB of a result whose only error is the noise of the reference."""
    unknown = deviation**2 * (1 - case.factor ** -len(case.axes))
    return math.inf if unknown == 0 else 10 * math.log10(peak**2 / unknown)


def _second_difference(array: np.ndarray, axis: int) -> np.ndarray:
    """Sample before - 2 * sample + sample after; two samples shorter."""
    moved = np.moveaxis(array, axis, 0)
    return np.moveaxis(moved[:-2] - 2 * moved[1:-1] + moved[2:], 0, axis)


def _with_neighbors(inside: np.ndarray, axis: int) -> np.ndarray:
    """Mask of the voxels that are inside together with both neighbors; two samples shorter."""
    moved = np.moveaxis(inside, axis, 0)
    return np.moveaxis(moved[:-2] & moved[1:-1] & moved[2:], 0, axis)


def _blocks(array: np.ndarray) -> np.ndarray:
    """(K, J, I) -> (blocks along K, J and I, voxels of a block); what does not fill a block is left out."""
    k, j, i = (count // _BLOCK for count in array.shape)
    cut = array[: k * _BLOCK, : j * _BLOCK, : i * _BLOCK]
    return cut.reshape(k, _BLOCK, j, _BLOCK, i, _BLOCK).transpose(0, 2, 4, 1, 3, 5).reshape(k, j, i, _BLOCK**3)
