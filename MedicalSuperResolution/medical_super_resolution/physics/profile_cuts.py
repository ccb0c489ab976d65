"""Inputs of the slice-profile estimator: cuts across the slices, and in-plane cuts blurred by known widths.

A cut has slices along its first axis and a finer axis of the plane along its second; it is blurred by about a slice
along the third. In reference cuts, the other axis of the plane replaces the slice axis, blurred by a known width. So
contents, contrast and sharpness are the same in both, and only the width differs: the idea of SMORE [1]_ and ESPRESO
[2]_.

References
----------
.. [1] Zhao et al. (2021), SMORE: a self-supervised anti-aliasing and super-resolution algorithm for MRI.
   doi:10.1109/TMI.2020.3037187
.. [2] Han et al. (2023), ESPRESO: an algorithm to estimate the slice profile of a single magnetic resonance image.
   doi:10.1016/j.mri.2023.01.012
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from .acquisition import gaussian_weights

FINE_SAMPLES = 4  # per slice distance, along the fine axis of a cut
REFERENCE_WIDTHS = (0.7, 1.0)  # blur of reference cuts, in slice distances
FEWEST_SLICES = 4
_FINE_WIDTH = 0.35  # blur along the fine axis, in slice distances, against noise and aliasing
_THIRD_WIDTH = 0.9  # blur along the third axis, in slice distances, about that of a slice
_MOST_SLICES = 32
_MOST_DISTANCES = 64  # extent of the plane that is used, in slice distances
_CUTS_A_WAY, _REFERENCES_A_WAY = 16, 12
_MARGIN = 0.6  # distance of the first simulated slice from the edge of the plane, over its width
_LEAST_RATIO = 1.4  # least ratio of slice distance and in-plane spacing

Normalized = Callable[[np.ndarray], np.ndarray]


def has_finer_plane(shape: tuple[int, ...], ratios: tuple[float, float]) -> bool:
    """Whether the slice profile can be estimated: enough slices, and an in-plane spacing below the slice distance.

    Parameters
    ----------
    shape : tuple of int
        (K, J, I), slices first.
    ratios : tuple of float
        Slice distance over the spacing along J and I.
    """
    extents = (shape[1] / ratios[0], shape[2] / ratios[1])
    return shape[0] >= FEWEST_SLICES and min(ratios) >= _LEAST_RATIO and min(extents) >= FEWEST_SLICES + 2


def cuts(slices: np.ndarray, ratios: tuple[float, float], normalized: Normalized) -> list[list[np.ndarray]]:
    """Cuts across the slices, and reference cuts for each of `REFERENCE_WIDTHS`, each along both in-plane axes.

    Parameters
    ----------
    slices : ndarray
        (K, J, I), in the units of the volume.
    ratios : tuple of float
        Slice distance over the spacing along J and I.
    normalized : callable
        Normalizes parts of them to float32, mostly in [0, 1].

    Returns
    -------
    list of list of ndarray
        Two arrays (P, K, T) in each list, float32, with `FINE_SAMPLES` samples per slice distance along T. All have one
        scale, by which the mean square difference between measured slices is 1/9.
    """
    slices = _middle(slices, 0, _MOST_SLICES)
    for axis, ratio in ((1, ratios[0]), (2, ratios[1])):
        slices = _middle(slices, axis, math.ceil(_MOST_DISTANCES * ratio))
    measured = [_measured(slices, ratios, fine, normalized) for fine in (2, 1)]
    places = np.unique(np.linspace(0, len(slices) - 1, min(_REFERENCES_A_WAY, len(slices))).round().astype(int))
    some = normalized(slices[places])
    references = [[_reference(some, ratios, thick, width) for thick in (1, 2)] for width in REFERENCE_WIDTHS]
    squares = [float(np.square(np.diff(planes, axis=1), dtype=np.float64).mean()) for planes in measured]
    scale = np.float32(1 / (3 * math.sqrt(sum(squares) / len(squares)) + 1e-4))
    return [[planes * scale for planes in group] for group in (measured, *references)]


def _measured(slices: np.ndarray, ratios: tuple[float, float], fine: int, normalized: Normalized) -> np.ndarray:
    """Cuts along K and the axis ``fine`` (1 or 2), at places along the other."""
    third, ratio = 3 - fine, ratios[2 - fine]
    count, width = slices.shape[third], _THIRD_WIDTH * ratio
    margin = min(width / 2, (count - 1) / 2)
    across = np.moveaxis(slices, third, 0)
    places = np.linspace(margin, count - 1 - margin, min(_CUTS_A_WAY, count))
    return _finely(np.stack([_blurred_there(across, place, width, normalized) for place in places]), ratios[fine - 1])


def _reference(slices: np.ndarray, ratios: tuple[float, float], thick: int, width: float) -> np.ndarray:
    """Reference cuts: slices of this width are simulated along the axis ``thick`` (1 or 2), with the slice distance.

    Parameters
    ----------
    slices : ndarray
        (P, J, I) float32, normalized.
    """
    count, ratio = slices.shape[thick], ratios[thick - 1]
    margin = _MARGIN * width * ratio
    centers = np.arange(margin, count - 1 - margin + 1e-6, ratio)
    centers += (count - 1 - margin - centers[-1]) / 2
    weights = gaussian_weights(count, centers, width * ratio).astype(np.float32)
    planes = _product(weights, np.moveaxis(slices, thick, 1))
    return _finely(planes, ratios[2 - thick])


def _finely(planes: np.ndarray, ratio: float) -> np.ndarray:
    """(P, K, N) planes sampled `FINE_SAMPLES` times to a slice distance along their last axis."""
    centers = np.arange(0, planes.shape[2] - 1 + 1e-6, ratio / FINE_SAMPLES)
    return _product(planes, gaussian_weights(planes.shape[2], centers, _FINE_WIDTH * ratio).T.astype(np.float32))


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The matrix product by PyTorch: that of NumPy takes up to 80 times as long while other programs compute."""
    return (torch.from_numpy(left) @ torch.from_numpy(right)).numpy()


def _blurred_there(across: np.ndarray, place: float, width: float, normalized: Normalized) -> np.ndarray:
    """The Gaussian mean of planes (N, K, T) around one place; only planes within its reach are read."""
    reach = math.ceil(1.5 * width) + 1
    first, stop = max(0, round(place) - reach), min(len(across), round(place) + reach + 1)
    weights = gaussian_weights(stop - first, np.array([place - first]), width)[0].astype(np.float32)
    return np.tensordot(weights, normalized(across[first:stop]), axes=1)


def _middle(array: np.ndarray, axis: int, count: int) -> np.ndarray:
    """The middle ``count`` entries along an axis."""
    start = max(0, (array.shape[axis] - count) // 2)
    return np.moveaxis(np.moveaxis(array, axis, 0)[start : start + count], 0, axis)
