"""The residual of a slice sequence, computed a few slices at a time in the memory of a few slices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from .contracts import SequenceTile
from .sections import Turn
from .streaming import SliceStream, SliceTurn


class SliceNetwork(Protocol):
    """The parts of a network that a stream calls one after the other; see `ThroughPlaneGenerator`."""

    def features(self, lr: Tensor, profile_width: float, sequence: SliceTurn, following: Tensor | None) -> Tensor:
        """Compute the features of slices."""

    def between(self, before: Tensor, after: Tensor, positions: Tensor, factor: float, profile_width: float) -> Tensor:
        """Compute the residual between slices."""

    def textured(
        self, smooth: Tensor, before: Tensor, after: Tensor, positions: Tensor, *, origin: tuple[int, int, int]
    ) -> Tensor:
        """Add random texture."""


class ResidualStream:
    """The residual of one sequence, computed a few slices in each turn; several threads may take turns.

    The turns with slices are followed by `delay` turns without, which flush the pipeline.

    Parameters
    ----------
    network : SliceNetwork
        Computes features and residual.
    tile : SequenceTile
        The output slices to compute.
    """

    def __init__(self, network: SliceNetwork, tile: SequenceTile) -> None:
        self.network = network
        self.tile = tile
        self._stream = SliceStream(tile.cut_edges)
        self._previous: Tensor | None = None  # features of the last slice so far
        self._pushed = 0  # slices
        self._done = 0  # slices whose features are computed
        self._written = 0  # output slices returned

    def push(self, turn: Turn, lr: Tensor, following: Tensor | None) -> list[Tensor]:
        """Take the next slices (N, 1, k, J, I), and return the next output slices (N, 1, m, J, I) in parts.

        Parameters
        ----------
        turn
            The turn of the calling thread; every turn passes through the same sections.
        following
            The slice after them; None at the end.
        """
        self._pushed += lr.shape[2]
        features = self.network.features(lr, self.tile.profile_width, SliceTurn(self._stream, turn), following)
        turn.next_section()
        found = list(self._outputs(features))
        if turn.is_ending and self._done == self._pushed and self._previous is not None:
            found += self._between(self._previous, self._previous, len(self.tile.positions))  # beyond the last slice
        return found

    def _outputs(self, features: Tensor) -> Iterator[Tensor]:
        """The output slices that can be computed with the next features."""
        if not features.shape[2]:
            return
        previous = features[:, :, :1] if self._previous is None else self._previous
        before = torch.cat([previous, features[:, :, :-1]], dim=2) if features.shape[2] > 1 else previous
        stop = int(torch.searchsorted(self.tile.positions, float(self._done + features.shape[2] - 1)))
        self._previous = features if features.shape[2] == 1 else features[:, :, -1:].clone()
        yield from self._between(before, features, stop)
        self._done += features.shape[2]

    def _between(self, before: Tensor, after: Tensor, stop: int) -> Iterator[Tensor]:
        """The output slices up to number ``stop``, which lie between the slices ``before`` and ``after``."""
        written, self._written = self._written, stop
        tile = self.tile
        positions = tile.positions[written:stop] - (self._done - 1)  # from the slice that opens the first interval
        if len(positions):
            smooth = self.network.between(before, after, positions, tile.factor, tile.profile_width)
            origin = (tile.origin[0] + written, *tile.origin[1:])
            yield self.network.textured(smooth, before, after, positions, origin=origin)
