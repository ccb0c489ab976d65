"""Interpolation, learned residual and measured data combined along one axis."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

import numpy as np
import torch
from torch import Tensor

from .acquisition import SliceProfile, acquisition_matrix, consistency_matrix, fine_centers
from .interpolation import apply_along_sequence, cubic_matrix

_NEGLIGIBLE = 1e-7  # weights this small, relative to the largest, change no result
# Slices beyond which a measured slice has no influence. Its weight is below 1e-12 there, and up to 0.005 where slices
# overlap so much that `consistency_matrix` raises eigenvalues.
_FARTHEST = 64


class AxisModel:
    """The linear parts of refining one axis, as matrices between K measured and M fine samples.

    Parameters
    ----------
    count, fine_count, factor
        See `acquisition.acquisition_matrix`.
    profile : SliceProfile
        Profile of the measured slices.
    device : torch.device
        Where the matrices are kept.
    places : numpy.ndarray or None
        (N,) where the measured slices lie, in units of the K regular ones; None where they are the regular ones.
    thickness : numpy.ndarray or None
        (N,) of each measured slice, relative to that of the profile.

    Attributes
    ----------
    positions : Tensor
        (M,) float64, on Apple's graphics cards float32: places of the fine samples in units of the measured ones.
    acquisition, back, cubic : Tensor
        (N, M), (M, N) and (M, K) float32, each with the `BandedMatrix` of its weights: fine to
        measured slices, data-consistency error to fine slices, and cubic interpolation.
    """

    def __init__(
        self,
        count: int,
        fine_count: int,
        factor: float,
        profile: SliceProfile,
        device: torch.device,
        places: np.ndarray | None = None,
        thickness: np.ndarray | None = None,
    ) -> None:
        places = np.arange(count) if places is None else places
        width = profile.width * (np.ones(len(places)) if thickness is None else thickness)
        acquisition = acquisition_matrix(
            len(places), fine_count, factor, profile=profile.shape, thickness=width, places=places
        )
        back = consistency_matrix(acquisition)
        fine_places = fine_centers(fine_count, factor)
        back[np.abs(places - fine_places[:, None]) > _FARTHEST] = 0
        centers = torch.from_numpy(fine_places)
        cubic = cubic_matrix(count, centers)
        self.positions = centers.to(device, torch.float32 if device.type == "mps" else torch.float64)
        self.acquisition, self.acquisition_band = _on(device, acquisition), BandedMatrix(acquisition)
        self.back, self.back_band = _on(device, back), BandedMatrix(back)
        self.cubic, self.cubic_band = cubic.to(device, torch.float32), BandedMatrix(cubic.numpy())

    def interpolated(self, measured: Tensor) -> Tensor:
        """Cubic interpolation, (K, J, I) -> (M, J, I)."""
        return apply_along_sequence(self.cubic, measured)

    def projected(self, fine: Tensor, measured: Tensor) -> Tensor:
        """The volume nearest to ``fine`` (M, J, I) that reproduces the ``measured`` slices (N, J, I)."""
        missing = measured - apply_along_sequence(self.acquisition, fine)
        return fine + apply_along_sequence(self.back, missing)


class BandedMatrix:
    """The columns that each row of a matrix needs: from ``first`` to ``stop``, both non-decreasing."""

    def __init__(self, matrix: np.ndarray) -> None:
        needed = np.abs(matrix) > _NEGLIGIBLE * np.abs(matrix).max()
        rows = np.flatnonzero(needed.any(axis=1))  # an empty row, as in a gap, takes the columns of its neighbor
        needed = needed[rows[np.searchsorted(rows, np.arange(len(needed))).clip(max=len(rows) - 1)]]
        first, stop = needed.argmax(axis=1), needed.shape[1] - needed[:, ::-1].argmax(axis=1)
        self.first = np.minimum.accumulate(first[::-1])[::-1]
        self.stop = np.maximum.accumulate(stop)

    def columns(self, start: int, stop: int) -> tuple[int, int]:
        """First column, and the one after the last, that the rows from ``start`` to ``stop`` need."""
        return int(self.first[start]), int(self.stop[stop - 1])

    def rows_within(self, columns: int) -> int:
        """Number of rows that depend on the first ``columns`` columns only."""
        return int(np.searchsorted(self.stop, columns, side="right"))


class SliceBuffer:
    """A window of a long slice sequence: slices are added at one end and dropped at the other. Thread-safe.

    Parameters
    ----------
    read : callable, optional
        Called with start and stop; returns these slices, (k, J, I). None where slices are added with `add`.
    count : int
        Number of slices in the whole sequence.
    ahead : int
        Number of slices to read at a time.
    """

    def __init__(self, read: Callable[[int, int], Tensor] | None = None, *, count: int = 0, ahead: int = 1) -> None:
        self._read, self._count, self._ahead = read, count, ahead
        self._first = self.stop = 0
        self._slices: Tensor | None = None
        self._lock = RLock()

    def add(self, slices: Tensor) -> None:
        """Add the slices after the last one."""
        with self._lock:
            self._slices = slices if self._slices is None else torch.cat([self._slices, slices])
            self.stop += len(slices)

    def __call__(self, start: int, stop: int) -> Tensor:
        """The slices from ``start`` to ``stop``, none of which may have been dropped."""
        with self._lock:
            if stop > self.stop and self._read is not None:
                self.add(self._read(self.stop, min(max(stop, self.stop + self._ahead), self._count)))
            assert self._slices is not None  # slices were read or added
            return self._slices[start - self._first : stop - self._first]

    def forget(self, before: int) -> None:
        """Drop the slices with lower numbers."""
        with self._lock:
            if self._slices is not None and before > self._first:
                self._slices = self._slices[before - self._first :].clone()  # the rest would keep the memory of all
                self._first = min(before, self.stop)


class StreamingProjector:
    """Interpolation, residual and data consistency of one axis, a few fine slices at a time.

    Parameters
    ----------
    linear : AxisModel
        The matrices of the axis.
    regular : callable
        Called with start and stop; returns these slices of the regularly spaced ones, (k, J, I), which are
        interpolated. Slices before `needed` are not requested again.
    consistency : bool
        Whether to reproduce the measured slices.
    measured : callable or None
        Likewise for the measured slices, where these are not regularly spaced; those before `known` are not requested
        again. None where the regular slices were measured.
    """

    def __init__(
        self,
        linear: AxisModel,
        regular: Callable[[int, int], Tensor],
        *,
        consistency: bool,
        measured: Callable[[int, int], Tensor] | None = None,
    ) -> None:
        self.linear = linear
        self.needed = self.known = 0
        self._regular, self._measured, self._is_regular = regular, measured or regular, measured is None
        self._consistency = consistency
        self._fine, self._missing = SliceBuffer(), SliceBuffer()
        self._returned = 0

    def interpolated(self, residual: Tensor) -> Tensor:
        """Interpolate the next fine slices and add their residual: (m, J, I), not yet consistent."""
        start, stop = self._fine.stop, self._fine.stop + len(residual)
        first, last = self.linear.cubic_band.columns(start, stop)
        fine = apply_along_sequence(self.linear.cubic[start:stop, first:last], self._regular(first, last))
        return fine.add_(residual)

    def push(self, fine: Tensor) -> Tensor | None:
        """Take the next interpolated slices; return the slices that have become final, or None."""
        linear, start = self.linear, self._missing.stop
        self._fine.add(fine)
        interpolated = int(linear.cubic_band.first[min(self._fine.stop, len(linear.positions) - 1)])
        if not self._consistency:
            self.needed = interpolated
            result = self._fine(self._returned, self._fine.stop)
            self._returned = self._fine.stop
            self._fine.forget(self._returned)
            return result
        known = linear.acquisition_band.rows_within(self._fine.stop)
        if known > start:
            first, last = linear.acquisition_band.columns(start, known)
            again = apply_along_sequence(linear.acquisition[start:known, first:last], self._fine(first, last))
            self._missing.add(self._measured(start, known) - again)
        self.known = known
        self.needed = min(interpolated, known) if self._is_regular else interpolated
        return self._final(min(linear.back_band.rows_within(known), self._fine.stop))

    def _final(self, stop: int) -> Tensor | None:
        linear, start = self.linear, self._returned
        if stop <= start:
            return None
        first, last = linear.back_band.columns(start, stop)
        change = apply_along_sequence(linear.back[start:stop, first:last], self._missing(first, last))
        result = change.add_(self._fine(start, stop))
        self._returned = stop
        unknown = linear.acquisition_band.first[min(self._missing.stop, len(linear.acquisition) - 1)]
        if stop < len(linear.positions):
            self._fine.forget(min(stop, int(unknown)))
            self._missing.forget(int(linear.back_band.first[stop]))
        return result


def acquired(array: np.ndarray, acquisition: np.ndarray, axis: int) -> np.ndarray:
    """Acquisition of ``array`` along one array axis; line by line, to save memory.

    The result is float32, or float64 for values that float32 does not hold.
    """
    moved = np.moveaxis(array, axis, 0)
    kind = np.promote_types(array.dtype, np.float32)
    result = np.empty((len(acquisition), *moved.shape[1:]), dtype=kind)
    weights = acquisition.astype(kind)
    for line in range(moved.shape[1]):
        result[:, line] = weights @ moved[:, line].astype(kind)
    return np.moveaxis(result, 0, axis)


def _on(device: torch.device, matrix: np.ndarray) -> Tensor:
    return torch.from_numpy(matrix.astype(np.float32)).to(device)
