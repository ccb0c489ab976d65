"""The volumes in the images of a series: consistent stacks, split where several images lie at one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import phases
from .frames import Frame
from .header import text
from .stack import height, spacing

_SAME_DIRECTION = 1e-3  # cosine: 0.06 degrees
_SAME_SPACING = 1e-3  # relative
_FAR = 8.0  # slice distances: what lies further away is of another stack
_LARGER = 2.0  # times as many images: the smaller stacks are left out
_MOST_NAMED = 8
_LOCALIZER = "LOCALIZER"
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


def volumes_in(frames: list[Frame]) -> tuple[list[Part], str, list[str]]:
    """The volumes in the images of a series; or why there are none; and what was left out."""
    if any(_PLACES[_lacks(frame)] in frame.header for frame in frames if _lacks(frame)):
        return [Part("", frames)], "has a damaged position, orientation or pixel spacing; get the series again", []
    frames, scouts = _without_scouts(frames)
    placed = [frame for frame in frames if not _lacks(frame)]
    if len(placed) < 2:
        lacks = next(filter(None, map(_lacks, frames)), "")
        if lacks:
            return [Part("", frames)], f"has slices without their {lacks}; it cannot be placed in the patient", []
        return [Part("", frames)], "has a single file; at least two slices are needed", []
    notes = left_out(scouts, "of a localizer")
    notes += left_out([frame for frame in frames if _lacks(frame)], "without a position in the patient")
    stacks = _grouped(placed, _is_parallel)
    stacks = [part for stack in stacks for part in _near(stack)]
    kept, others = _largest(stacks)
    notes += left_out(others, "of another orientation, size, pixel spacing or place")
    parts, doubles, unsplit = [], 0, False
    for stack in kept:
        found, twice = phases.split(stack)
        doubles, unsplit = doubles + twice, unsplit or not found
        label = f"{len(stack)} images {_plane(stack[0])}" if len(kept) > 1 else ""
        parts += [Part(", ".join(filter(None, (label, more))), part) for more, part in found]
    if unsplit:
        return (
            [Part("", placed)],
            "has several images at one place (phases, echoes?) that no attribute distinguishes",
            notes,
        )
    largest, others = _largest([part.frames for part in parts])
    notes += left_out(others, "of an incomplete volume")
    if doubles:
        notes.append(f"{doubles} duplicate images were ignored")
    parts = [part for part in parts if part.frames in largest]
    if len(parts[0].frames) < 2:
        if len(frames) == 1:
            return [Part("", frames)], "has a single file; at least two slices are needed", []
        return [Part("", placed)], "has slices that differ in orientation or size; split the series first", notes
    return [Part("" if len(parts) == 1 else part.label, part.frames) for part in parts], "", notes


def _without_scouts(frames: list[Frame]) -> tuple[list[Frame], list[Frame]]:
    """The images, and apart from them the localizers, where there are others."""
    scouts = [frame for frame in frames if _LOCALIZER in text(frame.header, "ImageType").split("\\")]
    if len(scouts) == len(frames):
        return frames, []
    apart = {frame.instance for frame in scouts}
    return [frame for frame in frames if frame.instance not in apart], scouts


def _lacks(frame: Frame) -> str:
    for what, value in (
        ("position", frame.position),
        ("orientation", frame.orientation),
        ("pixel spacing", frame.spacing_ji_mm),
    ):
        if value is None:
            return what
    return ""


def left_out(frames: list[Frame], why: str) -> list[str]:
    """A sentence that names some images that are no part of the volume; none where there are none."""
    if not frames:
        return []
    names = ", ".join(frame.name for frame in frames[:_MOST_NAMED]) + (", ..." if len(frames) > _MOST_NAMED else "")
    counted = "1 image" if len(frames) == 1 else f"{len(frames)} images"
    return [f"{counted} {why} {'was' if len(frames) == 1 else 'were'} left out: {names}"]


def _grouped(frames: list[Frame], belongs: Callable[[Frame, Frame], bool]) -> list[list[Frame]]:
    groups: list[list[Frame]] = []
    for frame in frames:
        group = next((group for group in groups if belongs(group[0], frame)), None)
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


def _plane(frame: Frame) -> str:
    """Roughly how a slice lies in the patient."""
    assert frame.orientation is not None
    normal = np.abs(np.cross(*frame.orientation))
    return ("sagittal", "coronal", "axial")[int(normal.argmax())]
