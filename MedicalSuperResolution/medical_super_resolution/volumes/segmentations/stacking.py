"""Slices of a DICOM SEG: highdicom stacks them by the distance that the file states, and straight; they may differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import VolumeError
from ..dicom.places import ROUNDED_MM, finest_step, numbered, tolerance_mm

if TYPE_CHECKING:
    from pydicom import Dataset

_SAME_MM = 0.01  # places that differ less are one, such as those of two segments with other last digits
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
    distance, thickness = (float(measures[0].get(key) or 0) for key in ("SpacingBetweenSlices", "SliceThickness"))
    step = _step(positions, normal, abs(distance), thickness)
    for one in measures:
        one.SpacingBetweenSlices = f"{step @ normal:.10g}"
    return step


def _step(positions: np.ndarray, normal: np.ndarray, stated: float, thickness: float) -> np.ndarray:
    """(3,) from slice to slice, for (frames, 3) positions: by the stated distance if it fits their places."""
    heights = positions @ normal
    ordered = np.sort(heights)
    places = ordered[np.diff(ordered, prepend=-np.inf) > _SAME_MM]
    if len(places) == 1 and np.ptp(positions, axis=0).max() <= ROUNDED_MM:
        return (stated or thickness or 1) * normal
    slice_of_frame = np.searchsorted(places, heights, "right") - 1
    for base in (stated, finest_step(np.diff(places))):
        numbers = numbered(places, base) if base else np.zeros(len(places))
        if np.diff(numbers).all():
            step, first = np.polyfit(numbers[slice_of_frame], positions, 1)
            distance = float(step @ normal)
            aside = np.abs(first + np.outer(numbers[slice_of_frame], step) - positions).max()
            if abs(distance - base) <= _MOST_OFF * base and aside <= tolerance_mm(distance):
                straight = distance * normal
                is_straight = np.linalg.norm(step - straight) * numbers[-1] <= 2 * ROUNDED_MM
                return straight if is_straight else step
    apart = np.diff(places)
    raise VolumeError(
        f"the slices of the segmentation are {apart.min():.2f} to {apart.max():.2f} mm apart, or displaced sideways;"
        " resample it to even slices, for example in 3D Slicer, and give it as .seg.nrrd"
    )
