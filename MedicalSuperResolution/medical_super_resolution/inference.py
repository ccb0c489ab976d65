"""Volume in, finer volume out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import torch

from . import __version__
from .acquisition import SliceProfile
from .devices import failures_in_words, pick_device
from .errors import SettingsError
from .learning.generators import Generator
from .learning.generators.plane import PlaneGenerator
from .models import Model
from .output import Output
from .plane_refinement import PlaneRefiner
from .planning import Plan, plan
from .progress import Progress, ignore
from .refinement import Refiner
from .report import Enhanced, Report
from .residual import residual_rms
from .settings import EnhanceSettings
from .sharpness import both_ends
from .uncertainty import described, mirrors, spread, widened
from .volumes.grid import AXES_IJK
from .volumes.intensity import HOUNSFIELD_RANGE, IntensityRange, guess_modality, intensity_range
from .volumes.mapped import Room, extremes, is_on_disk
from .volumes.volume import Volume
from .workbench import Workbench

_MATRIX_BYTES = 48  # of each weight between a measured and a fine slice, while the matrices are made
_BOX_BELOW = 0.805  # no training volume with Gaussian slices looks less wide for its thickness; most with box ones do


def enhance(
    volume: Volume,
    model: Model,
    settings: EnhanceSettings,
    progress: Progress = ignore,
    *,
    uncertainty: bool = False,
    room: Room | None = None,
) -> Enhanced:
    """Refine a volume as the settings ask.

    One pass for each refined axis: the volume is a sequence of slices along that axis, the generator adds its residual
    to cubic interpolation, and the sum is projected onto the volumes that reproduce the measured slices. The slice
    plane is cut into tiles that fit ``settings.memory_gb``; the result does not depend on them. An in-plane model
    refines both in-plane axes in one pass, slice by slice.

    Parameters
    ----------
    progress : called with voxels done and in total; it may raise `errors.Cancelled`.
    uncertainty : as if the settings asked for it: see `uncertainty`.
    room : makes the arrays of results; `volumes.mapped.disk_room` has some for those that do not fit into memory, and
        None is memory.

    Returns
    -------
    Enhanced : a volume of the input's type and meaning (integers are rounded, and held inside their type's range).

    Raises
    ------
    SettingsError, VolumeError : see `planning.plan`. DeviceError : the device is absent.
    """
    started = time.monotonic()
    planned = plan(volume.grid, as_the_model_refines(model, settings))
    check_model(model, settings, planned)
    settings = replace(settings, uncertainty=uncertainty or settings.uncertainty)
    ends = both_ends(model) if settings.uncertainty else None
    runs = len(list(mirrors(planned))) if settings.uncertainty else 1
    runs += sum(end is not model for end in ends or ())
    work = _work(planned, model.generator) * runs
    bench = Workbench(settings, pick_device(settings.device), work, progress)
    bench.held_bytes = _held_bytes(volume, planned, room)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    modality = volume.modality or guess_modality(volume.array)
    measured = intensity_range(volume.array, modality)
    output = Output(measured, volume.array.dtype, _lowest_meaning(volume.array, modality))
    thickness_mm = settings.slice_thickness_mm or volume.slice_thickness_mm or planned.source.through_plane_spacing_mm
    with failures_in_words():
        profiles = _profiles(volume, planned, model, bench, measured, thickness_mm)
        array = _refined(volume.array, planned, model, bench, output, profiles, room or np.empty)
        sure = None
        if settings.uncertainty:
            exact = replace(output, dtype=np.dtype(np.float32))
            refine = partial(_refined, planned=planned, bench=bench, output=exact, profiles=profiles)
            sure = Volume(_deviation(volume.array, array, planned, model, ends, refine), planned.target)
    report = Report(
        model=model.name,
        model_sha256=model.sha256,
        sharpness=model.sharpness,
        twin_sha256=(ends[1] if ends else model).twin_sha256,
        modality=modality,
        factor_ijk=planned.factor_ijk,
        spacing_before_ijk_mm=planned.source.spacing_ijk_mm,
        spacing_after_ijk_mm=planned.target.spacing_ijk_mm,
        size_before_ijk=planned.source.shape_kji[::-1],
        size_after_ijk=planned.target.shape_kji[::-1],
        slice_thickness_mm=thickness_mm,
        slice_profile=profiles[planned.source.through_plane_axis].shape,
        residual_rms=residual_rms(volume.array, array, planned, profiles),
        device=str(bench.device),
        precision=bench.precision,
        seconds=round(time.monotonic() - started, 4),
        stages={name: round(seconds, 3) for name, seconds in bench.stages.items()},
        settings=asdict(replace(settings, model=model.name)),  # a path may name a patient
        uncertainty=described(planned, with_twins=ends is not None) if settings.uncertainty else "",
        warnings=tuple(_warnings(model, planned, profiles, modality)),
        software=f"MedicalSuperResolution {__version__}",
    )
    return Enhanced(Volume(array, planned.target, modality=volume.modality), report, sure)


def _deviation(
    measured: np.ndarray,
    array: np.ndarray,
    planned: Plan,
    model: Model,
    ends: tuple[Model, Model] | None,
    refine: Callable[..., np.ndarray],
) -> np.ndarray:
    """The standard deviation of each voxel of ``array``; ``ends`` : fidelity and sharp twin, where there are both."""
    deviation = spread(measured, array, partial(refine, model=model), planned)
    if not ends:
        return deviation
    results = (array if end is model else refine(measured, model=end) for end in ends)
    return widened(deviation, *results)


def _held_bytes(volume: Volume, planned: Plan, room: Room | None) -> int:
    """Memory that is taken beside the work: by what lies in memory, and by the matrices of an axis."""
    held = 0 if is_on_disk(volume.array) else volume.array.nbytes
    if room is None:
        held += 2 * math.prod(planned.target.shape_kji) * volume.array.itemsize  # one is to be written
    weights = max(one.source.count(one.axis) * one.target.count(one.axis) for one in planned.passes)
    return held + _MATRIX_BYTES * weights


def _refined(
    array: np.ndarray,
    planned: Plan,
    model: Model,
    bench: Workbench,
    output: Output,
    profiles: dict[str, SliceProfile],
    room: Room = np.empty,
) -> np.ndarray:
    """The fine voxels of ``array`` (K, J, I), in the type of ``output``."""
    if isinstance(model.generator, PlaneGenerator):
        into = room(planned.target.shape_kji, output.dtype)
        plane = PlaneRefiner(model.generator, bench)
        plane.refine(array, _slices_across(planned), into, read=output.measured, write=output)
        return into
    refiner = Refiner(model.generator, bench)
    for one in planned.passes:
        is_first, is_last = one is planned.passes[0], one is planned.passes[-1]
        into = room(one.target.shape_kji, output.dtype if is_last else np.dtype(np.float32))
        read, write = output.measured if is_first else None, output if is_last else None
        refiner.refine(array, one, into, profile=profiles[one.axis], read=read, write=write)
        array = into
    return array


def as_the_model_refines(model: Model, settings: EnhanceSettings) -> EnhanceSettings:
    """The settings; where they say neither factor nor spacing, an in-plane model refines as it was made to."""
    if isinstance(model.generator, PlaneGenerator) and settings.factor is None and settings.spacing_ijk_mm is None:
        return replace(settings, factor=float(model.generator.factor), axes="in-plane")
    return settings


def check_model(model: Model, settings: EnhanceSettings, planned: Plan) -> None:
    """Refuse a model of another sharpness, and to ask an in-plane model for anything but its factor along two axes."""
    if model.sharpness != settings.sharpness:
        raise SettingsError(
            f"sharpness {settings.sharpness:g} is asked for, but the model was loaded with {model.sharpness:g};"
            " load it by sharpness.load"
        )
    if not isinstance(model.generator, PlaneGenerator):
        return
    factor = float(model.generator.factor)
    if [one.factor for one in planned.passes] != [factor, factor]:
        raise SettingsError(
            f"the model {model.name} refines both in-plane axes {factor:g} times and nothing else;"
            f" ask for --axes in-plane --factor {factor:g}, or choose the model general"
        )


def _slices_across(planned: Plan) -> str:
    """The axis that stays as it is: an in-plane model sees the slices across it."""
    refined = {one.axis for one in planned.passes}
    return next(axis for axis in AXES_IJK if axis not in refined)


def _work(planned: Plan, generator: Generator) -> int:
    """Measured voxels to work through."""
    passes = planned.passes[:1] if isinstance(generator, PlaneGenerator) else planned.passes
    return sum(math.prod(one.source.shape_kji) for one in passes)


def _profiles(
    volume: Volume, planned: Plan, model: Model, bench: Workbench, measured: IntensityRange, thickness_mm: float
) -> dict[str, SliceProfile]:
    """The slice profile of each axis: Gaussian in plane; through plane as the settings say, or as the slices look."""
    profiles = dict.fromkeys(AXES_IJK, SliceProfile())
    gauging = model.gauging
    if isinstance(gauging, PlaneGenerator):
        return profiles
    through_plane = planned.source.through_plane_axis
    thickness = thickness_mm / planned.source.through_plane_spacing_mm
    shape = bench.settings.slice_profile
    if shape == "auto":
        width = Refiner(gauging, bench).profile_width(volume.array, through_plane, thickness, measured)
        shape = "box" if width < _BOX_BELOW * thickness else "gaussian"
    return profiles | {through_plane: SliceProfile(shape, thickness)}


def _lowest_meaning(array: np.ndarray, modality: str) -> float | None:
    """The value below which nothing has a meaning: air for CT, 0 for magnitudes; None where there is no such value."""
    low, _ = extremes(array)
    if modality == "ct":
        return min(low, HOUNSFIELD_RANGE[0])
    return 0.0 if low >= 0 else None


def _warnings(model: Model, planned: Plan, profiles: dict[str, SliceProfile], modality: str) -> list[str]:
    """Where the request lies outside what the model's card says it was trained for."""
    trained = model.card.get("trained_for", {})
    found = []
    if trained.get("modalities") and modality not in trained["modalities"]:
        known = ", ".join(name.upper() for name in trained["modalities"])
        found.append(
            f"the model was trained on {known}, the volume is {modality.upper()}; look at the result with care"
        )
    low, high = trained.get("thickness", (0.0, math.inf))
    for one in planned.passes:
        ratio = profiles[one.axis].thickness
        if not low <= ratio <= high:
            found.append(
                f"the slices are {ratio:.2f} times as thick as they are apart along {one.axis};"
                f" the model was trained for {low:g} to {high:g}"
            )
    return found
