"""From the network's range back to what a file holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..volumes.intensity import IntensityRange


@dataclass(frozen=True)
class Denormaliser:
    """From the network's range back to the units and type of the volume.

    floor : values below it are raised to it; None lets them be.
    """

    measured: IntensityRange
    dtype: np.dtype
    floor: float | None

    def stored(self, sr: Tensor) -> np.ndarray:
        """Values as the file will hold them: integers are rounded and never wrap around."""
        if self.dtype.itemsize > 2 and self.dtype != np.float32:
            sr = sr.cpu().double()  # float32 does not hold every 32-bit integer
        values = sr.mul_(self.measured.high - self.measured.low).add_(self.measured.low)
        if self.floor is not None:
            values.clamp_(min=self.floor)
        if self.dtype.kind == "f":
            return values.cpu().numpy().astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        rounded = values.round_().cpu().numpy()
        low, high = rounded.dtype.type(limits.min), rounded.dtype.type(limits.max)
        if float(high) > limits.max:  # the largest 64-bit integers are no floating numbers
            high = np.nextafter(high, rounded.dtype.type(0))
        return rounded.clip(low, high).astype(self.dtype)
