"""What is in a folder of DICOM files: the series, the volumes that each of them holds, and what is no image."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import VolumeError
from ...system.archive import unpacked
from ..io.foreign import not_read
from . import phases
from .frames import Frame, frames_of
from .header import DicomFile, quietly, read_file, text, whole
from .stack import height, spacing

_SAME_DIRECTION = 1e-3  # cosine: 0.06 degrees
_SAME_SPACING = 1e-3  # relative
_FAR = 8.0  # slice distances: what lies further away is of another stack
_LARGER = 2.0  # times as many images: the smaller stacks are left out
_MULTI_FRAME_KINDS = {
    "NM": "nuclear medicine in one file, whose frames are not placed one by one",
    "US": "an ultrasound sequence in time",
    "XA": "an X-ray sequence in time",
    "RF": "an X-ray sequence in time",
}
_NO_IMAGES = ("SEG", "RTDOSE", "RTPLAN", "RTSTRUCT", "SR", "KO", "PR", "DOC", "REG", "FID", "RWV", "PLAN", "AU", "ECG")
_IMAGE_STORAGE = " Image Storage"  # how the names of the storage classes of images end
_MOST_NAMED = 8
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


@dataclass(frozen=True)
class Series:
    """A series, as a table of a folder shows it.

    Parameters
    ----------
    uid, description, modality : str
        As the files say; the description may be empty.
    number : int or None
        The scanner's.
    parts : tuple of Part
        The volumes in it: more than one where several images lie at each place.
    problem : str
        Why there is no volume in it; empty where there is one.
    notes : tuple of str
        What was left out.
    """

    uid: str
    number: int | None
    description: str
    modality: str
    parts: tuple[Part, ...]
    problem: str = ""
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """How many images its volumes have together."""
        return sum(len(part.frames) for part in self.parts)


@dataclass(frozen=True)
class Contents:
    """All series below a folder, in the order of their numbers, and the names of what holds no image."""

    series: tuple[Series, ...]
    ignored: tuple[str, ...]


def contents_of(path: Path) -> Contents:
    """Sort what lies in a folder and below it, in a zipped one, or beside a file.

    Raises
    ------
    VolumeError
        A DICOM file is damaged; something in the folder is no plain file.
    """
    wanted = None
    folder = unpacked(path) if path.suffix.lower() == ".zip" and path.is_file() else path
    with quietly():
        if folder.is_file() and folder.name.upper() != "DICOMDIR":
            wanted = _series_of_file(folder)
            found = _files_in(folder.parent, nested=False)
        else:
            found = _files_in(folder if folder.is_dir() else folder.parent, nested=True)
        return _sorted(found, wanted)


def _series_of_file(path: Path) -> str:
    file = read_file(path)
    if file is None:
        raise not_read(path)
    if not text(file.header, "SeriesInstanceUID"):
        raise VolumeError(f"{path} is neither a volume file nor part of a DICOM series")
    return text(file.header, "SeriesInstanceUID")


def _files_in(folder: Path, *, nested: bool) -> Iterator[DicomFile]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if nested and not name.startswith("."))
        for path in (Path(root) / name for name in sorted(names)):
            if not path.exists():  # a link to nowhere, as of an annex without its content
                continue
            if not path.is_file():  # reading it may never come to an end
                raise VolumeError(
                    f"the folder {path.parent} holds something that is no plain file, {path.name}; move it elsewhere"
                )
            if path.stat().st_size and (file := read_file(path)):
                yield file


def _sorted(files: Iterator[DicomFile], wanted: str | None) -> Contents:
    by_series: dict[str, list[DicomFile]] = defaultdict(list)
    ignored, doubles, instances = [], 0, set()
    for file in files:
        uid = text(file.header, "SeriesInstanceUID")
        instance = text(file.header, "SOPInstanceUID") + text(file.header, "ImagePositionPatient")
        if not uid or (wanted and uid != wanted):
            continue
        if instance and instance in instances:
            doubles += 1
        elif _is_image(file):
            by_series[uid].append(file)
        else:
            ignored.append(f"{file.path.name} ({_kind(file)})")
        instances.add(instance)
    series = [_series(uid, found) for uid, found in by_series.items()]
    series.sort(key=lambda one: (one.number is None, one.number or 0, one.uid))
    if doubles:
        ignored.append(f"{doubles} copies of files that are there already")
    return Contents(tuple(series), tuple(ignored))


def _is_image(file: DicomFile) -> bool:
    """Whether a file holds an image; one that should and does not is refused."""
    if text(file.header, "Modality") in _NO_IMAGES:
        return False
    if file.pixel_tag and whole(file.header, "Rows") and whole(file.header, "Columns"):
        return True
    if _kind(file).endswith(_IMAGE_STORAGE):
        raise VolumeError(f"{file.path} is damaged or cut short: it has no pixels; get the DICOM series again")
    return False


def _kind(file: DicomFile) -> str:
    from pydicom.uid import UID

    uid = text(file.header, "SOPClassUID")
    return UID(uid).name if uid else "no image"


def _series(uid: str, files: list[DicomFile]) -> Series:
    first = files[0].header
    said = text(first, "SeriesNumber")
    number = whole(first, "SeriesNumber") if said else None
    description, modality = text(first, "SeriesDescription"), text(first, "Modality")
    problem = next(filter(None, map(_problem, files)), "")
    if problem:
        frames = [Frame(file, 0, file.header) for file in files]
        return Series(uid, number, description, modality, (Part("", frames),), problem)
    parts, problem, notes = _volumes([frame for file in files for frame in frames_of(file)])
    return Series(uid, number, description, modality, tuple(parts), problem, tuple(notes))


def _problem(file: DicomFile) -> str:
    """Why a file cannot be part of a volume, whatever its place."""
    header, modality = file.header, text(file.header, "Modality")
    if whole(header, "SamplesPerPixel", 1) != 1 or text(header, "PhotometricInterpretation") == "PALETTE COLOR":
        return "is coloured; pick a plain series"
    if "MOSAIC" in text(header, "ImageType"):
        return (
            "is a Siemens mosaic, whose files show all slices in one picture; convert it to NIfTI first, for example by"
            " dcm2niix"
        )
    if whole(header, "NumberOfFrames", 1) > 1 and "PerFrameFunctionalGroupsSequence" not in header:
        kind = _MULTI_FRAME_KINDS.get(modality, "a multi-frame file that does not say where its frames lie")
        return f"is {kind}; it cannot be refined as a volume: convert it to NIfTI first"
    return ""


def _volumes(frames: list[Frame]) -> tuple[list[Part], str, list[str]]:
    """The volumes in the images of a series; or why there are none; and what was left out."""
    if any(_PLACES[_lacks(frame)] in frame.header for frame in frames if _lacks(frame)):
        return [Part("", frames)], "has a damaged position, orientation or pixel spacing; get the series again", []
    placed = [frame for frame in frames if not _lacks(frame)]
    if len(placed) < 2:
        lacks = next(filter(None, map(_lacks, frames)), "")
        if lacks:
            return [Part("", frames)], f"has slices without their {lacks}; it cannot be placed in the patient", []
        return [Part("", frames)], "has a single file; at least two slices are needed", []
    notes = _left_out([frame for frame in frames if _lacks(frame)], "without a place in the patient")
    stacks = _grouped(placed, _is_parallel)
    stacks = [part for stack in stacks for part in _near(stack)]
    kept, others = _largest(stacks)
    notes += _left_out(others, "of another orientation, size, pixel spacing or place")
    parts, doubles, unsplit = [], 0, False
    for stack in kept:
        found, twice = phases.split(stack)
        doubles, unsplit = doubles + twice, unsplit or not found
        label = f"{len(stack)} images {_plane(stack[0])}" if len(kept) > 1 else ""
        parts += [Part(", ".join(filter(None, (label, more))), part) for more, part in found]
    if unsplit:
        return [Part("", placed)], "has several images at one place (phases, echoes?) that nothing tells apart", notes
    largest, others = _largest([part.frames for part in parts])
    notes += _left_out(others, "of an incomplete volume")
    if doubles:
        notes.append(f"{doubles} images that were there twice were taken once")
    parts = [part for part in parts if part.frames in largest]
    if len(parts[0].frames) < 2:
        if len(frames) == 1:
            return [Part("", frames)], "has a single file; at least two slices are needed", []
        return [Part("", placed)], "has slices that differ in orientation or size; split the series first", notes
    return [Part("" if len(parts) == 1 else part.label, part.frames) for part in parts], "", notes


def _lacks(frame: Frame) -> str:
    for what, value in (
        ("position", frame.position),
        ("orientation", frame.orientation),
        ("pixel spacing", frame.spacing_ji_mm),
    ):
        if value is None:
            return what
    return ""


def _left_out(frames: list[Frame], why: str) -> list[str]:
    if not frames:
        return []
    names = ", ".join(frame.name for frame in frames[:_MOST_NAMED]) + (", ..." if len(frames) > _MOST_NAMED else "")
    return [f"{len(frames)} images {why} were left out: {names}"]


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
