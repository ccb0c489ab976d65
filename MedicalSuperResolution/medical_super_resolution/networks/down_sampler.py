"""Degradation learned from unpaired scans: a network that shrinks slices so that they look like measured ones.

Low frequencies survive shrinking, so they are held to the bicubic result; only high frequencies, where scanners leave
their mark (blur, noise, ringing), are judged by a discriminator that knows measured low-resolution slices.

References
----------
.. [1] Fritsche, Gu and Timofte (2019), Frequency separation for real-world super-resolution (DSGAN). arXiv:1911.07850
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from ..objectives.degradation import bicubic_decimated
from ..objectives.losses import absolute_error
from .generators.plane import PlaneConfig, in_slices, in_volumes, last_convolution
from .generators.srresnet import ResidualBlock

_CUBIC_REACH = 2  # low-resolution voxels: half of the antialiasing filter
_WINDOW = 5  # voxels: side of the mean that separates the frequencies


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
    """(N, 1, K, J, I) high resolution -> (N, 1, K, J/factor, I/factor): bicubic shrinking, then what scanners add.

    The network's part is added to the bicubic result, so that training starts there.

    Parameters
    ----------
    factor
        How many times coarser J and I become.
    reach
        How many low-resolution voxels away an input can still change an output.
    """

    def __init__(self, config: DownSamplerConfig) -> None:
        super().__init__()
        self.config = config
        self.factor = config.factor
        self.reach = (
            _CUBIC_REACH + 1 + 2 * config.blocks + 1
        )  # two convolutions of 3 x 3 a block, one before, one after
        self.layers = nn.Sequential(
            nn.Conv2d(1, config.channels, 3, padding=1),
            nn.PReLU(),
            *(ResidualBlock(config.channels, batch_norm=False) for _ in range(config.blocks)),
            last_convolution(config.channels, 3),
        )

    def forward(self, hr: Tensor) -> Tensor:
        shrunk = bicubic_decimated(hr, self.config.factor)
        return shrunk + in_volumes(self.layers(in_slices(shrunk)).float(), hr.shape[2])


def low_frequencies(volume: Tensor) -> Tensor:
    """Mean over 5 x 5 voxels of each slice, (N, 1, K, J, I) -> the same; the slice goes on as its last voxels."""
    slices = functional.pad(in_slices(volume), (_WINDOW // 2,) * 4, mode="replicate")
    return in_volumes(functional.avg_pool2d(slices, _WINDOW, stride=1), volume.shape[2])


def high_frequencies(volume: Tensor) -> Tensor:
    """The rest: what a discriminator of degradation is given, of made and of measured slices."""
    return volume - low_frequencies(volume)


def low_frequency_loss(made: Tensor, shrunk: Tensor) -> Tensor:
    """Mean absolute difference of the low frequencies of what was made and of the bicubic result.

    Its weight in [1]_ is 1, beside 0.005 for the adversarial loss of the high frequencies and 0.01 for a perceptual
    loss between the same volumes.
    """
    return absolute_error(low_frequencies(made), low_frequencies(shrunk))
