"""The requests that a refiner works on: a whole volume, and one axis of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ...physics.acquisition import SliceProfile
from ...volumes.grid import array_axis
from ...volumes.intensity import IntensityRange, in_type
from ...volumes.memmap import release_pages
from ...volumes.volume import MeasuredSlices
from ..planning import Pass, Plan
from .padding import FILLED_SLICES, Padding, PaddingAlongAxis, padding_of_slices

_SLICES = 16  # slices rounded at a time
_SMALL_INTEGERS = {"uint8": torch.uint8, "int8": torch.int8, "int16": torch.int16}  # in every PyTorch


@dataclass(frozen=True)
class Denormalizer:
    """From the network's range back to the units and type of the volume.

    Parameters
    ----------
    measured : IntensityRange
        Intensity range of the measured volume.
    dtype : numpy.dtype
        Type of the result.
    floor : float or None
        Values below it are raised to it; None leaves them as they are.
    """

    measured: IntensityRange
    dtype: np.dtype
    floor: float | None

    def unrounded(self) -> Denormalizer:
        """The same for a floating type that holds every value of this one."""
        exact = np.float32 if self.dtype.itemsize <= 2 or self.dtype == np.float32 else np.float64
        return replace(self, dtype=np.dtype(exact))

    def denormalized(self, sr: Tensor) -> np.ndarray:
        """Convert normalized values to the units and the type of the volume; ``sr`` is changed in place."""
        if self.dtype.itemsize > 2 and self.dtype != np.float32:
            sr = sr.cpu().double()  # float32 does not hold every 32-bit integer
        values = sr.mul_(self.measured.high - self.measured.low).add_(self.measured.low)
        if self.floor is not None:
            values.clamp_(min=self.floor)
        if (kind := _SMALL_INTEGERS.get(self.dtype.name)) is not None:  # rounded before they leave a graphics card
            limits = torch.iinfo(kind)
            values = values.round_().clamp_(limits.min, limits.max).to(kind)
            return values.cpu().numpy()
        return in_type(values.cpu().numpy(), self.dtype)

    def rounded(self, values: np.ndarray) -> np.ndarray:
        """Convert values (K, J, I) in the type of `unrounded` to the type of the volume."""
        if values.dtype == self.dtype:
            return values
        result = np.empty(values.shape, self.dtype)
        for start in range(0, len(values), _SLICES):
            result[start : start + _SLICES] = in_type(values[start : start + _SLICES], self.dtype)
        return result


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
        Lowest and highest normalized value that the network may see; see `intensity.trained_window`.
    denormalizer : Denormalizer
        Converts the result.
    padding : Padding or None
        Voxels of the measured volume outside the field of view.
    measured : MeasuredSlices or None
        What ``array`` was interpolated from, where its slices are not regularly spaced.
    """

    array: np.ndarray
    planned: Plan
    profiles: dict[str, SliceProfile]
    window: tuple[float, float]
    denormalizer: Denormalizer
    padding: Padding | None = None
    measured: MeasuredSlices | None = None


@dataclass(frozen=True, eq=False)
class SliceReader:
    """Slices of a volume as the work needs them: normalized, measured tissue continued into padding.

    Parameters
    ----------
    slices : numpy.ndarray
        (K, J, I), the refined axis first.
    intensities : IntensityRange or None
        Normalizes intensities; None where they are normalized already.
    padding : PaddingAlongAxis or None
        Voxels outside the field of view.
    """

    slices: np.ndarray
    intensities: IntensityRange | None
    padding: PaddingAlongAxis | None

    def __len__(self) -> int:
        return len(self.slices)

    def __call__(self, start: int, stop: int, rows: slice, columns: slice) -> np.ndarray:
        """The slices from ``start`` up to ``stop``, (k, J, I) float32."""
        if self.padding is None:
            return self._normalized(start, stop, rows, columns)
        first = max(0, start - FILLED_SLICES)
        wide = self._normalized(first, min(stop + FILLED_SLICES, len(self)), rows, columns)
        return self.padding.filled(wide, first, rows, columns)[start - first : stop - first]

    def _normalized(self, start: int, stop: int, rows: slice, columns: slice) -> np.ndarray:
        part = self.slices[start:stop, rows, columns]
        found = self.intensities.normalized(part) if self.intensities else np.array(part, order="C")
        release_pages(self.slices)
        return found


@dataclass(frozen=True, eq=False)
class AxisRequest:
    """One axis of a volume to refine.

    Parameters
    ----------
    source : numpy.ndarray
        The volume, (K, J, I).
    axis_pass : Pass
        Leads from ``source`` to ``result``.
    result : numpy.ndarray
        Filled in place, (K, J, I).
    profile : SliceProfile
        Profile of the measured slices.
    window : tuple of float
        Lowest and highest normalized value that the network may see; see `intensity.trained_window`.
    intensities : IntensityRange or None
        Normalizes ``source``; None where it is normalized already.
    denormalizer : Denormalizer or None
        Converts the result; None where it stays normalized, for the next pass.
    padding : Padding or None
        Voxels of the measured volume outside the field of view; ``denormalizer`` puts them back.
    measured : MeasuredSlices or None
        What ``source`` was interpolated from along the axis, where its slices are not regularly spaced.
    """

    source: np.ndarray
    axis_pass: Pass
    result: np.ndarray
    profile: SliceProfile
    window: tuple[float, float]
    intensities: IntensityRange | None = None
    denormalizer: Denormalizer | None = None
    padding: Padding | None = None
    measured: MeasuredSlices | None = None

    @cached_property
    def regular_slices(self) -> SliceReader:
        """The slices of the source along the axis, which interpolation takes."""
        padding = None if self.padding is None else self.padding.along(self.axis_pass.source, self.axis_pass.axis)
        return SliceReader(np.moveaxis(self.source, array_axis(self.axis_pass.axis), 0), self.intensities, padding)

    @cached_property
    def measured_slices(self) -> SliceReader | None:
        """The slices that the result reproduces, where they differ from those of the source."""
        if self.measured is None:
            return None
        return SliceReader(self.measured.array, self.intensities, padding_of_slices(self.padding, self.measured))

    @property
    def fine(self) -> np.ndarray:
        """The result with the axis first."""
        return np.moveaxis(self.result, array_axis(self.axis_pass.axis), 0)

    def store(self, sr: Tensor, first: int, rows: slice, columns: slice) -> None:
        """Write fine slices (m, J, I) into the result, from slice ``first`` on."""
        part = self.fine[first : first + len(sr), rows, columns]
        part[...] = sr.cpu().numpy() if self.denormalizer is None else self.denormalizer.denormalized(sr)
        if self._result_padding is not None and self.denormalizer is not None:
            self._result_padding.put_back(part, first, rows, columns)
        release_pages(self.result)

    @cached_property
    def _result_padding(self) -> PaddingAlongAxis | None:
        return None if self.padding is None else self.padding.along(self.axis_pass.target, self.axis_pass.axis)
