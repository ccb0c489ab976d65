"""Rigid registration of two volumes of one session, through SimpleITK."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk

from .grid import LPS_TO_RAS
from .resampling import to_image
from .volume import Volume

_SHRINK, _SMOOTHING_MM = (4, 2, 1), (4.0, 2.0, 1.0)
_WORKING_MM = 2.0  # spacing that the registration works at
_BINS, _SEED = 32, 7
_FARTHEST_MM, _FARTHEST_DEGREES = 30.0, 20.0


def rigid_motion(fixed: Volume, moving: Volume) -> np.ndarray:
    """The (4, 4) matrix that carries the millimeters (RAS) of ``moving`` onto those of ``fixed``.

    Mutual information over three resolutions, sampled where both volumes are. A motion beyond 30 mm or 20 degrees, or
    one that does not agree better than no motion, is taken for a failure and gives the identity.

    References
    ----------
    .. [1] Mattes et al. (2003), PET-CT image registration in the chest using free-form deformations.
       DOI 10.1109/TMI.2003.809072
    """
    one, other = _prepared(fixed), _prepared(moving)
    start = sitk.Euler3DTransform()
    start.SetCenter(_middle_of_overlap(fixed, moving))
    registration = _registration()
    registration.SetInitialTransform(start, inPlace=False)
    before = _agreement(one, other, start)
    try:
        found = registration.Execute(one, other)
    except RuntimeError:  # too little overlap to sample
        return np.eye(4)
    euler = sitk.Euler3DTransform(found.GetNthTransform(0) if found.GetName() == "CompositeTransform" else found)
    if _is_too_far(euler) or _agreement(one, other, euler) >= before:
        return np.eye(4)
    return _as_matrix(euler.GetInverse())


def described(motion: np.ndarray, volume: Volume) -> tuple[float, float]:
    """Shift of the middle of a volume by a rigid motion, in mm, and its angle in degrees."""
    low, high = volume.grid.bounds_ras_mm
    middle = np.append((low + high) / 2, 1.0)
    cosine = (float(np.trace(motion[:3, :3])) - 1) / 2
    return float(np.linalg.norm((motion @ middle - middle)[:3])), math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))


def _registration() -> sitk.ImageRegistrationMethod:
    made = sitk.ImageRegistrationMethod()
    made.SetMetricAsMattesMutualInformation(_BINS)
    made.SetMetricSamplingStrategy(made.REGULAR)
    made.SetMetricSamplingPercentagePerLevel([1.0, 0.5, 0.25], _SEED)
    made.SetInterpolator(sitk.sitkLinear)
    made.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=0.005, numberOfIterations=80, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-6
    )
    made.SetOptimizerScalesFromPhysicalShift()
    made.SetShrinkFactorsPerLevel(list(_SHRINK))
    made.SetSmoothingSigmasPerLevel(list(_SMOOTHING_MM))
    made.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    return made


def _prepared(volume: Volume) -> sitk.Image:
    """The volume as a float image of about 2 mm."""
    image = sitk.Cast(to_image(volume), sitk.sitkFloat32)
    shrink = [max(1, int(_WORKING_MM / spacing + 0.5)) for spacing in image.GetSpacing()]
    return sitk.BinShrink(image, shrink) if max(shrink) > 1 else image


def _agreement(fixed: sitk.Image, moving: sitk.Image, transform: sitk.Transform) -> float:
    """Minus the mutual information."""
    registration = _registration()
    registration.SetMetricSamplingStrategy(registration.NONE)
    registration.SetInitialTransform(transform)
    try:
        return float(registration.MetricEvaluate(fixed, moving))
    except RuntimeError:
        return math.inf


def _middle_of_overlap(one: Volume, other: Volume) -> list[float]:
    (low, high), (other_low, other_high) = one.grid.bounds_ras_mm, other.grid.bounds_ras_mm
    middle = (np.maximum(low, other_low) + np.minimum(high, other_high)) / 2
    return [float(value) for value in LPS_TO_RAS[:3, :3] @ middle]


def _is_too_far(euler: sitk.Euler3DTransform) -> bool:
    angles = (euler.GetAngleX(), euler.GetAngleY(), euler.GetAngleZ())
    shift = np.linalg.norm(euler.GetTranslation())
    return bool(shift > _FARTHEST_MM or math.degrees(max(map(abs, angles))) > _FARTHEST_DEGREES)


def _as_matrix(transform: sitk.Transform) -> np.ndarray:
    """(4, 4) in RAS of a rigid transform of ITK."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    for column in range(3):
        unit = np.eye(3)[column]
        matrix[:3, column] = np.array(transform.TransformPoint(tuple(unit))) - origin
    matrix[:3, 3] = origin
    return LPS_TO_RAS @ matrix @ LPS_TO_RAS
