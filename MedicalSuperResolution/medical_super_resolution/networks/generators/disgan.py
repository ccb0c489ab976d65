"""DISGAN's generator: ESRGAN's blocks with kernels that also span neighboring slices."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ...physics.pictures import as_slices
from .plane import PlaneConfig, PlaneGenerator, Upscaler, last_convolution
from .rrdb import ResidualInResidual


@dataclass(frozen=True, kw_only=True)
class DisganConfig(PlaneConfig):
    """The size of a `DisganGenerator`; smaller than the authors' (64 channels, growth 64, 3 blocks), for two CPU cores.

    Parameters
    ----------
    channels, growth, blocks
        As in `RrdbConfig`.

    References
    ----------
    .. [1] Wang et al. (2023), DISGAN: wavelet-informed discriminator guides GAN to MRI super-resolution with noise
       cleaning. arXiv:2308.12084
    """

    channels: int = 16
    growth: int = 8
    blocks: int = 2


class DisganGenerator(PlaneGenerator):
    """(N, 1, K, J, I) -> (N, 1, K, factor*J, factor*I); slices are refined together with their neighbors.

    The paper refines all three axes at once; here K stays as it is, so that all in-plane systems are compared on the
    same task.
    """

    def __init__(self, config: DisganConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.first = nn.Conv3d(1, channels, 3, padding=1)
        blocks = [ResidualInResidual(nn.Conv3d, channels, config.growth) for _ in range(config.blocks)]
        self.body = nn.Sequential(*blocks, nn.Conv3d(channels, channels, 3, padding=1))
        self.upscale = Upscaler(channels, config.factor)
        self.last = last_convolution(channels, 3)

    @property
    def sequence_reach(self) -> int:
        return 1 + self.config.blocks * ResidualInResidual.reach + 1

    def residual(self, lr: Tensor, interpolated: Tensor) -> Tensor:
        features = self.first(lr)
        return self.last(self.upscale(as_slices(features + self.body(features))))
