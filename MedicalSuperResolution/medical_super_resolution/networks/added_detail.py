"""The detail that one pair of networks shows, added to the result of another network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .contracts import Capabilities, ResidualSlices, SequenceGenerator, SequenceTile
from .sections import Turn


class AddedDetail(SequenceGenerator):
    """A generator whose residual is that of ``base``, plus that of ``detailed``, less that of ``plain``.

    Each reproduces the measured slices after data consistency, which is an affine projection; so does the sum.

    Parameters
    ----------
    base : SequenceGenerator
        Closest to the truth; without detail of its own.
    plain, detailed : SequenceGenerator
        Another generator without and with its detail.
    """

    def __init__(self, base: SequenceGenerator, plain: SequenceGenerator, detailed: SequenceGenerator) -> None:
        super().__init__()
        self.config = base.config
        self.base, self.detailed, self.plain = base, detailed, plain

    @property
    def parts(self) -> tuple[SequenceGenerator, SequenceGenerator, SequenceGenerator]:
        """The three networks in the order of `SummedStream`."""
        return self.base, self.detailed, self.plain

    @property
    def capabilities(self) -> Capabilities:
        """Capabilities of the base, with the precisions that all three have."""
        base = self.base.capabilities
        precisions = (set(part.capabilities.precisions) for part in self.parts)
        shared = set.intersection(*precisions)
        return replace(base, precisions=tuple(one for one in base.precisions if one in shared))

    @property
    def reach(self) -> int:
        """The largest reach of the three."""
        return max(part.reach for part in self.parts)

    @property
    def slices_in_flight(self) -> int:
        """The sum over the three networks, in slices with the channels of the base."""
        held = sum(part.slices_in_flight * part.config.channels for part in self.parts)
        return math.ceil(held / self.config.channels)

    @property
    def delay(self) -> int:
        """The longest delay of the three."""
        return max(part.delay for part in self.parts)

    def residual_slices(self, tile: SequenceTile) -> SummedStream:
        """Return a stream of the sum, of a tile of the slice plane."""
        streams = [part.residual_slices(tile) for part in self.parts]
        return SummedStream(streams, [self.reach - part.reach for part in self.parts], tile.cut_edges)

    def halve_blocks(self) -> None:
        """See `SequenceGenerator.halve_blocks`."""
        for part in self.parts:
            part.halve_blocks()

    def round_blocks(self) -> None:
        """See `SequenceGenerator.round_blocks`."""
        for part in self.parts:
            part.round_blocks()


class SummedStream:
    """The first of three residuals, plus the second, less the third, a few slices at a time.

    Parameters
    ----------
    streams : sequence of ResidualSlices
        Streams of the same sequence.
    margins : sequence of int
        How many voxels less than the farthest each of them reaches; they are cut off its input.
    cut_edges : tuple of bool
        See `SliceStream`.
    """

    def __init__(
        self, streams: Sequence[ResidualSlices], margins: Sequence[int], cut_edges: tuple[bool, bool, bool, bool]
    ) -> None:
        self._streams = streams
        self._margins = margins
        self._cut_edges = cut_edges
        self._waiting: list[list[Tensor]] = [[] for _ in streams]

    def push(self, turn: Turn, lr: Tensor, following: Tensor | None) -> list[Tensor]:
        """As `ResidualStream.push`; networks that look less far ahead wait for the others."""
        found = []
        for stream, margin in zip(self._streams, self._margins, strict=True):
            behind = None if following is None else self._within(following, margin)
            found.append(stream.push(turn, self._within(lr, margin), behind))
        for parts, waiting in zip(found, self._waiting, strict=True):  # in the last section
            waiting.extend(parts)
        count = min(sum(part.shape[2] for part in waiting) for waiting in self._waiting)
        if not count:
            return []
        base, detailed, plain = (self._take(waiting, count) for waiting in self._waiting)
        return [base + (detailed - plain)]

    def _within(self, slices: Tensor, margin: int) -> Tensor:
        """Without what this network does not need at the cut edges."""
        top, bottom, left, right = (margin * cut for cut in self._cut_edges)
        return slices[:, :, :, top : slices.shape[3] - bottom, left : slices.shape[4] - right]

    @staticmethod
    def _take(waiting: list[Tensor], count: int) -> Tensor:
        """Remove the first slices from the waiting ones."""
        whole = torch.cat(waiting, dim=2)
        waiting[:] = [whole[:, :, count:]] if whole.shape[2] > count else []
        return whole[:, :, :count]
