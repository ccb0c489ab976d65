"""The header of one DICOM file: its images, and where their pixels lie. No pixel is decoded here."""

from __future__ import annotations

import math
import mmap
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from ....errors import VolumeError
from ....system.memory import physical_bytes
from ....system.process import of_all_threads, without_warnings
from ...io.header import LARGEST_COMPRESSION

if TYPE_CHECKING:
    from pydicom import Dataset

UNREADABLE = (  # what pydicom raises over damaged files
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
DEFLATED, BIG_ENDIAN, IMPLICIT = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2"
_MAGIC_AT, _MAGIC, _META_LENGTH_AT, _META_AT = 128, b"DICM", 140, 144
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")  # of files without the magic word; the last is big endian
_PIXELS, _FLOAT_PIXELS, _DOUBLE_PIXELS = 0x7FE00010, 0x7FE00008, 0x7FE00009
_UNDEFINED_LENGTH = 0xFFFFFFFF

_KEYWORDS = """
    SOPClassUID SOPInstanceUID Modality SeriesInstanceUID SeriesNumber SeriesDescription
    InstanceNumber ImageType FrameType NumberOfFrames SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence
    ImagePositionPatient ImageOrientationPatient PixelSpacing SliceThickness Rows Columns
    SamplesPerPixel PhotometricInterpretation BitsAllocated BitsStored HighBit PixelRepresentation
    RescaleSlope RescaleIntercept RescaleType ModalityLUTSequence PixelPaddingValue PixelPaddingRangeLimit
    FloatPixelPaddingValue FloatPixelPaddingRangeLimit DoubleFloatPixelPaddingValue DoubleFloatPixelPaddingRangeLimit
    EchoNumbers EchoTime InversionTime FlipAngle DiffusionBValue DiffusionGradientOrientation ConvolutionKernel
    TemporalPositionIdentifier TriggerTime NominalPercentageOfCardiacPhase SpacingBetweenSlices
    AcquisitionNumber AcquisitionDate AcquisitionTime ContentDate ContentTime FrameReferenceTime
"""
B_VALUES = (0x0019100C, 0x00431039, 0x20011003, 0x00651009)  # of Siemens, GE, Philips, United Imaging
_NAMES_OF_KINDS = {"1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage"}  # that pydicom 3.0 does not know
CSA = 0x00291010  # private header of Siemens, which holds the direction of the slices of a mosaic
MOSAIC_SLICES = 0x00651051  # private sequence of United Imaging, with the place of each slice of a mosaic
_PRIVATE = (*B_VALUES, CSA, MOSAIC_SLICES)


@dataclass(frozen=True)
class DicomFile:
    """A DICOM file, read up to its pixels.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    header : pydicom.Dataset
        The attributes that are needed to read images.
    syntax : str
        UID of the transfer syntax; empty where the file has none.
    pixel_tag : int
        Tag of the pixels, 0 where there are none.
    pixels_at : int
        Where the value of the pixels begins in the (inflated) file, in bytes.
    pixel_vr : str
        Value representation of the pixels: "OW" are words of 16 bits, even for 8-bit pixels, "OB" are bytes; empty if
        the file gives none.
    """

    path: Path
    header: Dataset
    syntax: str
    pixel_tag: int
    pixels_at: int
    pixel_vr: str = ""

    def read(self, start: int, count: int) -> bytes:
        """Some bytes of the uncompressed pixels, counted from their first; fewer where the file ends before."""
        with self.path.open("rb") as file:
            if self.syntax == DEFLATED:
                file = BytesIO(_inflated(self.path, file.read()))  # type: ignore[assignment]
            file.seek(self.pixels_at + start)
            return file.read(count)


@of_all_threads
@contextmanager
def quietly() -> Iterator[None]:
    """Suppress pydicom's warnings and log, which quote values of the header and may name the patient."""
    from pydicom import config

    before = config.convert_wrong_length_to_UN, config.logger.disabled
    config.convert_wrong_length_to_UN = True  # else it raises an exception of a further type
    config.logger.disabled = True
    try:
        with without_warnings():
            yield
    finally:
        config.convert_wrong_length_to_UN, config.logger.disabled = before


def read_file(path: Path) -> DicomFile | None:
    """Read a file up to its pixels; None where it is no DICOM.

    Raises
    ------
    VolumeError
        A DICOM file that is damaged.
    """
    with path.open("rb") as file:
        start = file.read(_MAGIC_AT + len(_MAGIC))
        has_magic = start[_MAGIC_AT:] == _MAGIC
        if not has_magic and start[:2] not in _FIRST_GROUPS:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                return _parsed(path, content)
            except UNREADABLE as problem:
                if not has_magic:
                    return None
                raise VolumeError(f"{path} is damaged, cut short or changed; get the DICOM series again") from problem


def _parsed(path: Path, content: mmap.mmap) -> DicomFile | None:
    from pydicom import dcmread
    from pydicom.filereader import read_dataset

    stream: BytesIO | mmap.mmap
    if _is_deflated(content):
        unpacked = _inflated(path, content[:])
        stream, size, syntax = BytesIO(unpacked), len(unpacked), DEFLATED
        header = read_dataset(stream, False, True, stop_when=_at_pixels, specific_tags=_tags())
    else:
        stream, size = content, len(content)
        header = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=_tags())  # type: ignore[arg-type]
        if not header:
            return None
        syntax = str(header.file_meta.get("TransferSyntaxUID", "")) or _guessed_syntax(header)
    at = stream.tell()
    head = stream.read(12)  # of the element with the pixels: tag, value representation and length
    if len(head) < 12:
        return DicomFile(path, header, syntax, pixel_tag=0, pixels_at=at)
    order, is_implicit = ">" if syntax == BIG_ENDIAN else "<", syntax == IMPLICIT
    group, element = struct.unpack_from(order + "HH", head)
    (length,) = struct.unpack_from(order + "I", head, 4 if is_implicit else 8)
    begin = at + (8 if is_implicit else 12)
    if length != _UNDEFINED_LENGTH and length > size - begin:  # compressed pixels end where their own marks say
        raise EOFError
    vr = "" if is_implicit else head[4:6].decode("latin-1")
    return DicomFile(path, header, syntax, group << 16 | element, begin, vr)


def _guessed_syntax(header: Dataset) -> str:
    """The transfer syntax of a file that does not name it, by how pydicom could read it."""
    is_implicit, is_little_endian = header.original_encoding
    if not is_little_endian:
        return BIG_ENDIAN
    return IMPLICIT if is_implicit else ""


@cache
def _tags() -> list[int]:
    """Tags that are read from a file; the parser skips all others."""
    return [*map(_tag, _KEYWORDS.split()), *_PRIVATE]


def _at_pixels(tag: int, vr: str | None, length: int) -> bool:
    return tag in (_PIXELS, _FLOAT_PIXELS, _DOUBLE_PIXELS)


def _is_deflated(content: mmap.mmap) -> bool:
    return DEFLATED.encode() in content[_MAGIC_AT : _META_AT + 1024]


def _inflated(path: Path, content: bytes) -> bytes:
    """The data set of a deflated file."""
    (length,) = struct.unpack_from("<I", content, _META_LENGTH_AT)
    packed = content[_META_AT + length :]
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    data = unpacker.decompress(packed, min(len(packed) * LARGEST_COMPRESSION, (physical_bytes() or 1 << 33) // 4))
    if not unpacker.eof:
        raise VolumeError(f"{path} is damaged: its deflated content does not unpack; get the DICOM series again")
    return data


@cache
def _tag(keyword: str) -> int:
    from pydicom.datadict import tag_for_keyword
    from pydicom.tag import Tag

    return Tag(tag_for_keyword(keyword) or 0)


def _value(header: Dataset, keyword: str) -> object:
    """A value; None where it is absent. By tag, which is quicker than by name."""
    tag = _tag(keyword)
    return header[tag].value if tag in header else None


def text(header: Dataset, keyword: str) -> str:
    """A value as text, several of them joined with backslashes; empty where it is absent or damaged."""
    try:
        value = _value(header, keyword)
        if value is None:
            return ""
        if isinstance(value, str):
            return value.strip()
        return "\\".join(map(str, value)) if isinstance(value, Iterable) else str(value)
    except UNREADABLE:
        return ""


def number(header: Dataset, keyword: str) -> float | None:
    """A value as a finite number; None where it is absent or damaged."""
    found = numbers(header, keyword)
    return found[0] if found else None


def numbers(header: Dataset, keyword: str) -> tuple[float, ...]:
    """All values as finite numbers; none where one of them is absent or damaged."""
    try:
        value = _value(header, keyword)
        if value is None or value == "":
            return ()
        several = isinstance(value, Iterable) and not isinstance(value, str)
        found = tuple(map(float, value)) if several else (float(value),)  # type: ignore[call-overload, arg-type]
    except UNREADABLE:
        return ()
    return found if all(map(math.isfinite, found)) else ()


def whole(header: Dataset, keyword: str, default: int = 0) -> int:
    """A value as a whole number."""
    value = number(header, keyword)
    return default if value is None else int(value)


def kind_of(header: Dataset) -> str:
    """What a file is by the name of its storage class, such as "RT Dose Storage"."""
    from pydicom.uid import UID

    uid = text(header, "SOPClassUID")
    return _NAMES_OF_KINDS.get(uid) or (UID(uid).name if uid else "no image")
