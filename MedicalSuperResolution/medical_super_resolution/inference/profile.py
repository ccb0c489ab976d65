"""The slice profile of a volume: given by the user, or estimated from its slices and the header."""

from __future__ import annotations

import math

import numpy as np
import torch

from ..models import profile_estimator
from ..models.profile_estimator import ProfileEstimator
from ..physics.acquisition import SliceProfile
from ..physics.slice_profile import ProfileEstimate, Sight, against_own_width, cuts, has_finer_plane, sight_of, weighed
from ..volumes.grid import AXES_IJK, Grid, array_axis
from ..volumes.intensity import IntensityRange
from .planning import Plan
from .request import Request

_BRIGHTEST = 1.5  # of the normalised range; what is brighter (metal) would outvote all else
_CUTS_AT_A_TIME = 8


def profile_of(request: Request) -> ProfileEstimate:
    """The through-plane slice profile of a request; that of in-plane axes is always taken as `SliceProfile()`.

    Raises
    ------
    ModelError
        It is to be estimated, and there is no trained estimator.
    """
    axis, distance = request.planned.source.through_plane_axis, request.planned.source.through_plane_spacing_mm
    thickness, shape = request.thickness_mm / distance, request.settings.slice_profile
    if shape != "auto":
        return ProfileEstimate(SliceProfile(shape, thickness))
    if not request.model.generator.capabilities.needs_profile or axis not in {
        one.axis for one in request.planned.passes
    }:
        return ProfileEstimate(SliceProfile("gaussian", thickness), source="assumed")  # nothing depends on it
    estimator = profile_estimator.load()
    sight = seen(request.volume.array, request.planned.source, request.measured, estimator)
    return against_own_width(weighed(sight, thickness, estimator.calibration), _own_width(request.planned))


def _own_width(planned: Plan) -> float:
    """How much wider than the resolution of the plane the fine slices are, in distances of the measured ones.

    Estimates are made against the resolution of the plane; where the result is not that fine, its slices blur too.
    """
    axis = planned.source.through_plane_axis
    in_plane = [planned.source.spacing_ijk_mm[number] for number, name in enumerate(AXES_IJK) if name != axis]
    fine = planned.target.spacing_ijk_mm[AXES_IJK.index(axis)]
    beyond = fine**2 - (sum(in_plane) / 2) ** 2
    return math.sqrt(max(beyond, 0.0)) / planned.source.through_plane_spacing_mm


def profiles_of(request: Request, through_plane: SliceProfile) -> dict[str, SliceProfile]:
    """The slice profile of each index axis."""
    profiles = dict.fromkeys(AXES_IJK, SliceProfile())
    if not request.model.generator.capabilities.needs_profile:
        return profiles
    return profiles | {request.planned.source.through_plane_axis: through_plane}


@torch.inference_mode()
def seen(array: np.ndarray, grid: Grid, measured: IntensityRange, estimator: ProfileEstimator) -> Sight | None:
    """What a volume (K, J, I) shows of its slice profile; None where it has nothing to show.

    Parameters
    ----------
    measured
        The range of intensities that networks see as 0 to 1.
    """
    axis, distance = grid.through_plane_axis, grid.through_plane_spacing_mm
    spacing = dict(zip(AXES_IJK, grid.spacing_ijk_mm, strict=True))
    in_plane = sorted((other for other in AXES_IJK if other != axis), key=array_axis)
    slices = np.moveaxis(array, array_axis(axis), 0)
    ratios = distance / spacing[in_plane[0]], distance / spacing[in_plane[1]]
    if not has_finer_plane(slices.shape, ratios):
        return None
    votes = []
    for planes in cuts(slices, ratios, lambda part: np.clip(measured.normalised(part), 0, _BRIGHTEST)):
        if planes.shape[2] >= estimator.head.shortest_cut:
            parts = torch.from_numpy(planes).split(_CUTS_AT_A_TIME)
            votes.append(torch.cat([estimator.head.votes(part) for part in parts]).numpy())
    sight = sight_of(votes) if votes else None
    return sight if sight is None or math.isfinite(sight.error) else None
