"""Voxels outside the field of view: excluded from network, interpolation and consistency, then restored."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...volumes.grid import AXES_IJK, Grid, array_axis
from ...volumes.intensity import padding_values
from ...volumes.memmap import release_pages
from ...volumes.volume import MeasuredSlices, Volume

FILLED_SLICES = 8  # how far measured slices are continued into padding; beyond, there is air


@dataclass(frozen=True, eq=False)
class Padding:
    """Which voxels of a volume were not measured.

    Parameters
    ----------
    array : numpy.ndarray
        The measured volume, (K, J, I).
    grid : Grid
        Grid of the measured volume.
    values : tuple of float
        Each voxel of one of these values is padding.
    mask : numpy.ndarray or None
        (K, J, I) bool, true for further voxels of padding.
    """

    array: np.ndarray
    grid: Grid
    values: tuple[float, ...]
    mask: np.ndarray | None = None

    def flipped(self, axes: tuple[int, ...]) -> Padding:
        """The padding of a mirror image, turned along array axes."""
        mask = None if self.mask is None else np.flip(self.mask, axes)
        return replace(self, array=np.flip(self.array, axes), mask=mask)

    def along(self, grid: Grid, axis: str) -> PaddingAlongAxis:
        """The padding of a volume on ``grid``, which refines the measured one, as slices along an index axis."""
        places = [nearest_measured(self.grid, grid, name) for name in reversed(AXES_IJK)]
        return PaddingAlongAxis(self, tuple(places), array_axis(axis))

    def at(self, places: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Which of some voxels are padding, and their values; ``places`` are their K, J and I, each ascending."""
        window = tuple(slice(int(index.min()), int(index.max()) + 1) for index in places)
        inside = np.ix_(*(index - part.start for index, part in zip(places, window, strict=True)))
        values = np.asarray(self.array[window])[inside]
        is_padding = np.zeros(values.shape, bool)
        for value in self.values:
            is_padding |= values == value
        if self.mask is not None:
            is_padding |= np.asarray(self.mask[window])[inside]
        return is_padding, values

    def put_back(self, fine: np.ndarray, grid: Grid) -> None:
        """Write the measured values of padding into a whole result on ``grid``, in place, slice by slice."""
        along, everything = self.along(grid, "k"), slice(None)
        for number in range(len(fine)):
            along.put_back(fine[number : number + 1], number, everything, everything)
            release_pages(fine)

    def lowest_measured(self) -> float:
        """The lowest value that is no padding."""
        lowest = np.inf
        for number in range(len(self.array)):
            places = (np.array([number]), *(np.arange(count) for count in self.array.shape[1:]))
            is_padding, values = self.at(places)
            measured = values[~is_padding]
            lowest = min(lowest, float(measured.min()) if measured.size else lowest)
            release_pages(self.array)
        return float(lowest)


@dataclass(frozen=True, eq=False)
class PaddingAlongAxis:
    """Padding of a volume that is seen as slices along one array axis; see `Padding.along`."""

    padding: Padding
    places: tuple[np.ndarray, ...]
    axis: int

    def at(self, slices: slice, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        """Which voxels of a block are padding, and the values that the measured volume has there; (k, J, I) each."""
        chosen = [rows, columns]
        chosen.insert(self.axis, slices)
        places = tuple(place[part] for place, part in zip(self.places, chosen, strict=True))
        is_padding, values = self.padding.at(places)
        return np.moveaxis(is_padding, self.axis, 0), np.moveaxis(values, self.axis, 0)

    def filled(self, slices: np.ndarray, first: int, rows: slice, columns: slice) -> np.ndarray:
        """Normalized slices (k, J, I) from number ``first`` on, padding replaced by the nearest measured slice."""
        is_padding, _ = self.at(slice(first, first + len(slices)), rows, columns)
        return fill_along_sequence(slices, is_padding)

    def put_back(self, fine: np.ndarray, first: int, rows: slice, columns: slice) -> None:
        """Write the measured values of padding into a block of the result, (m, J, I), in place."""
        is_padding, values = self.at(slice(first, first + len(fine)), rows, columns)
        np.copyto(fine, values.astype(fine.dtype, copy=False), where=is_padding)


def padding_of(volume: Volume) -> Padding | None:
    """The padding of a volume: plateaus far below air, and what its reader marked; None where there is none."""
    values = padding_values(volume.array)
    if not values and (volume.padding is None or not volume.padding.any()):
        return None
    return Padding(volume.array, volume.grid, values, volume.padding)


def padding_on(volume: Volume, grid: Grid) -> np.ndarray | None:
    """Where a volume is padding, (K, J, I) bool on a ``grid`` that refines it; None where it has none."""
    found = padding_of(volume)
    if found is None:
        return None
    return found.at(tuple(nearest_measured(volume.grid, grid, axis) for axis in reversed(AXES_IJK)))[0]


def padding_of_slices(padding: Padding | None, slices: MeasuredSlices) -> PaddingAlongAxis | None:
    """The padding of the slices that a volume was interpolated from, along k, where the volume has the ``padding``."""
    if padding is None:
        return None
    grid = Grid(slices.array.shape, padding.grid.ijk_to_ras, "k")
    return Padding(slices.array, grid, padding.values, slices.padding).along(grid, "k")


def fill_along_sequence(slices: np.ndarray, is_padding: np.ndarray) -> np.ndarray:
    """Continue the nearest measured slice into padding, for up to `FILLED_SLICES`; beyond, 0 (the network's air).

    Parameters
    ----------
    slices, is_padding : numpy.ndarray
        (K, J, I). At equal distance from two measured slices, their mean is taken.
    """
    if not is_padding.any():
        return slices
    filled = np.where(is_padding, 0, slices)
    missing = is_padding.copy()
    for distance in range(1, min(FILLED_SLICES, len(slices) - 1) + 1):
        total, count = np.zeros_like(filled), np.zeros(filled.shape, np.uint8)
        for here, there in ((np.s_[distance:], np.s_[:-distance]), (np.s_[:-distance], np.s_[distance:])):
            is_measured = ~is_padding[there]
            total[here] += np.where(is_measured, slices[there], 0)
            count[here] += is_measured
        found = missing & (count > 0)
        filled[found] = total[found] / count[found]
        missing &= ~found
    return filled


def nearest_measured(measured: Grid, fine: Grid, axis: str) -> np.ndarray:
    """For each fine voxel along an axis, the number of the measured voxel that it lies in."""
    ratio = fine.spacing_mm(axis) / measured.spacing_mm(axis)
    places = np.floor((np.arange(fine.count(axis)) + 0.5) * ratio + 1e-6).astype(np.intp)
    return np.clip(places, 0, measured.count(axis) - 1)
