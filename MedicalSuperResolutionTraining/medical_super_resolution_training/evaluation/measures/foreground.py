"""The body in a reference volume, where errors count, and its intensity range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medical_super_resolution.volumes.intensity import HOUNSFIELD_RANGE
from medical_super_resolution.volumes.volume import Volume

_TISSUE_ABOVE_HU = -900.0
_TISSUE_SHARE = 0.03  # of the high end of the range, where the scale has no meaning of its own
_HIGH_PERCENTILE = 99.5


@dataclass(frozen=True, eq=False)
class Foreground:
    """The body in a reference volume.

    Parameters
    ----------
    inside
        Boolean, (K, J, I).
    low, high
        Values beyond them are clipped before they are compared, in the units of the volume.
    above
        What lies above this value is body.
    """

    inside: np.ndarray
    low: float
    high: float
    above: float

    @property
    def peak(self) -> float:
        """The width of the range."""
        return self.high - self.low

    def clipped(self, array: np.ndarray) -> np.ndarray:
        """Values held inside the range, float32."""
        return np.clip(array.astype(np.float32), self.low, self.high)

    def scaled(self, array: np.ndarray) -> np.ndarray:
        """Clipped values, brought to [0, 1], float32."""
        return (self.clipped(array) - np.float32(self.low)) / np.float32(self.peak)


def foreground_of(reference: Volume) -> Foreground:
    """CT: above -900 HU, range -1000 to 1000 HU. All else: above 3 % of a high value, range from 0 to it.

    The high value is the 99.5th percentile of what lies above the lowest.
    """
    array = reference.array.astype(np.float32)
    if reference.modality == "ct":
        low, high = HOUNSFIELD_RANGE
        return Foreground(array > _TISSUE_ABOVE_HU, low, high, _TISSUE_ABOVE_HU)
    above_lowest = array[array > array.min()]
    high = float(np.percentile(above_lowest, _HIGH_PERCENTILE)) if above_lowest.size else 1.0
    return Foreground(array > _TISSUE_SHARE * high, 0.0, high, _TISSUE_SHARE * high)
