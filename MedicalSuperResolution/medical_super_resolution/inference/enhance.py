"""Volume in, finer volume out."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..models.file import Model
from ..networks.generators.plane import PlaneGenerator
from ..physics.acquisition import SliceProfile
from ..progress import Progress, ignore
from ..report import Enhanced
from ..settings import EnhanceSettings
from ..volumes.grid import AXES_IJK
from ..volumes.intensity import HOUNSFIELD_RANGE
from ..volumes.memmap import Allocator, extremes, is_on_disk
from ..volumes.volume import Volume
from .axis_request import AxisRequest
from .context import ExecutionContext
from .denormalise import Denormaliser
from .device import failures_in_words, pick_device
from .inplane import PlaneRefiner
from .padding import Padding
from .planning import Plan
from .reporting import make_report
from .request import Request, make_request
from .throughplane import Refiner
from .uncertainty import spread, widened

_MATRIX_BYTES = 48  # of each weight between a measured and a fine slice, while the matrices are made
# How wide slices look. Of 90 Gaussians and 90 boxes of thickness 1, read along all axes of the training volumes at x4
# and x5, 4 lie on the wrong side and 8 between these two. There, the profile between loses least.
_BOX_BELOW = 0.84
_GAUSSIAN_ABOVE = 0.855
_SEEN_OF_THICKNESS = 0.5  # slices of thickness 0.8 and 1.2 look wider or narrower by 0.1 only


def enhance(
    volume: Volume,
    model: Model,
    settings: EnhanceSettings,
    progress: Progress = ignore,
    *,
    allocator: Allocator | None = None,
) -> Enhanced:
    """Refine a volume as the settings ask.

    One pass for each refined axis: the volume is a sequence of slices along that axis, the generator adds its residual
    to cubic interpolation, and the sum is projected onto the volumes that reproduce the measured slices. The slice
    plane is cut into tiles that fit ``settings.memory_gb``; the result does not depend on them. An in-plane model
    refines both in-plane axes in one pass, slice by slice.

    Parameters
    ----------
    progress : called with voxels done and in total; it may raise `errors.Cancelled`.
    allocator : makes the arrays of results: `volumes.memmap.disk_allocator` for those that do not fit into memory;
        None allocates memory.

    Returns
    -------
    Enhanced : a volume of the input's type and meaning (integers are rounded, and held inside their type's range).

    Raises
    ------
    SettingsError, VolumeError : see `planning.plan`. DeviceError : the device is absent.
    """
    started = time.monotonic()
    request = make_request(volume, model, settings)
    context = _context(request, progress, allocator)
    output = Denormaliser(request.measured, volume.array.dtype, _lowest_meaning(request))
    with failures_in_words():
        profiles = _profiles(request, context)
        passes = _Passes(request.planned, profiles, context, request.window)
        array = passes.refined(volume.array, request.padding, model, output, allocator or np.empty)
        sure = _deviation(request, array, passes, output) if settings.uncertainty else None
    report = make_report(request, context, array, profiles, started)
    fine = replace(volume, array=array, grid=request.planned.target, slice_thickness_mm=None, padding=None)
    return Enhanced(fine, report, sure)


def _context(request: Request, progress: Progress, allocator: Allocator | None) -> ExecutionContext:
    context = ExecutionContext(request.settings, pick_device(request.settings.device), request.work, progress)
    context.held_bytes = _held_bytes(request.volume, request.planned, allocator)
    if request.settings.threads is not None:
        torch.set_num_threads(request.settings.threads)
    return context


def _held_bytes(volume: Volume, planned: Plan, allocator: Allocator | None) -> int:
    """Memory that is taken beside the work: by what lies in memory, and by the matrices of an axis."""
    held = 0 if is_on_disk(volume.array) else volume.array.nbytes
    if allocator is None:
        held += 2 * math.prod(planned.target.shape_kji) * volume.array.itemsize  # one is to be written
    weights = max(one.source.count(one.axis) * one.target.count(one.axis) for one in planned.passes)
    return held + _MATRIX_BYTES * weights


def _lowest_meaning(request: Request) -> float | None:
    """The value below which nothing has a meaning: air for CT, 0 for magnitudes; None where there is no such value."""
    low = request.padding.lowest_measured() if request.padding else extremes(request.volume.array)[0]
    if request.modality == "ct":
        return min(low, HOUNSFIELD_RANGE[0])
    return 0.0 if low >= 0 else None


def _profiles(request: Request, context: ExecutionContext) -> dict[str, SliceProfile]:
    """The slice profile of each axis: Gaussian in plane; through plane as the settings say, or as the slices look."""
    profiles = dict.fromkeys(AXES_IJK, SliceProfile())
    gauging = request.model.gauging
    if isinstance(gauging, PlaneGenerator):
        return profiles
    source = request.planned.source
    through_plane, thickness = source.through_plane_axis, request.thickness_mm / source.through_plane_spacing_mm
    shape = request.settings.slice_profile
    if shape == "auto":
        width = Refiner(gauging, context).profile_width(
            request.volume.array, through_plane, thickness, request.measured
        )
        shape = _shape_that_looks(width, thickness)
    return profiles | {through_plane: SliceProfile(shape, thickness)}


def _shape_that_looks(width: float, thickness: float) -> str:
    """The profile of slices, from how wide they look and how thick they are told to be, both in slice distances."""
    width -= _SEEN_OF_THICKNESS * (thickness - 1)
    if width < _BOX_BELOW:
        return "box"
    return "gaussian" if width > _GAUSSIAN_ABOVE else "between"


@dataclass(frozen=True)
class _Passes:
    """The passes of a plan, for a volume or a mirror image of it, by one model or another."""

    planned: Plan
    profiles: dict[str, SliceProfile]
    context: ExecutionContext
    window: tuple[float, float]

    def refined(
        self,
        array: np.ndarray,
        padding: Padding | None,
        model: Model,
        output: Denormaliser,
        allocator: Allocator = np.empty,
    ) -> np.ndarray:
        """The fine voxels of ``array`` (K, J, I), in the type of ``output``."""
        if isinstance(model.generator, PlaneGenerator):
            into = allocator(self.planned.target.shape_kji, output.dtype)
            plane = PlaneRefiner(model.generator, self.context)
            plane.refine(array, self._axis_that_stays(), into, read=output.measured, write=output, window=self.window)
            if padding:
                padding.put_back(into, self.planned.target)
            return into
        refiner = Refiner(model.generator, self.context)
        first, last = self.planned.passes[0], self.planned.passes[-1]
        for one in self.planned.passes:
            into = allocator(one.target.shape_kji, output.dtype if one is last else np.dtype(np.float32))
            read, write = output.measured if one is first else None, output if one is last else None
            refiner.refine(AxisRequest(array, one, into, self.profiles[one.axis], self.window, read, write, padding))
            array = into
        return array

    def _axis_that_stays(self) -> str:
        """An in-plane model sees the slices across it."""
        refined = {one.axis for one in self.planned.passes}
        return next(axis for axis in AXES_IJK if axis not in refined)


def _deviation(request: Request, array: np.ndarray, passes: _Passes, output: Denormaliser) -> Volume:
    """The standard deviation of each voxel of the result ``array``, see `uncertainty`."""
    exact, measured, padding = replace(output, dtype=np.dtype(np.float32)), request.volume.array, request.padding

    def mirrored(axes: tuple[int, ...]) -> np.ndarray:
        return passes.refined(np.flip(measured, axes), padding and padding.flipped(axes), request.model, exact)

    deviation = spread(array, mirrored, request.planned)
    if request.ends:
        results = (
            array if end is request.model else passes.refined(measured, padding, end, exact) for end in request.ends
        )
        deviation = widened(deviation, *results)
    return Volume(deviation, request.planned.target)
