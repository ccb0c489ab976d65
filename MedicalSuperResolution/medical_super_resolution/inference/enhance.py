"""Volume in, finer volume out."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from ..models.file import Model
from ..physics.acquisition import SliceProfile
from ..progress import Progress, ignore
from ..report import Enhanced
from ..settings import EnhanceSettings
from ..volumes.grid import AXES_IJK
from ..volumes.intensity import HOUNSFIELD_RANGE
from ..volumes.memmap import Allocator, extremes, is_on_disk
from ..volumes.volume import Volume
from .context import ExecutionContext
from .device import cpu_threads, failures_in_words, pick_device
from .planning import Plan
from .refiners.axis_request import VolumeRequest
from .refiners.denormalise import Denormaliser
from .reporting import make_report
from .request import Request, make_request
from .uncertainty import spread, widened

if TYPE_CHECKING:
    from .refiners.throughplane import SequenceRefiner

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

    There is one pass for each refined axis: the volume is a sequence of slices along that axis, the generator adds its
    residual to cubic interpolation, and the sum is projected onto the volumes that reproduce the measured slices. The
    slice plane is cut into tiles that fit ``settings.memory_gb``; the result does not depend on them. An in-plane model
    refines both in-plane axes in one pass, slice by slice.

    Parameters
    ----------
    volume : Volume
        The measured volume.
    model : Model
        See `models.weight_interpolation.load_model`. It is not changed.
    settings : EnhanceSettings
        What to do. ``settings.threads`` holds for this call alone.
    progress : callable
        Called with voxels done and in total. To cancel, it raises `errors.Cancelled`.
    allocator : callable, optional
        Makes the arrays of results: `volumes.memmap.disk_allocator` for those that do not fit into memory. None
        allocates memory.

    Returns
    -------
    Enhanced
        A volume of the input's type and meaning (integers are rounded, and held inside their type's range), and a
        report.

    Raises
    ------
    SettingsError, VolumeError
        See `planning.plan`.
    DeviceError
        The device is absent or failed.
    """
    started = time.monotonic()
    request = make_request(volume, model, settings)
    context = _context(request, progress, allocator)
    final = Denormaliser(request.measured, volume.array.dtype, _lowest_meaning(request))
    with failures_in_words(), cpu_threads(settings.threads):
        profiles = _profiles(request, context)
        exact = final.unrounded() if settings.uncertainty else final
        work = VolumeRequest(volume.array, request.planned, profiles, request.window, exact, request.padding)
        array = model.generator.make_refiner(context).refined(work, allocator or np.empty)
        uncertainty = _deviation(request, array, work, context) if settings.uncertainty else None
    array = final.rounded(array)
    report = make_report(request, context, array, profiles, started)
    fine = replace(volume, array=array, grid=request.planned.target, slice_thickness_mm=None, padding=None)
    return Enhanced(fine, report, uncertainty)


def _context(request: Request, progress: Progress, allocator: Allocator | None) -> ExecutionContext:
    context = ExecutionContext(request.settings, pick_device(request.settings.device), request.work, progress)
    context.held_bytes = _held_bytes(request.volume, request.planned, allocator)
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
    if not gauging.capabilities.needs_profile:
        return profiles
    source = request.planned.source
    through_plane, thickness = source.through_plane_axis, request.thickness_mm / source.through_plane_spacing_mm
    shape = request.settings.slice_profile
    if shape == "auto":
        refiner = cast("SequenceRefiner", gauging.make_refiner(context))  # only its generators need a profile
        width = refiner.profile_width(request.volume.array, through_plane, thickness, request.measured)
        shape = _shape_that_looks(width, thickness)
    return profiles | {through_plane: SliceProfile(shape, thickness)}


def _shape_that_looks(width: float, thickness: float) -> str:
    """The profile of slices, from how wide they look and how thick they are, both in slice distances."""
    width -= _SEEN_OF_THICKNESS * (thickness - 1)
    if width < _BOX_BELOW:
        return "box"
    return "gaussian" if width > _GAUSSIAN_ABOVE else "between"


def _deviation(request: Request, array: np.ndarray, work: VolumeRequest, context: ExecutionContext) -> Volume:
    """The standard deviation of each voxel of the result ``array``, which is not rounded; see `uncertainty`."""

    def refined(model: Model, axes: tuple[int, ...] = ()) -> np.ndarray:
        padding = work.padding and work.padding.flipped(axes)
        mirrored = replace(work, array=np.flip(work.array, axes), padding=padding)
        return model.generator.make_refiner(context).refined(mirrored, np.empty)

    deviation = spread(array, lambda axes: refined(request.model, axes), request.planned)
    if request.ends:
        results = (array if end is request.model else refined(end) for end in request.ends)
        deviation = widened(deviation, *results)
    return Volume(deviation, request.planned.target)
