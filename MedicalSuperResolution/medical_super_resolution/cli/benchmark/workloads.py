"""What is measured: synthetic volumes, and the network alone."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ...inference.context import ExecutionContext
from ...inference.planning import plan
from ...inference.refiners.axis_request import AxisRequest
from ...inference.refiners.throughplane import SequenceRefiner
from ...models.file import Model
from ...networks.contracts import SequenceGenerator
from ...physics.acquisition import SliceProfile, fine_centers
from ...progress import ignore
from ...volumes.grid import Grid
from ...volumes.intensity import HOUNSFIELD_RANGE, IntensityRange, trained_window
from ...volumes.volume import Volume

FACTOR = 4
_TILES_ALONG = 3  # tiles along each side of a slice, to measure seams
_CUT = (16, 128, 128)  # volume to compare with MONAI: it computes 2.25 voxels for each one, as in 256 x 256 slices


def synthetic_ct(side: int, slices: int, *, air: float = 0.0) -> Volume:
    """A reproducible synthetic CT with noise; the fraction ``air`` of its rows is constant air."""
    random = np.random.default_rng(0)
    array = random.normal(40, 20, (slices, side, side))
    array += 200 * np.sin(np.arange(side) / 9)[None, :, None] * np.cos(np.arange(side) / 7)
    array[:, : round(side * air)] = -1000
    return Volume(array.astype(np.int16), Grid(array.shape, np.diag([0.8, 0.8, 0.8 * FACTOR, 1.0])), modality="ct")


def corner_of(volume: Volume) -> Volume:
    """The first voxels of a volume along each axis, as float32."""
    array = volume.array[tuple(slice(count) for count in _CUT)].astype(np.float32)
    return Volume(array, Grid(array.shape, volume.grid.ijk_to_ras), modality=volume.modality)


class NetworkAlone:
    """The network as the engine prepares it, on the same voxels, without files, slice profile and data consistency."""

    def __init__(self, model: Model, volume: Volume, context: ExecutionContext) -> None:
        self.context = context
        self.generator = cast("SequenceGenerator", model.generator)  # `run.run` refuses other models
        self.prepared = SequenceRefiner(self.generator, context).generator
        self.lr = torch.from_numpy(IntensityRange(*HOUNSFIELD_RANGE).normalized(volume.array))[None, None]
        self.lr = self.lr.to(context.device)

    @torch.inference_mode()
    def forward(self, lr: Tensor) -> Tensor:
        """Fine slices of (N, 1, K, J, I)."""
        positions = torch.from_numpy(fine_centers(lr.shape[2] * FACTOR, FACTOR)).to(lr.device)
        with self.context.mixed_precision():
            return self.prepared(lr, positions, FACTOR)

    def whole(self) -> Tensor:
        """Fine slices of all voxels as one tensor, without tiles."""
        return self.forward(self.lr)

    @torch.inference_mode()
    def tiled(self, grid: Grid) -> np.ndarray:
        """Fine slices of all voxels, as the engine computes them in small tiles, whatever memory the device has."""
        settings = replace(self.context.settings, consistency=False)
        context = ExecutionContext(settings, self.context.device, 1, ignore)
        context.tile_limit = max(grid.shape_kji[1:]) // _TILES_ALONG
        axis_pass = plan(grid, settings).passes[0]
        fine = np.empty(axis_pass.target.shape_kji, np.float32)
        request = AxisRequest(self.lr[0, 0].cpu().numpy(), axis_pass, fine, SliceProfile(), trained_window("ct"))
        SequenceRefiner(self.generator, context).refine(request)
        return fine
