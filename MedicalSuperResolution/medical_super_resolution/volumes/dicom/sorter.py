"""Sorts the DICOM files of a folder into series and volumes; lists files without an image."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ...errors import VolumeError
from ...system.archive import unpacked
from ..io.foreign import not_read
from ..io.formats import is_volume_file
from .differences import Copies
from .images.frames import Frame, frames_of
from .images.header import DicomFile, kind_of, quietly, read_file, text, whole
from .images.mosaic import is_mosaic, slices_of
from .images.values import has_real_world_slope, is_parametric_map
from .volumes import Part, counted, left_out, volumes_in

_MULTI_FRAME_KINDS = {
    "NM": "nuclear medicine in one file, whose frames are not placed one by one",
    "US": "an ultrasound sequence in time",
    "XA": "an X-ray sequence in time",
    "RF": "an X-ray sequence in time",
}
_NO_IMAGES = ("SEG", "RTDOSE", "RTPLAN", "RTSTRUCT", "SR", "KO", "PR", "DOC", "REG", "FID", "RWV", "PLAN", "AU", "ECG")
_PACKED = (".gz", ".bz2", ".zst", ".zip", ".tar", ".tgz", ".7z", ".rar")
_MOST_PIXELS = 65535  # of a row or a column
_IMAGE_STORAGE = " Image Storage"  # how the names of the storage classes of images end
LeavesOut = Callable[[Path], bool]  # called with each folder of a folder; true for one that is passed over


@dataclass(frozen=True)
class Series:
    """A series, as a table of a folder shows it.

    Parameters
    ----------
    uid, description, modality : str
        As in the files; the description may be empty.
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
        """Number of images of all its volumes."""
        return sum(len(part.frames) for part in self.parts)

    def described(self, *, with_uid: bool = False, with_file: bool = True) -> str:
        """In a few words: number and description, how many images it has, and one of its files."""
        number = "" if self.number is None else f"{self.number}: "
        volumes = f" in {len(self.parts)} volumes" if len(self.parts) > 1 else ""
        uid = f", {self.uid}" if with_uid else ""
        first = f", {self.parts[0].frames[0].file.path.name}" if with_file else ""
        return f"{number}{self.description or 'no description'} ({counted(self.images)}{volumes}{first}{uid})"


class Ignored(NamedTuple):
    """A file without an image, or in words how many there are of others."""

    name: str
    kind: str = ""

    def __str__(self) -> str:
        """For the terminal: a report states the kind alone, because the name may be a patient's."""
        return f"{self.name} ({self.kind})" if self.kind else self.name


@dataclass(frozen=True)
class Contents:
    """All series below a folder, in the order of their numbers; files without an image; damaged files."""

    series: tuple[Series, ...]
    ignored: tuple[Ignored, ...]
    damaged: tuple[tuple[Path, VolumeError | OSError], ...] = ()


def contents_of(path: Path, *, pass_over_damaged: bool = False, leave_out: LeavesOut | None = None) -> Contents:
    """Sort what lies in a folder and below it, in a zipped one, or beside a file.

    Parameters
    ----------
    path : Path
        The folder or file.
    pass_over_damaged : bool
        Name damaged files among the contents instead of raising an error.
    leave_out : callable or None
        See `LeavesOut`.

    Raises
    ------
    VolumeError
        A DICOM file is damaged; something in the folder is no plain file.
    OSError
        A file cannot be opened.
    """
    folder = unpacked(path) if path.suffix.lower() == ".zip" and path.is_file() else path
    named = path if path.is_file() and not stands_for_folder(path) else None
    place = folder if folder.is_dir() else folder.parent
    contents = _contents(named, tuple(_files_in(place, leave_out, nested=named is None)))
    if contents.damaged and not pass_over_damaged:
        raise contents.damaged[0][1].with_traceback(None)
    return contents


def stands_for_folder(path: Path) -> bool:
    """Whether a path is a folder, a zipped one, or the DICOMDIR in one."""
    return path.is_dir() or (path.is_file() and (path.suffix.lower() == ".zip" or path.name.upper() == "DICOMDIR"))


@lru_cache(maxsize=1)  # a command looks into a folder before it reads it; the states are those of the files then
def _contents(named: Path | None, states: tuple[tuple[Path, int, int], ...]) -> Contents:
    with quietly():
        wanted = None if named is None else _series_of_file(named)
        return _sorted((path for path, size, _ in states if size or not path.is_file()), wanted)


def _series_of_file(path: Path) -> str:
    file = read_file(path)
    if file is None:
        raise not_read(path)
    if not text(file.header, "SeriesInstanceUID"):
        raise VolumeError(f"{path} is neither a volume file nor part of a DICOM series")
    return text(file.header, "SeriesInstanceUID")


def _files_in(folder: Path, leave_out: LeavesOut | None, *, nested: bool) -> Iterator[tuple[Path, int, int]]:
    """Each file with its size in bytes and the time of its last change."""
    for root, folders, names in os.walk(folder):
        here = Path(root)
        folders[:] = searched(here, folders, leave_out) if nested else []
        for path in (here / name for name in sorted(names)):
            if not path.exists():  # a dangling link, as of git-annex without its content
                continue
            state = path.stat()
            yield path, state.st_size, state.st_mtime_ns


def searched(folder: Path, names: list[str], leave_out: LeavesOut | None) -> list[str]:
    """Which of the folders in a folder are searched: not hidden ones, nor those to leave out; sorted."""
    shown = sorted(name for name in names if not name.startswith("."))
    return [name for name in shown if leave_out is None or not leave_out(folder / name)]


def _sorted(paths: Iterator[Path], wanted: str | None) -> Contents:
    by_series: dict[str, list[DicomFile]] = defaultdict(list)
    ignored, copies, doubles = [], Copies(), 0
    damaged: list[tuple[Path, VolumeError | OSError]] = []
    for path in paths:
        try:
            file = _file_at(path)
            if file is None and not wanted and _is_packed(path):
                ignored.append(Ignored(path.name, "a packed file, to be unpacked first"))
            uid = text(file.header, "SeriesInstanceUID") if file else ""
            if file is None or not uid or (wanted and uid != wanted):
                continue
            if copies.include(file):
                doubles += 1
            elif _is_image(file):
                by_series[uid].append(file)
            else:
                ignored.append(Ignored(path.name, kind_of(file.header)))
        except (VolumeError, OSError) as problem:
            damaged.append((path, problem))
    series = []
    for uid, found in by_series.items():
        try:
            series.append(_series(uid, found))
        except VolumeError as problem:
            damaged.append((found[0].path, problem))
    series.sort(key=lambda one: (one.number is None, one.number or 0, one.uid))
    if doubles:
        ignored.append(Ignored("1 copy of another file" if doubles == 1 else f"{doubles} copies of other files"))
    return Contents(tuple(series), tuple(ignored), tuple(damaged))


def _file_at(path: Path) -> DicomFile | None:
    if not path.is_file():  # reading it may never come to an end
        raise VolumeError(
            f"the folder {path.parent} holds something that is no plain file, {path.name}; move it elsewhere"
        )
    return read_file(path)


def _is_packed(path: Path) -> bool:
    """Whether a file may hold packed images: no volume file, and no table of a BIDS data set."""
    name = path.name.lower()
    return name.endswith(_PACKED) and not name.endswith(".tsv.gz") and not is_volume_file(path)


def _is_image(file: DicomFile) -> bool:
    """Whether a file holds an image; one that should and does not is refused."""
    if text(file.header, "Modality") in _NO_IMAGES:
        return False
    rows, columns = whole(file.header, "Rows"), whole(file.header, "Columns")
    if file.pixel_tag and rows and columns:
        if not (0 < rows <= _MOST_PIXELS and 0 < columns <= _MOST_PIXELS):
            raise VolumeError(
                f"{file.path} is damaged: an image of {columns} columns and {rows} rows cannot be; get the DICOM series"
                " again"
            )
        return True
    if kind_of(file.header).endswith(_IMAGE_STORAGE):
        raise VolumeError(f"{file.path} is damaged or cut short: it has no pixels; get the DICOM series again")
    return False


def _series(uid: str, files: list[DicomFile]) -> Series:
    first = files[0].header
    stated = text(first, "SeriesNumber")
    number = whole(first, "SeriesNumber") if stated else None
    description, modality = text(first, "SeriesDescription"), text(first, "Modality")
    problems = {file.path: _problem(file) for file in files}
    fit = [file for file in files if not problems[file.path]]
    others = [Frame(file, 0, file.header) for file in files if problems[file.path]]
    if not fit:
        return Series(uid, number, description, modality, (Part("", others),), problems[others[0].file.path])
    frames = [frame for file in fit for frame in (slices_of(file) if is_mosaic(file.header) else frames_of(file))]
    parts, problem, notes = volumes_in(frames)
    notes = (*notes, *left_out(others, "that can be no part of a volume, such as a picture in color,"))
    return Series(uid, number, description, modality, tuple(parts), problem, notes)


def _problem(file: DicomFile) -> str:
    """Why a file cannot be part of a volume, whatever its place."""
    header, modality = file.header, text(file.header, "Modality")
    if whole(header, "SamplesPerPixel", 1) != 1 or text(header, "PhotometricInterpretation") == "PALETTE COLOR":
        return "is colored; choose a gray-scale series"
    if is_mosaic(header) and not slices_of(file):
        return (
            "is a mosaic of Siemens or United Imaging without the headers that give the positions of its slices;"
            " convert the original series, or convert it to NIfTI by dcm2niix"
        )
    if whole(header, "NumberOfFrames", 1) > 1 and "PerFrameFunctionalGroupsSequence" not in header:
        kind = _MULTI_FRAME_KINDS.get(modality, "a multi-frame file without the positions of its frames")
        return f"is {kind}; it cannot be refined as it is: if it is a volume, convert it to NIfTI first"
    if is_parametric_map(header) and not all(map(has_real_world_slope, frames_of(file))):
        return "is a parametric map without a RealWorldValueSlope, as with a table of values; convert it to NIfTI first"
    return ""
