"""The generator of ESRGAN: residual-in-residual dense blocks, without normalization."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .plane import FeatureGenerator, PlaneConfig, Upscaler, last_convolution

DENSE_BLOCKS = 3  # in each residual-in-residual dense block
CONVOLUTIONS = 5  # in each dense block
BETA = 0.2  # residual scaling


@dataclass(frozen=True, kw_only=True)
class RrdbConfig(PlaneConfig):
    """The size of an `RrdbGenerator`; smaller than the paper's (64 channels, growth 32, 23 blocks), for two CPU cores.

    Parameters
    ----------
    channels
        Width of the features.
    growth
        New channels of each convolution in a dense block.
    blocks
        Number of residual-in-residual dense blocks.

    References
    ----------
    .. [1] Wang et al. (2018), ESRGAN: enhanced super-resolution generative adversarial networks. arXiv:1809.00219
    """

    channels: int = 32
    growth: int = 16
    blocks: int = 3


class DenseBlock(nn.Module):
    """Five densely connected convolutions, added to the input with weight beta.

    ``convolution`` is ``torch.nn.Conv2d``, or ``torch.nn.Conv3d`` for volumes.
    """

    def __init__(self, convolution: type[nn.Conv2d] | type[nn.Conv3d], channels: int, growth: int) -> None:
        super().__init__()
        outputs = [growth] * (CONVOLUTIONS - 1) + [channels]
        self.convolutions = nn.ModuleList(
            convolution(channels + number * growth, output, 3, padding=1) for number, output in enumerate(outputs)
        )
        with torch.no_grad():
            for one in self.convolutions.parameters():
                one.mul_(0.5)  # deep residual networks train more easily from small weights (section 3.1)

    def forward(self, features: Tensor) -> Tensor:
        gathered = features
        *growing, closing = self.convolutions
        for convolution in growing:
            gathered = torch.cat([gathered, functional.leaky_relu(convolution(gathered), 0.2)], dim=1)
        return features + BETA * closing(gathered)


class ResidualInResidual(nn.Module):
    """Three dense blocks inside one more residual."""

    reach = DENSE_BLOCKS * CONVOLUTIONS

    def __init__(self, convolution: type[nn.Conv2d] | type[nn.Conv3d], channels: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(convolution, channels, growth) for _ in range(DENSE_BLOCKS)))

    def forward(self, features: Tensor) -> Tensor:
        return features + BETA * self.blocks(features)


class RrdbGenerator(FeatureGenerator):
    """(N, 1, K, J, I) -> (N, 1, K, factor*J, factor*I)."""

    def __init__(self, config: RrdbConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.first = nn.Conv2d(1, channels, 3, padding=1)
        blocks = [ResidualInResidual(nn.Conv2d, channels, config.growth) for _ in range(config.blocks)]
        self.body = nn.Sequential(*blocks, nn.Conv2d(channels, channels, 3, padding=1))
        self.upscale = Upscaler(channels, config.factor)
        self.last = last_convolution(channels, 3)
