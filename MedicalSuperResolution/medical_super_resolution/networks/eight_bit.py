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

_LARGEST = 127
_VOXELS_AT_ONCE = 8192  # so that what is computed of them stays in the cache
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


def _as_slices(voxels: Tensor) -> Tensor:
    """(K, J, I, C) -> (1, C, K, J, I)."""
    return voxels.permute(3, 0, 1, 2)[None]


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

    def forward(self, codes: Tensor, found: Tensor) -> Tensor:
        """Store the product in ``found``, and return it."""
        return found.copy_(torch._int_mm(codes, self.codes)).mul_(self.scale)


class InPlane(nn.Module):
    """A 1 x 3 x 3 convolution: (1, C, K, J, I) float32 -> (1, O, K, J, I).

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

    codes_a_unit: Tensor

    def __init__(self, convolution: nn.Module, ranges: Tensor, next_ranges: Tensor | None = None) -> None:
        super().__init__()
        weight = convolution.get_parameter("weight")
        self.product = _Product(weight[:, :, 0].permute(0, 2, 3, 1).flatten(1), ranges.repeat(9))
        self.register_buffer("codes_a_unit", _LARGEST / ranges)
        self.is_rectified = next_ranges is not None
        if next_ranges is not None:
            self.product.scale *= _LARGEST / next_ranges

    def forward(self, slices: Tensor) -> Tensor:
        outputs, dtype = len(self.product.scale), torch.int8 if self.is_rectified else torch.float32
        found = slices.new_empty(*slices.shape[2:], outputs, dtype=dtype)
        rows_at_once = max(_VOXELS_AT_ONCE // slices.shape[-1], 1)
        for voxels, into in zip(_by_voxel(slices), found, strict=True):
            codes = self._padded_codes(voxels, rows_at_once)
            for number, part in enumerate(into.split(rows_at_once)):
                first = number * rows_at_once
                neighbors = _neighbors(codes[first : first + len(part) + 2])
                if self.is_rectified:
                    values = self.product(neighbors, slices.new_empty(len(neighbors), outputs))
                    part.copy_(_limited(functional.leaky_relu_(values, 0.2)).view(part.shape))
                else:
                    self.product(neighbors, part.flatten(0, 1))
        return _as_slices(found)

    def _padded_codes(self, voxels: Tensor, rows_at_once: int) -> Tensor:
        """(J, I, C) float32 -> (J + 2, I + 2, C) integers, with zeros around them."""
        rows, columns, channels = voxels.shape
        codes = voxels.new_zeros(rows + 2, columns + 2, channels, dtype=torch.int8)
        inner = codes[1:-1, 1:-1]
        for part, into in zip(voxels.split(rows_at_once), inner.split(rows_at_once), strict=True):
            into.copy_(_limited(part * self.codes_a_unit))
        return codes


def _neighbors(padded: Tensor) -> Tensor:
    """The 3 x 3 neighbors of each voxel inside: (J + 2, I + 2, C) -> (J I, 9 C)."""
    rows, columns, channels = padded.shape
    row, column, _ = padded.stride()
    shape, strides = (rows - 2, columns - 2, 3, 3 * channels), (row, column, row, 1)
    return padded.as_strided(shape, strides, padded.storage_offset()).reshape(-1, 9 * channels)


class AlongSequence(nn.Module):
    """A 3 x 1 x 1 convolution: K slices (1, C, 1, J, I) of integers -> (1, O, K - 2, J, I) float32.

    Parameters
    ----------
    convolution : nn.Module
        In float32, without a bias.
    ranges : Tensor
        (C,) of the input.
    """

    def __init__(self, convolution: nn.Module, ranges: Tensor) -> None:
        super().__init__()
        weight = convolution.get_parameter("weight")
        self.out_channels = len(weight)
        self.product = _Product(weight[..., 0, 0].transpose(1, 2).flatten(1), ranges.repeat(3))

    def forward(self, slices: list[Tensor]) -> Tensor:
        voxels = [_by_voxel(one)[0].flatten(0, 1).split(_VOXELS_AT_ONCE) for one in slices]
        found = self.product.scale.new_empty(len(slices) - 2, *slices[0].shape[3:], self.out_channels)
        for number, into in enumerate(found.flatten(1, 2)):
            three = voxels[number : number + 3]
            for part, *around in zip(into.split(_VOXELS_AT_ONCE), *three, strict=True):
                self.product(torch.cat(around, dim=1), part)
        return _as_slices(found)


class Pointwise(nn.Module):
    """A 1 x 1 x 1 convolution of parts whose channels follow each other: (1, C, K, J, I) float32 -> (1, O, K, J, I).

    Parameters
    ----------
    convolution : nn.Module
        In float32, without a bias.
    ranges : Tensor
        Of the inputs of all parts.
    """

    codes_a_unit: Tensor

    def __init__(self, convolution: nn.Module, ranges: Tensor) -> None:
        super().__init__()
        self.product = _Product(convolution.get_parameter("weight").flatten(1), ranges)
        self.register_buffer("codes_a_unit", _LARGEST / ranges)

    def forward(self, *parts: Tensor) -> Tensor:
        found = parts[0].new_empty(*parts[0].shape[2:], len(self.product.scale))
        chunks = zip(*(_by_voxel(part).flatten(0, 2).split(_VOXELS_AT_ONCE) for part in parts), strict=True)
        for into, chunk in zip(found.flatten(0, 2).split(_VOXELS_AT_ONCE), chunks, strict=True):
            codes = _limited(torch.cat(chunk, dim=1).mul_(self.codes_a_unit)).to(torch.int8)
            self.product(codes, into)
        return _as_slices(found)
