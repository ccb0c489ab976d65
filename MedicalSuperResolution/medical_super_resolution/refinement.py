"""One axis of a volume refined, tile by tile, slice by slice, in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .consistency import AxisModel
from .learning.blocks import in_memory_order
from .learning.generators.through_plane import ResidualStream, ThroughPlaneGenerator
from .planning import Pass, Plan
from .progress import Progress
from .settings import EnhanceSettings
from .volumes.grid import array_axis
from .volumes.intensity import IntensityRange
from .volumes.tiling import Tile, tiles

_SLICES_A_PUSH = {"cpu": 4, "cuda": 16, "mps": 8}
_WORKING_COPIES = 8  # tensors of the size of one push that live at the same time inside a block
_COLUMN_COPIES = 4  # fine columns of a tile that live at the same time: residual, interpolation, projection, output
_BYTES = 4


@dataclass(frozen=True)
class Output:
    """From the network's range back to the units and type of the volume.

    floor : values below it are raised to it; None lets them be.
    """

    measured: IntensityRange
    dtype: np.dtype
    floor: float | None

    def stored(self, sr: Tensor) -> np.ndarray:
        """Values as the file will hold them: integers are rounded and never wrap around."""
        if self.dtype.itemsize > 2 and self.dtype != np.float32:
            sr = sr.cpu().double()  # float32 does not hold every 32-bit integer
        values = sr.mul_(self.measured.high - self.measured.low).add_(self.measured.low).clamp_(min=self.floor)
        if self.dtype.kind == "f":
            return values.cpu().numpy().astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        rounded = values.round_().cpu().numpy()
        low, high = rounded.dtype.type(limits.min), rounded.dtype.type(limits.max)
        if float(high) > limits.max:  # the largest 64-bit integers are no floating numbers
            high = np.nextafter(high, rounded.dtype.type(0))
        return rounded.clip(low, high).astype(self.dtype)


class Refiner:
    """Runs the passes of one plan, and says how far it is."""

    def __init__(
        self,
        generator: ThroughPlaneGenerator,
        settings: EnhanceSettings,
        device: torch.device,
        planned: Plan,
        progress: Progress,
    ) -> None:
        self.generator = in_memory_order(generator.to(device))
        self.settings = settings
        self.device = device
        self.progress = progress
        self.done = 0
        self.total = sum(math.prod(one.source.shape_kji) for one in planned.passes)
        progress(0, self.total)

    @torch.inference_mode()
    def refine(
        self,
        source: np.ndarray,
        one: Pass,
        into: np.ndarray,
        *,
        thickness: float,
        read: IntensityRange | None,
        write: Output | None,
    ) -> None:
        """Refine one axis of ``source`` into ``into``, tile by tile; ``read`` and ``write`` convert intensities."""
        axis = array_axis(one.axis)
        slices, fine = np.moveaxis(source, axis, 0), np.moveaxis(into, axis, 0)
        linear = AxisModel(len(slices), len(fine), one.factor, thickness, "gaussian", self.device)
        side = self._tile_side(len(slices), len(fine))
        for tile in tiles(slices.shape[1:], side, self.generator.reach):
            part = slices[:, tile.outer_j, tile.outer_i]
            lr = torch.from_numpy(read.normalised(part) if read else np.ascontiguousarray(part)).to(self.device)
            residual = self._residual_of_tile(lr, tile, linear, one.factor, thickness)
            measured = lr[:, tile.inner_j, tile.inner_i]
            sr = linear.interpolated(measured).add_(residual)
            if self.settings.consistency:
                sr = linear.projected(sr, measured)
            fine[:, tile.core_j, tile.core_i] = sr.cpu().numpy() if write is None else write.stored(sr)

    def _residual_of_tile(self, lr: Tensor, tile: Tile, linear: AxisModel, factor: float, thickness: float) -> Tensor:
        """(K, outer J, outer I) -> (M, core J, core I)."""
        stream = ResidualStream(self.generator, linear.positions, factor, thickness, cut_edges=tile.cut_edges)
        step = _SLICES_A_PUSH[self.device.type]
        parts = []
        for start in range(0, len(lr), step):
            stop = min(start + step, len(lr))
            following = lr[None, None, stop : stop + 1] if stop < len(lr) else None
            with torch.autocast("cuda", enabled=self.device.type == "cuda"):
                part = stream.push(lr[None, None, start:stop], following)
            if part is not None:
                parts.append(part[0, 0])
            self.done += (stop - start) * tile.core_size
            self.progress(self.done, self.total)
        return torch.cat(parts)[(slice(None), *tile.trimmed(self.generator.reach))]

    def _tile_side(self, count: int, fine_count: int) -> int:
        """Side of the largest square tile, without its margin, that fits the memory the user gave."""
        config = self.generator.config
        slices = self.generator.slices_in_flight + _WORKING_COPIES * _SLICES_A_PUSH[self.device.type]
        bytes_a_column = _BYTES * (slices * config.channels + _COLUMN_COPIES * (fine_count + count))
        side = math.isqrt(int(self.settings.memory_gb * 1e9 / bytes_a_column))
        return max(side - 2 * self.generator.reach, 16)
