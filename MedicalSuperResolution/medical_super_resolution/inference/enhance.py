"""Enhance a volume: the entry point of the engine."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from ..models.file import Model
from ..networks.contracts import Generator, InPlaneGenerator, SequenceGenerator
from ..physics.slice_profile import ProfileEstimate
from ..progress import Progress, ignore
from ..settings import BEST, EnhanceSettings
from ..volumes.intensity import HOUNSFIELD_RANGE
from ..volumes.label_maps.detection import is_label_map
from ..volumes.memmap import Allocator, extremes, is_on_disk
from ..volumes.volume import Enhanced, Volume
from .context import ExecutionContext
from .device import cpu_threads, device_errors, pick_device, undisturbed
from .labels import enhance_labels
from .planning import Plan
from .profile import profile_of, profiles_of
from .refiners.axis_request import Denormalizer, VolumeRequest
from .refiners.inplane import PlaneRefiner
from .refiners.throughplane import SequenceRefiner
from .reporting import make_report
from .request import Request, make_request
from .uncertainty import mirror_statistics, raise_in_gaps, widened

_MATRIX_BYTES = 48  # per weight between a measured and a fine slice, while the matrices are computed


@undisturbed()
def enhance(
    volume: Volume,
    model: Model,
    settings: EnhanceSettings,
    progress: Progress = ignore,
    *,
    profile: ProfileEstimate | None = None,
    allocator: Allocator | None = None,
) -> Enhanced[Volume]:
    """Refine a volume as the settings ask.

    There is one pass for each refined axis: the volume is a sequence of slices along that axis, the generator adds its
    residual to cubic interpolation, and the sum is projected onto the volumes that reproduce the measured slices. The
    slice plane is cut into tiles that fit ``settings.memory_gb``; the result does not depend on them. An in-plane model
    refines both in-plane axes in one pass, slice by slice.

    Parameters
    ----------
    volume : Volume
        The measured volume. The shapes of a label map are interpolated instead, see `labels.enhance_labels`.
    model : Model
        See `models.weight_interpolation.load_model`. It is not changed.
    settings : EnhanceSettings
        What to do. ``settings.threads`` applies to this call alone.
    progress : callable
        Called with the numbers of voxels done and in total. It may raise `errors.Cancelled` to stop.
    profile : ProfileEstimate, optional
        The slice profile, if it was estimated from another volume of the same series. None takes that of the settings.
    allocator : callable, optional
        Makes the arrays of results: `volumes.memmap.disk_allocator` for those that do not fit into memory. None
        allocates memory.

    Returns
    -------
    Enhanced
        The volume, in the data type and the units of the input (integers are rounded and clipped to their type's
        range), a report, and the uncertainty (float32, in the same units) if it was requested.

    Raises
    ------
    SettingsError, VolumeError
        See `request.make_request`; of a label map, `labels.enhance_labels`.
    ModelError
        The file of the slice-profile estimator, or of the detail model that the uncertainty takes, is missing or
        damaged.
    DeviceError
        The device is absent or failed.
    """
    if is_label_map(volume):
        return enhance_labels(volume, settings, progress)
    started = time.monotonic()
    request = make_request(volume, model, settings)
    volume = request.volume
    context = _context(request, progress, allocator)
    denormalizer = Denormalizer(request.measured, volume.array.dtype, _lowest_meaningful(request))
    with device_errors(), cpu_threads(settings.threads):
        with context.timed("profile"):
            estimate = profile or profile_of(request)
        profiles = profiles_of(request, estimate.profile)
        working = denormalizer.unrounded() if settings.refines_mirrors else denormalizer
        volume_request = VolumeRequest(
            volume.array, request.planned, profiles, request.window, working, request.padding, volume.measured
        )
        array = refiner_of(model.generator, context).refined(volume_request, allocator or np.empty)
        uncertainty = None
        if settings.refines_mirrors:
            array, uncertainty = _refine_mirror_images(request, array, volume_request, context)
    array = denormalizer.rounded(array)
    report = make_report(request, context, array, estimate, started)
    fine = replace(
        volume,
        array=array,
        grid=request.planned.target,
        slice_thickness_mm=None,
        padding=None,
        measured=None,
    )
    return Enhanced(fine, report, uncertainty)


def _context(request: Request, progress: Progress, allocator: Allocator | None) -> ExecutionContext:
    context = ExecutionContext(
        request.settings, pick_device(request.settings.device), request.voxels_to_refine, progress
    )
    context.held_bytes = _held_bytes(request.volume, request.planned, allocator)
    return context


def _held_bytes(volume: Volume, planned: Plan, allocator: Allocator | None) -> int:
    """Memory of input, output and the matrices of an axis, which reduces the working memory."""
    held = 0 if is_on_disk(volume.array) else volume.array.nbytes
    if allocator is None:
        # the second while the result is written
        held += 2 * math.prod(planned.target.shape_kji) * volume.array.itemsize
    weights = max(one.source.count(one.axis) * one.target.count(one.axis) for one in planned.passes)
    return held + _MATRIX_BYTES * weights


def _lowest_meaningful(request: Request) -> float | None:
    """The lowest meaningful value: air for CT, 0 for magnitudes; None where there is none."""
    low = request.padding.lowest_measured() if request.padding else extremes(request.volume.array)[0]
    if request.modality == "ct":
        return min(low, HOUNSFIELD_RANGE[0])
    return 0.0 if low >= 0 else None


def _refine_mirror_images(
    request: Request, first: np.ndarray, volume_request: VolumeRequest, context: ExecutionContext
) -> tuple[np.ndarray, Volume | None]:
    """The result and its uncertainty, each where requested, from all mirror images; ``first`` is not rounded."""

    def refined(model: Model, axes: tuple[int, ...] = ()) -> np.ndarray:
        padding = volume_request.padding and volume_request.padding.flipped(axes)
        measured = volume_request.measured and volume_request.measured.flipped(axes, len(volume_request.array))
        mirrored = replace(
            volume_request, array=np.flip(volume_request.array, axes), padding=padding, measured=measured
        )
        return refiner_of(model.generator, context).refined(mirrored, np.empty)

    mean, deviation = mirror_statistics(first, lambda axes: refined(request.model, axes), request.planned)
    result = mean if request.settings.quality == BEST else first
    if not request.settings.uncertainty:
        return result, None
    if request.ends:
        results = (first if end is request.model else refined(end) for end in request.ends)
        deviation = widened(deviation, *results)
    if request.volume.interpolated is not None:
        raise_in_gaps(deviation, request.volume, request.planned.target, request.padding)
    return result, Volume(deviation, request.planned.target)


def refiner_of(generator: Generator, context: ExecutionContext) -> SequenceRefiner | PlaneRefiner:
    """Return the refiner that runs a generator through a volume, on the device of the context."""
    if isinstance(generator, InPlaneGenerator):
        return PlaneRefiner(generator, context)
    assert isinstance(generator, SequenceGenerator)  # there are no others
    return SequenceRefiner(generator, context)
