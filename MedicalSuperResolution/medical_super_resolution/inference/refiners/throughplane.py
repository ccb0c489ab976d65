"""Refinement of one axis after the other, tile by tile and slice by slice, in bounded memory."""

from __future__ import annotations

import copy
import logging
import math

import numpy as np
import torch

from ...networks.blocks import in_memory_order
from ...networks.contracts import SequenceGenerator
from ...physics.projection import AxisModel
from ...system.memory import return_freed_blocks
from ...volumes.memmap import Allocator
from ..context import ExecutionContext
from .axis_request import AxisRequest, VolumeRequest
from .fine_slices import FINE_SLICES
from .tile_stream import SLICES_A_PUSH, TileStream
from .tile_workers import TileWorkers, largest_divisor
from .tiling import tiles

logger = logging.getLogger(__name__)

_LARGEST_SIDE = {"cpu": 256, "cuda": 512, "mps": 256}  # of a tile; beyond it nothing gets faster
_SMALLEST_SIDE = 16
_MOST_WORKERS = 8
_WORKING_COPIES = 8  # tensors of the size of one push that live at the same time inside a block
_COLUMN_SAMPLES = 8 * FINE_SLICES  # float32 samples of a column that live at the same time outside the network


class SequenceRefiner:
    """Runs a generator along one axis of a volume after the other.

    Parameters
    ----------
    generator : SequenceGenerator
        The generator, of which a copy is used.
    context : ExecutionContext
        Device, precision, memory and progress.
    """

    def __init__(self, generator: SequenceGenerator, context: ExecutionContext) -> None:
        self._exact = generator
        self.context = context
        self.generator = self._prepared()

    def _prepared(self) -> SequenceGenerator:
        """A copy of the generator on its device."""
        generator = copy.deepcopy(self._exact).to(self.context.device)
        if self.context.device.type == "cpu" and self.context.is_mixed:
            generator.halve_blocks()
        elif self.context.precision == "int8":
            generator.round_blocks()
        return in_memory_order(generator)

    def refined(self, request: VolumeRequest, allocator: Allocator) -> np.ndarray:
        """Refine a volume, one pass after the other, (K, J, I) in the type of the request's denormalizer."""
        passes, denormalizer, array = request.planned.passes, request.denormalizer, request.array
        for axis_pass in passes:
            is_first, is_last = axis_pass is passes[0], axis_pass is passes[-1]
            result = allocator(axis_pass.target.shape_kji, denormalizer.dtype if is_last else np.dtype(np.float32))
            axis_request = AxisRequest(
                array,
                axis_pass,
                result,
                request.profiles[axis_pass.axis],
                request.window,
                intensities=denormalizer.measured if is_first else None,
                denormalizer=denormalizer if is_last else None,
                padding=request.padding,
                measured=request.measured if is_first and axis_pass.axis == "k" else None,
            )
            self.refine(axis_request)
            array = result
        return array

    @torch.inference_mode()
    def refine(self, request: AxisRequest) -> None:
        """Refine one axis.

        If the graphics card runs out of memory, the axis is started again with smaller tiles, finally on the CPU.
        """
        self.context.retry_with_less_memory(lambda: self._refine(request), self._shrink)

    def _shrink(self) -> None:
        side = self._tile_side() // 2
        if side >= _SMALLEST_SIDE:
            logger.warning("the graphics card ran out of memory; going on with tiles of %d voxels", side)
            self.context.tile_limit = side
        else:
            logger.warning("the graphics card ran out of memory; going on with the CPU")
            self.context.move_to_cpu()
            self.generator = self._prepared()

    def _refine(self, request: AxisRequest) -> None:
        slices, measured, fine_count = request.regular_slices, request.measured, len(request.fine)
        where = (measured.places, measured.thickness) if measured else ()
        linear = AxisModel(
            len(slices), fine_count, request.axis_pass.factor, request.profile, self.context.device, *where
        )
        return_freed_blocks()  # memory that computing the matrices of a long axis took
        threads = torch.get_num_threads() if self.context.device.type == "cpu" else 1
        workers = largest_divisor(threads, _MOST_WORKERS)
        cut = tiles(slices.slices.shape[1:], self._tile_side(workers), self.generator.reach)
        streams = (TileStream(self.generator, self.context, request, tile, linear) for tile in cut)
        if workers == 1:
            for stream in streams:
                stream.refine(self.context.advance)
            return
        self.context.workers = workers
        try:
            TileWorkers(streams).run(workers, self.context.advance)
        finally:
            self.context.workers = 1

    def _tile_side(self, workers: int = 1) -> int:
        """Side of the largest square tile, without its margin, that fits into memory with ``workers`` threads on it."""
        device = self.context.device.type
        slices = self.generator.slices_in_flight + _WORKING_COPIES * SLICES_A_PUSH[device] * workers
        bytes_a_sample = 2 if self.context.is_mixed and device != "cpu" else 4  # on a CPU, waiting features are float32
        bytes_a_column = bytes_a_sample * slices * self.generator.config.channels + 4 * _COLUMN_SAMPLES
        side = math.isqrt(int(self.context.working_bytes() / bytes_a_column)) - 2 * self.generator.reach
        return max(min(side, _LARGEST_SIDE[device], self.context.tile_limit or side), _SMALLEST_SIDE)
