"""Convolutions in 8-bit integers, for CPUs that add up 8-bit products in one instruction (VNNI).

An activation is stored as the integer nearest to 127 times its share of the range of its channel, and cut off beyond it
(static symmetric quantization: Nagel et al. 2021, arXiv:2106.08295). Ranges come from training volumes and are part of
the weights, which are rounded for each output channel. Sums of products are exact, so that a result does not depend on
tiles or threads; and zeros, and with them constant regions, stay what they are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..blocks import AttentionDenseBlock, FactorizedPair, rectified
from ..streaming import WHOLE, by_rows, slices_of
from .blocks import NarrowBlock, NarrowPair, large_parts, pairs_of
from .integer_convolution import IntegerConvolution

_LARGEST = 127
_KEPT = 0.8  # of the largest activation: a few are cut off, so that all others are rounded less
_SMALLEST_RANGE = 1e-4  # of the largest range in a layer: for channels that were always 0


def largest(features: Tensor) -> Tensor:
    """Largest absolute value of each channel: (N, C, K, J, I) -> (C,)."""
    return features.abs().amax(dim=(0, 2, 3, 4))


def usable_ranges(largest_seen: Tensor) -> Tensor:
    """Ranges of activations whose `largest` were (..., C); none of them is 0."""
    return _KEPT * largest_seen.clamp_min(_SMALLEST_RANGE * largest_seen.max())


def eight_bit_block(block: AttentionDenseBlock, ranges: Tensor) -> NarrowBlock:
    """A block in 8-bit integers.

    Parameters
    ----------
    ranges
        (2 pairs + 1, C) in the order of `largest_features`.
    """
    pairs = [_pair(pair, ranges[2 * number : 2 * number + 3]) for number, pair in enumerate(pairs_of(block))]
    return NarrowBlock(block, Rounding(ranges[0]), pairs, Pointwise(block.fuse, ranges[2::2].flatten()))


def _pair(pair: FactorizedPair, ranges: Tensor) -> NarrowPair:
    """``ranges`` (3, C) are those of its input, of what is convolved along the sequence, and of its result."""
    entering, mixed, result = ranges
    return NarrowPair(InPlane(pair.in_plane, entering, mixed), AlongSequence(pair.sequence, mixed, result))


def largest_features(block: AttentionDenseBlock, features: Tensor) -> list[Tensor]:
    """Largest absolute features (C,) that enter each pair and its second convolution, and that leave the last."""
    found = []
    for pair in pairs_of(block):
        found += [largest(features), largest(pair.mixed(features))]
        features = pair(features, WHOLE)
    return [*found, largest(features)]


def _limited(values: Tensor) -> Tensor:
    """Float32 values, rounded and limited in place to what 8 bits can hold."""
    return values.round_().clamp_(-_LARGEST, _LARGEST)


class Rounding(nn.Module):
    """Rounds features to integers: (1, C, K, J, I) float32 -> int8.

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
        codes = features.new_empty(by_rows(features).shape, dtype=torch.int8)
        for voxels, into in zip(by_rows(features), codes, strict=True):
            for part in large_parts(features):
                self.store(voxels[part], into[part])
        return slices_of(codes)

    def store(self, voxels: Tensor, into: Tensor) -> None:
        """Round voxels (..., C)."""
        into.copy_(_limited(voxels * self.codes_a_unit))


def _convolution(weight: Tensor, ranges: Tensor, factors: Tensor | float = 1.0) -> IntegerConvolution:
    """Round the weights (O, C, j, i) of a convolution of activations in ``ranges`` (C,).

    Its results are multiplied by ``factors``, (O,).
    """
    weight = weight * (ranges / _LARGEST)[:, None, None]
    scale = weight.abs().amax(dim=(1, 2, 3)).clamp_min(torch.finfo(weight.dtype).tiny) / _LARGEST
    return IntegerConvolution((weight / scale[:, None, None, None]).round().to(torch.int8), scale * factors)


class InPlane(nn.Module):
    """A 1 x 3 x 3 convolution of integers: (1, C, K, J, I) -> (1, O, K, J, I).

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
        self.is_rectified = next_ranges is not None
        factors = 1.0 if next_ranges is None else _LARGEST / next_ranges
        self.convolution = _convolution(convolution.get_parameter("weight")[:, :, 0], ranges, factors)

    def forward(self, codes: Tensor) -> Tensor:
        _, _, slices, rows, columns = codes.shape
        dtype = torch.int8 if self.is_rectified else torch.float32
        found = codes.new_empty(slices, rows, columns, len(self.convolution.scale), dtype=dtype)
        for one, into in zip(by_rows(codes), found, strict=True):
            for part in large_parts(codes):
                values = self._rows(one, part)
                if self.is_rectified:
                    values = _limited(rectified(values))
                into[part] = values
        return slices_of(found)

    def _rows(self, codes: Tensor, rows: slice) -> Tensor:
        """Some rows of one slice: (J, I, C) -> (j, I, O)."""
        first, stop = max(rows.start - 1, 0), min(rows.stop + 1, len(codes))
        is_inside = first < rows.start and rows.stop < stop
        found = self.convolution(codes[first:stop], (0 if is_inside else 1, 1))
        return found if is_inside else found[rows.start - first : rows.stop - first]


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
        self.convolution = _convolution(convolution.get_parameter("weight")[..., 0], ranges)
        self.rounding = Rounding(next_ranges)

    def forward(self, slices: list[Tensor], features: Tensor) -> Tensor:
        """Add to ``features`` (1, O, K, J, I), and return their sums as `Rounding` does.

        ``slices`` are those K of the input and the ones before and after them, each (1, C, 1, J, I).
        """
        codes = features.new_empty(by_rows(features).shape, dtype=torch.int8)
        for number, (sums, into) in enumerate(zip(by_rows(features), codes, strict=True)):
            for part in large_parts(features):
                three = torch.stack([by_rows(one)[0, part].flatten(0, 1) for one in slices[number : number + 3]])
                sums[part].add_(self.convolution(three).view(sums[part].shape))
                self.rounding.store(sums[part], into[part])
        return slices_of(codes)


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
        self.convolution = _convolution(convolution.get_parameter("weight")[:, :, 0], ranges)

    def forward(self, parts: list[Tensor]) -> Tensor:
        codes = torch.cat([by_rows(part) for part in parts], dim=3)
        return slices_of(self.convolution(codes[0])[None])
