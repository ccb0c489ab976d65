"""One tile through the network, slice by slice, in the memory of a few slices."""

from __future__ import annotations

import torch
from torch import Tensor

from ...networks.contracts import SequenceGenerator, SequenceTile
from ...networks.sections import Sections, Turn
from ...physics.projection import AxisModel, SliceBuffer
from ..context import ExecutionContext
from .axis_request import AxisRequest
from .fine_slices import SLICES_READ, FineSliceWriter, TileReader
from .foreground import foreground_box
from .tile_workers import Advance
from .tiling import Tile

SLICES_A_PUSH = {"cpu": 1, "cuda": 16, "mps": 8}  # on a CPU, single slices need no copies


class TileStream:
    """Refines one tile of the slice plane. Outside its foreground, such as in air, nothing is computed.

    Parameters
    ----------
    generator : SequenceGenerator
        On the device of the context.
    context : ExecutionContext
        Device, settings and timing.
    request : AxisRequest
        The axis to refine.
    tile : Tile
        The part of the slice plane.
    linear : AxisModel
        Interpolation and data consistency of the axis.
    """

    def __init__(
        self,
        generator: SequenceGenerator,
        context: ExecutionContext,
        request: AxisRequest,
        tile: Tile,
        linear: AxisModel,
    ) -> None:
        self.context = context
        self.request = request
        self.tile = tile
        count, reach, positions = len(request.regular_slices), generator.reach, linear.positions
        self._shape = (count, *(part.stop - part.start for part in (tile.outer_j, tile.outer_i)))
        regular = TileReader(context, request.regular_slices, tile.outer_j, tile.outer_i)
        self._buffer = SliceBuffer(regular, count=count, ahead=SLICES_READ)
        self._writer = FineSliceWriter(context, request, tile, linear, self._buffer)
        parts = (regular(start, min(start + SLICES_READ, count)) for start in range(0, count, SLICES_READ))
        box = foreground_box((part.clamp_(*request.window) for part in parts), self._shape, reach)
        self._box = box or (slice(0, 0), slice(0, 0), slice(0, 0))
        k, j, i = self._box
        top, bottom, left, right = tile.cut_edges
        cut = (
            top and j.start == 0,
            bottom and j.stop == self._shape[1],
            left and i.start == 0,
            right and i.stop == self._shape[2],
        )
        self._corner = (j.start + cut[0] * reach, i.start + cut[2] * reach)
        first, stop = (int(torch.searchsorted(positions, end - 0.5)) for end in (k.start, k.stop))
        self._zeros = (first, len(positions) - stop)  # fine slices before and after the foreground
        origin = (first, tile.outer_j.start + self._corner[0], tile.outer_i.start + self._corner[1])
        part, width = positions[first:stop] - k.start, request.profile.gaussian_width
        self._stream = generator.residual_slices(SequenceTile(part, request.axis_pass.factor, width, cut, origin))
        pushes = -(-(k.stop - k.start) // SLICES_A_PUSH[context.device.type])
        self._turns = pushes + generator.delay if box else 1
        self._sections = Sections()
        self._turns_begun = 0
        self._reported = 0  # measured slices

    def refine(self, advance: Advance) -> None:
        """Refine the tile, or the turns of it that no other thread has taken.

        Parameters
        ----------
        advance : callable
            Called with the number of measured voxels refined since the last call.
        """
        while self._take_turn(advance):
            pass

    def _take_turn(self, advance: Advance) -> bool:
        """Pass the next slices through the network and store the fine slices; return False if no turn is left."""
        with Turn(self._sections) as turn:
            number, self._turns_begun = self._turns_begun, self._turns_begun + 1
            if number >= self._turns:
                return False
            is_last = number == self._turns - 1
            found, reached = self._residual(turn, number)
            if number == 0:
                self._writer.add_zeros(self._zeros[0])
            for part in found:
                self._writer.add(self._core_of(part[0, 0]))
            if is_last:
                self._writer.add_zeros(self._zeros[1])
                self._writer.store()
                reached = self._shape[0]
            if reached > self._reported:
                advance((reached - self._reported) * self.tile.core_size)
                self._reported = reached
        return True

    def _residual(self, turn: Turn, number: int) -> tuple[list[Tensor], int]:
        """Fine slices of a turn, in parts (1, 1, m, J, I) less the trimmed edges, and measured slices read so far."""
        k, j, i = self._box
        if k.start == k.stop:
            return [], 0
        step = SLICES_A_PUSH[self.context.device.type]
        start = min(k.start + number * step, k.stop)
        stop = min(start + step, k.stop)
        turn.is_ending = start == stop
        lr = torch.empty((0, j.stop - j.start, i.stop - i.start), device=self.context.device, dtype=torch.float32)
        if not turn.is_ending:
            lr = self._buffer(start, min(stop + 1, k.stop))[:, j, i].clamp(*self.request.window)
        lr = lr[None, None]
        following = lr[:, :, -1:] if stop < k.stop else None
        with self.context.timed("network"), self.context.mixed_precision():
            found = self._stream.push(turn, lr[:, :, : stop - start], following)
        return found, stop

    def _core_of(self, residual: Tensor) -> Tensor:
        """The core of the tile, (m, J, I), from the residual (m, J, I) of its foreground."""
        whole = residual.new_zeros(len(residual), *self._shape[1:])
        row, column = self._corner
        whole[:, row : row + residual.shape[1], column : column + residual.shape[2]] = residual
        return whole[:, self.tile.inner_j, self.tile.inner_i]
