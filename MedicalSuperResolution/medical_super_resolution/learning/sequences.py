"""A slice sequence seen whole, or as a stream of a few slices at a time, by the same network.

A network says what it does to a sequence through `convolve` and `wait`. On a `WholeSequence` these are plain calls.
On a `SliceStream`, each convolution along the sequence remembers the two slices its kernel still needs, so that a
long volume is computed exactly once, in the memory of a few slices, without overlap and without seams.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_SEQUENCE = 2  # the K axis of (N, C, K, J, I)


class WholeSequence:
    """All slices at once."""

    def convolve(self, convolution: nn.Conv3d, slices: Tensor) -> Tensor:
        """Apply a convolution whose kernel spans three slices; beyond the ends there is nothing (zeros)."""
        return convolution(slices)

    def wait(self, place: tuple[nn.Module, str], slices: Tensor, other: Tensor) -> Tensor:
        """The slices of ``slices`` that belong to those of ``other``: all of them."""
        return slices

    def trim(self, slices: Tensor, width: int) -> Tensor:
        """Drop what a part of a slice cannot know near its cut edges: nothing, the slices are whole."""
        return slices


class SliceStream:
    """Slices in order, a few at a time, of a tile of the slice plane.

    Set ``is_last`` before the final slices are pushed through the network. Each network needs a stream of its own.

    cut_edges : whether the tile was cut from a larger slice at its (first row, last row, first column, last column).
        Near a cut, a convolution meets its zero padding instead of tissue; `trim` drops those voxels as soon as they
        are wrong.
    """

    def __init__(self, cut_edges: tuple[bool, bool, bool, bool] = (False, False, False, False)) -> None:
        self.is_last = False
        self.cut_edges = cut_edges
        self._kernels: dict[nn.Conv3d, Tensor] = {}
        self._waiting: dict[tuple[nn.Module, str], Tensor] = {}

    def convolve(self, convolution: nn.Conv3d, slices: Tensor) -> Tensor:
        """As in `WholeSequence`, but gives one slice less than was put in so far until the last slice is known."""
        nothing = torch.zeros_like(slices[:, :, :1])
        parts = [self._kernels.get(convolution, nothing), slices]
        if self.is_last:
            parts.append(nothing)
        known = torch.cat(parts, dim=_SEQUENCE)
        self._kernels[convolution] = known[:, :, -2:].clone()
        if known.shape[_SEQUENCE] < 3:
            return slices.new_zeros(slices.shape[0], convolution.out_channels, 0, *slices.shape[3:])
        in_plane = convolution.kernel_size[1] // 2
        return functional.conv3d(known, convolution.weight, convolution.bias, padding=(0, in_plane, in_plane))

    def wait(self, place: tuple[nn.Module, str], slices: Tensor, other: Tensor) -> Tensor:
        """Hold slices back until ``other``, made late by convolutions, has come as far; ``place`` names the queue."""
        queue = torch.cat([self._waiting[place], slices], dim=_SEQUENCE) if place in self._waiting else slices
        count = other.shape[_SEQUENCE]
        self._waiting[place] = queue[:, :, count:].clone()
        return queue[:, :, :count]

    def trim(self, slices: Tensor, width: int) -> Tensor:
        """Drop ``width`` voxels at each cut edge of the tile."""
        top, bottom, left, right = (width * cut for cut in self.cut_edges)
        return slices[:, :, :, top : slices.shape[3] - bottom, left : slices.shape[4] - right]


Sequence = WholeSequence | SliceStream
WHOLE = WholeSequence()
