"""Hallucinations: the count of bright and dark blobs in a result that the reference does not show."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk

from medical_super_resolution.volumes.volume import Volume

from ..measures.foreground import Foreground

_FINE_MM, _COARSE_MM = 1.0, 2.5  # a blob of 2 to 8 mm stands out between these two blurs
_SHARE_OF_PEAK = 0.0125  # 25 HU in CT: a sphere of 4 mm answers with 0.63 of its contrast
_SEEN_FROM = 0.5  # the reference shows a blob that answers with this share of the threshold
_SMALLEST_MM3 = 4.2  # a sphere of 2 mm
_LITER_MM3 = 1e6
_FEWEST_VOXELS = 4  # along an axis, for the blur
BLOBS = {"bright": "new bright blobs per liter", "dark": "new dark blobs per liter", "lost": "blobs lost per liter"}


def blob_counts(result: np.ndarray, reference: Volume, body: Foreground) -> dict[str, float]:
    """Blobs of 2 to 8 mm in the result that the reference does not show, per liter of body, and those that got lost.

    Not a number where the volume has fewer than four voxels along an axis.

    A blob is a connected piece of body, at least as large as a sphere of 2 mm, in which the difference of two Gaussian
    blurs (1 and 2.5 mm) passes 1.25 % of the intensity range (25 HU in CT), while the same difference of the other
    volume stays below half of that.
    """
    if min(reference.array.shape) < _FEWEST_VOXELS:
        return dict.fromkeys(BLOBS, math.nan)
    made, true = (_difference_of_gaussians(body.clipped(array), reference) for array in (result, reference.array))
    threshold = _SHARE_OF_PEAK * body.peak
    voxel_mm3 = float(np.prod(reference.grid.spacing_ijk_mm))
    liters = float(body.inside.sum()) * voxel_mm3 / _LITER_MM3
    pairs = {"bright": [(made, true)], "dark": [(-made, -true)], "lost": [(true, made), (-true, -made)]}
    return {
        name: sum(_pieces(a, b, threshold, body.inside, voxel_mm3) for a, b in some) / liters
        for name, some in pairs.items()
    }


def _pieces(present: np.ndarray, absent: np.ndarray, threshold: float, inside: np.ndarray, voxel_mm3: float) -> int:
    """Connected pieces in which ``present`` passes the threshold and ``absent`` nowhere half of it."""
    labels = sitk.ConnectedComponent(sitk.GetImageFromArray(((present > threshold) & inside).astype(np.uint8)))
    numbers = sitk.GetArrayViewFromImage(labels)
    sizes = np.bincount(numbers.ravel())
    seen = np.bincount(numbers[absent > _SEEN_FROM * threshold], minlength=len(sizes))
    is_new = (sizes * voxel_mm3 >= _SMALLEST_MM3) & (seen == 0)
    return int(is_new[1:].sum())


def _difference_of_gaussians(array: np.ndarray, reference: Volume) -> np.ndarray:
    """Difference of the two blurs, (K, J, I) float32, positive in bright blobs."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(reference.grid.spacing_ijk_mm)
    fine, coarse = (sitk.SmoothingRecursiveGaussian(image, sigma) for sigma in (_FINE_MM, _COARSE_MM))
    return sitk.GetArrayFromImage(fine) - sitk.GetArrayFromImage(coarse)
