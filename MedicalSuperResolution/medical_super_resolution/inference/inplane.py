"""Both in-plane axes refined at once, by the networks that see a slice as a picture."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..networks.generators.plane import PlaneGenerator
from ..physics.acquisition import SliceProfile
from ..physics.interpolation import apply_along_sequence
from ..physics.projection import AxisModel
from ..volumes.grid import array_axis
from ..volumes.intensity import IntensityRange
from ..volumes.memmap import release_pages
from .context import ExecutionContext
from .denormalise import Denormaliser

_WORKING_BYTES_A_FINE_PIXEL = 4 * 64 * 6  # float32, 64 channels, tensors that live at the same time


class PlaneRefiner:
    """Runs an in-plane generator through a volume, a few whole slices at a time."""

    def __init__(self, generator: PlaneGenerator, context: ExecutionContext) -> None:
        self.generator = generator.to(context.device)
        self.context = context

    @torch.inference_mode()
    def refine(
        self,
        source: np.ndarray,
        across: str,
        into: np.ndarray,
        *,
        read: IntensityRange,
        write: Denormaliser,
        window: tuple[float, float],
    ) -> None:
        """Refine the slices of ``source`` that lie across the index axis ``across`` into ``into``.

        The network sees values inside ``window`` only; what lies beyond is interpolated and added.
        """
        axis, context, factor = array_axis(across), self.context, self.generator.factor
        slices, fine = np.moveaxis(source, axis, 0), np.moveaxis(into, axis, 0)
        rows, columns = (
            AxisModel(count, count * factor, factor, SliceProfile(), context.device) for count in slices.shape[1:]
        )
        margin = self.generator.sequence_reach
        step = max(1, int(context.working_bytes() / (_WORKING_BYTES_A_FINE_PIXEL * math.prod(fine.shape[1:]))))
        for start in range(0, len(slices), step):
            stop = min(start + step, len(slices))
            low = max(0, start - margin)
            with context.timed("transfer"):
                lr = torch.from_numpy(read.normalised(slices[low : stop + margin])).to(context.device)
            with context.timed("network"), context.mixed_precision():
                seen = lr.clamp(*window)
                sr = self.generator(seen[None, None])[0, 0, start - low : stop - low].float()
                beyond = (lr - seen)[start - low : stop - low]
                if beyond.any():
                    sr = sr + _along_rows(rows.cubic, _along_columns(columns.cubic, beyond))
            with context.timed("consistency"):
                if context.settings.consistency:
                    sr = _projected(sr, lr[start - low : stop - low], rows, columns)
            with context.timed("output"):
                fine[start:stop] = write.stored(sr)
                release_pages(into)
                release_pages(source)
            context.reach(context.done + (stop - start) * math.prod(slices.shape[1:]))


def _projected(sr: Tensor, measured: Tensor, rows: AxisModel, columns: AxisModel) -> Tensor:
    """The slices nearest to ``sr`` (K, factor*J, factor*I) that reproduce the ``measured`` ones (K, J, I)."""
    again = _along_rows(rows.acquisition, _along_columns(columns.acquisition, sr))
    return sr + _along_rows(rows.back, _along_columns(columns.back, measured - again))


def _along_rows(matrix: Tensor, slices: Tensor) -> Tensor:
    return apply_along_sequence(matrix, slices.transpose(0, 1)).transpose(0, 1)


def _along_columns(matrix: Tensor, slices: Tensor) -> Tensor:
    return apply_along_sequence(matrix, slices.movedim(2, 0)).movedim(0, 2)
