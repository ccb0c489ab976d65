"""Encoding of voxel values as the 16-bit numbers of a DICOM file, exact where possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .attributes import CT, MR

if TYPE_CHECKING:
    from pydicom import Dataset

_SIGNED, _UNSIGNED = np.dtype(np.int16), np.dtype(np.uint16)
_STEPS = 65535  # between the lowest and the highest 16-bit number


@dataclass(frozen=True)
class Encoding:
    """value = slope * stored + intercept, where the stored numbers are of type ``dtype`` (int16 or uint16)."""

    dtype: np.dtype
    slope: float = 1.0
    intercept: float = 0.0
    is_exact: bool = True

    @property
    def largest_error(self) -> float:
        """The most by which a value may change, in the units of the volume."""
        return 0.0 if self.is_exact else self.slope / 2

    @property
    def rescales(self) -> bool:
        """True where stored numbers are not yet values."""
        return (self.slope, self.intercept) != (1, 0)

    def warnings(self) -> list[str]:
        """A sentence about the rounding, where there is any."""
        if self.is_exact:
            return []
        return [
            f"DICOM's 16 bits hold the values in steps of {self.slope:.3g}: they are rounded by at most"
            f" {self.largest_error:.3g}"
        ]

    def stored(self, plane: np.ndarray) -> np.ndarray:
        """The numbers that stand for the values of one slice, little endian."""
        if self.is_exact and not self.rescales:
            return plane.astype(self.dtype.newbyteorder("<"))
        limits = np.iinfo(self.dtype)
        steps = np.rint((plane.astype(np.float64) - self.intercept) / self.slope)
        return steps.clip(limits.min, limits.max).astype(self.dtype.newbyteorder("<"))


def encoding_of(array: np.ndarray, *, may_shift: bool) -> Encoding:
    """The encoding with the least error; whole numbers are kept exactly wherever 16 bits can hold them.

    Parameters
    ----------
    array
        (K, J, I), finite.
    may_shift
        An intercept other than 0 is allowed (in PET it is not).
    """
    low, high = float(array.min()), float(array.max())
    if _is_whole(array):
        types = (_UNSIGNED, _SIGNED) if array.dtype.kind == "u" else (_SIGNED, _UNSIGNED)
        for dtype in types:
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return Encoding(dtype)
        if may_shift and high - low <= _STEPS:
            return Encoding(_SIGNED, intercept=low - np.iinfo(_SIGNED).min)
    if may_shift:
        slope = _as_written((high - low) / _STEPS) or 1.0
        intercept = _as_written(low - (np.iinfo(_SIGNED).min * slope if high > low else 0))
        return Encoding(_SIGNED, slope, intercept, is_exact=False)
    dtype = _UNSIGNED if low >= 0 else _SIGNED
    limits = np.iinfo(dtype)
    slope = max(high / limits.max, low / limits.min if limits.min else 0.0)
    return Encoding(dtype, _as_written(slope), is_exact=False)


def describe_pixels(header: Dataset, encoding: Encoding, storage_class: str) -> None:
    """Put the attributes of the pixels into a header, for a storage class of `attributes`."""
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"  # GDCM, and so Slicer, turns the values of MONOCHROME1 over
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 16, 15
    header.PixelRepresentation = int(encoding.dtype.kind == "i")
    if storage_class != MR or encoding.rescales:
        header.RescaleIntercept = decimal_string(encoding.intercept)
        header.RescaleSlope = decimal_string(encoding.slope)
    if storage_class == MR and encoding.rescales:
        header.RescaleType = "US"  # unspecified units, as always in MR
    if storage_class == CT and header.Modality == "CT" and not header.get("RescaleType"):
        header.RescaleType = "HU"


def decimal_string(value: float) -> str:
    """A number as the 16 characters of DICOM's decimal strings hold it best."""
    digits = 17
    text = repr(float(value)).removesuffix(".0")
    while len(text) > 16:
        digits -= 1
        text = f"{value:.{digits}g}"
    return text


def _as_written(value: float) -> float:
    return float(decimal_string(value))


def _is_whole(array: np.ndarray) -> bool:
    """Whether all values are whole numbers; slice by slice, so that no copy of the volume is made."""
    return array.dtype.kind in "iu" or all(bool((plane == np.rint(plane)).all()) for plane in array)
