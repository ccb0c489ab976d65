"""The volumes in the images of a series: consistent stacks, split where several images lie at one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from . import phases
from .images.frames import Frame
from .images.header import kind_of, text
from .images.values import is_stated
from .stack import height, spacing

_SAME_DIRECTION = 1e-3  # cosine: 0.06 degrees
_SAME_SPACING = 1e-3  # relative
_FAR = 8.0  # slice distances: what lies further away is of another stack
_LARGER = 2.0  # times as many images: the smaller stacks are left out
_MOST_NAMED = 8
_LOCALIZER = "LOCALIZER"
_PLANES = ("sagittal", "coronal", "axial")
_SIDES = (("R", "L"), ("A", "P"), ("I", "S"))  # of the patient: below and above 0
_PLACES = {
    "position": "ImagePositionPatient",
    "orientation": "ImageOrientationPatient",
    "pixel spacing": "PixelSpacing",
}


@dataclass(frozen=True)
class Part:
    """The images of one volume; ``label`` is what sets it apart from the other volumes of its series."""

    label: str
    frames: list[Frame]


class Found(NamedTuple):
    """What the images of a series hold.

    Attributes
    ----------
    parts
        Its volumes; where there are none, all its images.
    problem
        Why there are none.
    notes
        What was left out.
    """

    parts: list[Part]
    problem: str = ""
    notes: tuple[str, ...] = ()


def volumes_in(frames: list[Frame]) -> Found:
    """The volumes in the images of a series, or why there are none."""
    if any(map(_is_damaged, frames)):
        return _none(frames, "has a damaged position, orientation or pixel spacing; get the series again")
    frames, scouts = _without_scouts(frames)
    unplaced = [frame for frame in frames if _lacks(frame)]
    placed = [frame for frame in frames if not _lacks(frame)]
    if len(placed) < 2:
        if unplaced:
            lacks, kind = _lacks(unplaced[0]), kind_of(unplaced[0].file.header)
            return _none(
                frames,
                f"has slices without their {lacks}, stored as {kind}; it cannot be placed in the patient: if it is a"
                " volume, convert it to NIfTI first",
            )
        return _none(frames, "has a single file; at least two slices are needed")
    stacks, strays = _stacks(placed)
    notes = [
        *left_out(scouts, "of a localizer"),
        *left_out(unplaced, "without a position in the patient"),
        *left_out(strays, "of another orientation, size, pixel spacing or place"),
    ]
    parts, doubles = _phases(stacks)
    if not parts:
        problem = "has several images at one place (phases, echoes?) that no attribute distinguishes"
        return _none(placed, problem, *notes)
    whole, incomplete = _largest([part.frames for part in parts])
    notes += left_out(incomplete, "of an incomplete volume")
    if doubles:
        notes.append("1 duplicate image was ignored" if doubles == 1 else f"{doubles} duplicate images were ignored")
    parts = [part for part in parts if part.frames in whole]
    if len(parts[0].frames) < 2:
        if max(map(len, stacks)) > 1:
            problem = "has several images (phases, echoes?) of a single slice; at least two slices are needed"
            return _none(placed, problem, *notes)
        return _none(placed, "has slices that differ in orientation or size; split the series first", *notes)
    return Found([Part("", parts[0].frames)] if len(parts) == 1 else parts, notes=tuple(notes))


def _none(frames: list[Frame], problem: str, *notes: str) -> Found:
    return Found([Part("", frames)], problem, notes)


def _stacks(frames: list[Frame]) -> tuple[list[list[Frame]], list[Frame]]:
    """The stacks of parallel images, each without a wide gap; and the images outside the large ones."""
    return _largest([part for stack in _parallel(frames) for part in _near(stack)])


def _phases(stacks: list[list[Frame]]) -> tuple[list[Part], int]:
    """Stacks with one image at each place, and the number of duplicates; no stacks where one cannot be split."""
    parts, doubles = [], 0
    planes = [_plane(stack[0]) for stack in stacks]
    for stack, plane in zip(stacks, planes, strict=True):
        found, twice = phases.split(stack)
        if not found:
            return [], 0
        doubles += twice
        label = f"{len(stack)} images {_PLANES[plane]}" if len(stacks) > 1 else ""
        label += f" {_extent(stack, plane)}" if planes.count(plane) > 1 else ""
        parts += [Part(", ".join(filter(None, (label, phase))), part) for phase, part in found]
    return parts, doubles


def _without_scouts(frames: list[Frame]) -> tuple[list[Frame], list[Frame]]:
    """The images, and apart from them the localizers, where there are others."""
    scouts = [frame for frame in frames if _LOCALIZER in text(frame.header, "ImageType").split("\\")]
    if len(scouts) == len(frames):
        return frames, []
    apart = {frame.instance for frame in scouts}
    return [frame for frame in frames if frame.instance not in apart], scouts


def _lacks(frame: Frame) -> str:
    """The first of what places an image in the patient that it does not have; empty where it has all."""
    found = {"position": frame.position, "orientation": frame.orientation, "pixel spacing": frame.spacing_ji_mm}
    return next((what for what, value in found.items() if value is None), "")


def _is_damaged(frame: Frame) -> bool:
    """Whether what an image lacks of its place is there but cannot be understood; an empty value counts as none."""
    keyword = _PLACES.get(_lacks(frame))
    return keyword is not None and is_stated(frame.header, keyword)


def left_out(frames: list[Frame], why: str) -> list[str]:
    """A sentence that names some images that are no part of the volume; none where there are none."""
    if not frames:
        return []
    names = ", ".join(frame.name for frame in frames[:_MOST_NAMED]) + (", ..." if len(frames) > _MOST_NAMED else "")
    return [f"{counted(len(frames))} {why} {'was' if len(frames) == 1 else 'were'} left out: {names}"]


def counted(images: int) -> str:
    """How many images, in words."""
    return "1 image" if images == 1 else f"{images} images"


def _parallel(frames: list[Frame]) -> list[list[Frame]]:
    """The images in groups of parallel ones."""
    groups: list[list[Frame]] = []
    for frame in frames:
        group = next((group for group in groups if _is_parallel(group[0], frame)), None)
        if group is None:
            groups.append([frame])
        else:
            group.append(frame)
    return groups


def _is_parallel(one: Frame, other: Frame) -> bool:
    """Whether two images are of the same orientation, size and pixel spacing."""
    assert one.orientation is not None
    assert other.orientation is not None
    same_spacing = np.allclose(spacing(one), spacing(other), rtol=_SAME_SPACING, atol=0)
    same_direction = float(np.abs(one.orientation - other.orientation).max()) <= _SAME_DIRECTION
    return one.shape_ji == other.shape_ji and same_spacing and same_direction


def _near(stack: list[Frame]) -> list[list[Frame]]:
    """A stack, cut where it is interrupted by far more than its slice distance."""
    ordered = sorted(stack, key=height)
    steps = np.diff([height(frame) for frame in ordered])
    apart = steps[steps > 1e-3]
    if apart.size < 2:
        return [stack]
    cuts = np.flatnonzero(steps > _FAR * 1.01 * float(np.median(apart))) + 1
    ends = [0, *cuts.tolist(), len(ordered)]
    return [ordered[begin:end] for begin, end in zip(ends[:-1], ends[1:], strict=True)]


def _largest(stacks: list[list[Frame]]) -> tuple[list[list[Frame]], list[Frame]]:
    """The largest stacks, and the images of those that are small beside them."""
    most = max(map(len, stacks))
    kept = [stack for stack in stacks if len(stack) * _LARGER > most]
    others = [frame for stack in stacks if len(stack) * _LARGER <= most for frame in stack]
    return kept, others


def _plane(frame: Frame) -> int:
    """The axis of the patient that a slice roughly lies across: an index of `_PLANES`."""
    assert frame.orientation is not None
    return int(np.abs(np.cross(*frame.orientation)).argmax())


def _extent(stack: list[Frame], axis: int) -> str:
    """Where the first corners of a stack lie along an axis of the patient, which tells a left knee from a right one."""
    places = [float(frame.position[axis]) for frame in stack if frame.position is not None]
    first, last = (f"{abs(place):.0f} mm {_SIDES[axis][place > 0]}" for place in (min(places), max(places)))
    return f"from {first} to {last}"
