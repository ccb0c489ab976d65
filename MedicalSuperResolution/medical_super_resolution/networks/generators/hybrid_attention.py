"""SRGAN's generator with channel and spatial attention in its residual blocks, without normalization."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...errors import SettingsError
from .plane import FeatureGenerator, PlaneConfig, Upscaler, last_convolution
from .srresnet import OUTER_KERNEL


@dataclass(frozen=True, kw_only=True)
class HybridAttentionConfig(PlaneConfig):
    """The size of a `HybridAttentionGenerator`.

    Parameters
    ----------
    channels
        Width of the features.
    blocks
        Number of residual blocks.
    squeeze
        How many times narrower the hidden layer of the channel attention is.
    kernel
        Side of the spatial attention's kernel, odd.

    Notes
    -----
    The paper gives no sizes; those of SRGAN (64 channels, 16 blocks) are its starting point, the defaults are smaller
    for two CPU cores. ``squeeze`` and ``kernel`` are as in [2]_, except that so few channels are squeezed less.

    References
    ----------
    .. [1] Super resolution reconstruction of medical images: SRGAN with an improved residual structure and a hybrid of
       spatial and channel attention, for chest CT (in Chinese).
    .. [2] Woo et al. (2018), CBAM: convolutional block attention module. arXiv:1807.06521
    """

    channels: int = 32
    blocks: int = 6
    squeeze: int = 4
    kernel: int = 7

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel % 2 == 0:
            raise SettingsError(f"kernel must be odd, got {self.kernel}")


class ChannelAttention(nn.Module):
    """One weight from 0 to 1 for each channel, from its mean and its maximum over the slice."""

    def __init__(self, channels: int, squeeze: int) -> None:
        super().__init__()
        hidden = max(channels // squeeze, 1)
        self.layers = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels))

    def forward(self, features: Tensor) -> Tensor:
        weights = self.layers(features.mean(dim=(2, 3))) + self.layers(features.amax(dim=(2, 3)))
        return torch.sigmoid(weights)[:, :, None, None]


class SpatialAttention(nn.Module):
    """One weight from 0 to 1 for each place, from the mean and the maximum over the channels around it."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, kernel, padding=kernel // 2)

    def forward(self, features: Tensor) -> Tensor:
        described = torch.cat([features.mean(dim=1, keepdim=True), features.amax(dim=1, keepdim=True)], dim=1)
        return torch.sigmoid(self.convolution(described))


class HybridAttentionBlock(nn.Module):
    """Convolutions without normalization, weighted by channel and then by place, added to the input.

    The paper does not say which comes first; channel first is better in CBAM.
    """

    def __init__(self, config: HybridAttentionConfig) -> None:
        super().__init__()
        channels = config.channels
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.channel = ChannelAttention(channels, config.squeeze)
        self.spatial = SpatialAttention(config.kernel)

    def forward(self, features: Tensor) -> Tensor:
        found = self.convolutions(features)
        found = found * self.channel(found)
        return features + found * self.spatial(found)


class HybridAttentionGenerator(FeatureGenerator):
    """(N, 1, K, J, I) -> (N, 1, K, factor*J, factor*I). Its channel attention covers the whole slice."""

    def __init__(self, config: HybridAttentionConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.first = nn.Sequential(nn.Conv2d(1, channels, OUTER_KERNEL, padding=OUTER_KERNEL // 2), nn.PReLU())
        blocks = [HybridAttentionBlock(config) for _ in range(config.blocks)]
        self.body = nn.Sequential(*blocks, nn.Conv2d(channels, channels, 3, padding=1))
        self.upscale = Upscaler(channels, config.factor)
        self.last = last_convolution(channels, OUTER_KERNEL)
