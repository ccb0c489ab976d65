"""Building blocks shared by the generators.

Every tensor is (N, C, K, J, I) with K the slice sequence. Convolutions on the additive path have no biases, so that the
features of a constant region are exactly 0: a constant is preserved to the last bit, and air can be skipped without
approximation. Only the gates, which multiply, have biases. Zhang et al. (2025) is DOI 10.1038/s41598-025-05783-7.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from .products import add_product, product
from .streaming import Sequence, by_voxel, convolved_slices, learned_convolution, row_parts, runs_as_products, slices_of

_Network = TypeVar("_Network", bound=nn.Module)


def in_plane_convolution(inputs: int, outputs: int) -> nn.Conv3d:
    """Mix the neighbors inside one slice: 1 x 3 x 3."""
    return nn.Conv3d(inputs, outputs, (1, 3, 3), padding=(0, 1, 1), bias=False)


def sequence_convolution(inputs: int, outputs: int) -> nn.Conv3d:
    """Mix the neighbors along the slice sequence: 3 x 1 x 1."""
    return nn.Conv3d(inputs, outputs, (3, 1, 1), padding=(1, 0, 0), bias=False)


def pointwise_convolution(inputs: int, outputs: int, *, bias: bool = False) -> nn.Conv3d:
    """Mix the channels of one voxel: 1 x 1 x 1."""
    return nn.Conv3d(inputs, outputs, 1, bias=bias)


def rectified(features: Tensor) -> Tensor:
    """The leaky rectifier; in place but for gradients, which PyTorch copies where a view was changed."""
    return functional.leaky_relu(features, 0.2, inplace=not torch.is_grad_enabled())


def mixed_channels(convolution: nn.Conv3d, *parts: Tensor) -> Tensor:
    """Apply a pointwise convolution to parts whose channels follow each other, as if they were concatenated.

    Without gradients on a CPU, it is a sum of matrix products: concatenation would take longer than the products.
    """
    first = parts[0]
    if not runs_as_products(first):
        return learned_convolution(convolution, torch.cat(parts, dim=1) if len(parts) > 1 else first)
    weight, *weights = convolution.weight.flatten(1).split([part.shape[1] for part in parts], dim=1)
    mixed = product(by_voxel(first), weight, convolution.bias)
    for part, weight in zip(parts[1:], weights, strict=True):
        add_product(mixed, by_voxel(part), weight)
    return slices_of(mixed.unflatten(0, first.shape[2:]))


def in_memory_order(network: _Network) -> _Network:
    """Change the memory format of the weights, in place, to channels last, in which convolutions are fastest."""
    for parameter in network.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
        elif parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def forward_differences(volume: Tensor, following: Tensor) -> Tensor:
    """Differences to the next voxel along K, J and I: (N, 1, K, J, I) -> (N, 3, K, J, I).

    ``following``, (N, 1, 1, J, I), is the slice after the last. The last voxel of a row or column is repeated beyond
    it, so the last difference is 0.
    """
    along_k = torch.cat([volume[:, :, 1:], following], dim=2) - volume
    along_j = functional.pad(volume[:, :, :, 1:] - volume[:, :, :, :-1], (0, 0, 0, 1))
    along_i = functional.pad(volume[..., 1:] - volume[..., :-1], (0, 1))
    return torch.cat([along_k, along_j, along_i], dim=1)


class AttentionGate(nn.Module):
    """Attention gate: the weight of the new features at every voxel, from 0 to 1 (Zhang et al. 2025, eq. 3 and 4).

    alpha = sigmoid(psi(leaky(W_x x + W_d d + b))), one value a voxel. The bias b depends on the width of the slice
    profile, so that one set of weights serves overlapping and gapped slices.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.initial = pointwise_convolution(channels, hidden)
        self.dense = pointwise_convolution(channels, hidden)
        self.acquisition = nn.Linear(1, hidden)
        self.attention = pointwise_convolution(hidden, 1, bias=True)

    def begun(self, initial: Tensor) -> Tensor:
        """W_x x, which takes less memory than x while d is computed."""
        return mixed_channels(self.initial, initial) if initial.shape[2] else initial

    def forward(self, begun: Tensor, dense: Tensor, profile_width: Tensor) -> Tensor:
        bias = self.acquisition((profile_width - 1).to(self.acquisition.weight.dtype))[:, :, None, None, None]
        hidden = mixed_channels(self.dense, dense) + begun + bias
        return torch.sigmoid(mixed_channels(self.attention, rectified(hidden)))


class FactorizedPair(nn.Module):
    """A 3 x 3 x 3 convolution factorized into one in plane and one along the sequence, as a residual: half the cost."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.in_plane = in_plane_convolution(channels, channels)
        self.sequence = sequence_convolution(channels, channels)

    def forward(self, features: Tensor, sequence: Sequence) -> Tensor:
        mixed = self.mixed(features) if features.shape[2] else features  # a stream that begins or ends has none
        if runs_as_products(features):
            slices = sequence.around(self.sequence, mixed)
            waited = sequence.wait((self, "features"), features, max(len(slices) - 2, 0))
            return _added_along_sequence(self.sequence, slices, waited)
        change = sequence.convolve(self.sequence, mixed)
        waited = sequence.wait((self, "features"), features, change.shape[2])
        return waited + change

    def mixed(self, features: Tensor) -> Tensor:
        """What is convolved along the sequence."""
        return rectified(convolved_slices(self.in_plane, features))


def _added_along_sequence(convolution: nn.Conv3d, slices: list[Tensor], features: Tensor) -> Tensor:
    """A 3 x 1 x 1 convolution of K + 2 slices, (1, C, 1, J, I) each, added to (1, O, K, J, I).

    It is a sum of three matrix products.
    """
    weights = convolution.weight.flatten(2).unbind(2)
    sums = features.new_empty(*features.shape[2:], features.shape[1])
    for number, into in enumerate(sums):
        for rows in row_parts(features):
            change = product(by_voxel(slices[number][..., rows, :]), weights[0])
            for further in (1, 2):
                add_product(change, by_voxel(slices[number + further][..., rows, :]), weights[further])
            before = by_voxel(features[:, :, number : number + 1, rows])
            torch.add(change, before, out=into[rows].flatten(0, 1))
    return slices_of(sums)


class AttentionDenseBlock(nn.Module):
    """Convolution pairs whose outputs are densely gathered, gated by attention, and added to the block's input.

    Zhang et al. (2025), eq. 2 (dense skip connections), 3 and 4 (gate), beta = 0.2.
    """

    beta = 0.2

    def __init__(self, channels: int, pairs: int, gate_channels: int) -> None:
        super().__init__()
        self.pairs = nn.ModuleList(FactorizedPair(channels) for _ in range(pairs))
        self.fuse = pointwise_convolution(pairs * channels, channels)
        self.gate = AttentionGate(channels, gate_channels)

    def forward(self, initial: Tensor, profile_width: Tensor, sequence: Sequence) -> Tensor:
        gathered = [initial]
        for pair in self.pairs:
            sequence.next_section()
            gathered.append(pair(gathered[-1], sequence))
        sequence.next_section()
        _, *earlier, last = gathered
        begun = sequence.wait((self, "gate"), self.gate.begun(initial), last.shape[2])
        earlier = [
            sequence.wait((self, str(number)), features, last.shape[2]) for number, features in enumerate(earlier)
        ]
        if not last.shape[2]:
            return last
        dense = mixed_channels(self.fuse, *earlier, last)
        gate = self.gate(begun, dense, profile_width)
        if dense.dtype != last.dtype:
            return last + self.beta * (dense * gate)
        if torch.is_grad_enabled():
            return torch.addcmul(last, gate, dense, value=self.beta)
        return last.addcmul_(gate, dense, value=self.beta)
