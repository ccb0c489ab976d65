"""What the network adds to a tile, brought onto interpolated and measured slices and stored, in order."""

from __future__ import annotations

import torch
from torch import Tensor

from ...physics.projection import AxisModel, SliceBuffer, StreamingProjector
from ...system.memory import return_freed_blocks
from ..context import ExecutionContext
from .axis_request import AxisRequest
from .foreground import where_slices_change
from .tiling import Tile

FINE_SLICES = 64  # interpolated, projected and written at a time
SLICES_READ = 16  # at a time


class FineSlices:
    """Takes the residual of a tile, a few slices at a time, and stores the slices that are final.

    Parameters
    ----------
    context : ExecutionContext
        Device, settings and timing.
    request : AxisRequest
        Takes the result.
    tile : Tile
        The part of the slice plane.
    linear : AxisModel
        Interpolation and data consistency of the axis.
    even : SliceBuffer
        Even slices of the outer part of the tile; it is told which are not needed any more.
    """

    def __init__(
        self, context: ExecutionContext, request: AxisRequest, tile: Tile, linear: AxisModel, even: SliceBuffer
    ) -> None:
        self.context = context
        self.request = request
        self.tile = tile
        self.linear = linear
        self._even = even
        self._measured: SliceBuffer | None = None
        if (measured := request.measured_slices) is not None:
            self._measured = SliceBuffer(self._read_measured, count=len(measured), ahead=SLICES_READ)
        self._projector = StreamingProjector(
            linear,
            lambda start, stop: even(start, stop)[:, tile.inner_j, tile.inner_i],
            consistency=context.settings.consistency,
            measured=self._measured,
        )
        self._waiting: list[Tensor] = []
        self._interpolated = self._stored = 0  # slices

    def add(self, residual: Tensor) -> None:
        """The residual of the next slices of the core, (m, J, I)."""
        self._waiting.append(residual)
        if sum(map(len, self._waiting)) >= FINE_SLICES:
            self.store()

    def add_zeros(self, count: int) -> None:
        """The next ``count`` slices have no residual; that takes no memory."""
        core = (self.tile.core_j.stop - self.tile.core_j.start, self.tile.core_i.stop - self.tile.core_i.start)
        zero = torch.zeros((1, 1, 1), device=self.context.device)
        for start in range(0, count, FINE_SLICES):
            self.add(zero.expand(min(FINE_SLICES, count - start), *core))

    def store(self) -> None:
        """Interpolate what was added, and store what no further slice can change."""
        if not self._waiting:
            return
        residual, self._waiting = torch.cat(self._waiting), []
        with self.context.timed("interpolation"):
            positions = self.linear.positions[self._interpolated : self._interpolated + len(residual)]
            count = len(self.request.even_slices)
            residual = where_slices_change(residual, self._even, count, positions, self.tile)
            self._interpolated += len(residual)
            fine = self._projector.interpolated(residual)
        with self.context.timed("consistency"):
            sr = self._projector.push(fine)
        if sr is not None:
            with self.context.timed("output"):
                self.request.store(sr, self._stored, self.tile.core_j, self.tile.core_i)
            self._stored += len(sr)
        self._even.forget(self._projector.needed)
        if self._measured is not None:
            self._measured.forget(self._projector.known)
        return_freed_blocks()  # those that no tensor of the network fits into any more, and soon others

    def _read_measured(self, start: int, stop: int) -> Tensor:
        """Some measured slices of the core of the tile, where they do not lie at even places."""
        assert self.request.measured_slices is not None
        with self.context.timed("transfer"):
            lr = self.request.measured_slices(start, stop, self.tile.core_j, self.tile.core_i)
            return torch.from_numpy(lr).to(self.context.device)
