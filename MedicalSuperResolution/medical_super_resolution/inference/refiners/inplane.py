"""Refinement of both in-plane axes at once, by networks that process slices as images."""

from __future__ import annotations

import copy
import logging
import math

import numpy as np
import torch
from torch import Tensor

from ...networks.contracts import InPlaneGenerator
from ...physics.acquisition import SliceProfile
from ...physics.interpolation import apply_along_sequence
from ...physics.projection import AxisModel
from ...volumes.grid import AXES_IJK, array_axis
from ...volumes.memmap import Allocator, release_pages
from ..context import ExecutionContext
from .axis_request import VolumeRequest

logger = logging.getLogger(__name__)

_WORKING_BYTES_A_FINE_PIXEL = 4 * 64 * 6  # float32, 64 channels, tensors that live at the same time


class PlaneRefiner:
    """Runs an in-plane generator through a volume, a few whole slices at a time.

    Parameters
    ----------
    generator : InPlaneGenerator
        The generator, of which a copy is used.
    context : ExecutionContext
        Device, memory and progress.
    """

    def __init__(self, generator: InPlaneGenerator, context: ExecutionContext) -> None:
        self._exact = generator
        self.context = context
        context.halves_on_cpu = False
        self.generator = copy.deepcopy(generator).to(context.device)
        self._slices = 1  # at a time, in the current attempt

    def refined(self, request: VolumeRequest, allocator: Allocator) -> np.ndarray:
        """Refine slice by slice, in the plane of the two refined axes.

        The network takes values clamped to the request's window; the part of the values beyond it is interpolated and
        added.
        """
        target = request.planned.target
        result = allocator(target.shape_kji, request.denormalizer.dtype)
        self.context.retry_with_less_memory(lambda: self._refine(request, result), self._shrink)
        if request.padding:
            request.padding.put_back(result, target)
        return result

    def _shrink(self) -> None:
        """Use fewer slices at a time, or finally the CPU."""
        if self._slices > 1:
            self.context.tile_limit = self._slices // 2
            logger.warning(
                "the graphics card ran out of memory; going on with %d slices at a time", self.context.tile_limit
            )
        else:
            logger.warning("the graphics card ran out of memory; going on with the CPU")
            self.context.move_to_cpu()
            self.generator = copy.deepcopy(self._exact)

    @torch.inference_mode()
    def _refine(self, request: VolumeRequest, result: np.ndarray) -> None:
        context, factor, array, denormalizer = self.context, self.generator.factor, request.array, request.denormalizer
        in_plane = {one.axis for one in request.planned.passes}
        across = array_axis(next(axis for axis in AXES_IJK if axis not in in_plane))
        slices, fine = np.moveaxis(array, across, 0), np.moveaxis(result, across, 0)
        self._slices = self._slices_at_a_time(math.prod(fine.shape[1:]), len(slices))
        rows, columns = (
            AxisModel(count, count * factor, factor, SliceProfile(), context.device) for count in slices.shape[1:]
        )
        margin = self.generator.sequence_reach
        for start in range(0, len(slices), self._slices):
            stop = min(start + self._slices, len(slices))
            low = max(0, start - margin)
            with context.timed("transfer"):
                lr = torch.from_numpy(denormalizer.measured.normalized(slices[low : stop + margin])).to(context.device)
            with context.timed("network"), context.mixed_precision():
                windowed = lr.clamp(*request.window)
                sr = self.generator(windowed[None, None])[0, 0, start - low : stop - low].float()
                beyond = (lr - windowed)[start - low : stop - low]
                if beyond.any():
                    sr = sr + _along_rows(rows.cubic, _along_columns(columns.cubic, beyond))
            with context.timed("consistency"):
                if context.settings.consistency:
                    sr = _projected(sr, lr[start - low : stop - low], rows, columns)
            with context.timed("output"):
                fine[start:stop] = denormalizer.denormalized(sr)
                release_pages(result)
                release_pages(array)
            context.reach(context.done + (stop - start) * math.prod(slices.shape[1:]))

    def _slices_at_a_time(self, fine_pixels: int, count: int) -> int:
        fitting = int(self.context.working_bytes() / (_WORKING_BYTES_A_FINE_PIXEL * fine_pixels))
        return max(1, min(fitting, count, self.context.tile_limit or count))


def _projected(sr: Tensor, measured: Tensor, rows: AxisModel, columns: AxisModel) -> Tensor:
    """The slices nearest to ``sr`` (K, factor*J, factor*I) that reproduce the ``measured`` ones (K, J, I)."""
    again = _along_rows(rows.acquisition, _along_columns(columns.acquisition, sr))
    return sr + _along_rows(rows.back, _along_columns(columns.back, measured - again))


def _along_rows(matrix: Tensor, slices: Tensor) -> Tensor:
    return apply_along_sequence(matrix, slices.transpose(0, 1)).transpose(0, 1)


def _along_columns(matrix: Tensor, slices: Tensor) -> Tensor:
    return apply_along_sequence(matrix, slices.movedim(2, 0)).movedim(0, 2)
