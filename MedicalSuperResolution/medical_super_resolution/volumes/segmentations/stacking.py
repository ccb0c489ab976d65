"""Slices of a DICOM SEG: highdicom stacks them by the distance that the file states, and straight; they may differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import VolumeError
from ..dicom.places import ROUNDED_MM, finest_step, numbered, tolerance_mm

if TYPE_CHECKING:
    from pydicom import Dataset

_MOST_OFF = 0.1  # of a stated distance, which some files state along the table, for a tilted gantry


def state_distance(found: Dataset) -> np.ndarray:
    """State the distance of the slices in a DICOM SEG, by their places.

    Returns
    -------
    numpy.ndarray
        (3,) from one slice to the next in mm, LPS; of tilted slices not along their normal.

    Raises
    ------
    VolumeError
        They do not lie evenly on a line.
    """
    shared, frames = found.SharedFunctionalGroupsSequence[0], found.PerFrameFunctionalGroupsSequence
    measures, orientations = (
        [group[keyword][0] for group in (shared, *frames) if keyword in group]
        for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence")
    )
    normal = np.cross(*np.reshape(orientations[0].ImageOrientationPatient, (2, 3)).astype(float))
    placed = [group if "PlanePositionSequence" in group else shared for group in frames]
    positions = np.array([group.PlanePositionSequence[0].ImagePositionPatient for group in placed], float)
    heights, first_frames = np.unique((positions @ normal).round(3), return_index=True)
    distance, thickness = (float(measures[0].get(key) or 0) for key in ("SpacingBetweenSlices", "SliceThickness"))
    if len(heights) == 1:
        step = (abs(distance) or thickness or 1) * normal
    else:
        step = _step(heights, positions[first_frames], normal, abs(distance))
    for one in measures:
        one.SpacingBetweenSlices = f"{step @ normal:.10g}"
    return step


def _step(heights: np.ndarray, positions: np.ndarray, normal: np.ndarray, stated: float) -> np.ndarray:
    """(3,) from slice to slice, by the stated distance if it fits their places."""
    for base in (stated, finest_step(np.diff(heights))):
        numbers = numbered(heights, base) if base else np.zeros(len(heights))
        if np.diff(numbers).all():
            step, first = np.polyfit(numbers, positions, 1)
            distance = float(step @ normal)
            aside = np.abs(first + np.outer(numbers, step) - positions).max()
            if abs(distance - base) <= _MOST_OFF * base and aside <= tolerance_mm(distance):
                straight = distance * normal
                is_straight = np.linalg.norm(step - straight) * numbers[-1] <= 2 * ROUNDED_MM
                return straight if is_straight else step
    apart = np.diff(heights)
    raise VolumeError(
        f"the slices of the segmentation are {apart.min():.2f} to {apart.max():.2f} mm apart, or displaced sideways;"
        " resample it to even slices, for example in 3D Slicer, and give it as .seg.nrrd"
    )
