"""From the network's range back to what a file holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from ...volumes.intensity import IntensityRange

_SLICES = 16


@dataclass(frozen=True)
class Denormaliser:
    """From the network's range back to the units and type of the volume.

    Parameters
    ----------
    measured : IntensityRange
        Of the measured volume.
    dtype : numpy.dtype
        Of the result.
    floor : float or None
        Values below it are raised to it; None leaves them as they are.
    """

    measured: IntensityRange
    dtype: np.dtype
    floor: float | None

    def unrounded(self) -> Denormaliser:
        """The same for a floating type that holds every value of this one."""
        exact = np.float32 if self.dtype.itemsize <= 2 or self.dtype == np.float32 else np.float64
        return replace(self, dtype=np.dtype(exact))

    def stored(self, sr: Tensor) -> np.ndarray:
        """Values in [0, 1] as the file will hold them; ``sr`` is changed in place."""
        if self.dtype.itemsize > 2 and self.dtype != np.float32:
            sr = sr.cpu().double()  # float32 does not hold every 32-bit integer
        values = sr.mul_(self.measured.high - self.measured.low).add_(self.measured.low)
        if self.floor is not None:
            values.clamp_(min=self.floor)
        return self._in_type(values.cpu().numpy())

    def rounded(self, values: np.ndarray) -> np.ndarray:
        """Values (K, J, I) that were stored by `unrounded`, in the type of the file."""
        if values.dtype == self.dtype:
            return values
        result = np.empty(values.shape, self.dtype)
        for start in range(0, len(values), _SLICES):
            result[start : start + _SLICES] = self._in_type(values[start : start + _SLICES])
        return result

    def _in_type(self, values: np.ndarray) -> np.ndarray:
        """Integers are rounded and never wrap around."""
        if self.dtype.kind == "f":
            return values.astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        low, high = values.dtype.type(limits.min), values.dtype.type(limits.max)
        if float(high) > limits.max:  # the largest 64-bit integers are no floating numbers
            high = np.nextafter(high, values.dtype.type(0))
        return np.rint(values).clip(low, high).astype(self.dtype)
