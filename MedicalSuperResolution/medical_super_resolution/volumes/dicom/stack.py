"""Geometry of a stack of slices: regular, or to be straightened or interpolated to regular places."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ...errors import VolumeError
from ..windows import covering
from .frames import Frame
from .voxels import ROUNDED_MM

_UNEVEN = 0.02  # of the slice distance
_ON_THE_LINE = 1e-6  # voxels
_TILT = 1e-3  # sideways shift over the slice distance: 0.06 degrees
_JITTER = 1.5  # steps that differ by no more than this many times scatter around one spacing
_ALIKE = 1.3  # else, steps up to this many times the smallest one are those of the finest zone
_SAME_ZONE = 1.6  # a step up to this many times the smallest one is of the same spacing
_WIDEST_GAP = 2.1  # slice distances: a single slice may be missing
_MOST_MISSING = 8  # one slice in as many may be missing
_WIDEST_ZONE = 8.0  # slice distances, where a part of the stack was measured with a larger spacing


@dataclass(frozen=True, eq=False)
class Stack:
    """Parallel slices in the order of their places.

    Parameters
    ----------
    frames : list of Frame
        Sorted along the normal of the slices.
    spacing_mm : float
        Distance of the even places, from a line through the positions.
    targets : numpy.ndarray or None
        The even places in mm from the first slice, where the slices do not lie there; see `voxels.resampled`.
    shifts_ji : numpy.ndarray or None
        (K, 2) how far each slice lies along its columns and rows from the first, in voxels, where they are shifted.
    notes : tuple of str
        Sentences about what is not as usual.
    """

    frames: list[Frame]
    spacing_mm: float
    targets: np.ndarray | None = None
    shifts_ji: np.ndarray | None = None
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def places_mm(self) -> np.ndarray:
        """(K,) where the slices lie along their normal, from the first."""
        heights = np.array([height(frame) for frame in self.frames])
        return heights - heights[0]

    def ijk_to_lps(self) -> np.ndarray:
        """(4, 4) voxel index to mm, LPS, of the volume that is made of the stack."""
        first = self.frames[0]
        along_i, along_j, normal = axes(first)
        row_distance, column_distance = spacing(first)
        matrix = np.eye(4)
        matrix[:3, 0], matrix[:3, 1] = along_i * column_distance, along_j * row_distance
        matrix[:3, 2], matrix[:3, 3] = normal * self.spacing_mm, first.position
        if self.shifts_ji is not None:
            _, _, (before_j, before_i) = covering(self.shifts_ji, first.shape_ji)
            matrix[:3, 3] -= before_j * matrix[:3, 1] + before_i * matrix[:3, 0]
        return matrix

    def tilted_ijk_to_lps(self) -> np.ndarray | None:
        """(4, 4) voxel index to mm, LPS, of the slices as they lie, where they are shifted evenly; else None."""
        if self.shifts_ji is None:
            return None
        shift_a_mm = self.shifts_ji[-1] / self.places_mm[-1]
        if not np.allclose(np.outer(self.places_mm, shift_a_mm), self.shifts_ji, rtol=0, atol=_ON_THE_LINE):
            return None
        matrix = self.ijk_to_lps()
        matrix[:3, 2] += self.spacing_mm * (shift_a_mm[0] * matrix[:3, 1] + shift_a_mm[1] * matrix[:3, 0])
        matrix[:3, 3] = self.frames[0].position
        return matrix


def axes(frame: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors along the rows and the columns of an image, and its normal, LPS."""
    assert frame.orientation is not None  # the sorter leaves others out
    along_i, along_j = frame.orientation
    return along_i, along_j, np.cross(along_i, along_j)


def spacing(frame: Frame) -> tuple[float, float]:
    """Distance of the rows and of the columns, in mm."""
    assert frame.spacing_ji_mm is not None
    return frame.spacing_ji_mm


def height(frame: Frame) -> float:
    """Place of an image along its normal, in mm."""
    assert frame.position is not None
    return float(axes(frame)[2] @ frame.position)


def stack_of(frames: list[Frame], where: str) -> Stack:
    """Determine the geometry of some parallel slices of one size.

    Parameters
    ----------
    frames : list of Frame
        At least two, no two of them at one place.
    where : str
        What they are of, for a refusal: "the DICOM series in ...".

    Raises
    ------
    VolumeError
        Slices are missing, or they are displaced further than they are large.
    """
    normal = axes(frames[0])[2]
    heights = np.array([normal @ frame.position for frame in frames])
    order = np.argsort(heights, kind="stable")
    frames, heights = [frames[index] for index in order], heights[order]
    distance, targets, notes = _even_places(heights - heights[0], where)
    shifts, more = _sideways(frames, heights, where)
    return Stack(frames, distance, targets, shifts, (*notes, *more))


def _even_places(places: np.ndarray, where: str) -> tuple[float, np.ndarray | None, tuple[str, ...]]:
    """The slice distance and, for irregular places, the regular ones and a sentence."""
    steps = np.diff(places)
    alike = _ALIKE if steps.max() > _JITTER * steps.min() else _JITTER
    base = float(steps[steps <= alike * steps.min()].mean())
    numbers = np.concatenate([[0], np.cumsum(np.rint(steps / base))])
    distance, first = np.polyfit(numbers, places, 1)
    tolerance = min(max(_UNEVEN * distance, ROUNDED_MM), distance / 4)
    fits = float(np.abs(first + distance * numbers - places).max()) <= tolerance
    count = int(numbers[-1]) + 1
    if fits and count == len(places):
        return float(distance), None, ()
    _check_gaps(steps, base, where)
    if not fits:
        count = round(float(places[-1]) / base) + 1
        distance = float(places[-1]) / (count - 1)
    found = f"the slices are {steps.min():.2f} to {steps.max():.2f} mm apart"
    missing = count - len(places)
    if fits and not _zones(steps, base).any():
        gaps = ", ".join(str(int(numbers[at]) + 2) for at in np.flatnonzero(np.rint(steps / base) > 1))
        note = (
            f"slice {gaps} of {count} is missing and was interpolated from the neighbors: nothing was measured there"
            if missing == 1
            else f"slices {gaps} of {count} are missing and were interpolated from the neighbors: nothing was measured"
            " there"
        )
    else:
        note = (
            f"{found}; the network sees them interpolated to an even distance of {distance:.3g} mm, and the result"
            " reproduces them at their true places"
        )
    return float(distance), distance * np.arange(count), (note,)


def _zones(steps: np.ndarray, base: float) -> np.ndarray:
    """Which of the wide steps belong to a part of the stack that was measured with a larger spacing."""
    alike = np.abs(np.diff(steps)) < 0.05 * steps[:-1]
    has_neighbor = np.concatenate([[False], alike]) | np.concatenate([alike, [False]])
    return has_neighbor & (steps > _SAME_ZONE * base) & (steps <= _WIDEST_ZONE * base)


def _check_gaps(steps: np.ndarray, base: float, where: str) -> None:
    wide = (steps > _SAME_ZONE * base) & ~_zones(steps, base)
    between = np.zeros(len(steps), bool)  # a wide step from one zone to the other is no gap
    between[1:-1] = _zones(steps, base)[:-2] | _zones(steps, base)[2:]
    few = wide.sum() <= max(1, (len(steps) + 1) // _MOST_MISSING)
    limit = np.where(between, _WIDEST_ZONE, _WIDEST_GAP) * base
    if not few or (steps[wide] > limit[wide]).any():
        raise VolumeError(
            f"the slices of {where} are {steps.min():.2f} to {steps.max():.2f} mm apart; more than a single slice is"
            " missing: get the complete series, or name the files of one part of it"
        )


def _sideways(frames: list[Frame], heights: np.ndarray, where: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """(K, 2) shifts along the columns and rows in voxels, where the slices are not above each other."""
    along_i, along_j, _ = axes(frames[0])
    positions = np.array([frame.position for frame in frames])
    aside = (positions - positions[0]) @ np.array([along_j, along_i]).T
    length = float(heights[-1] - heights[0])
    if np.ptp(aside, axis=0).max() <= max(2 * ROUNDED_MM, _TILT * length):
        return None, ()
    slope, first = np.polyfit(heights, aside, 1)
    line = first + np.outer(heights, slope)
    is_line = float(np.abs(line - aside).max()) <= ROUNDED_MM
    if is_line:
        aside = line - line[0]
    row_distance, column_distance = spacing(frames[0])
    shifts = aside / (row_distance, column_distance)
    if (np.ptp(shifts, axis=0) > np.array(frames[0].shape_ji) * 2).any():
        raise VolumeError(f"the slices of {where} lie beside each other and not in a stack; split the series first")
    if is_line:
        degrees = math.degrees(math.atan(float(np.linalg.norm(slope))))
        return shifts, (
            f"the slices are tilted by {degrees:.1f} degrees (gantry tilt): they were straightened by interpolation"
            " along their rows or columns, and the field of view was extended",
        )
    far = float(np.ptp(aside, axis=0).max())
    return shifts, (f"the slices are displaced sideways by up to {far:.2f} mm: they were moved to their true places",)
