"""The network that estimates the width of the slice profile from cuts across slices and reference cuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..physics.profile_cuts import REFERENCE_WIDTHS

_SLOPE, _SLOPE_INSIDE = 0.1, 0.2
_REACH_FINE = 2  # receptive field of one layer to each side, in samples of the fine axis
_TINY, _TINY_ENERGY = 1e-9, 1e-12  # against division by 0
_WEIGHTINGS = 3
_WIDTH_OFFSET, _WIDTH_SCALE = -0.2, 0.4  # from the output to the logarithm of the width
_ERROR_OFFSET, _ERROR_SCALE, _ERROR_RANGE = -2.2, 0.5, (-3.0, 1.5)  # to the logarithm of its error


@dataclass(frozen=True, kw_only=True)
class ProfileHeadConfig:
    """The size of a `ProfileHead`.

    Parameters
    ----------
    channels : int
        Width of the features.
    layers : int
        Convolutions, each of 3 slices by 5 fine samples.
    hidden : int
        Width of the descriptor of each pixel.
    joint : int
        Width of the layers that compare the descriptors of groups of cuts.
    """

    channels: int = 16
    layers: int = 4
    hidden: int = 24
    joint: int = 32


class ProfileHead(nn.Module):
    """Compares cuts across the slices with cuts of the plane that were blurred by known widths.

    A cut is a plane with slices along its first axis and a finer axis along its second, see `profile_cuts.cuts`. The
    features are homogeneous (no biases, leaky rectifiers) and a descriptor depends only on their direction, so the
    contrast of the scan does not matter. Descriptors are averaged over all pixels of a group of cuts, in three
    weightings, and the means of the groups are compared.
    """

    def __init__(self, config: ProfileHeadConfig) -> None:
        super().__init__()
        self.config = config
        inputs = [2] + [config.channels] * (config.layers - 1)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(count, config.channels, (3, 1 + 2 * _REACH_FINE), padding=(1, 0), bias=False) for count in inputs
        )
        self.looks = nn.Sequential(
            nn.Conv2d(config.channels, config.hidden, 1), nn.LeakyReLU(_SLOPE_INSIDE, inplace=True)
        )
        self.weight = nn.Conv2d(config.hidden, 1, 1)
        self.power = nn.Parameter(torch.tensor(1.0))
        means = _WEIGHTINGS * config.hidden
        self.joint = nn.Sequential(
            nn.Linear(means + 1 + len(REFERENCE_WIDTHS) * (means + 3), config.joint),
            nn.LeakyReLU(_SLOPE_INSIDE),
            nn.Linear(config.joint, config.joint),
            nn.LeakyReLU(_SLOPE_INSIDE),
            nn.Linear(config.joint, 2),
        )

    def sums(self, cuts: Tensor, known: Tensor | None = None) -> Tensor:
        """Weighted sums of descriptors, and sums of weights, which add up over the cuts of a group.

        Parameters
        ----------
        cuts : Tensor
            (P, K, T), K slices and T fine samples, of the same scale for all cuts of a scan.
        known : Tensor or None
            (P, K, T) bool, where a cut holds measured values; None for everywhere.

        Returns
        -------
        (P, 3 hidden + 4) float32.
        """
        values = cuts[:, None]
        slope_k = values[:, :, 1:, :-1] - values[:, :, :-1, :-1]
        slope_t = 2 * (values[:, :, :-1, 1:] - values[:, :, :-1, :-1])
        features = torch.cat([slope_k, slope_t], dim=1)
        features = features.contiguous(memory_format=torch.channels_last)  # in which convolutions are fastest
        for number, convolution in enumerate(self.convolutions):
            found = functional.leaky_relu(convolution(features), _SLOPE, inplace=True)
            inner = features[..., _REACH_FINE:-_REACH_FINE]
            features = found if number == 0 else found + inner
        strength = (features.square().mean(dim=1, keepdim=True) + _TINY_ENERGY).sqrt()
        looks = self.looks(features / strength)
        inside = torch.ones_like(strength)
        if known is not None:
            reach = _REACH_FINE * len(self.convolutions)
            here = known[:, None, :, reach : -reach - 1]
            inside = (here[:, :, 1:] & here[:, :, :-1]).to(strength.dtype)
        learned = functional.softplus(self.weight(looks)) * strength.pow(self.power)
        weights = torch.cat([weight * inside for weight in (learned, strength.square(), strength)], dim=1).flatten(2)
        weighted = weights @ looks.flatten(2).transpose(1, 2)
        return torch.cat([weighted.flatten(1), weights.sum(2), inside.flatten(2).sum(2)], dim=1)

    def compared(self, groups: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Combine groups of cuts.

        Parameters
        ----------
        groups : sequence of Tensor
            (N, 3 hidden + 4) sums of the cuts across the slices, and of those for each of `REFERENCE_WIDTHS`.

        Returns
        -------
        (N,) natural logarithms of widths in slice distances, and (N,) natural logarithms of their standard errors.
        """
        (looks, levels), *references = (self._means(group) for group in groups)
        facts = [looks]
        for others, their_levels in references:
            facts += [others - looks, their_levels - levels]
        facts.append(levels[:, 1:2] - levels[:, :1])
        width, error = self.joint(torch.cat(facts, dim=1)).unbind(dim=1)
        return (
            _WIDTH_SCALE * width + _WIDTH_OFFSET,
            (_ERROR_SCALE * error).clamp(*_ERROR_RANGE) + _ERROR_OFFSET,
        )

    def _means(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Mean descriptors in each weighting; logarithms of root mean square and mean strength, and of mean weight."""
        *looks, weights, inside = sums.split([self.config.hidden] * _WEIGHTINGS + [_WEIGHTINGS, 1], dim=1)
        totals = (weights + _TINY).unbind(dim=1)
        means = [one / total[:, None] for one, total in zip(looks, totals, strict=True)]
        weight, energy, strength = (torch.log(total / (inside[:, 0] + _TINY)) for total in totals)
        return torch.cat(means, dim=1), torch.stack([energy / 2, strength, weight], dim=1)

    def forward(self, cuts: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(N, G, P, K, T) groups of cuts of N scans -> `compared`."""
        inside = None if known is None else known.flatten(0, 2)
        sums = self.sums(cuts.flatten(0, 2), inside).unflatten(0, cuts.shape[:3]).sum(dim=2)
        return self.compared(sums.unbind(dim=1))
