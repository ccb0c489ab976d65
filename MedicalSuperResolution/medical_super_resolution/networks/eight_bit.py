"""Convolutions in 8-bit integers, for CPUs that add up 8-bit products in one instruction (VNNI).

An activation is stored as the integer nearest to 127 times its share of the range of its channel, and cut off beyond it
(static symmetric quantization: Nagel et al. 2021, arXiv:2106.08295). Ranges come from training volumes and are part of
the weights, which are rounded for each output channel. Sums of products are exact, so that a result does not depend on
tiles or threads; and zeros, and with them constant regions, stay what they are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .streaming import as_slices, row_parts

_LARGEST = 127
_KEPT = 0.8  # of the largest activation: a few are cut off, so that all others are rounded less
_SMALLEST_RANGE = 1e-4  # of the largest range in a layer: for channels that were always 0


def largest(features: Tensor) -> Tensor:
    """Largest absolute value of each channel: (N, C, K, J, I) -> (C,)."""
    return features.abs().amax(dim=(0, 2, 3, 4))


def usable_ranges(largest_seen: Tensor) -> Tensor:
    """Ranges of activations whose `largest` were (..., C); none of them is 0."""
    return _KEPT * largest_seen.clamp_min(_SMALLEST_RANGE * largest_seen.max())


def _limited(values: Tensor) -> Tensor:
    """Float32 values, rounded and limited in place to what 8 bits can hold."""
    return values.round_().clamp_(-_LARGEST, _LARGEST)


def _by_voxel(slices: Tensor) -> Tensor:
    """(1, C, K, J, I) -> (K, J, I, C)."""
    return slices[0].permute(1, 2, 3, 0)


class Rounding(nn.Module):
    """Rounds features to integers with zeros around each slice: (1, C, K, J, I) -> (1, C, K, J + 2, I + 2).

    Parameters
    ----------
    ranges : Tensor
        (C,) of the features.
    """

    codes_a_unit: Tensor

    def __init__(self, ranges: Tensor) -> None:
        super().__init__()
        self.register_buffer("codes_a_unit", _LARGEST / ranges)

    def forward(self, features: Tensor) -> Tensor:
        codes = self.zeros_for(features)
        for voxels, into in zip(_by_voxel(features), _by_voxel(codes), strict=True):
            for part in row_parts(features):
                self.store(voxels[part], into[1:-1, 1:-1][part])
        return codes

    def zeros_for(self, features: Tensor) -> Tensor:
        """Integers to `store` into."""
        slices, rows, columns, channels = _by_voxel(features).shape
        return as_slices(features.new_zeros(slices, rows + 2, columns + 2, channels, dtype=torch.int8))

    def store(self, voxels: Tensor, into: Tensor) -> None:
        """Round voxels (..., C)."""
        into.copy_(_limited(voxels * self.codes_a_unit))


class _Product(nn.Module):
    """A matrix product: (V, K) integers -> (V, O) float32.

    Parameters
    ----------
    weight : Tensor
        (O, K), of activations in float32.
    ranges : Tensor
        (K,) ranges of the activations that the integers stand for.
    """

    codes: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, ranges: Tensor) -> None:
        super().__init__()
        weight = weight * (ranges / _LARGEST)
        scale = weight.abs().amax(dim=1).clamp_min(torch.finfo(weight.dtype).tiny) / _LARGEST
        self.register_buffer("codes", (weight / scale[:, None]).round().to(torch.int8).t().contiguous())
        self.register_buffer("scale", scale)

    def forward(self, codes: Tensor) -> Tensor:
        return torch._int_mm(codes, self.codes).float().mul_(self.scale)


class InPlane(nn.Module):
    """A 1 x 3 x 3 convolution of what `Rounding` returns: (1, C, K, J + 2, I + 2) -> (1, O, K, J, I).

    Parameters
    ----------
    convolution : nn.Module
        In float32, without a bias.
    ranges : Tensor
        (C,) of the input.
    next_ranges : Tensor, optional
        (O,) of the output of the leaky rectifier that follows, which is then applied: the output is integers for the
        next convolution. Without them, the output is float32.
    """

    def __init__(self, convolution: nn.Module, ranges: Tensor, next_ranges: Tensor | None = None) -> None:
        super().__init__()
        weight = convolution.get_parameter("weight")
        self.product = _Product(weight[:, :, 0].permute(0, 2, 3, 1).flatten(1), ranges.repeat(9))
        self.is_rectified = next_ranges is not None
        if next_ranges is not None:
            self.product.scale *= _LARGEST / next_ranges

    def forward(self, codes: Tensor) -> Tensor:
        slices, rows, columns = codes.shape[2], codes.shape[3] - 2, codes.shape[4] - 2
        dtype = torch.int8 if self.is_rectified else torch.float32
        found = codes.new_empty(slices, rows, columns, len(self.product.scale), dtype=dtype)
        for padded, into in zip(_by_voxel(codes), found, strict=True):
            for part in row_parts(into[..., 0]):
                values = self.product(_neighbors(padded[part.start : part.stop + 2]))
                if self.is_rectified:
                    values = _limited(functional.leaky_relu_(values, 0.2))
                into[part].flatten(0, 1).copy_(values)
        return as_slices(found)


def _neighbors(padded: Tensor) -> Tensor:
    """The 3 x 3 neighbors of each voxel inside: (J + 2, I + 2, C) -> (J I, 9 C)."""
    rows, columns, channels = padded.shape
    found = padded.new_empty(rows - 2, columns - 2, 3, 3 * channels)
    for row, into in enumerate(found.unbind(2)):  # the three neighbors in a row follow each other in memory
        first = padded[row : row + rows - 2]
        into.copy_(first.as_strided(into.shape, first.stride(), first.storage_offset()))
    return found.view(-1, 9 * channels)


class AlongSequence(nn.Module):
    """A 3 x 1 x 1 convolution of integers, added to features in place.

    Parameters
    ----------
    convolution : nn.Module
        In float32, without a bias.
    ranges : Tensor
        (C,) of the input.
    next_ranges : Tensor
        (O,) of the sums.
    """

    def __init__(self, convolution: nn.Module, ranges: Tensor, next_ranges: Tensor) -> None:
        super().__init__()
        weight = convolution.get_parameter("weight")
        self.product = _Product(weight[..., 0, 0].transpose(1, 2).flatten(1), ranges.repeat(3))
        self.rounding = Rounding(next_ranges)

    def forward(self, slices: list[Tensor], features: Tensor) -> Tensor:
        """Add to ``features`` (1, O, K, J, I), and return their sums as `Rounding` does.

        ``slices`` are those K of the input and the ones before and after them, each (1, C, 1, J, I).
        """
        codes = self.rounding.zeros_for(features)
        for number, (sums, into) in enumerate(zip(_by_voxel(features), _by_voxel(codes), strict=True)):
            three = [_by_voxel(one)[0] for one in slices[number : number + 3]]
            for part in row_parts(features):
                change = self.product(torch.cat([one[part] for one in three], dim=2).flatten(0, 1))
                sums[part].add_(change.view(sums[part].shape))
                self.rounding.store(sums[part], into[1:-1, 1:-1][part])
        return codes


class Pointwise(nn.Module):
    """A 1 x 1 x 1 convolution of parts whose channels follow each other: integers (1, C, 1, J, I) -> (1, O, 1, J, I).

    Parameters
    ----------
    convolution : nn.Module
        In float32, without a bias.
    ranges : Tensor
        Of the inputs of all parts.
    """

    def __init__(self, convolution: nn.Module, ranges: Tensor) -> None:
        super().__init__()
        self.product = _Product(convolution.get_parameter("weight").flatten(1), ranges)

    def forward(self, parts: list[Tensor]) -> Tensor:
        codes = torch.cat([_by_voxel(part) for part in parts], dim=3)
        return as_slices(self.product(codes.flatten(0, 2)).unflatten(0, codes.shape[:3]))
