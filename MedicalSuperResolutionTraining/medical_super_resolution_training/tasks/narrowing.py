"""Weights of a small through-plane generator from those of a larger one, whose knowledge its training begins with.

Some channels are kept, each the one that explains most of what the kept ones do not. What reads the others reads their
least-squares estimate instead, as He et al. 2017 (arXiv:1707.06168) reconstruct from chosen channels. Where the small
generator has fewer blocks, the last ones are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from medical_super_resolution.networks.blocks import AttentionDenseBlock, FactorizedPair
from medical_super_resolution.networks.generators.through_plane import ThroughPlaneGenerator

_WRITE_FEATURES = ("differences", "weigh", "sequence", "fuse", "refine", "texture")  # layers whose outputs are features
_READ_FEATURES = ("in_plane", "fuse", "initial", "dense", "refine")
_LEAST_SHARE = 1e-9  # of the largest power of a channel: for channels that are always 0


@dataclass(frozen=True, eq=False)
class Kept:
    """The channels that are kept, n of C.

    Parameters
    ----------
    channels
        (n,), rising.
    estimate
        (C, n): all channels as combinations of the kept ones.
    """

    channels: Tensor
    estimate: Tensor

    def reading(self, weight: Tensor) -> Tensor:
        """Weights of a layer that reads all channels, (O, parts * C, ...), for the kept ones, (O, parts * n, ...)."""
        parts = weight.unflatten(1, (-1, len(self.estimate)))
        return torch.einsum("opc...,cn->opn...", parts, self.estimate).flatten(1, 2)


def can_narrow(large: nn.Module, small: nn.Module) -> bool:
    """Whether ``small`` is the generator ``large`` but for fewer channels or blocks."""
    if not isinstance(large, ThroughPlaneGenerator) or not isinstance(small, ThroughPlaneGenerator):
        return False
    size, wanted = large.config, small.config
    is_like = replace(size, channels=wanted.channels, blocks=wanted.blocks) == wanted
    return is_like and size != wanted and size.channels >= wanted.channels and size.blocks >= wanted.blocks


@torch.no_grad()
def narrow(large: ThroughPlaneGenerator, small: ThroughPlaneGenerator, seen: Iterable[tuple[Tensor, float]]) -> None:
    """Give ``small`` the weights of ``large``, narrowed; see `can_narrow`.

    Parameters
    ----------
    seen
        Thick slices (N, 1, K, J, I) in the range of the network, and the width of their slice profile; the channels are
        chosen by their features.
    """
    weights, count = large.state_dict(), small.config.channels
    moments = _second_moments(large, seen)
    features = kept_channels(moments.pop(""), count)
    mixed = {pair: kept_channels(moment, count, _read(weights, pair)) for pair, moment in moments.items()}
    for name, narrowed in small.state_dict().items():
        if name == "largest_seen":  # measured when the trained network is exported
            continue
        weight, layer = weights[name], name.removesuffix(".weight").removesuffix(".bias")
        pair, _, last = layer.rpartition(".")
        if layer == "kernel.layers.2":  # writes the weights of features
            weight = features.reading(weight.unflatten(0, (2, -1))).flatten(0, 1)
        if last in _READ_FEATURES:
            weight = features.reading(weight)
        if last in _WRITE_FEATURES:
            weight = weight[..., features.channels] if last == "texture" else weight[features.channels]
        if last == "in_plane":
            weight = weight[mixed[pair].channels]
        if last == "sequence":
            weight = mixed[pair].reading(weight)
        narrowed.copy_(weight)


def _read(weights: dict[str, Tensor], pair: str) -> Tensor:
    """How much a pair's second convolution reads of each channel, (C,)."""
    return weights[f"{pair}.sequence.weight"].square().sum(dim=(0, 2, 3, 4)).sqrt()


def kept_channels(moments: Tensor, count: int, importance: Tensor | None = None) -> Kept:
    """Choose channels one after the other: each explains most of what the chosen ones leave of all.

    Parameters
    ----------
    moments
        (C, C) float64: the products of channels, summed over voxels.
    count
        Channels to keep.
    importance
        (C,): how much each channel counts; all alike by default.
    """
    left = moments if importance is None else moments * torch.outer(importance, importance).double()
    least = _LEAST_SHARE * left.diagonal().max()
    chosen: list[int] = []
    for _ in range(count):
        scale = left.diagonal().clamp_min(least)
        explained = left.square().sum(dim=0) / scale
        explained[chosen] = -1.0
        best = int(explained.argmax())
        chosen.append(best)
        left = left - torch.outer(left[:, best], left[best]) / scale[best]
    channels = torch.tensor(sorted(chosen))
    among = moments[channels][:, channels]
    among = among + _LEAST_SHARE * among.diagonal().max() * torch.eye(count, dtype=among.dtype)
    return Kept(channels, torch.linalg.solve(among, moments[channels]).T.float())


def _second_moments(large: ThroughPlaneGenerator, seen: Iterable[tuple[Tensor, float]]) -> dict[str, Tensor]:
    """Sums of products (C, C): of the features under "", and by pair of what it convolves along the slices."""
    moments: defaultdict[str, Tensor] = defaultdict(lambda: torch.zeros((), dtype=torch.float64))

    def add(name: str, values: Tensor) -> None:
        voxels = values.transpose(0, 1).flatten(1).double()
        moments[name] = moments[name] + voxels @ voxels.T

    def entering(name: str, pair: FactorizedPair, features: Tensor) -> None:
        add("", features)
        add(name, pair.mixed(features))

    hooks = []
    for name, layer in large.named_modules():
        if isinstance(layer, FactorizedPair):
            hooks.append(layer.register_forward_pre_hook(lambda pair, read, name=name: entering(name, pair, read[0])))
        if isinstance(layer, AttentionDenseBlock):
            hooks.append(layer.register_forward_hook(lambda _, __, features: add("", features)))
    for lr, profile_width in seen:
        large.features(lr, profile_width)
    for hook in hooks:
        hook.remove()
    return moments
