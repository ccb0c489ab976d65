"""The fine slices of a tile in order: interpolation plus residual, made consistent with the measured slices, stored."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...physics.projection import AxisModel, SliceBuffer, StreamingProjector
from ..context import ExecutionContext
from .axis_request import AxisRequest, SliceReader
from .foreground import where_slices_change
from .tiling import Tile

FINE_SLICES = 64  # interpolated, projected and written at a time
SLICES_READ = 16  # at a time


@dataclass(frozen=True, eq=False)
class TileReader:
    """Reads slices of a tile, normalized, onto the device.

    It holds no reference to the tile's stream, so that the memory of a finished stream is freed at once.

    Parameters
    ----------
    context : ExecutionContext
        Device and timing.
    slices : SliceReader
        Reads whole slices.
    rows, columns : slice
        The part of them that the tile covers.
    """

    context: ExecutionContext
    slices: SliceReader
    rows: slice
    columns: slice

    def __call__(self, start: int, stop: int) -> Tensor:
        """The slices from ``start`` up to ``stop``, (k, J, I)."""
        with self.context.timed("transfer"):
            return torch.from_numpy(self.slices(start, stop, self.rows, self.columns)).to(self.context.device)


class FineSliceWriter:
    """Adds the residual of a tile to the interpolation, a few slices at a time, and writes finished slices.

    Parameters
    ----------
    context : ExecutionContext
        Device, settings and timing.
    request : AxisRequest
        The axis to refine, whose result is filled.
    tile : Tile
        The part of the slice plane.
    linear : AxisModel
        Interpolation and data consistency of the axis.
    regular : SliceBuffer
        Regularly spaced slices of the outer part of the tile; those no longer needed are dropped from it.
    """

    def __init__(
        self, context: ExecutionContext, request: AxisRequest, tile: Tile, linear: AxisModel, regular: SliceBuffer
    ) -> None:
        self.context = context
        self.request = request
        self.tile = tile
        self.linear = linear
        self._regular = regular
        self._measured: SliceBuffer | None = None
        if (measured := request.measured_slices) is not None:
            read = TileReader(context, measured, tile.core_j, tile.core_i)
            self._measured = SliceBuffer(read, count=len(measured), ahead=SLICES_READ)
        self._projector = StreamingProjector(
            linear,
            lambda start, stop: regular(start, stop)[:, tile.inner_j, tile.inner_i],
            consistency=context.settings.consistency,
            measured=self._measured,
        )
        rows, columns = (part.stop - part.start for part in (tile.core_j, tile.core_i))
        self._residual = torch.zeros((FINE_SLICES, rows, columns), device=context.device, dtype=torch.float32)
        self._waiting = 0
        self._interpolated = self._stored = 0  # slices

    def add(self, residual: Tensor) -> None:
        """Add the residual of the next slices of the core, (m, J, I)."""
        while len(residual):
            part = residual[: FINE_SLICES - self._waiting]
            self._residual[self._waiting : self._waiting + len(part)] = part
            self._waiting += len(part)
            residual = residual[len(part) :]
            if self._waiting == FINE_SLICES:
                self.store()

    def add_zeros(self, count: int) -> None:
        """Add ``count`` slices without residual."""
        self.add(self._residual.new_zeros(1, 1, 1).expand(count, *self._residual.shape[1:]))

    def store(self) -> None:
        """Interpolate the added slices, and store those that no later slice can change."""
        if not self._waiting:
            return
        residual, self._waiting = self._residual[: self._waiting], 0
        with self.context.timed("interpolation"):
            positions = self.linear.positions[self._interpolated : self._interpolated + len(residual)]
            count = len(self.request.regular_slices)
            residual = where_slices_change(residual, self._regular, count, positions, self.tile)
            self._interpolated += len(residual)
            fine = self._projector.interpolated(residual)
        with self.context.timed("consistency"):
            sr = self._projector.push(fine)
            del fine  # storing takes memory, too
        if sr is not None:
            with self.context.timed("output"):
                self.request.store(sr, self._stored, self.tile.core_j, self.tile.core_i)
            self._stored += len(sr)
        self._regular.forget(self._projector.needed)
        if self._measured is not None:
            self._measured.forget(self._projector.known)
