"""The report of one enhancement: what was done, how well it holds, and what there is to be warned of."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, replace

import numpy as np

from .. import __version__
from ..physics.acquisition import SliceProfile
from ..report import Report
from .context import ExecutionContext
from .data_consistency import consistency_error_rms
from .request import Request
from .uncertainty import described

_LARGEST_ERROR = 0.01  # of the range; above, the result is not what was measured


def make_report(
    request: Request, context: ExecutionContext, array: np.ndarray, profiles: dict[str, SliceProfile], started: float
) -> Report:
    """What became of a request.

    Parameters
    ----------
    array : the result, (K, J, I). profiles : the slice profile of each index axis, as it was taken.
    started : when the work began, by ``time.monotonic``.
    """
    model, planned, settings = request.model, request.planned, request.settings
    error = consistency_error_rms(request.volume.array, array, planned, profiles, request.padding)
    return Report(
        model=model.name,
        model_sha256=model.sha256,
        sharpness=model.sharpness,
        twin_sha256=(request.ends[1] if request.ends else model).twin_sha256,
        modality=request.modality,
        factor_ijk=planned.factor_ijk,
        spacing_before_ijk_mm=planned.source.spacing_ijk_mm,
        spacing_after_ijk_mm=planned.target.spacing_ijk_mm,
        size_before_ijk=planned.source.shape_kji[::-1],
        size_after_ijk=planned.target.shape_kji[::-1],
        slice_thickness_mm=request.thickness_mm,
        slice_profile=profiles[planned.source.through_plane_axis].shape,
        consistency_error_rms=error,
        device=str(context.device),
        precision=context.precision,
        seconds=round(time.monotonic() - started, 4),
        stages={name: round(seconds, 3) for name, seconds in context.stages.items()},
        settings=asdict(replace(settings, model=model.name)),  # a path may name a patient
        uncertainty=described(planned, with_twins=request.ends is not None) if settings.uncertainty else "",
        warnings=(*request.volume.notes, *_warnings(request, profiles), *_inconsistent(request, error)),
        software=f"MedicalSuperResolution {__version__}",
    )


def _warnings(request: Request, profiles: dict[str, SliceProfile]) -> list[str]:
    """Where the request lies outside what the model's card says it was trained for."""
    trained = request.model.card.get("trained_for", {})
    found = []
    if trained.get("modalities") and request.modality not in trained["modalities"]:
        known = ", ".join(name.upper() for name in trained["modalities"])
        found.append(
            f"the model was trained on {known}, the volume is {request.modality.upper()}; look at the result with care"
        )
    low, high = trained.get("thickness", (0.0, math.inf))
    for one in request.planned.passes:
        ratio = profiles[one.axis].thickness
        if not low <= ratio <= high:
            found.append(
                f"the slices are {ratio:.2f} times as thick as they are apart along {one.axis};"
                f" the model was trained for {low:g} to {high:g}"
            )
    return found


def _inconsistent(request: Request, error: float) -> list[str]:
    """Where the result does not reproduce what was measured."""
    part = error / (request.measured.high - request.measured.low)
    if not request.settings.consistency or part <= _LARGEST_ERROR:
        return []
    return [
        f"measured again, the result differs from the input by {error:.3g} (RMS), {part:.1%} of the range;"
        " look at the result with care"
    ]
