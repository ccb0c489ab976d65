"""Degradation learned from unpaired scans: a network that downsamples slices so that they look like measured ones.

Low frequencies are constrained to the bicubic result. Only high frequencies, which contain the blur, noise and ringing
of a scanner, are judged by a discriminator, against measured low-resolution slices.

References
----------
.. [1] Fritsche, Gu and Timofte (2019), Frequency separation for real-world super-resolution (DSGAN). arXiv:1911.07850
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..physics.degradation import bicubic_decimated
from ..physics.pictures import as_slices, as_volumes
from .generators.plane import PlaneConfig, last_convolution
from .generators.srresnet import ResidualBlock

_CUBIC_REACH = 2  # low-resolution voxels: half of the antialiasing filter


@dataclass(frozen=True, kw_only=True)
class DownSamplerConfig(PlaneConfig):
    """The size of a `DownSampler`; the paper has 64 channels and 8 blocks.

    Parameters
    ----------
    channels
        Width of the features.
    blocks
        Number of residual blocks.
    factor
        How many times coarser J and I become.
    """

    channels: int = 32
    blocks: int = 4


class DownSampler(nn.Module):
    """(N, 1, K, J, I) high resolution -> (N, 1, K, J/factor, I/factor): bicubic downsampling plus a learned residual.

    Attributes
    ----------
    factor
        How many times coarser J and I become.
    reach
        Receptive field to each side, in low-resolution voxels.
    """

    def __init__(self, config: DownSamplerConfig) -> None:
        super().__init__()
        self.config = config
        self.factor = config.factor
        self.reach = _CUBIC_REACH + 1 + 2 * config.blocks + 1  # a block has two convolutions; one before, one after
        self.layers = nn.Sequential(
            nn.Conv2d(1, config.channels, 3, padding=1),
            nn.PReLU(),
            *(ResidualBlock(config.channels, batch_norm=False) for _ in range(config.blocks)),
            last_convolution(config.channels, 3),
        )

    def forward(self, hr: Tensor) -> Tensor:
        shrunk = bicubic_decimated(hr, self.config.factor)
        return shrunk + as_volumes(self.layers(as_slices(shrunk)).float(), hr.shape[2])
