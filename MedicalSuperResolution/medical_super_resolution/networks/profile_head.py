"""How wide the slice profile really was, read off the features of the slices themselves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import pointwise_convolution


class BlurGauge(nn.Module):
    """A weighted vote of all voxels on the full width at half maximum of the slice profile, in slice distances.

    Voxels vote with the square of a feature, so that what has no structure (air) has no say. Sums over the parts of a
    volume add up: `votes` may be called on any cut of it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.opinion = nn.Sequential(
            pointwise_convolution(channels, 16), nn.LeakyReLU(0.2), pointwise_convolution(16, 1, bias=True)
        )
        self.weight = pointwise_convolution(channels, 1)

    def votes(self, features: Tensor) -> Tensor:
        """(N, C, K, J, I) -> (N, 2): sum of weighted opinions, and sum of weights."""
        weight = self.weight(features).float().square()
        scale = features.float().square().mean(dim=1, keepdim=True).sqrt() + 1e-4
        opinion = self.opinion(features / scale).float()
        return torch.stack([(weight * opinion).flatten(1).sum(1), weight.flatten(1).sum(1)], dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, K, J, I) -> (N,) width; 1 where there is nothing to see."""
        opinions, weights = self.votes(features).unbind(dim=1)
        return (opinions + 1e-9) / (weights + 1e-9)
