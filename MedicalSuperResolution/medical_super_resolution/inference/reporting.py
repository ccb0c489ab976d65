"""The report of one enhancement: what was done, its consistency, and warnings."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from ..physics.acquisition import SliceProfile
from ..physics.slice_profile import NOISE_IGNORED, ProfileEstimate
from ..report import Report
from ..system.identity import __version__
from ..volumes.grid import Grid
from ..volumes.intensity import WRAPPED_PHASES
from ..volumes.memmap import extremes
from ..volumes.tilt import straight_grid
from .context import ExecutionContext
from .data_consistency import consistency_error_rms
from .planning import finer_axes
from .profile import has_effect, profiles_of
from .request import Request
from .uncertainty import described

_GUESSED_ABOVE = 5.0  # factor above which a warning is given
_UNCERTAIN_ABOVE = 0.12  # error of a slice profile, as a fraction of its width, above which a warning is given
_HALF_TURNS = (math.pi, 1000 * math.pi, 4096.0)  # how far phases of MR reach to both sides of 0, in usual units
_SAME_REACH = 2e-3  # relative
_LARGEST_ERROR = 0.01  # data-consistency error, as a fraction of the range, above which a warning is given


def make_report(
    request: Request, context: ExecutionContext, array: np.ndarray, estimate: ProfileEstimate, started: float
) -> Report:
    """The report of a finished request.

    Parameters
    ----------
    array
        The result, (K, J, I).
    estimate
        The slice profile that was used.
    started
        Start of the work, by ``time.monotonic``.
    """
    model, planned, settings = request.model, request.planned, request.settings
    profile = _profile_facts(request, array, estimate)
    ends = extremes(request.volume.array)
    return Report(
        model=model.name,
        model_sha256=model.sha256,
        detail=model.detail,
        detail_sha256=(request.ends[1] if request.ends else model).detail_sha256,
        modality=request.modality,
        factor_ijk=planned.factor_ijk,
        spacing_before_ijk_mm=planned.source.spacing_ijk_mm,
        spacing_after_ijk_mm=planned.target.spacing_ijk_mm,
        size_before_ijk=planned.source.shape_kji[::-1],
        size_after_ijk=planned.target.shape_kji[::-1],
        **profile,
        device=str(context.device),
        precision=context.precision,
        seconds=round(time.monotonic() - started, 4),
        stages={name: round(seconds, 3) for name, seconds in context.stages.items()},
        settings=asdict(replace(settings, model=model.name)),  # a path may name a patient
        uncertainty=_uncertainty_described(request) if settings.uncertainty else "",
        warnings=(
            *request.volume.notes,
            *_training_warnings(request),
            *_phase_warnings(request, ends),
            *_profile_warnings(request, estimate, ends),
            *_consistency_warnings(request, profile["consistency_error_rms"]),
        ),
        software=f"MedicalSuperResolution {__version__}",
    )


def reported_profile(report: Report | None, grid: Grid) -> ProfileEstimate | None:
    """The slice profile in the report of a volume, for another one of its series, which lies on ``grid``.

    None without a report, or where the slices of the first say nothing, as those of a label map.
    """
    if report is None or report.slice_width_mm is None or report.slice_profile_source == "assumed":
        return None
    distance = straight_grid(grid).through_plane_spacing_mm
    profile = SliceProfile(report.slice_profile, report.slice_width_mm / distance)
    return ProfileEstimate(
        profile, report.slice_width_error_mm / distance, report.slice_profile_source, report.slice_noise
    )


def _uncertainty_described(request: Request) -> str:
    with_gaps = request.volume.interpolated is not None
    return described(request.planned, with_detail_models=request.ends is not None, with_gaps=with_gaps)


def _profile_facts(request: Request, array: np.ndarray, estimate: ProfileEstimate) -> dict[str, Any]:
    """The slice profile used, and the consistency error under it and under the next most likely one if it counts."""
    distance = request.planned.source.through_plane_spacing_mm

    def error(profile: SliceProfile) -> float:
        profiles = profiles_of(request, profile)
        volume, planned = request.volume, request.planned
        return consistency_error_rms(volume.array, array, planned, profiles, request.padding, volume.measured)

    facts = {
        "slice_thickness_mm": request.thickness_mm,
        "slice_profile": estimate.profile.shape,
        "slice_width_mm": estimate.profile.width * distance,
        "slice_width_error_mm": estimate.error * distance,
        "slice_profile_source": estimate.source,
        "slice_noise": estimate.noise,
        "consistency_error_rms": error(estimate.profile),
    }
    if has_effect(request):
        other = estimate.alternative(request.thickness_mm / distance)
        facts |= {"other_profile": other.described(distance), "other_consistency_error_rms": error(other)}
    return facts


def _training_warnings(request: Request) -> list[str]:
    """Warnings where the request lies outside the training range in the model's card."""
    trained = request.model.card.get("trained_for", {})
    found = _factor_warnings(request)
    if trained.get("modalities") and request.modality not in trained["modalities"]:
        known = ", ".join(name.upper() for name in trained["modalities"])
        found.append(
            f"the model was trained on {known}, the volume is {request.modality.upper()}; look at the result with care"
        )
    low, high = trained.get("thickness", (0.0, math.inf))
    source = request.planned.source
    ratio, axis = request.thickness_mm / source.through_plane_spacing_mm, source.through_plane_axis
    if not low <= ratio <= high and axis in {one.axis for one in request.planned.passes}:
        found.append(
            f"the slices are {ratio:.2f} times as thick as they are apart along {axis};"
            f" the model was trained for {low:g} to {high:g}"
        )
    return found


def _phase_warnings(request: Request, ends: tuple[float, float]) -> list[str]:
    """Warning about wrapped phases: between the two ends of their range, there are all other values."""
    if request.modality != "mr" or WRAPPED_PHASES in request.volume.notes:
        return []
    return [WRAPPED_PHASES] if any(np.allclose(np.abs(ends), one, rtol=_SAME_REACH) for one in _HALF_TURNS) else []


def _profile_warnings(request: Request, estimate: ProfileEstimate, ends: tuple[float, float]) -> list[str]:
    """Warnings about an uncertain slice profile, or one that was narrowed because of noise."""
    distance, width = request.planned.source.through_plane_spacing_mm, estimate.profile.width
    found = []
    lowest, highest = ends
    if estimate.error > _UNCERTAIN_ABOVE * width and lowest < highest:  # one value everywhere is refined to that value
        found.append(
            f"the slice profile is uncertain: {width * distance:.2g} +- {estimate.error * distance:.1g} mm;"
            " if you know it, state slice profile and slice thickness"
        )
    if estimate.noise > NOISE_IGNORED:
        found.append(
            f"noise makes up {estimate.noise:.0%} of the differences between slices; the slice profile is taken"
            " narrower, so that noise is not sharpened"
        )
    return found


def _factor_warnings(request: Request) -> list[str]:
    """Warnings about axes that are kept, and about large factors."""
    grid, settings = request.planned.source, request.settings
    found = [
        f"{axis} stays at {grid.spacing_mm(axis):.3g} mm, which is finer than asked; an exact spacing would make it"
        " coarser"
        for axis in finer_axes(grid, settings)
    ]
    found += [
        f"the factor along {one.axis} is {one.factor:.3g}; above {_GUESSED_ABOVE:g}, much of what lies inside a slice"
        " is guessed"
        for one in request.planned.passes
        if one.factor > _GUESSED_ABOVE
    ]
    return found


def _consistency_warnings(request: Request, error: float) -> list[str]:
    """Warning where the result does not reproduce the measured slices."""
    part = error / (request.measured.high - request.measured.low)
    if not request.settings.consistency or part <= _LARGEST_ERROR:
        return []
    return [
        f"measured again, the result differs from the input by {error:.3g} (RMS), {part:.1%} of the range;"
        " look at the result with care"
    ]
