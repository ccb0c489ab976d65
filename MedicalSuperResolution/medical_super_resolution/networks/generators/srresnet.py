"""SRResNet, the generator of SRGAN: residual blocks at low resolution, then sub-pixel convolutions."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from .plane import FeatureGenerator, PlaneConfig, Upscaler, last_convolution

OUTER_KERNEL = 9  # side of the first and the last kernel in the paper


@dataclass(frozen=True, kw_only=True)
class SrresnetConfig(PlaneConfig):
    """The size of an `SrresnetGenerator`; smaller than the paper's (64 channels, 16 blocks), for two CPU cores.

    Parameters
    ----------
    channels
        Width of the features.
    blocks
        Number of residual blocks.
    batch_norm
        Whether the blocks use batch normalization, as in the paper. Without it, results are no worse (Wang et al. 2018,
        arXiv:1809.00219, section 3.1), do not depend on the rest of the batch, and averaged weights need no statistics
        of their own.

    References
    ----------
    .. [1] Ledig et al. (2017), Photo-realistic single image super-resolution using a generative adversarial network.
       arXiv:1609.04802
    """

    channels: int = 32
    blocks: int = 6
    batch_norm: bool = False


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to their input."""

    def __init__(self, channels: int, *, batch_norm: bool) -> None:
        super().__init__()

        def convolution() -> list[nn.Module]:
            layers: list[nn.Module] = [nn.Conv2d(channels, channels, 3, padding=1, bias=not batch_norm)]
            return [*layers, nn.BatchNorm2d(channels)] if batch_norm else layers

        self.layers = nn.Sequential(*convolution(), nn.PReLU(), *convolution())

    def forward(self, features: Tensor) -> Tensor:
        return features + self.layers(features)


class SrresnetGenerator(FeatureGenerator):
    """(N, 1, K, J, I) -> (N, 1, K, factor*J, factor*I)."""

    def __init__(self, config: SrresnetConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.first = nn.Sequential(nn.Conv2d(1, channels, OUTER_KERNEL, padding=OUTER_KERNEL // 2), nn.PReLU())
        blocks = [ResidualBlock(channels, batch_norm=config.batch_norm) for _ in range(config.blocks)]
        after = [nn.BatchNorm2d(channels)] if config.batch_norm else []
        self.body = nn.Sequential(*blocks, nn.Conv2d(channels, channels, 3, padding=1), *after)
        self.upscale = Upscaler(channels, config.factor)
        self.last = last_convolution(channels, OUTER_KERNEL)
