"""Geometry of a stack of slices: regular, or to be straightened or interpolated to regular places."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...errors import VolumeError
from ..windows import covering
from .images.frames import Frame
from .places import ROUNDED_MM, even_places

_ON_THE_LINE = 1e-6  # voxels
_TILT = 1e-3  # sideways shift over the slice distance: 0.06 degrees


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
        The even places in mm from the first slice, where the slices do not lie there; see `places.resampled`.
    shifts_ji : numpy.ndarray or None
        (K, 2) how far each slice lies along its columns and rows from the first, in voxels, where they are shifted.
    notes : tuple of str
        Sentences about what is not as usual.
    """

    frames: list[Frame]
    spacing_mm: float
    targets: np.ndarray | None = None
    shifts_ji: np.ndarray | None = None
    notes: tuple[str, ...] = ()

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
    distance, targets, notes = even_places(heights - heights[0], where)
    shifts, more = _sideways(frames, heights, where)
    return Stack(frames, distance, targets, shifts, (*notes, *more))


def _sideways(frames: list[Frame], heights: np.ndarray, where: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """(K, 2) shifts along the columns and rows in voxels, where the slices are not above each other."""
    along_i, along_j, _ = axes(frames[0])
    positions = np.array([frame.position for frame in frames])
    aside = (positions - positions[0]) @ np.array([along_j, along_i]).T
    length = float(heights[-1] - heights[0])
    rounded = min(ROUNDED_MM, *spacing(frames[0]))  # of finer pixels, such as of an eye, positions have more digits
    if np.ptp(aside, axis=0).max() <= max(2 * rounded, _TILT * length):
        return None, ()
    slope, first = np.polyfit(heights, aside, 1)
    line = first + np.outer(heights, slope)
    is_line = float(np.abs(line - aside).max()) <= rounded
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
