"""Cleaning of the values of a scan before training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from medical_super_resolution.volumes.intensity import (
    BRIGHTEST_WIDTHS,
    HOUNSFIELD_WINDOW,
    IntensityRange,
    intensity_range,
)

_SHRINKING = 4  # of the volume that the bias is estimated on: it is smooth
_BIAS_ITERATIONS = [50, 50, 30]
_FOREGROUND_BINS = 128
_CLOSED_VOXELS = 3  # holes and gaps of the body that still belong to it
_HALO_VOXELS = 2  # around the body, kept


@dataclass(frozen=True)
class Cleaning:
    """Cleaning of MR scans.

    Attributes
    ----------
    n4 : bool
        Correct the bias field.
    suppress_background : bool
        Set air to 0.
    """

    n4: bool = False
    suppress_background: bool = False


def cleaned(array: np.ndarray, modality: str, cleaning: Cleaning) -> tuple[np.ndarray, IntensityRange]:
    """The cleaned values, (K, J, I), and their intensity range.

    Whole values are int16 for CT, else of the type of ``array`` where that has at most 16 bits; all others are float32.
    CT is clipped to `HOUNSFIELD_WINDOW`. Other modalities have robust percentiles as their range, and are clipped above
    what fat and vessels reach, three times the range, which removes spikes and defects of coils.
    """
    if modality == "ct":
        low, high = HOUNSFIELD_WINDOW
        window = np.clip(array, low, high)
        return _small(window, np.dtype(np.int16)), intensity_range(window, modality)
    if modality == "mr" and cleaning.n4:
        array = without_bias(array)
    if modality == "mr" and cleaning.suppress_background:
        array = without_background(array)
    measured = intensity_range(array, modality)
    width = measured.high - measured.low
    kept = _limits(array.dtype, measured.low - width, measured.low + BRIGHTEST_WIDTHS * width)
    return _small(np.clip(array, *kept), array.dtype), measured


def without_bias(array: np.ndarray) -> np.ndarray:
    """N4 correction of the slow shading by the coils, (K, J, I) -> float32, the body's mean kept.

    References
    ----------
    .. [1] Tustison et al. (2010), N4ITK: improved N3 bias correction. DOI 10.1109/TMI.2010.2046908
    """
    image = sitk.GetImageFromArray(array.astype(np.float32))
    inside = foreground(array)
    body = sitk.GetImageFromArray(inside.astype(np.uint8))
    shrinking = [min(_SHRINKING, size) for size in image.GetSize()]
    estimate = sitk.N4BiasFieldCorrectionImageFilter()
    estimate.SetMaximumNumberOfIterations(_BIAS_ITERATIONS)
    estimate.Execute(sitk.Shrink(image, shrinking), sitk.Shrink(body, shrinking))
    bias = np.exp(sitk.GetArrayFromImage(estimate.GetLogBiasFieldAsImage(image)))
    corrected = array / bias
    return (corrected * (array[inside].mean() / corrected[inside].mean())).astype(np.float32)


def without_background(array: np.ndarray) -> np.ndarray:
    """The noise of the air around the body becomes 0, (K, J, I) of the same type."""
    body = sitk.GetImageFromArray(foreground(array).astype(np.uint8))
    wide = sitk.BinaryDilate(body, [_HALO_VOXELS] * 3)
    return np.where(sitk.GetArrayFromImage(wide).astype(bool), array, array.dtype.type(0))


def foreground(array: np.ndarray) -> np.ndarray:
    """The body: what is brighter than Otsu's threshold, the largest piece of it, its holes filled; bool (K, J, I)."""
    image = sitk.GetImageFromArray(array.astype(np.float32))
    bright = sitk.OtsuThreshold(image, 0, 1, _FOREGROUND_BINS)
    closed = sitk.BinaryMorphologicalClosing(bright, [_CLOSED_VOXELS] * 3)
    pieces = sitk.RelabelComponent(sitk.ConnectedComponent(closed), sortByObjectSize=True)
    filled = sitk.BinaryFillhole(pieces == 1)
    body = sitk.GetArrayFromImage(filled).astype(bool)
    return body if body.any() else np.ones_like(body)


def _limits(kind: np.dtype, low: float, high: float) -> tuple[float, float]:
    """Limits beyond which values of a type are clipped; whole numbers stay whole."""
    return (low, high) if kind.kind == "f" else (np.floor(low), np.ceil(high))


def _small(array: np.ndarray, kind: np.dtype) -> np.ndarray:
    """The array as ``kind``, or as float32 where that would take more memory or lose fractions."""
    is_whole = array.dtype.kind in "iu" or not np.any(array % 1)
    return array.astype(kind if kind.itemsize <= 2 and is_whole else np.float32, copy=False)
