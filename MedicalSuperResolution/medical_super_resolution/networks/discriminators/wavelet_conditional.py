"""DISGAN's discriminator: a 3-D U-Net that halves by wavelet transforms, here conditioned on the interpolated input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from ..contracts import Discriminator

LEVELS = 2
_HALF = 1 / math.sqrt(2)


@dataclass(frozen=True, kw_only=True)
class WaveletConditionalConfig:
    """The size of a `WaveletConditionalDiscriminator`; the authors' has 16 channels and halves six times.

    Parameters
    ----------
    channels
        Width at full resolution; it doubles at each of two levels.

    References
    ----------
    .. [1] Wang et al. (2023), DISGAN: wavelet-informed discriminator guides GAN to MRI super-resolution with noise
       cleaning. arXiv:2308.12084
    """

    channels: int = 12


def haar_bands(volume: Tensor) -> Tensor:
    """One level of the 3-D Haar wavelet transform: (N, C, K, J, I), even sizes -> (N, 8*C, K/2, J/2, I/2).

    Orthonormal: the sum of squares stays the same. The first C channels are the low frequencies, in which a constant
    c becomes c * sqrt(8).
    """
    bands = volume
    for axis in (2, 3, 4):
        even, odd = bands.unflatten(axis, (-1, 2)).unbind(axis + 1)
        bands = torch.cat([_HALF * (even + odd), _HALF * (even - odd)], dim=1)
    return bands


def _convolution(inputs: int, outputs: int, kernel: int) -> nn.Module:
    return spectral_norm(nn.Conv3d(inputs, outputs, kernel, padding=kernel // 2))


class WaveletConditionalDiscriminator(Discriminator):
    """(N, 2, K, J, I) -> (N, M) scores, one for each voxel, real is high.

    The first channel is the volume to judge, the second its low-resolution counterpart, interpolated to the same size
    (the condition). Each halving is a wavelet transform whose bands are mixed by a 1 x 1 x 1 convolution, so that
    frequencies are weighted without loss. Sizes that cannot be halved twice are padded with the last voxels. All
    weights but the last are spectrally normalized.

    Differences from the authors' program: there is no condition there, the low frequencies join the features of strided
    convolutions and the high ones those of the way up, and features are normalized over the batch.
    """

    conditional = True

    def __init__(self, config: WaveletConditionalConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.channels * 2**level for level in range(LEVELS + 1)]
        self.first = _convolution(2, widths[0], 3)
        levels = list(pairwise(widths))
        self.bands = nn.ModuleList(_convolution(8 * fine, coarse, 1) for fine, coarse in levels)
        self.down = nn.ModuleList(_convolution(coarse, coarse, 3) for coarse in widths[1:])
        self.up = nn.ModuleList(_convolution(coarse, fine, 3) for fine, coarse in levels)
        self.last = nn.Conv3d(widths[0], 1, 3, padding=1)

    def forward(self, volume: Tensor) -> Tensor:
        step = 2**LEVELS
        missing = [-size % step for size in volume.shape[2:]]
        padded = functional.pad(volume, [pad for size in reversed(missing) for pad in (0, size)], mode="replicate")
        latest = functional.leaky_relu(self.first(padded), 0.2)
        finer = []
        for bands, down in zip(self.bands, self.down, strict=True):
            finer.append(latest)
            mixed = functional.leaky_relu(bands(haar_bands(latest)), 0.2)
            latest = functional.leaky_relu(down(mixed), 0.2)
        for up, skipped in zip(reversed(self.up), reversed(finer), strict=True):
            enlarged = functional.interpolate(latest, scale_factor=2, mode="trilinear", align_corners=False)
            latest = functional.leaky_relu(up(enlarged), 0.2) + skipped
        slices, rows, columns = volume.shape[2:]
        return self.last(latest)[:, :, :slices, :rows, :columns].flatten(1)
