"""The fine slices of one tile, in order, in the memory of a few slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ...networks.contracts import ResidualSlices, SequenceGenerator
from ...physics.projection import AxisModel, SliceBuffer, StreamingProjector
from ..context import ExecutionContext
from .axis_request import AxisRequest
from .foreground import foreground_box, where_slices_change
from .tiling import Tile

SLICES_A_PUSH = {"cpu": 1, "cuda": 16, "mps": 8}  # on a CPU, slices that come one by one are never copied
FINE_SLICES = 64  # interpolated, projected and written at a time
_SLICES_READ = 16


class TileStream:
    """Refines one tile of the slice plane.

    Parameters
    ----------
    generator : SequenceGenerator
        On the device of the context.
    context : ExecutionContext
        Device, settings, progress and timing.
    request : AxisRequest
        The axis to refine.
    tile : Tile
        The part of the slice plane.
    linear : AxisModel
        Interpolation and data consistency of the axis.
    reach_slice : callable
        Called with how many measured slices are done.
    """

    def __init__(
        self,
        generator: SequenceGenerator,
        context: ExecutionContext,
        request: AxisRequest,
        tile: Tile,
        linear: AxisModel,
        reach_slice: Callable[[int], None],
    ) -> None:
        self.generator = generator
        self.context = context
        self.request = request
        self.tile = tile
        self.linear = linear
        self.reach_slice = reach_slice
        self._count = len(request.even_slices)
        self._buffer = SliceBuffer(self._even, count=self._count, ahead=_SLICES_READ)
        self._measured_buffer: SliceBuffer | None = None
        if (measured := request.measured_slices) is not None:
            self._measured_buffer = SliceBuffer(self._measured, count=len(measured), ahead=_SLICES_READ)

    def fine_slices(self) -> Iterator[Tensor]:
        """Yield the fine slices of the core, (m, core J, core I), in parts."""
        projector = StreamingProjector(
            self.linear,
            lambda start, stop: self._buffer(start, stop)[:, self.tile.inner_j, self.tile.inner_i],
            consistency=self.context.settings.consistency,
            measured=self._measured_buffer,
        )
        done = 0
        for residual in joined_up(self._residuals(), FINE_SLICES):
            with self.context.timed("interpolation"):
                positions = self.linear.positions[done : done + len(residual)]
                residual = where_slices_change(residual, self._buffer, self._count, positions, self.tile)
                done += len(residual)
                fine = projector.interpolated(residual)
            with self.context.timed("consistency"):
                sr = projector.push(fine)
            if sr is not None:
                yield sr
            self._buffer.forget(projector.needed)
            if self._measured_buffer is not None:
                self._measured_buffer.forget(projector.known)

    def _even(self, start: int, stop: int) -> Tensor:
        """Some even slices of the outer part of the tile, normalised, on the device."""
        with self.context.timed("transfer"):
            lr = self.request.even_slices(start, stop, self.tile.outer_j, self.tile.outer_i)
            return torch.from_numpy(lr).to(self.context.device)

    def _measured(self, start: int, stop: int) -> Tensor:
        """Some measured slices of the core of the tile, where they do not lie at even places."""
        assert self.request.measured_slices is not None
        with self.context.timed("transfer"):
            lr = self.request.measured_slices(start, stop, self.tile.core_j, self.tile.core_i)
            return torch.from_numpy(lr).to(self.context.device)

    def _residuals(self) -> Iterator[Tensor]:
        """Yield what the network adds, in parts. Outside the foreground it is 0 and nothing is computed."""
        tile, positions, reach = self.tile, self.linear.positions, self.generator.reach
        count, total, window = self._count, len(positions), self.request.window
        shape = (count, *(part.stop - part.start for part in (tile.outer_j, tile.outer_i)))
        parts = (self._even(start, min(start + _SLICES_READ, count)) for start in range(0, count, _SLICES_READ))
        box = foreground_box((part.clamp_(*window) for part in parts), shape, reach)
        k, j, i = box or (slice(0, 0), slice(0, 0), slice(0, 0))
        first, stop = (int(torch.searchsorted(positions, end - 0.5)) for end in (k.start, k.stop))
        yield from self._zeros(first)
        if box is not None:
            top, bottom, left, right = tile.cut_edges
            cut = (
                top and j.start == 0,
                bottom and j.stop == shape[1],
                left and i.start == 0,
                right and i.stop == shape[2],
            )
            width, factor = self.request.profile.gaussian_width, self.request.one.factor
            row, column = j.start + cut[0] * reach, i.start + cut[2] * reach
            origin = (first, tile.outer_j.start + row, tile.outer_i.start + column)
            part = positions[first:stop] - k.start
            stream = self.generator.residual_slices(part, factor, width, cut_edges=cut, origin=origin)
            for found in self._pushed(stream, lambda start, end: self._buffer(start, end)[:, j, i].clamp(*window), k):
                residual = found.new_zeros(len(found), *shape[1:])
                residual[:, row : row + found.shape[1], column : column + found.shape[2]] = found
                yield residual[:, tile.inner_j, tile.inner_i]
        yield from self._zeros(total - max(first, stop))

    def _zeros(self, count: int) -> Iterator[Tensor]:
        """Yield ``count`` slices of zeros, in parts, without memory for them."""
        core = (self.tile.core_j.stop - self.tile.core_j.start, self.tile.core_i.stop - self.tile.core_i.start)
        zero = torch.zeros((1, 1, 1), device=self.context.device)
        for start in range(0, count, FINE_SLICES):
            yield zero.expand(min(FINE_SLICES, count - start), *core)

    def _pushed(self, stream: ResidualSlices, slices: Callable[[int, int], Tensor], k: slice) -> Iterator[Tensor]:
        """The slices ``k`` of a sequence through a stream, a few at a time; (m, J, I) less what is trimmed."""
        step = SLICES_A_PUSH[self.context.device.type]
        for start in range(k.start, k.stop, step):
            stop = min(start + step, k.stop)
            lr = slices(start, min(stop + 1, k.stop))[None, None]
            following = lr[:, :, -1:] if stop < k.stop else None
            with self.context.timed("network"), self.context.mixed_precision():
                found = list(stream.push(lr[:, :, : stop - start], following))
            self.reach_slice(stop)
            yield from (part[0, 0] for part in found)


def joined_up(parts: Iterator[Tensor], enough: int) -> Iterator[Tensor]:
    """The same slices (m, J, I) in fewer parts: at least ``enough`` slices in each but the last."""
    waiting: list[Tensor] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= enough:
            yield torch.cat(waiting)
            waiting = []
    if waiting:
        yield torch.cat(waiting)
