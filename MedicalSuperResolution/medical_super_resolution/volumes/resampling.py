"""Classical interpolation onto another grid, which enhancement is compared with, and images of SimpleITK for it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..errors import VolumeError
from ..physics.acquisition import acquisition_matrix
from .grid import LPS_TO_RAS, Grid, array_axis
from .intensity import in_type, padding_values
from .volume import Volume

if TYPE_CHECKING:  # it takes 95 MB, and most enhancements go without
    import SimpleITK as sitk

_LEAST_WEIGHT = 1e-6  # against division by zero
INTERPOLATORS = {"linear": "sitkLinear", "cubic B-spline": "sitkBSpline"}  # and their names in SimpleITK


def resampled(volume: Volume, grid: Grid, interpolator: str = "cubic B-spline") -> np.ndarray:
    """Values of a volume on another grid, (K, J, I) float32; outside it, the border is repeated.

    ``interpolator`` is one of `INTERPOLATORS`.

    Raises
    ------
    VolumeError
        The grid does not overlap the volume in space.
    """
    if not volume.grid.overlaps(grid):
        raise VolumeError("the volumes do not overlap in space; are they of the same scan?")
    import SimpleITK as sitk

    resample = sitk.ResampleImageFilter()
    resample.SetReferenceImage(to_image(Volume(np.broadcast_to(np.uint8(0), grid.shape_kji), grid)))
    resample.SetInterpolator(getattr(sitk, INTERPOLATORS[interpolator]))
    resample.UseNearestNeighborExtrapolatorOn()
    resample.SetOutputPixelType(sitk.sitkFloat32)
    return sitk.GetArrayFromImage(resample.Execute(sitk.Cast(to_image(volume), sitk.sitkFloat32)))


def averaged(volume: Volume, axis: str, factor: float) -> Volume:
    """A volume made coarser along one axis: weighted means, with the weights of `acquisition.acquisition_matrix`.

    Parameters
    ----------
    volume : Volume
        The fine one. Its padding takes no part; a coarse voxel is padding where the nearest fine one is.
    axis : str
        "i", "j" or "k".
    factor : float
        Coarse spacing over fine spacing, above 1.
    """
    grid, at = volume.grid.refined(axis, 1 / factor), array_axis(axis)
    count = grid.shape_kji[at]
    weights = acquisition_matrix(count, volume.grid.shape_kji[at], factor)
    nearest = np.minimum(((np.arange(count) + 0.5) * factor).astype(int), volume.grid.shape_kji[at] - 1)
    reduce = partial(_averaged, plateaus=padding_values(volume.array), weights=weights, nearest=nearest, axis=at)
    array, padding = reduce(volume.array, volume.padding)
    measured = volume.measured
    if measured is not None and at == 0:
        measured = replace(measured, places=(measured.places + 0.5) / factor - 0.5)
    elif measured is not None:
        slices, slice_padding = reduce(measured.array, measured.padding)
        measured = replace(measured, array=slices, padding=slice_padding)
    return replace(volume, array=array, grid=grid, padding=padding, measured=measured)


def _averaged(
    array: np.ndarray,
    padding: np.ndarray | None,
    plateaus: tuple[float, ...],
    weights: np.ndarray,
    nearest: np.ndarray,
    axis: int,
) -> tuple[np.ndarray, np.ndarray | None]:
    """An array and its padding, made coarser along ``axis``; ``nearest`` are the fine places of coarse voxels."""
    is_padding = np.isin(array, plateaus)
    if padding is not None:
        is_padding |= padding
    fine, inside = (np.moveaxis(one, axis, -1) for one in (np.where(is_padding, 0, array), ~is_padding))
    kind = np.promote_types(array.dtype, np.float32)  # float32 does not hold every 32-bit integer
    total, known = (one.astype(kind) @ weights.T.astype(kind) for one in (fine, inside))
    values = np.moveaxis(total / np.maximum(known, _LEAST_WEIGHT), -1, axis)
    left_out = np.take(is_padding, nearest, axis)
    values = np.where(left_out, np.take(array, nearest, axis), in_type(values, array.dtype))
    return values, None if padding is None else np.take(padding, nearest, axis)


def grid_of(image: sitk.Image) -> Grid:
    """The grid of a SimpleITK image."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return Grid(image.GetSize()[::-1], LPS_TO_RAS @ matrix)


def to_image(volume: Volume) -> sitk.Image:
    """The SimpleITK image of a volume, in LPS."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(volume.array)
    image.SetSpacing(volume.grid.spacing_ijk_mm)
    image.SetOrigin(volume.grid.ijk_to_lps[:3, 3].tolist())
    image.SetDirection((LPS_TO_RAS[:3, :3] @ volume.grid.direction).ravel().tolist())
    return image
