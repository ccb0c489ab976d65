"""One axis of a volume refined, tile by tile, slice by slice, in bounded memory."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from ..networks.blocks import in_memory_order
from ..networks.generators.through_plane import ResidualStream, ThroughPlaneGenerator
from ..physics.projection import AxisModel, SliceBuffer, StreamingProjector
from ..system.memory import return_freed_blocks
from ..volumes.grid import array_axis
from ..volumes.intensity import IntensityRange
from .axis_request import AxisRequest
from .context import ExecutionContext
from .foreground import foreground_box, where_slices_change
from .tiling import Tile, tiles

logger = logging.getLogger(__name__)

_SLICES_A_PUSH = {"cpu": 1, "cuda": 16, "mps": 8}  # on a CPU, slices that come one by one are never copied
_PLENTY = {"cpu": 256, "cuda": 512, "mps": 256}  # side of a tile beyond which nothing gets faster
_WORKING_COPIES = 8  # tensors of the size of one push that live at the same time inside a block
_SLICES_READ = 16
_FINE_SLICES = 64  # interpolated, projected and written at a time
_COLUMN_SAMPLES = 8 * _FINE_SLICES  # float32 samples of a column that live at the same time outside the network
_SMALLEST_SIDE = 16
_SAMPLE_SHAPE = (8, 32, 32)  # voxels of the samples that the slice profile is read from
_SAMPLE_PLACES = (0.25, 0.42, 0.58, 0.75)  # of their middles along J and I, as shares of the plane


class Refiner:
    """Runs a generator along one axis of a volume after the other."""

    def __init__(self, generator: ThroughPlaneGenerator, context: ExecutionContext) -> None:
        self._exact = generator
        self.context = context
        self.generator = self._prepared()
        self._largest_side: int | None = None  # of a tile, once the device has run out of memory

    def _prepared(self) -> ThroughPlaneGenerator:
        """The generator on its device; on a CPU, half precision is for the convolutions inside the blocks alone.

        What they add to, first differences and the weights of the fine slices stay exact.
        """
        generator = self._exact.to(self.context.device)
        if self.context.is_mixed and self.context.device.type == "cpu":
            generator = copy.deepcopy(generator).to(torch.bfloat16)
            generator.kernel.float()
            generator.stem.float()
            generator.gauge.float()
        return in_memory_order(generator)

    @torch.inference_mode()
    def refine(self, request: AxisRequest) -> None:
        """Refine one axis.

        Where the graphics card runs out of memory the axis is begun again with smaller tiles, at last on the CPU.
        """
        done_before = self.context.done
        while True:
            try:
                self._refine(request)
                return
            except torch.cuda.OutOfMemoryError:
                if self.context.device.type == "cpu":
                    raise
                self.context.done = done_before
                self._make_room()

    def _make_room(self) -> None:
        side = self._tile_side() // 2
        if side >= _SMALLEST_SIDE:
            logger.warning("the graphics card ran out of memory; going on with tiles of %d voxels", side)
            self._largest_side = side
        else:
            logger.warning("the graphics card ran out of memory; going on with the CPU")
            self.context.device = torch.device("cpu")
            self.generator = self._prepared()

    def _refine(self, request: AxisRequest) -> None:
        slices, fine_count = request.slices, len(request.fine)
        linear = AxisModel(len(slices), fine_count, request.one.factor, request.profile, self.context.device)
        return_freed_blocks()  # what it took to make the matrices of a long axis
        side = self._tile_side()
        for tile in tiles(slices.shape[1:], side, self.generator.reach):
            self.context.begin_tile(tile.core_size)
            written = 0
            for sr in self._tile(request, tile, linear):
                with self.context.timed("output"):
                    request.store(sr, written, tile.core_j, tile.core_i)
                written += len(sr)
            self.context.reach_slice(len(slices))

    def _tile(self, request: AxisRequest, tile: Tile, linear: AxisModel) -> Iterator[Tensor]:
        """The fine slices of one tile, (m, core J, core I), in parts."""

        def measured(start: int, stop: int) -> Tensor:
            with self.context.timed("transfer"):
                lr = request.measured(start, stop, tile.outer_j, tile.outer_i)
                return torch.from_numpy(lr).to(self.context.device)

        buffer = SliceBuffer(measured, count=len(request.slices), ahead=_SLICES_READ)
        projector = StreamingProjector(
            linear,
            lambda start, stop: buffer(start, stop)[:, tile.inner_j, tile.inner_i],
            consistency=self.context.settings.consistency,
        )
        residuals = self._residuals(measured, buffer, tile, linear, request)
        given = 0
        for residual in joined_up(residuals, _FINE_SLICES):
            with self.context.timed("interpolation"):
                places = linear.positions[given : given + len(residual)]
                residual = where_slices_change(residual, buffer, len(request.slices), places, tile)
                given += len(residual)
                fine = projector.interpolated(residual)
            with self.context.timed("consistency"):
                sr = projector.push(fine)
            if sr is not None:
                yield sr
            buffer.forget(projector.needed)

    def _residuals(
        self,
        measured: Callable[[int, int], Tensor],
        buffer: SliceBuffer,
        tile: Tile,
        linear: AxisModel,
        request: AxisRequest,
    ) -> Iterator[Tensor]:
        """What the network adds to one tile, in parts. Where nothing changes it is 0 and nothing is computed."""
        count, total = linear.cubic.shape[1], len(linear.positions)
        shape = (count, *(part.stop - part.start for part in (tile.outer_j, tile.outer_i)))
        parts = (measured(start, min(start + _SLICES_READ, count)) for start in range(0, count, _SLICES_READ))
        box = foreground_box((part.clamp_(*request.window) for part in parts), shape, self.generator.reach)
        k, j, i = box or (slice(0, 0), slice(0, 0), slice(0, 0))
        first, stop = (int(torch.searchsorted(linear.positions, end - 0.5)) for end in (k.start, k.stop))
        nothing = torch.zeros((1, 1, 1), device=self.context.device)
        core = (tile.core_j.stop - tile.core_j.start, tile.core_i.stop - tile.core_i.start)
        yield from (nothing.expand(len(part), *core) for part in torch.arange(first).split(_FINE_SLICES) if len(part))
        if box is not None:
            top, bottom, left, right = tile.cut_edges
            cut = (
                top and j.start == 0,
                bottom and j.stop == shape[1],
                left and i.start == 0,
                right and i.stop == shape[2],
            )
            positions = linear.positions[first:stop] - k.start
            stream = ResidualStream(self.generator, positions, request.one.factor, request.profile.width, cut_edges=cut)
            row, column = j.start + cut[0] * self.generator.reach, i.start + cut[2] * self.generator.reach
            for found in self._pushed(stream, lambda start, end: buffer(start, end)[:, j, i].clamp(*request.window), k):
                residual = found.new_zeros(len(found), *shape[1:])
                residual[:, row : row + found.shape[1], column : column + found.shape[2]] = found
                yield residual[:, tile.inner_j, tile.inner_i]
        rest = torch.arange(total - max(first, stop))
        yield from (nothing.expand(len(part), *core) for part in rest.split(_FINE_SLICES) if len(part))

    def _pushed(self, stream: ResidualStream, slices: Callable[[int, int], Tensor], k: slice) -> Iterator[Tensor]:
        """The slices ``k`` of a sequence through a stream, a few at a time; (m, J, I) less what is trimmed."""
        step = _SLICES_A_PUSH[self.context.device.type]
        for start in range(k.start, k.stop, step):
            stop = min(start + step, k.stop)
            lr = slices(start, min(stop + 1, k.stop))[None, None]
            following = lr[:, :, -1:] if stop < k.stop else None
            with self.context.timed("network"), self.context.mixed_precision():
                found = list(stream.push(lr[:, :, : stop - start], following))
            self.context.reach_slice(stop)
            yield from (part[0, 0] for part in found)

    @torch.inference_mode()
    def profile_width(self, source: np.ndarray, axis: str, thickness: float, read: IntensityRange) -> float:
        """Full width at half maximum of the slice profile, in slice distances, as samples of the volume look."""
        samples = torch.from_numpy(read.normalised(_scattered(np.moveaxis(source, array_axis(axis), 0))))
        with self.context.timed("network"), self.context.mixed_precision():
            features = (self.generator.features(one[None, None], thickness) for one in samples.to(self.context.device))
            votes = torch.cat([self.generator.gauge.votes(one.float()) for one in features])
        opinions, weights = votes.sum(dim=0).tolist()
        return (opinions + 1e-9) / (weights + 1e-9)

    def _tile_side(self) -> int:
        """Side of the largest square tile, without its margin, that fits the memory there is."""
        device = self.context.device.type
        slices = self.generator.slices_in_flight + _WORKING_COPIES * _SLICES_A_PUSH[device]
        bytes_a_sample = 2 if self.context.is_mixed and device != "cpu" else 4  # what lies in wait there is exact
        bytes_a_column = bytes_a_sample * slices * self.generator.config.channels + 4 * _COLUMN_SAMPLES
        side = math.isqrt(int(self.context.working_bytes() / bytes_a_column)) - 2 * self.generator.reach
        return max(min(side, _PLENTY[device], self._largest_side or side), _SMALLEST_SIDE)


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


def _scattered(slices: np.ndarray) -> np.ndarray:
    """Samples of (K, J, I) slices from all over the plane, (N, k, j, i): one organ alone may look blurred."""
    shape = tuple(min(size, count) for size, count in zip(_SAMPLE_SHAPE, slices.shape, strict=True))
    k = (slices.shape[0] - shape[0]) // 2
    starts = [
        [min(max(int(place * count - size / 2), 0), count - size) for place in _SAMPLE_PLACES]
        for size, count in zip(shape[1:], slices.shape[1:], strict=True)
    ]
    places = ((j, i) for j in starts[0] for i in starts[1])
    return np.stack([slices[k : k + shape[0], j : j + shape[1], i : i + shape[2]] for j, i in places])
