"""The slice profile of a volume: given by the user, or estimated from its slices and the header."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from ..models import profile_estimator
from ..models.profile_estimator import ProfileEstimator
from ..physics.acquisition import SliceProfile
from ..physics.profile_cuts import FEWEST_SLICES, cuts, has_finer_plane
from ..physics.shared_noise import shared_noise
from ..physics.slice_profile import ProfileEstimate, WidthObservation, estimate_profile, narrowed_for_noise, noise_share
from ..volumes.grid import AXES_IJK, Grid, array_axis
from ..volumes.intensity import IntensityRange
from ..volumes.memmap import extremes
from ..volumes.volume import Volume
from .device import cpu_threads
from .planning import Plan
from .request import Request

_BRIGHTEST = 1.5  # of the normalized range; brighter values (metal) would dominate
_CUTS_AT_A_TIME = 8
_MOST_FOR_NOISE = (16, 256, 256)  # slices, rows and columns in which noise is measured


def profile_of(request: Request) -> ProfileEstimate:
    """The through-plane slice profile of a request. In-plane axes always have `SliceProfile()`.

    Raises
    ------
    ModelError
        It has to be estimated, and the file of the estimator is missing or damaged.
    """
    distance = request.planned.source.through_plane_spacing_mm
    thickness, shape = request.thickness_mm / distance, request.settings.slice_profile
    if shape != "auto":
        return ProfileEstimate(SliceProfile(shape, thickness))
    if not has_effect(request):
        return ProfileEstimate(SliceProfile("gaussian", thickness), source="assumed")
    estimator = profile_estimator.load()
    measured, source = _as_measured(request.volume), request.planned.source
    array = request.volume.array[measured]
    observed = observe_width(array, source, request.measured, estimator)
    middle = _middle_slices(array, source)
    estimate = estimate_profile(
        observed,
        thickness,
        estimator.calibration,
        fine_width=_fine_slice_width(request.planned),
        noise=shared_noise(middle, _fine_distance(request.planned) / distance) if _has_native_noise(request) else None,
    )
    if (padding := request.padding) is not None:  # whose rim may move from slice to slice
        is_padding = np.isin(middle, padding.values)
        if padding.mask is not None:
            is_padding |= _middle_slices(padding.mask[measured], source) > 0
        middle = np.where(is_padding, np.nan, middle)
    return narrowed_for_noise(estimate, noise_share(middle))


def has_effect(request: Request) -> bool:
    """Whether the result depends on the slice profile: not if the slices are kept, or the model takes none."""
    refined = {one.axis for one in request.planned.passes}
    return request.model.generator.capabilities.needs_profile and request.planned.source.through_plane_axis in refined


def _has_native_noise(request: Request) -> bool:
    """Whether slices share noise as far as their profiles overlap: in CT, if nothing was interpolated."""
    volume = request.volume
    return request.modality == "ct" and volume.measured is None and volume.sheared_grid is None


def _as_measured(volume: Volume) -> slice:
    """The longest run of slices without a gap: slices interpolated over a gap look thicker than they are."""
    if (is_gap := volume.interpolated) is None:
        return slice(None)
    ends = np.flatnonzero(np.diff(np.concatenate([[True], is_gap, [True]])))
    start, stop = max(zip(ends[::2], ends[1::2], strict=True), key=lambda run: run[1] - run[0])
    return slice(start, stop) if stop - start >= FEWEST_SLICES else slice(None)


def _middle_slices(array: np.ndarray, grid: Grid) -> np.ndarray:
    """The middle of the volume, where noise is measured, floating, slices first."""
    slices, _ = _slices_first(array, grid)
    starts = [max(0, (count - most) // 2) for count, most in zip(slices.shape, _MOST_FOR_NOISE, strict=True)]
    middle = tuple(slice(start, start + most) for start, most in zip(starts, _MOST_FOR_NOISE, strict=True))
    return slices[middle].astype(np.promote_types(slices.dtype, np.float32))


def _fine_slice_width(planned: Plan) -> float:
    """Excess width of the fine slices over the in-plane resolution, in units of the measured slice distance.

    The estimator compares slices with the in-plane resolution; where the result is coarser, its slices blur too.
    """
    axis = planned.source.through_plane_axis
    in_plane = [planned.source.spacing_mm(other) for other in AXES_IJK if other != axis]
    beyond = _fine_distance(planned) ** 2 - (sum(in_plane) / 2) ** 2
    return math.sqrt(max(beyond, 0.0)) / planned.source.through_plane_spacing_mm


def _fine_distance(planned: Plan) -> float:
    """Spacing of the result along the through-plane axis of the measured volume, in mm."""
    return planned.target.spacing_mm(planned.source.through_plane_axis)


def profiles_of(request: Request, through_plane: SliceProfile) -> dict[str, SliceProfile]:
    """The slice profile of each index axis."""
    profiles = dict.fromkeys(AXES_IJK, SliceProfile())
    if not request.model.generator.capabilities.needs_profile:
        return profiles
    return profiles | {request.planned.source.through_plane_axis: through_plane}


@torch.inference_mode()
def observe_width(
    array: np.ndarray, grid: Grid, measured: IntensityRange, estimator: ProfileEstimator
) -> WidthObservation | None:
    """The width of the slice profile, observed in a volume (K, J, I); None if it cannot be observed.

    Parameters
    ----------
    measured
        Intensities that networks see as 0 and 1.
    """
    slices, ratios = _slices_first(array, grid)
    lowest, highest = extremes(array)
    if lowest == highest or not has_finer_plane(slices.shape, ratios):
        return None
    threads, groups = torch.get_num_threads(), []
    # one thread for each part: threads that share an operation would wait for each other after each one
    with cpu_threads(1), ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as workers:
        for group in cuts(slices, ratios, lambda part: np.clip(measured.normalized(part), 0, _BRIGHTEST)):
            parts = [part for planes in group for part in torch.from_numpy(planes).split(_CUTS_AT_A_TIME)]
            sums = torch.cat(list(workers.map(estimator.head.sums, parts)))
            groups.append(sums.sum(dim=0, keepdim=True))
    log_width, log_error = (float(one) for one in estimator.head.compared(groups))
    return WidthObservation(log_width, math.exp(log_error)) if math.isfinite(log_width + log_error) else None


def _slices_first(array: np.ndarray, grid: Grid) -> tuple[np.ndarray, tuple[float, float]]:
    """The array with its through-plane axis first, and the slice distance over the spacing along the others."""
    axis, distance = grid.through_plane_axis, grid.through_plane_spacing_mm
    first, second = (distance / grid.spacing_mm(other) for other in reversed(AXES_IJK) if other != axis)
    return np.moveaxis(array, array_axis(axis), 0), (first, second)
