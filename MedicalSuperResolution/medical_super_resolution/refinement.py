"""One axis of a volume refined, tile by tile, slice by slice, in bounded memory."""

from __future__ import annotations

import logging
import math

import numpy as np
import torch
from torch import Tensor

from .acquisition import SliceProfile
from .consistency import AxisModel
from .learning.blocks import in_memory_order
from .learning.generators.through_plane import ResidualStream, ThroughPlaneGenerator
from .output import Output
from .planning import Pass
from .volumes.grid import array_axis
from .volumes.intensity import IntensityRange
from .volumes.tiling import Tile, tiles
from .workbench import Workbench

logger = logging.getLogger(__name__)

_SLICES_A_PUSH = {"cpu": 8, "cuda": 16, "mps": 8}
_PLENTY = {"cpu": 128, "cuda": 512, "mps": 256}  # side of a tile beyond which nothing gets faster
_WORKING_COPIES = 8  # tensors of the size of one push that live at the same time inside a block
_COLUMN_COPIES = 4  # fine columns of a tile that live at the same time: residual, interpolation, projection, output
_BYTES = 4
_SMALLEST_SIDE = 16
_SAMPLE = (32, 96, 96)  # slices, rows, columns that the slice profile is read from
_ROUNDING = 1e-6  # of the range: what floating point leaves of a constant after a pass


class Refiner:
    """Runs a generator along one axis of a volume after the other."""

    def __init__(self, generator: ThroughPlaneGenerator, bench: Workbench) -> None:
        self.generator = in_memory_order(generator.to(bench.device))
        self.bench = bench
        self._largest_side: int | None = None  # of a tile, once the device has run out of memory

    @torch.inference_mode()
    def refine(
        self,
        source: np.ndarray,
        one: Pass,
        into: np.ndarray,
        *,
        profile: SliceProfile,
        read: IntensityRange | None,
        write: Output | None,
    ) -> None:
        """Refine one axis of ``source`` into ``into``; ``read`` and ``write`` convert intensities.

        Where the graphics card runs out of memory the axis is begun again with smaller tiles, at last on the CPU.
        """
        done_before = self.bench.done
        while True:
            try:
                self._refine(source, one, into, profile=profile, read=read, write=write)
                return
            except torch.cuda.OutOfMemoryError:
                if self.bench.device.type == "cpu":
                    raise
                self.bench.done = done_before
                self._make_room(source, one)

    def _make_room(self, source: np.ndarray, one: Pass) -> None:
        axis = array_axis(one.axis)
        side = self._tile_side(source.shape[axis], one.target.shape_kji[axis]) // 2
        if side >= _SMALLEST_SIDE:
            logger.warning("the graphics card ran out of memory; going on with tiles of %d voxels", side)
            self._largest_side = side
        else:
            logger.warning("the graphics card ran out of memory; going on with the CPU")
            self.bench.device = torch.device("cpu")
            self.generator = self.generator.to(self.bench.device)

    def _refine(
        self,
        source: np.ndarray,
        one: Pass,
        into: np.ndarray,
        *,
        profile: SliceProfile,
        read: IntensityRange | None,
        write: Output | None,
    ) -> None:
        axis = array_axis(one.axis)
        slices, fine = np.moveaxis(source, axis, 0), np.moveaxis(into, axis, 0)
        linear = AxisModel(len(slices), len(fine), one.factor, profile, self.bench.device)
        side = self._tile_side(len(slices), len(fine))
        for tile in tiles(slices.shape[1:], side, self.generator.reach):
            with self.bench.timed("transfer"):
                part = slices[:, tile.outer_j, tile.outer_i]
                lr = torch.from_numpy(read.normalised(part) if read else np.ascontiguousarray(part)).to(
                    self.bench.device
                )
            with self.bench.timed("network"):
                residual = self._residual_of_tile(lr, tile, linear, one.factor, profile.thickness)
            measured = lr[:, tile.inner_j, tile.inner_i]
            with self.bench.timed("interpolation"):
                sr = linear.interpolated(measured).add_(residual)
            with self.bench.timed("consistency"):
                if self.bench.settings.consistency:
                    sr = linear.projected(sr, measured)
            with self.bench.timed("output"):
                fine[:, tile.core_j, tile.core_i] = sr.cpu().numpy() if write is None else write.stored(sr)

    @torch.inference_mode()
    def profile_width(self, source: np.ndarray, axis: str, thickness: float, read: IntensityRange) -> float:
        """Full width at half maximum of the slice profile, in slice distances, as a sample from the middle looks."""
        slices = np.moveaxis(source, array_axis(axis), 0)
        middle = slices[
            tuple(slice(max(0, (n - m) // 2), (n + m) // 2) for n, m in zip(slices.shape, _SAMPLE, strict=True))
        ]
        lr = torch.from_numpy(read.normalised(middle)).to(self.bench.device)
        return float(self.generator.gauge(self.generator.features(lr[None, None], thickness)))

    def _residual_of_tile(self, lr: Tensor, tile: Tile, linear: AxisModel, factor: float, thickness: float) -> Tensor:
        """(K, outer J, outer I) -> (M, core J, core I). Where nothing changes it is 0 and nothing is computed."""
        residual = lr.new_zeros(len(linear.positions), *lr.shape[1:])
        box = structured_box(lr, self.generator.reach)
        done_after = self.bench.done + len(lr) * tile.core_size
        if box is not None:
            k, j, i = box
            first, stop = (int(torch.searchsorted(linear.positions, end - 0.5)) for end in (k.start, k.stop))
            top, bottom, left, right = tile.cut_edges
            cut = (
                top and j.start == 0,
                bottom and j.stop == lr.shape[1],
                left and i.start == 0,
                right and i.stop == lr.shape[2],
            )
            positions = linear.positions[first:stop] - k.start
            stream = ResidualStream(self.generator, positions, factor, thickness, cut_edges=cut)
            found = self._pushed(stream, lr[k, j, i], done_after)
            row, column = j.start + cut[0] * self.generator.reach, i.start + cut[2] * self.generator.reach
            residual[first:stop, row : row + found.shape[1], column : column + found.shape[2]] = found
        self.bench.reach(done_after)
        return residual[:, tile.inner_j, tile.inner_i]

    def _pushed(self, stream: ResidualStream, lr: Tensor, done_after: int) -> Tensor:
        """All of a sequence (K, J, I) through a stream, a few slices at a time; (M, J, I) less what is trimmed."""
        parts = []
        done_before = self.bench.done
        step = _SLICES_A_PUSH[self.bench.device.type]
        for start in range(0, len(lr), step):
            stop = min(start + step, len(lr))
            following = lr[None, None, stop : stop + 1] if stop < len(lr) else None
            with self.bench.mixed_precision():
                part = stream.push(lr[None, None, start:stop], following)
            if part is not None:
                parts.append(part[0, 0])
            if stop < len(lr):
                self.bench.reach(done_before + (done_after - done_before) * stop // len(lr))
        return torch.cat(parts)

    def _tile_side(self, count: int, fine_count: int) -> int:
        """Side of the largest square tile, without its margin, that fits the memory there is."""
        config = self.generator.config
        slices = self.generator.slices_in_flight + _WORKING_COPIES * _SLICES_A_PUSH[self.bench.device.type]
        bytes_a_column = _BYTES * (slices * config.channels + _COLUMN_COPIES * (fine_count + count))
        side = math.isqrt(int(self.bench.working_bytes() / bytes_a_column)) - 2 * self.generator.reach
        plenty = _PLENTY[self.bench.device.type]
        return max(min(side, plenty, self._largest_side or side), _SMALLEST_SIDE)


def structured_box(lr: Tensor, margin: int) -> tuple[slice, slice, slice] | None:
    """The part of (K, J, I) slices outside which neighbours are the same, with a margin; None if there is none.

    Beyond it the generator's features are exactly 0, so that leaving it out is no approximation.
    """
    marks = [torch.zeros(count, dtype=torch.bool, device=lr.device) for count in lr.shape]
    for along in range(3):
        changes = torch.diff(lr, dim=along).abs_() > _ROUNDING
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            seen = changes.any(dim=others)
            marks[axis][: len(seen)] |= seen
    if not marks[0].any():
        return None
    ends = [mark.nonzero()[[0, -1], 0].tolist() for mark in marks]
    k, j, i = (
        slice(max(first - margin, 0), min(last + 2 + margin, count))
        for (first, last), count in zip(ends, lr.shape, strict=True)
    )
    return k, j, i
