"""What a refiner is given: a whole volume, and of it one axis with the way in and the way out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from ...physics.acquisition import SliceProfile
from ...volumes.grid import array_axis
from ...volumes.intensity import IntensityRange
from ...volumes.memmap import release_pages
from ..planning import Pass, Plan
from .denormalise import Denormaliser
from .padding import FILLED_SLICES, Padding, PaddingAlongAxis


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
    is_gap : numpy.ndarray or None
        (K,) bool, slices of ``array`` that were not measured.
    """

    array: np.ndarray
    planned: Plan
    profiles: dict[str, SliceProfile]
    window: tuple[float, float]
    denormaliser: Denormaliser
    padding: Padding | None = None
    is_gap: np.ndarray | None = None


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
    is_gap : numpy.ndarray or None
        Slices along the axis that were not measured.
    """

    source: np.ndarray
    one: Pass
    into: np.ndarray
    profile: SliceProfile
    window: tuple[float, float]
    read: IntensityRange | None = None
    write: Denormaliser | None = None
    padding: Padding | None = None
    is_gap: np.ndarray | None = None

    @property
    def slices(self) -> np.ndarray:
        """The source with the axis first."""
        return np.moveaxis(self.source, array_axis(self.one.axis), 0)

    @property
    def fine(self) -> np.ndarray:
        """The result with the axis first."""
        return np.moveaxis(self.into, array_axis(self.one.axis), 0)

    def measured(self, start: int, stop: int, rows: slice, columns: slice) -> np.ndarray:
        """The slices from ``start`` up to ``stop``, normalised, measured tissue continued into padding; (k, J, I)."""
        if self._before is None:
            return self._normalised(start, stop, rows, columns)
        first = max(0, start - FILLED_SLICES)
        wide = self._normalised(first, min(stop + FILLED_SLICES, len(self.slices)), rows, columns)
        return self._before.filled(wide, first, rows, columns)[start - first : stop - first]

    def store(self, sr: Tensor, first: int, rows: slice, columns: slice) -> None:
        """Write fine slices (m, J, I) into the result, from slice ``first`` on."""
        part = self.fine[first : first + len(sr), rows, columns]
        part[...] = sr.cpu().numpy() if self.write is None else self.write.stored(sr)
        if self._after is not None and self.write is not None:
            self._after.put_back(part, first, rows, columns)
        release_pages(self.into)

    def _normalised(self, start: int, stop: int, rows: slice, columns: slice) -> np.ndarray:
        part = self.slices[start:stop, rows, columns]
        found = self.read.normalised(part) if self.read else np.array(part, order="C")
        release_pages(self.source)
        return found

    @cached_property
    def _before(self) -> PaddingAlongAxis | None:
        return None if self.padding is None else self.padding.along(self.one.source, self.one.axis)

    @cached_property
    def _after(self) -> PaddingAlongAxis | None:
        return None if self.padding is None else self.padding.along(self.one.target, self.one.axis)
