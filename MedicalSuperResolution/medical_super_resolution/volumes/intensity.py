"""The range of a volume that networks see as 0 to 1, and the guess of the modality it rests on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .memmap import every, extremes

HOUNSFIELD_RANGE = (-1000.0, 1000.0)  # air to dense bone; what lies beyond goes through unclipped
_AIR_AT_MOST_HU = -850
_FOREGROUND_PERCENTILE = 99.5


@dataclass(frozen=True)
class IntensityRange:
    """Volume values that a network sees as 0 (``low``) and 1 (``high``), in the units of the volume."""

    low: float
    high: float

    def normalised(self, values: np.ndarray) -> np.ndarray:
        """Values in the volume's units -> float32, mostly in [0, 1]; never clipped."""
        wide = values.astype(np.float32) if values.dtype.itemsize <= 2 else values.astype(np.float64)
        return np.ascontiguousarray((wide - self.low) / (self.high - self.low), dtype=np.float32)


def guess_modality(array: np.ndarray) -> str:
    """Say "ct" where the values look like Hounsfield units (air near -1000), "mr" otherwise."""
    low, high = extremes(array)
    return "ct" if -4096 <= low <= _AIR_AT_MOST_HU and high <= 32767 else "mr"


def intensity_range(array: np.ndarray, modality: str) -> IntensityRange:
    """The range that networks are trained with: Hounsfield units for CT, robust percentiles for all else.

    Parameters
    ----------
    array : values of the whole volume, any shape.
    modality : "ct" or anything else.
    """
    if modality == "ct":
        return IntensityRange(*HOUNSFIELD_RANGE)
    sample = every(array, max(1, array.size // 2_000_000)).astype(np.float32)
    low = float(np.percentile(sample, 0.5))
    above = sample[sample > low]
    high = float(np.percentile(above, _FOREGROUND_PERCENTILE)) if above.size else low
    return IntensityRange(low, high if high > low else low + 1.0)
