"""Several images at one place: echoes, phases, b-values and the like, split by the attribute that differs."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from .differences import groups_by_any, natural
from .images.frames import Frame
from .images.header import B_VALUES, UNREADABLE, number, text
from .images.stored import stored_numbers
from .images.values import rescale
from .places import ROUNDED_MM
from .stack import height

_SAME_PLACE = 0.05  # of the slice distance
_BINARY = {0x20011003: "<f4", 0x00651009: "<f8"}  # where the file does not say what they are (implicit VR)
_DIRECTION = "DiffusionGradientOrientation"
_GE_OFFSET = 1_000_000_000  # which GE adds to a b-value
# Attribute, and the texts before and after its value in a label. The first that separates the images is used.
_ATTRIBUTES = (
    ("EchoNumbers", "echo ", ""),
    ("EchoTime", "echo time ", " ms"),
    ("EffectiveEchoTime", "echo time ", " ms"),
    ("InversionTime", "inversion time ", " ms"),
    ("FlipAngle", "flip angle ", " degrees"),
    ("ImageType", "", ""),
    ("FrameType", "", ""),
    ("b-value", "b ", " s/mm2"),
    ("TemporalPositionIdentifier", "time position ", ""),
    ("TemporalPositionIndex", "time position ", ""),
    ("NominalPercentageOfCardiacPhase", "cardiac phase ", " %"),
    ("TriggerTime", "trigger time ", " ms"),
    ("NominalCardiacTriggerDelayTime", "trigger time ", " ms"),
    (_DIRECTION, "gradient ", ""),
    ("ConvolutionKernel", "kernel ", ""),
    ("AcquisitionNumber", "acquisition ", ""),
    ("StackID", "stack ", ""),
    ("AcquisitionTime", "acquired at ", ""),
    ("ContentTime", "made at ", ""),
)
_OF_A_VOLUME = (
    *("EchoNumbers", "EchoTime", "EffectiveEchoTime", "InversionTime", "FlipAngle", "ImageType", "FrameType"),
    *("b-value", "ConvolutionKernel"),
)
_DATES = {"AcquisitionTime": "AcquisitionDate", "ContentTime": "ContentDate"}  # of times, which begin anew at midnight
_MOST_INTERLEAVED, _FEWEST_SLICES = 4, 3  # interleaved volumes, and slices of each
# Order of the images at one place, where no value is common to all slices of a phase.
_ORDERS = (
    *("TriggerTime", "NominalCardiacTriggerDelayTime", "FrameReferenceTime", "AcquisitionTime", "ContentTime"),
    *("FrameAcquisitionDateTime", "FrameReferenceDateTime", "InstanceNumber"),
)


def split(frames: list[Frame]) -> tuple[list[tuple[str, list[Frame]]], int]:
    """Split parallel images into volumes with at most one image at each place.

    Returns
    -------
    tuple
        Pairs of a label for people, from what the images of a volume have in common, and the images; empty where
        nothing in the headers distinguishes the images at one place. And how many duplicate images were left out.
    """
    places = _places(frames)
    if len(set(places.values())) == len(frames):
        return _interleaved(frames) or [("", frames)], 0
    contents = _Contents()
    duplicates = _are_duplicates(frames, places, contents)
    if duplicates and _most(once := _without_duplicates(frames, places, contents, []), places) == 1:
        return [("", once)], len(frames) - len(once)
    for once in _with_ever_fewer_duplicates(frames, places, contents):
        found = _split(once, places, "")
        if found and sum(len(part) for _, part in found) == len(once):
            return found, len(frames) - len(once)
    return [], 0


def _with_ever_fewer_duplicates(
    frames: list[Frame], places: dict[tuple[str, int], int], contents: _Contents
) -> Iterator[list[Frame]]:
    """All images; then without duplicates of the same attributes; then without any duplicates."""
    yield frames
    for names in ([name for name, _, _ in _ATTRIBUTES], []):
        count, frames = len(frames), _without_duplicates(frames, places, contents, names)
        if len(frames) < count:
            yield frames


def _interleaved(frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    """Evenly spaced volumes with interleaved slices, as of two kernels; empty where the images are of one volume.

    Attributes of `_OF_A_VOLUME` always separate volumes; the others only where all images together are uneven.
    """
    ordered = sorted(frames, key=height)
    is_even = _step(ordered) is not None
    for name, before, after in _ATTRIBUTES:
        groups = _by_value(ordered, name) if name in _OF_A_VOLUME or not is_even else {}
        if not 1 < len(groups) <= _MOST_INTERLEAVED or min(map(len, groups.values())) < _FEWEST_SLICES:
            continue
        steps = [_step(group) for group in groups.values()]
        if None in steps or np.ptp(np.array(steps, float)) > _SAME_PLACE * float(steps[0] or 0):
            continue
        if max(height(group[0]) for group in groups.values()) < min(height(group[-1]) for group in groups.values()):
            return [(_shown(before, value, after), groups[value]) for value in sorted(groups, key=natural)]
    return []


def _step(ordered: list[Frame]) -> float | None:
    """The distance of even slices; None where they are uneven."""
    steps = np.diff([height(frame) for frame in ordered])
    step = float(steps.mean()) if steps.size else 0.0
    return step if steps.size and np.ptp(steps) <= max(_SAME_PLACE * step, 2 * ROUNDED_MM) else None


def _are_duplicates(frames: list[Frame], places: dict[tuple[str, int], int], contents: _Contents) -> bool:
    """Whether all images at the middle one of the places with most images are the same."""
    counts = Counter(places.values())
    fullest = sorted(place for place, count in counts.items() if count == max(counts.values()))
    first, *others = [frame for frame in frames if places[frame.instance] == fullest[len(fullest) // 2]]
    return all(contents.of(other) == contents.of(first) for other in others)


def _places(frames: list[Frame]) -> dict[tuple[str, int], int]:
    """The number of the place of each image."""
    heights = sorted((height(frame), frame.instance) for frame in frames)
    steps = np.diff([value for value, _ in heights])
    apart = steps[steps > 1e-3]
    limit = _SAME_PLACE * float(np.median(apart)) if apart.size else np.inf
    numbers = np.concatenate([[0], np.cumsum(steps > limit)])
    return {instance: int(place) for (_, instance), place in zip(heights, numbers, strict=True)}


def _without_duplicates(
    frames: list[Frame], places: dict[tuple[str, int], int], contents: _Contents, names: list[str]
) -> list[Frame]:
    """Each image once: the same pixels, at the same place, with the same values of some attributes."""
    kept: dict[tuple[object, ...], Frame] = {}
    for frame in frames:
        values = tuple(value_of(frame, name) for name in names)
        kept.setdefault((places[frame.instance], values, contents.of(frame)), frame)
    return list(kept.values())


class _Contents:
    """What images hold, each of which is read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[float, float, bytes]] = {}

    def of(self, frame: Frame) -> tuple[float, float, bytes]:
        """Slope and intercept, and a digest of the stored numbers: the same for images with the same values."""
        if frame.instance not in self._known:
            numbers = stored_numbers(frame.file, [frame]).astype(np.float64) + 0.0  # of all types alike, and -0 as 0
            self._known[frame.instance] = (*rescale(frame), hashlib.sha256(numbers.tobytes()).digest())
        return self._known[frame.instance]


def _most(frames: list[Frame], places: dict[tuple[str, int], int]) -> int:
    return max(Counter(places[frame.instance] for frame in frames).values())


def _split(frames: list[Frame], places: dict[tuple[str, int], int], label: str) -> list[tuple[str, list[Frame]]]:
    most = _most(frames, places)
    if most == 1:
        return [(label, frames)]
    for name, before, after in _ATTRIBUTES:
        groups = _by_value(frames, name)
        if 1 < len(groups) <= most and max(_most(group, places) for group in groups.values()) < most:
            return [
                part
                for value in _in_order(groups, name)
                for part in _split(groups[value], places, _joined(label, _shown(before, value, after)))
            ]
    name, groups = groups_by_any(frames, places, most)
    if groups:
        return [(_joined(label, _shown(f"{name} ", value)), groups[value]) for value in sorted(groups, key=natural)]
    ranked = _by_rank(frames, places, most)
    return [(_joined(label, f"number {rank + 1}"), group) for rank, group in enumerate(ranked)]


def _by_value(frames: list[Frame], name: str) -> dict[str, list[Frame]]:
    groups: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[value_of(frame, name)].append(frame)
    return groups


def _by_rank(frames: list[Frame], places: dict[tuple[str, int], int], most: int) -> list[list[Frame]]:
    """By the order of the images at each place, where there are as many at each."""
    there: dict[int, list[Frame]] = defaultdict(list)
    for frame in frames:
        there[places[frame.instance]].append(frame)
    if len(there) < 2 or any(len(group) < most for group in there.values()):
        return []
    for name in _ORDERS:
        if all(len({_rank(frame, name) for frame in group}) == most for group in there.values()):
            ordered = [sorted(group, key=lambda frame: _rank(frame, name)) for group in there.values()]
            return [list(group) for group in zip(*ordered, strict=True)]
    return []


def _in_order(groups: dict[str, list[Frame]], name: str) -> list[str]:
    """Values in their order; directions of diffusion, whose numbers have none, in that of their images."""
    if name == _DIRECTION:
        return sorted(groups, key=lambda value: min(_rank(frame, "InstanceNumber") for frame in groups[value]))
    return sorted(groups, key=lambda value: (_date(groups[value][0], name), natural(value)))


def _date(frame: Frame, name: str) -> float:
    """The date of a time; 0 where there is none."""
    return number(frame.header, _DATES[name]) or 0.0 if name in _DATES else 0.0


def _rank(frame: Frame, name: str) -> tuple[float, float, int]:
    value = number(frame.header, name)
    return _date(frame, name), (-1.0 if value is None else value), frame.index if name == "InstanceNumber" else 0


def value_of(frame: Frame, name: str) -> str:
    """The value that distinguishes an image from others at its place; empty if the header has none."""
    if name != "b-value":
        return text(frame.header, name)
    if value := text(frame.header, "DiffusionBValue"):
        return value
    for tag in B_VALUES:
        if tag in frame.header:
            return _private_b_value(frame, tag)
    return ""


def _private_b_value(frame: Frame, tag: int) -> str:
    try:
        value = frame.header[tag].value
        if isinstance(value, bytes) and tag in _BINARY:
            value = np.frombuffer(value, _BINARY[tag])
        elif isinstance(value, bytes):
            value = value.decode("ascii", "replace").strip("\0 ").split("\\")
        first = value if isinstance(value, str | float | int) else next(iter(value), "")
        return f"{float(first) % _GE_OFFSET:g}"
    except UNREADABLE:
        return ""


def _shown(before: str, value: str, after: str = "") -> str:
    """A value as part of a label."""
    return f"{before}{value}{after}" if value else f"no {before.strip() or 'value'}"


def _joined(label: str, more: str) -> str:
    return f"{label}, {more}" if label else more.strip()
