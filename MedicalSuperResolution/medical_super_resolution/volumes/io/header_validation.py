"""What a header says of places, in the computer and in the patient, looked at before ITK acts on it.

A header may name any file of the computer: a device that never ends, a pipe that never begins, another person's scan.
Only a plain file in the header's own folder is followed. Places and directions that no patient has make ITK compute
without end.
"""

from __future__ import annotations

import gzip
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from ...errors import VolumeError

_HEADER_BYTES = 1 << 20  # headers are a thousandth of that
_HERE = ("LOCAL", "Local", "local")
# Anywhere in the header and not only where a well-made one has them, so that no odd line hides a name.
_META_NAME = re.compile(rb"ElementDataFile[ \t]*[=:]([^\n]*)")
_META_END = re.compile(rb"^[ \t]*ElementDataFile[ \t]*[=:][^\n]*\n?", re.MULTILINE)
_META_DIMENSIONS = re.compile(rb"NDims[ \t]*[=:]([^\n]*)")
_META_PACKED = re.compile(rb"CompressedData[ \t]*[=:][ \t]*[Tt1]")
_META_PACKED_SIZE = re.compile(rb"CompressedDataSize[ \t]*[=:][ \t]*(\d{1,18})")
_META_SKIPPED = re.compile(rb"HeaderSize[ \t]*[=:]([^\n]*)")
_MOST_DIMENSIONS = 10  # more overrun the arrays of the library that reads MetaImage
_META_PLACES = re.compile(
    rb"(?:TransformMatrix|Rotation|Orientation|Offset|Position|Origin|ElementSpacing|ElementSize|CenterOfRotation)"
    rb"[ \t]*[=:]([^\n]*)"
)
_NRRD_PLACES = re.compile(rb"(?:space directions|space origin|spacings|measurement frame):([^\n]*)", re.IGNORECASE)
_NIFTI_PLACES = ((76, 8), (256, 18))  # where numbers of four bytes begin, and how many
_NIFTI_HEADER_BYTES = 348
_FARTHEST_MM = 1e9
_NRRD_NAME = re.compile(rb"data ?file[ \t]*:([^\n]*)", re.IGNORECASE)
_NRRD_COMMENT = re.compile(rb"^#[^\n]*$", re.MULTILINE)
_NRRD_END = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True)
class Packing:
    """Where a MetaImage keeps packed voxels: ``size`` bytes of ``file`` from ``offset`` on, all the rest if it is 0."""

    file: Path
    offset: int
    size: int


def check_plain(path: Path) -> None:
    """Refuse devices, pipes and sockets, which may never come to an end."""
    if not path.is_file():
        raise VolumeError(f"{path} is not a plain file; copy the volume into one first")


def data_files(path: Path) -> list[Path]:
    """The files that a NRRD or MetaImage header names for its voxels, resolved; none where they follow the header.

    Raises
    ------
    VolumeError : they lie outside the header's folder, are no plain files, or are more than one.
    """
    suffix = path.suffix.lower()
    with gzip.open(path) if suffix == ".gz" else path.open("rb") as file:
        header = file.read(_NIFTI_HEADER_BYTES if suffix in (".nii", ".gz") else _HEADER_BYTES)
    if suffix in (".mha", ".mhd"):
        names = _names_in_meta(path, header)
    elif suffix in (".nrrd", ".nhdr"):
        end = _NRRD_END.search(header)
        header = _NRRD_COMMENT.sub(b"", header[: end.start()] if end else header)
        _check_places(path, b" ".join(_NRRD_PLACES.findall(header)))
        names = _NRRD_NAME.findall(header)
    else:
        _check_nifti_places(path, header)
        return []
    return [_checked(path, name.decode("utf-8", "replace").strip()) for name in names]


def packing_in_meta(path: Path) -> Packing | None:
    """Where a MetaImage keeps its voxels, if they are packed; None if not.

    Raises
    ------
    VolumeError : as `data_files`; or the voxels lie behind the header of another program.
    """
    named = data_files(path)
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    end = _META_END.search(header)
    assert end is not None  # else it was refused
    header = header[: end.end()]
    if not _META_PACKED.search(header):
        return None
    if any(count.strip() != b"0" for count in _META_SKIPPED.findall(header)):
        raise VolumeError(f"{path} keeps its packed voxels behind a foreign header; save it as .nrrd or .mha first")
    sizes = [int(count) for count in _META_PACKED_SIZE.findall(header)]
    return Packing(named[0] if named else path, 0 if named else end.end(), sizes[0] if sizes else 0)


def _check_places(path: Path, text: bytes) -> None:
    for word in re.split(rb"[\s(),]+", text):
        try:
            is_odd = not abs(float(word)) < _FARTHEST_MM  # nor not a number
        except ValueError:
            is_odd = False  # a word such as "none"; ITK will tell
        if is_odd:
            raise VolumeError(f"{path} cannot be read as a volume: its place in space is damaged; get it again")


def _check_nifti_places(path: Path, header: bytes) -> None:
    if len(header) < _NIFTI_HEADER_BYTES:
        raise VolumeError(f"{path} cannot be read as a volume; it is cut short or of another format")
    order = "<" if header[0] else ">"  # the first number is the size of the header, below 65536
    for start, count in _NIFTI_PLACES:
        numbers = struct.unpack_from(f"{order}{count}f", header, start)
        if not all(abs(number) < _FARTHEST_MM for number in numbers):
            raise VolumeError(f"{path} cannot be read as a volume: its place in space is damaged; get it again")


def _names_in_meta(path: Path, header: bytes) -> list[bytes]:
    end = _META_END.search(header)
    if end is None:
        raise VolumeError(f"{path} cannot be read as a volume: it does not say where its voxels are; get it again")
    for count in _META_DIMENSIONS.findall(header[: end.end()]):
        if not count.strip().isdigit() or not 0 < int(count) <= _MOST_DIMENSIONS:
            raise VolumeError(f"{path} cannot be read as a volume: its number of dimensions is damaged; get it again")
    _check_places(path, b" ".join(_META_PLACES.findall(header[: end.end()])))
    names = _META_NAME.findall(header[: end.end()])
    return [name for name in names if name.strip().decode("latin-1") not in _HERE]


def _checked(header: Path, name: str) -> Path:
    """The file called ``name`` in a header, if it may be followed."""
    if "%" in name or name.upper().startswith("LIST"):
        raise VolumeError(f"{header} keeps its voxels in several files; save it as one file (.nrrd or .mha) first")
    folder = header.parent.resolve()
    try:
        file = (folder / name).resolve()
        is_plain = file.is_file()
    except (OSError, ValueError, RuntimeError):  # a name that no file can have, or links in a circle
        is_plain = False
    if not is_plain:
        raise VolumeError(
            f"{header} names a file for its voxels that is no plain file beside it; put both files into one folder"
        )
    if not file.is_relative_to(folder):
        raise VolumeError(
            f"{header} names a file outside its own folder for its voxels; put both files into one folder and edit"
            " the header"
        )
    return file
