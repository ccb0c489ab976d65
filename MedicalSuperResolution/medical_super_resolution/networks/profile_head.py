"""The network that reads the width of the slice profile off cuts across the slices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_SLOPE = 0.1
_OPINION_SCALE = 0.3  # opinions begin within a third of the contiguous slice
_REACH_FINE = 2  # samples of the fine axis that one layer looks to each side
_NOTHING = 1e-12


@dataclass(frozen=True, kw_only=True)
class ProfileHeadConfig:
    """The size of a `ProfileHead`.

    Parameters
    ----------
    channels
        Width of the features.
    layers
        Convolutions, each of 3 slices by 5 fine samples.
    hidden
        Width of the hidden layer.
    """

    channels: int = 16
    layers: int = 4
    hidden: int = 24


class ProfileHead(nn.Module):
    """A weighted vote of all pixels of some cuts on the width of the slice profile.

    A cut is a plane across the slices: slices along its first axis, a finer in-plane axis along its second, with
    `slice_profile.FINE_SAMPLES` samples to the distance between slices. The features are homogeneous (no biases, leaky
    rectifiers) and opinions look at their direction alone, so the contrast of the scan does not matter.
    """

    def __init__(self, config: ProfileHeadConfig) -> None:
        super().__init__()
        self.config = config
        inputs = [2] + [config.channels] * (config.layers - 1)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(count, config.channels, (3, 1 + 2 * _REACH_FINE), bias=False) for count in inputs
        )
        self.opinion = nn.Sequential(
            nn.Conv2d(config.channels, config.hidden, 1), nn.LeakyReLU(0.2), nn.Conv2d(config.hidden, 2, 1)
        )
        self.power = nn.Parameter(torch.tensor(1.0))

    @property
    def shortest_cut(self) -> int:
        """Fine samples that a cut must have at least, so that one pixel of it has a vote."""
        return 2 * _REACH_FINE * len(self.convolutions) + 2

    def votes(self, cuts: Tensor, known: Tensor | None = None) -> Tensor:
        """Sums of weighted opinions, and of weights, which add up over the cuts of a scan.

        Parameters
        ----------
        cuts
            (P, K, T), K slices and T fine samples, of the same scale for all cuts of a scan.
        known
            (P, K, T) bool, where a cut holds measured values; None for everywhere.

        Returns
        -------
        (P, 2) float32; the first over the second is the natural logarithm of the width in slice distances.
        """
        values = cuts[:, None]
        slope_k = values[:, :, 1:, :-1] - values[:, :, :-1, :-1]
        slope_t = 2 * (values[:, :, :-1, 1:] - values[:, :, :-1, :-1])
        features = torch.cat([slope_k, slope_t], dim=1)
        for number, convolution in enumerate(self.convolutions):
            found = functional.leaky_relu(convolution(functional.pad(features, (0, 0, 1, 1))), _SLOPE)
            inner = features[..., _REACH_FINE:-_REACH_FINE]
            features = found if number == 0 else found + inner
        strength = (features.square().mean(dim=1, keepdim=True) + _NOTHING).sqrt()
        opinion, weight = self.opinion(features / strength).split(1, dim=1)
        weight = functional.softplus(weight) * strength.pow(self.power)
        if known is not None:
            reach = _REACH_FINE * len(self.convolutions)
            inside = known[:, None, :, reach : -reach - 1]
            weight = weight * (inside[:, :, 1:] & inside[:, :, :-1])
        return torch.stack([(weight * opinion * _OPINION_SCALE).flatten(1).sum(1), weight.flatten(1).sum(1)], dim=1)

    def forward(self, cuts: Tensor, known: Tensor | None = None) -> Tensor:
        """(N, P, K, T) cuts of N scans -> (N,) natural logarithms of their widths in slice distances."""
        joined = None if known is None else known.flatten(0, 1)
        opinions, weights = self.votes(cuts.flatten(0, 1), joined).unflatten(0, cuts.shape[:2]).sum(dim=1).unbind(dim=1)
        return opinions / (weights + _NOTHING)
