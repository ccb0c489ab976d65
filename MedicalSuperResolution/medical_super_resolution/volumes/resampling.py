"""Classical interpolation onto another grid: what enhancement is compared with."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from ..errors import VolumeError
from .grid import Grid
from .io.files import to_image
from .volume import Volume

INTERPOLATORS = {"linear": sitk.sitkLinear, "cubic B-spline": sitk.sitkBSpline}


def resampled(volume: Volume, grid: Grid, interpolator: str = "cubic B-spline") -> np.ndarray:
    """Values of a volume on another grid, (K, J, I) float32; beyond its border the nearest values go on.

    Raises
    ------
    VolumeError : the grid does not overlap the volume in space.
    """
    (low, high), (here_low, here_high) = grid.bounds_ras_mm, volume.grid.bounds_ras_mm
    if (np.minimum(high, here_high) - np.maximum(low, here_low)).min() <= 0:
        raise VolumeError("the volumes do not overlap in space; are they of the same scan?")
    resample = sitk.ResampleImageFilter()
    resample.SetReferenceImage(to_image(Volume(np.broadcast_to(np.uint8(0), grid.shape_kji), grid)))
    resample.SetInterpolator(INTERPOLATORS[interpolator])
    resample.UseNearestNeighborExtrapolatorOn()
    resample.SetOutputPixelType(sitk.sitkFloat32)
    return sitk.GetArrayFromImage(resample.Execute(sitk.Cast(to_image(volume), sitk.sitkFloat32)))
