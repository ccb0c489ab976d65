"""Intensity range of a volume for networks and for display, its padding, and its modality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import VolumeError
from .memmap import extremes, sampled

HOUNSFIELD_RANGE = (-1000.0, 1000.0)  # air to dense bone: 0 and 1 for a network
HOUNSFIELD_WINDOW = (-1024, 3071)  # what a scanner's twelve bits hold; below lies padding, above metal
BRIGHTEST_WIDTHS = 4  # of the range of other modalities: fat and vessels reach three times the range
CT_WINDOWS = {  # values shown black and white: (level - width / 2, level + width / 2), in HU
    "soft": (-160.0, 240.0),
    "lung": (-1350.0, 150.0),
    "bone": (-500.0, 1300.0),
}
WRAPPED_PHASES = (
    "the values are phases of MR: where they wrap around, the result is wrong; unwrap them first, or refine their"
    " cosine and sine, or the real and the imaginary part"
)
_AIR_AT_MOST_HU = -850
_LOWEST_HU = -4096
_HIGHEST_HU = 32767
_LARGEST, _SMALLEST = 1e18, 1e-18  # of magnitudes whose square float32 holds
_PADDING_AT_MOST = -1200  # HU; far below air with its noise
_FAR_OUT = 2000  # HU; below -2000 lie streaks of metal and padding of a CT, above it metal
_MOST_FAR_OUT = 0.05  # of the measured voxels of a CT on both sides; blurred padding can be more on one
_LEAST_PLATEAU = 2e-4  # of the voxels
_FEWEST_VOXELS = 8
_NEARBY = 16  # units around a plateau, where a plateau has next to no voxels and noise has most of its own
_PLATEAU_OVER_NEARBY = 10
_FOREGROUND_PERCENTILE = 99.5
_LUNG_SHARE = 0.25  # of the soft tissue: more is a chest


@dataclass(frozen=True)
class IntensityRange:
    """Values that are 0 (``low``) and 1 (``high``) for a network, in the units of the volume.

    Parameters
    ----------
    low, high : float
        In the units of the volume.
    padding : tuple of float
        Values that mark voxels outside the field of view; a network sees them as 0.
    """

    low: float
    high: float
    padding: tuple[float, ...] = ()

    def normalized(self, values: np.ndarray) -> np.ndarray:
        """Values in the volume's units -> float32, mostly in [0, 1]; not clipped."""
        wide = values.astype(np.float32) if values.dtype.itemsize <= 2 else values.astype(np.float64)
        found = np.ascontiguousarray((wide - self.low) / (self.high - self.low), dtype=np.float32)
        for value in self.padding:
            found[values == value] = 0
        return found


def in_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Floating values in another type, clipped to its range; for integers they are rounded, too."""
    if dtype == np.float16:  # the range of larger ones is never left
        values = values.clip(np.finfo(dtype).min, np.finfo(dtype).max)
    if dtype.kind not in "iu":
        return values.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    low, high = values.dtype.type(limits.min), values.dtype.type(limits.max)
    if float(high) > limits.max:  # the largest integers of 32 and 64 bits may have no floating number
        high = np.nextafter(high, values.dtype.type(0))
    return np.rint(values).clip(low, high).astype(dtype)


def trained_window(modality: str) -> tuple[float, float]:
    """The lowest and highest normalized value that networks were trained with.

    Parameters
    ----------
    modality : str
        "ct" or anything else.
    """
    if modality != "ct":
        return -1.0, float(BRIGHTEST_WIDTHS)
    low, high = HOUNSFIELD_RANGE
    return tuple((value - low) / (high - low) for value in HOUNSFIELD_WINDOW)  # type: ignore[return-value]


def padding_values(array: np.ndarray) -> tuple[float, ...]:
    """The values outside a round field of view, such as -2000, -3024 or -32768: plateaus far below air.

    Parameters
    ----------
    array : numpy.ndarray
        (K, J, I), any type. Of more than four million values, two to four million are sampled.

    Returns
    -------
    tuple of float
        Ascending; empty where the volume has no padding, or nothing else.
    """
    sample = sampled(array)
    low = sample[sample < _PADDING_AT_MOST].astype(np.float64)
    if not low.size:
        return ()
    values, counts = np.unique(low, return_counts=True)
    reached = np.concatenate([[0], np.cumsum(counts)])
    first = np.searchsorted(values, values - _NEARBY, side="left")
    stop = np.searchsorted(values, values + _NEARBY, side="right")
    others = reached[stop] - reached[first] - counts
    is_plateau = (counts >= max(_LEAST_PLATEAU * sample.size, _FEWEST_VOXELS)) & (
        counts >= _PLATEAU_OVER_NEARBY * others
    )
    found = values[is_plateau]
    if np.isin(sample, found).all():
        return ()
    return tuple(float(value) for value in found)


def check_magnitude(array: np.ndarray) -> None:
    """Refuse real values that cannot be computed with; the largest mostly mark voxels without a measurement.

    Raises
    ------
    VolumeError
        Those that are no padding are too large, or all are too small.
    """
    largest = max(map(abs, extremes(array))) if array.dtype.kind == "f" else 0
    if largest > _LARGEST and (padding := padding_values(array)):
        largest = float(np.abs(array[~np.isin(array, padding)]).max(initial=0))
    if largest and not _SMALLEST <= largest <= _LARGEST:
        raise VolumeError(
            f"the values of the volume reach a magnitude of {largest:.3g}, and {_SMALLEST:g} to {_LARGEST:g} can be"
            " computed with; replace marks of missing voxels, for example by the value of air, or use another unit"
        )


def guess_modality(array: np.ndarray) -> str:
    """Return "ct" where the values look like Hounsfield units (air near -1000), "mr" otherwise; padding is ignored.

    Many values far below air and as far above are those of a phase image of MR, from -4096 to 4095.
    """
    low, high = extremes(array)
    if low < _PADDING_AT_MOST:
        sample = sampled(array)
        measured = sample[~np.isin(sample, padding_values(array))]
        if min((measured < -_FAR_OUT).mean(), (measured > _FAR_OUT).mean()) > _MOST_FAR_OUT:
            return "mr"
        low = float(measured.min())
    return "ct" if _LOWEST_HU <= low <= _AIR_AT_MOST_HU and high <= _HIGHEST_HU else "mr"


def intensity_range(
    array: np.ndarray, modality: str, *, padding: tuple[float, ...] = (), mask: np.ndarray | None = None
) -> IntensityRange:
    """The range that networks are trained with: Hounsfield units for CT, robust percentiles for others.

    Parameters
    ----------
    array : numpy.ndarray
        Values of the whole volume, any shape.
    modality : str
        "ct" or anything else.
    padding : tuple of float
        Values that were not measured; see `padding_values`.
    mask : numpy.ndarray or None
        True where nothing was measured, of the shape of ``array``.
    """
    if modality == "ct":
        return IntensityRange(*HOUNSFIELD_RANGE, padding)
    sample = sampled(array)
    is_measured = ~np.isin(sample, padding)
    if mask is not None:
        is_measured &= ~sampled(mask)
    sample = sample[is_measured] if is_measured.any() else sample
    sample = sample.astype(np.promote_types(sample.dtype, np.float32))
    low = float(np.percentile(sample, 0.5))
    above = sample[sample > low]
    high = float(np.percentile(above, _FOREGROUND_PERCENTILE)) if above.size else low
    return IntensityRange(low, high if high > low else low + max(1.0, 1e-6 * abs(low)), padding)


def window_of(array: np.ndarray, modality: str) -> tuple[float, float]:
    """Values that are shown black and white: a usual window for CT, the robust range for others."""
    if modality != "ct":
        measured = intensity_range(array, modality, padding=padding_values(array))
        return measured.low, measured.high
    lung, tissue = ((array > -950) & (array < -600)).sum(), (array > -300).sum()
    return CT_WINDOWS["lung" if lung > _LUNG_SHARE * tissue else "soft"]
