"""The first and the last layers of the through-plane generator: features from slices, and kernels of fine slices."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..blocks import forward_differences, mixed_channels, pointwise_convolution, rectified
from ..streaming import Sequence, convolved_slices

CONTRAST = 10.0  # differences of neighbors are about a tenth of the range; this scales features to about 1


class Stem(nn.Module):
    """First features: differences of neighbors, weighted by functions of the intensity (air, fat, bone ...)."""

    reach = 2  # voxels: a difference and a 3 x 3 x 3 kernel

    def __init__(self, channels: int, gate_channels: int) -> None:
        super().__init__()
        self.differences = nn.Conv3d(3, channels, 3, padding=1, bias=False)
        self.intensity = nn.Conv3d(1, gate_channels, (1, 3, 3), padding=(0, 1, 1))
        self.weigh = pointwise_convolution(gate_channels, channels, bias=True)

    def forward(self, lr: Tensor, following: Tensor, sequence: Sequence) -> Tensor:
        """``following`` is the slice after the last of ``lr``; at the end of the volume, that last slice again."""
        if lr.shape[2]:
            precision = self.differences.weight.dtype  # differences are rounded, not the values
            differences = (CONTRAST * forward_differences(lr, following)).to(precision)
            intensity = rectified(convolved_slices(self.intensity, lr.to(precision)))
            weight = torch.sigmoid(mixed_channels(self.weigh, intensity))
        else:  # at the end of a stream
            differences = lr.expand(-1, 3, -1, -1, -1)
            weight = lr.expand(-1, self.differences.out_channels, -1, -1, -1)
        features = sequence.convolve(self.differences, differences)
        return sequence.trim(features * sequence.wait((self, "weight"), weight, features.shape[2]), self.reach)


class PhaseKernel(nn.Module):
    """Computes the upscaling kernel of every output slice from its place between two input slices.

    Meta-upscaling (Hu et al. 2019, arXiv:1903.00875) along one axis: (M,) phases in [0, 1) -> (M, 2, C) weights for the
    features of the slice before and the slice after.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(7, hidden), nn.SiLU(), nn.Linear(hidden, 2 * channels))

    def forward(self, phases: Tensor, factor: float, profile_width: float) -> Tensor:
        angles = math.pi * phases
        ones = torch.ones_like(phases)
        described = torch.stack(
            [
                2 * phases - 1,
                torch.cos(angles),
                torch.sin(angles),
                torch.cos(2 * angles),
                torch.sin(2 * angles),
                ones / factor,
                ones * (profile_width - 1),
            ],
            dim=1,
        )
        return self.layers(described).unflatten(1, (2, -1)) / CONTRAST
