"""Blocks whose convolutions take features in bfloat16, for CPUs that multiply it: by AVX-512, AMX or Arm's extension.

A value of bfloat16 has the range of float32 and 8 bits of precision. Its products are summed up in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..blocks import AttentionDenseBlock, FactorizedPair, rectified
from ..streaming import by_rows, convolved_slices, slices_of
from .blocks import NarrowBlock, NarrowPair, large_parts, pairs_of


def bfloat16_block(block: AttentionDenseBlock) -> NarrowBlock:
    """A block in bfloat16."""
    return NarrowBlock(block, Rounding(), [_pair(pair) for pair in pairs_of(block)], Pointwise(block.fuse))


def _pair(pair: FactorizedPair) -> NarrowPair:
    return NarrowPair(InPlane(pair.in_plane, is_rectified=True), AlongSequence(pair.sequence))


class Rounding(nn.Module):
    """Rounds features to bfloat16: (1, C, K, J, I) float32 -> bfloat16."""

    def forward(self, features: Tensor) -> Tensor:
        return features.bfloat16()


class InPlane(nn.Module):
    """A 1 x 3 x 3 convolution in bfloat16: (1, C, K, J, I) -> (1, O, K, J, I).

    Parameters
    ----------
    convolution : nn.Conv3d
        In float32; it is changed.
    is_rectified : bool
        Whether the leaky rectifier that follows is applied.
    """

    def __init__(self, convolution: nn.Conv3d, *, is_rectified: bool = False) -> None:
        super().__init__()
        self.convolution = convolution.bfloat16()
        self.is_rectified = is_rectified

    def forward(self, features: Tensor) -> Tensor:
        if not features.shape[2]:
            return features
        found = convolved_slices(self.convolution, features)
        return rectified(found) if self.is_rectified else found


class AlongSequence(nn.Module):
    """A 3 x 1 x 1 convolution in bfloat16, added to features in float32, in place.

    Parameters
    ----------
    convolution : nn.Conv3d
        In float32.
    """

    weight: Tensor

    def __init__(self, convolution: nn.Conv3d) -> None:
        super().__init__()
        self.register_buffer("weight", convolution.weight.transpose(1, 2).flatten(1).bfloat16())

    def forward(self, slices: list[Tensor], features: Tensor) -> Tensor:
        """Add to ``features`` (1, O, K, J, I), and return their sums in bfloat16.

        ``slices`` are those K of the input and the ones before and after them, each (1, C, 1, J, I).
        """
        rounded = features.new_empty(by_rows(features).shape, dtype=torch.bfloat16)
        for number, (sums, into) in enumerate(zip(by_rows(features), rounded, strict=True)):
            for part in large_parts(features):
                three = torch.cat([by_rows(one)[0, part] for one in slices[number : number + 3]], dim=-1)
                sums[part].add_(functional.linear(three, self.weight))
                into[part] = sums[part]
        return slices_of(rounded)


class Pointwise(nn.Module):
    """A 1 x 1 x 1 convolution in bfloat16 of parts whose channels follow each other, (1, C, 1, J, I) -> float32.

    Parameters
    ----------
    convolution : nn.Conv3d
        In float32.
    """

    weight: Tensor

    def __init__(self, convolution: nn.Conv3d) -> None:
        super().__init__()
        self.register_buffer("weight", convolution.weight.flatten(1).bfloat16())

    def forward(self, parts: list[Tensor]) -> Tensor:
        return slices_of(functional.linear(torch.cat([by_rows(part) for part in parts], dim=-1), self.weight).float())
