"""Base of the in-plane generators: a residual on cubic interpolation of each slice."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import SettingsError
from ...physics.autocast import without_autocast
from ...physics.interpolation import cubic_matrix
from ...physics.pictures import as_slices, as_volumes
from ..contracts import InPlaneGenerator

FACTORS = (2, 3, 4)
_TAPS = 5  # samples that a cubic kernel can cover around its nearest sample


@dataclass(frozen=True, kw_only=True)
class PlaneConfig:
    """The configuration that all in-plane generators share.

    Parameters
    ----------
    factor : int
        How many times finer J and I become: 2, 3 or 4.
    """

    factor: int = 2

    def __post_init__(self) -> None:
        if self.factor not in FACTORS:
            raise SettingsError(f"an in-plane generator refines 2, 3 or 4 times, got factor {self.factor}")


class PlaneGenerator(InPlaneGenerator):
    """(N, 1, K, J, I), mostly in [0, 1] -> (N, 1, K, factor*J, factor*I) float32.

    The output is cubic interpolation plus the output of the network, even if the network of a paper predicts the whole
    image: it has less to learn then, and without training it is about as good as interpolation.
    """

    def __init__(self, config: PlaneConfig) -> None:
        super().__init__()
        self.config = config
        self.factor = config.factor

    @abstractmethod
    def residual(self, lr: Tensor, interpolated: Tensor) -> Tensor:
        """Residual to the interpolation: (N, 1, K, J, I) and slices (N*K, 1, factor*J, factor*I) -> as the latter."""

    def forward(self, lr: Tensor) -> Tensor:
        interpolated = enlarged(as_slices(lr), self.factor)
        return as_volumes(interpolated + self.residual(lr, interpolated).float(), lr.shape[2])


def enlarged(slices: Tensor, factor: int) -> Tensor:
    """Cubic interpolation of slices (S, 1, J, I) to (S, 1, factor*J, factor*I) float32, outer boundary kept.

    The same as `interpolation.cubic_matrix` along both axes, in time proportional to the size of the slice.
    """
    phases = (torch.arange(factor, device=slices.device, dtype=torch.float32) + 0.5) / factor - 0.5
    kernel = cubic_matrix(_TAPS, phases + _TAPS // 2)[:, None]  # (factor, 1, taps): one row for each new sample
    with without_autocast(slices.device.type):
        along_j = _interleaved(slices.float().transpose(2, 3), kernel).transpose(2, 3)
        return _interleaved(along_j, kernel)


def _interleaved(slices: Tensor, kernel: Tensor) -> Tensor:
    """Put ``factor`` samples in place of each one along the last axis: (S, 1, J, I) -> (S, 1, J, factor*I)."""
    padded = functional.pad(slices, (_TAPS // 2, _TAPS // 2, 0, 0), mode="replicate")
    samples = functional.conv2d(padded, kernel[:, :, None])  # (S, factor, J, I)
    return samples.permute(0, 2, 3, 1).flatten(2)[:, None]


class Upscaler(nn.Sequential):
    """Sub-pixel convolutions (Shi et al. 2016, arXiv:1609.05158): (S, C, J, I) -> (S, C, factor*J, factor*I).

    Factor 4 is reached in two steps of 2, as in SRGAN.
    """

    def __init__(self, channels: int, factor: int) -> None:
        steps = (2, 2) if factor == 4 else (factor,)
        layers: list[nn.Module] = []
        for step in steps:
            layers += [nn.Conv2d(channels, channels * step**2, 3, padding=1), nn.PixelShuffle(step), nn.PReLU()]
        super().__init__(*layers)


class FeatureGenerator(PlaneGenerator):
    """Computes low-resolution features by a body with a skip connection, and upscales them before the last layer."""

    first: nn.Module
    body: nn.Module
    upscale: Upscaler
    last: nn.Module

    def residual(self, lr: Tensor, interpolated: Tensor) -> Tensor:
        features = self.first(as_slices(lr))
        return self.last(self.upscale(features + self.body(features)))


def last_convolution(channels: int, kernel: int) -> nn.Conv2d:
    """Convolution from features to intensity, with small weights so that training starts near the interpolation."""
    convolution = nn.Conv2d(channels, 1, kernel, padding=kernel // 2, bias=False)
    convolution.weight.data.mul_(0.1)
    return convolution
