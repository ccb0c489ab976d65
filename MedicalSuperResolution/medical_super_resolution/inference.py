"""Volume in, finer volume out."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch

from . import __version__
from .acquisition import acquisition_matrix
from .consistency import acquired
from .devices import pick_device
from .models import Model
from .planning import Plan, plan
from .progress import Progress, ignore
from .refinement import Output, Refiner
from .report import Report
from .settings import EnhanceSettings
from .volumes.grid import AXES_IJK, array_axis
from .volumes.intensity import HOUNSFIELD_RANGE, guess_modality, intensity_range
from .volumes.volume import Volume


@dataclass(frozen=True)
class Enhanced:
    """The result and what was done."""

    volume: Volume
    report: Report


def enhance(volume: Volume, model: Model, settings: EnhanceSettings, progress: Progress = ignore) -> Enhanced:
    """Refine a volume as the settings ask.

    One pass for each refined axis: the volume is a sequence of slices along that axis, the generator adds its residual
    to cubic interpolation, and the sum is projected onto the volumes that reproduce the measured slices. The slice
    plane is cut into tiles that fit ``settings.memory_gb``; the result does not depend on them.

    Parameters
    ----------
    progress : called with voxels done and in total; it may raise `errors.Cancelled`.

    Returns
    -------
    Enhanced : a volume of the input's type and meaning (integers are rounded, and held inside their type's range).

    Raises
    ------
    SettingsError, VolumeError : see `planning.plan`. DeviceError : the device is absent.
    """
    started = time.monotonic()
    planned = plan(volume.grid, settings)
    device = pick_device(settings.device)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    modality = volume.modality or guess_modality(volume.array)
    measured = intensity_range(volume.array, modality)
    thickness_mm = settings.slice_thickness_mm or volume.slice_thickness_mm or through_plane_spacing(volume)
    thickness = thicknesses(planned, thickness_mm)
    refiner = Refiner(model.generator, settings, device, planned, progress)
    floor = _lowest_meaning(volume.array, modality)
    array = volume.array
    for one in planned.passes:
        is_first, is_last = one is planned.passes[0], one is planned.passes[-1]
        into = np.empty(one.target.shape_kji, dtype=volume.array.dtype if is_last else np.float32)
        refiner.refine(
            array,
            one,
            into,
            thickness=thickness[one.axis],
            read=measured if is_first else None,
            write=Output(measured, volume.array.dtype, floor) if is_last else None,
        )
        array = into
    report = Report(
        model=model.name,
        model_sha256=model.sha256,
        modality=modality,
        factor_ijk=planned.factor_ijk,
        spacing_before_ijk_mm=planned.source.spacing_ijk_mm,
        spacing_after_ijk_mm=planned.target.spacing_ijk_mm,
        size_before_ijk=planned.source.shape_kji[::-1],
        size_after_ijk=planned.target.shape_kji[::-1],
        slice_thickness_mm=thickness_mm,
        consistency=settings.consistency,
        residual_rms=_residual(volume.array, array, planned, thickness),
        device=str(device),
        seconds=round(time.monotonic() - started, 2),
        warnings=tuple(_warnings(model, thickness, modality)),
        software=f"MedicalSuperResolution {__version__}",
    )
    return Enhanced(Volume(array, planned.target, modality=volume.modality), report)


def through_plane_spacing(volume: Volume) -> float:
    """Distance between the slices, in mm."""
    return volume.grid.spacing_ijk_mm[AXES_IJK.index(volume.grid.through_plane_axis)]


def thicknesses(planned: Plan, thickness_mm: float) -> dict[str, float]:
    """Slice thickness over slice distance for each refined axis; in-plane samples are contiguous, 1."""
    through_plane = planned.source.through_plane_axis
    spacing_mm = planned.source.spacing_ijk_mm[AXES_IJK.index(through_plane)]
    return {one.axis: thickness_mm / spacing_mm if one.axis == through_plane else 1.0 for one in planned.passes}


def _lowest_meaning(array: np.ndarray, modality: str) -> float | None:
    """The value below which nothing has a meaning: air for CT, 0 for magnitudes; None where there is no such value."""
    low = float(array.min())
    if modality == "ct":
        return min(low, HOUNSFIELD_RANGE[0])
    return 0.0 if low >= 0 else None


def _residual(measured: np.ndarray, fine: np.ndarray, planned: Plan, thickness: dict[str, float]) -> float:
    """Root mean square of (acquisition model applied to the result) - input."""
    again = fine
    for one in reversed(planned.passes):
        axis = array_axis(one.axis)
        count, fine_count = one.source.shape_kji[axis], one.target.shape_kji[axis]
        matrix = acquisition_matrix(count, fine_count, one.factor, thickness=thickness[one.axis])
        again = acquired(again, matrix, axis)
    squares = sum(
        float(np.square(a - b.astype(np.float32), dtype=np.float64).sum()) for a, b in zip(again, measured, strict=True)
    )
    return math.sqrt(squares / measured.size)


def _warnings(model: Model, thickness: dict[str, float], modality: str) -> list[str]:
    """Where the request lies outside what the model's card says it was trained for."""
    trained = model.card.get("trained_for", {})
    found = []
    if trained.get("modalities") and modality not in trained["modalities"]:
        known = ", ".join(name.upper() for name in trained["modalities"])
        found.append(
            f"the model was trained on {known}, the volume is {modality.upper()}; look at the result with care"
        )
    low, high = trained.get("thickness", (0.0, math.inf))
    for axis, ratio in thickness.items():
        if not low <= ratio <= high:
            found.append(
                f"the slices are {ratio:.2f} times as thick as they are apart along {axis}; the model was trained for"
                f" {low:g} to {high:g}"
            )
    return found
