"""What a refiner is given: a whole volume, and of it one axis with the way in and the way out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ...physics.acquisition import SliceProfile
from ...volumes.grid import array_axis
from ...volumes.intensity import IntensityRange
from ...volumes.memmap import release_pages
from ...volumes.volume import MeasuredSlices
from ..planning import Pass, Plan
from .padding import FILLED_SLICES, Padding, PaddingAlongAxis, padding_of_slices

_SLICES = 16  # rounded at a time
_SMALL_INTEGERS = {"uint8": torch.uint8, "int8": torch.int8, "int16": torch.int16}  # which every PyTorch can convert to


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
        if (kind := _SMALL_INTEGERS.get(self.dtype.name)) is not None:  # rounded before they leave a graphics card
            limits = torch.iinfo(kind)
            values = values.round_().clamp_(limits.min, limits.max).to(kind)
            return values.cpu().numpy()
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


@dataclass(frozen=True, eq=False)
class VolumeRequest:
    """One volume, or a mirror image of it, to refine.

    Parameters
    ----------
    array : numpy.ndarray
        The measured volume, (K, J, I).
    planned : Plan
        The passes.
    profiles : dict of str to SliceProfile
        The slice profile of each index axis.
    window : tuple of float
        Lowest and highest normalised value that the network may see; see `intensity.trained_window`.
    denormaliser : Denormaliser
        Converts the result.
    padding : Padding or None
        Voxels of the measured volume that are held apart.
    measured : MeasuredSlices or None
        What ``array`` was interpolated from, where slices do not lie at even places.
    """

    array: np.ndarray
    planned: Plan
    profiles: dict[str, SliceProfile]
    window: tuple[float, float]
    denormaliser: Denormaliser
    padding: Padding | None = None
    measured: MeasuredSlices | None = None


@dataclass(frozen=True, eq=False)
class SliceReader:
    """Slices of a volume as the work needs them: normalised, measured tissue continued into padding.

    Parameters
    ----------
    slices : numpy.ndarray
        (K, J, I), the refined axis first.
    read : IntensityRange or None
        Normalises intensities; None where they are normalised already.
    padding : PaddingAlongAxis or None
        Voxels that are held apart.
    """

    slices: np.ndarray
    read: IntensityRange | None
    padding: PaddingAlongAxis | None

    def __len__(self) -> int:
        return len(self.slices)

    def __call__(self, start: int, stop: int, rows: slice, columns: slice) -> np.ndarray:
        """The slices from ``start`` up to ``stop``, (k, J, I) float32."""
        if self.padding is None:
            return self._normalised(start, stop, rows, columns)
        first = max(0, start - FILLED_SLICES)
        wide = self._normalised(first, min(stop + FILLED_SLICES, len(self)), rows, columns)
        return self.padding.filled(wide, first, rows, columns)[start - first : stop - first]

    def _normalised(self, start: int, stop: int, rows: slice, columns: slice) -> np.ndarray:
        part = self.slices[start:stop, rows, columns]
        found = self.read.normalised(part) if self.read else np.array(part, order="C")
        release_pages(self.slices)
        return found


@dataclass(frozen=True, eq=False)
class AxisRequest:
    """One axis of a volume to refine.

    Parameters
    ----------
    source : numpy.ndarray
        The volume, (K, J, I).
    one : Pass
        Leads from ``source`` to ``into``.
    into : numpy.ndarray
        Takes the result.
    profile : SliceProfile
        Of the measured slices.
    window : tuple of float
        Lowest and highest normalised value that the network may see; see `intensity.trained_window`.
    read, write : IntensityRange, Denormaliser or None
        Convert intensities; None where they are normalised already.
    padding : Padding or None
        Voxels of the measured volume that are held apart; ``write`` puts them back.
    measured : MeasuredSlices or None
        What ``source`` was interpolated from along the axis, where slices do not lie at even places.
    """

    source: np.ndarray
    one: Pass
    into: np.ndarray
    profile: SliceProfile
    window: tuple[float, float]
    read: IntensityRange | None = None
    write: Denormaliser | None = None
    padding: Padding | None = None
    measured: MeasuredSlices | None = None

    @cached_property
    def even_slices(self) -> SliceReader:
        """The slices of the source along the axis."""
        padding = None if self.padding is None else self.padding.along(self.one.source, self.one.axis)
        return SliceReader(np.moveaxis(self.source, array_axis(self.one.axis), 0), self.read, padding)

    @cached_property
    def measured_slices(self) -> SliceReader | None:
        """The slices that the result reproduces, where they are others than those of the source."""
        if self.measured is None:
            return None
        return SliceReader(self.measured.array, self.read, padding_of_slices(self.padding, self.measured))

    @property
    def fine(self) -> np.ndarray:
        """The result with the axis first."""
        return np.moveaxis(self.into, array_axis(self.one.axis), 0)

    def store(self, sr: Tensor, first: int, rows: slice, columns: slice) -> None:
        """Write fine slices (m, J, I) into the result, from slice ``first`` on."""
        part = self.fine[first : first + len(sr), rows, columns]
        part[...] = sr.cpu().numpy() if self.write is None else self.write.stored(sr)
        if self._after is not None and self.write is not None:
            self._after.put_back(part, first, rows, columns)
        release_pages(self.into)

    @cached_property
    def _after(self) -> PaddingAlongAxis | None:
        return None if self.padding is None else self.padding.along(self.one.target, self.one.axis)
