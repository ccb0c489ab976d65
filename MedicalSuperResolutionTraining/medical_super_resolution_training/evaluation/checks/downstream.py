"""Downstream segmentation: bone and lung by thresholds in a result, compared with the truth.

The same threshold is taken of a thick scan, of what methods make of it, and of the true volume. CT only: its values
mean the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from medical_super_resolution.volumes.volume import Volume

BONE_ABOVE_HU = 250.0
LUNG_BELOW_HU = -500.0
STRUCTURES = ("bone", "lung")
_FEWEST_VOXELS = 1000  # of a structure in the true volume
_PERCENTILE = 95


@dataclass(frozen=True)
class Agreement:
    """Agreement of a structure of a result with that of the truth.

    Parameters
    ----------
    dice
        Overlap, from 0 to 1.
    hausdorff_mm
        95th percentile of the distances between both surfaces, each way; the larger one.
    volume_error
        Volume of the structure over the true one, less 1.
    """

    dice: float
    hausdorff_mm: float
    volume_error: float


def agreements(result: np.ndarray, reference: Volume) -> dict[str, Agreement]:
    """For each structure that the reference has at all: how well the result shows it.

    Parameters
    ----------
    result
        (K, J, I), on the grid of the reference, in Hounsfield units.
    """
    if reference.modality != "ct":
        return {}
    inside = _filled(reference.array > LUNG_BELOW_HU)
    found = {}
    for name in STRUCTURES:
        true, made = (_structure(name, array, inside) for array in (reference.array, result))
        if true.sum() >= _FEWEST_VOXELS:
            found[name] = _agreement(made, true, reference.grid.spacing_ijk_mm)
    return found


def _structure(name: str, array: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(K, J, I) bool."""
    return array > BONE_ABOVE_HU if name == "bone" else (array < LUNG_BELOW_HU) & inside


def _filled(tissue: np.ndarray) -> np.ndarray:
    """The body with its holes, slice by slice: air inside it is lung, air around it is not."""
    slices = [
        sitk.GetArrayFromImage(sitk.BinaryFillhole(sitk.GetImageFromArray(one.astype(np.uint8)))) for one in tissue
    ]
    return np.stack(slices).astype(bool)


def _agreement(made: np.ndarray, true: np.ndarray, spacing_ijk_mm: tuple[float, ...]) -> Agreement:
    both = int(made.sum()) + int(true.sum())
    dice = 2 * int((made & true).sum()) / both
    if not made.any():
        return Agreement(dice, float("inf"), -1.0)
    images = [_image(mask, spacing_ijk_mm) for mask in (made, true)]
    surfaces = [sitk.LabelContour(image, fullyConnected=False) for image in images]
    distances = [_distances(*pair) for pair in (surfaces, surfaces[::-1])]
    farthest = max(float(np.percentile(each, _PERCENTILE)) for each in distances)
    return Agreement(dice, farthest, int(made.sum()) / int(true.sum()) - 1)


def _image(mask: np.ndarray, spacing_ijk_mm: tuple[float, ...]) -> sitk.Image:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing([float(one) for one in spacing_ijk_mm])
    return image


def _distances(surface: sitk.Image, other: sitk.Image) -> np.ndarray:
    """Distance in mm of each voxel of a surface from the other one."""
    away = sitk.SignedMaurerDistanceMap(other, squaredDistance=False, useImageSpacing=True, insideIsPositive=False)
    return np.maximum(sitk.GetArrayFromImage(away)[sitk.GetArrayFromImage(surface) > 0], 0)
