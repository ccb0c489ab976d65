"""A first look at DICOM files, before the library that reads them trusts the lengths that they claim.

Its reader takes the memory that an element asks for before it looks whether the file holds as much.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from ...errors import VolumeError

_MAGIC_AT, _MAGIC = 128, b"DICM"
_ITEMS = 0xFFFE  # a group of elements
_TRANSFER_SYNTAX, _SERIES, _PIXELS = (0x0002, 0x0010), (0x0020, 0x000E), (0x7FE0, 0x0010)
_ITEM_END, _SEQUENCE_END = (_ITEMS, 0xE00D), (_ITEMS, 0xE0DD)
_UNDEFINED = 0xFFFFFFFF
_IMPLICIT, _BIG_ENDIAN, _DEFLATED = (f"1.2.840.10008.1.2{end}" for end in ("", ".2", ".1.99"))
_SHORT = b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
_LONG = b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()
_LONGEST_TEXT = 128
_DEEPEST = 32  # sequences within sequences


class _DamagedError(Exception):
    """An element does not fit into its file."""


def series_of(path: Path) -> str | None:
    """The SeriesInstanceUID of a DICOM file; "" where it has none, None where the file is no DICOM.

    Raises
    ------
    VolumeError : a DICOM file with an element that is longer than the file, or packed so that nobody can tell.
    """
    with path.open("rb") as file:
        file.seek(_MAGIC_AT)
        has_magic = file.read(len(_MAGIC)) == _MAGIC
        if not has_magic:
            file.seek(0)
        try:
            return _Elements(file, path.stat().st_size, has_magic).series()
        except (_DamagedError, struct.error) as problem:
            if not has_magic:
                return None
            raise VolumeError(f"{path} is damaged, cut short or deflated; get the DICOM series again") from problem


class _Elements:
    """Goes through all elements of a file, also those within others."""

    def __init__(self, file: BinaryIO, size: int, has_magic: bool) -> None:
        self._file, self._size = file, size
        self._syntax = ""
        self._order = "<"
        self._ends: list[int] = []  # of the sequences and items around the next element
        self._in_pixels = False
        self._is_explicit = has_magic or self._looks_explicit()

    def series(self) -> str:
        """The series, once every element was seen to fit into the file."""
        found = ""
        while head := self._file.read(8):
            if self._syntax and head[:2] != b"\x02\x00":
                self._leave_the_meta_information()
            tag, length, kind = self._element(head)
            while self._ends and self._file.tell() >= self._ends[-1] + 8:
                self._ends.pop()
            if tag in (_ITEM_END, _SEQUENCE_END):
                self._in_pixels = False
                del self._ends[-1:]
            elif length == _UNDEFINED or kind == b"SQ" or (tag[0] == _ITEMS and not self._in_pixels):
                self._open(tag, length)  # its elements come next
            elif tag in (_TRANSFER_SYNTAX, _SERIES) and not self._ends and length <= _LONGEST_TEXT:
                text = self._file.read(length).rstrip(b"\0 ").decode("ascii", "replace")
                self._syntax, found = (text, found) if tag == _TRANSFER_SYNTAX else (self._syntax, text)
            else:
                self._file.seek(length, 1)
        return found

    def _looks_explicit(self) -> bool:
        kind = self._file.read(6)[4:]
        self._file.seek(0)
        return kind in _SHORT or kind in _LONG

    def _leave_the_meta_information(self) -> None:
        if self._syntax == _DEFLATED:
            raise _DamagedError
        self._order = ">" if self._syntax == _BIG_ENDIAN else "<"
        self._is_explicit = self._syntax != _IMPLICIT
        self._syntax = ""

    def _element(self, head: bytes) -> tuple[tuple[int, int], int, bytes]:
        """Tag, bytes of the value that follows, and its kind."""
        group, number = struct.unpack(self._order + "HH", head[:4])
        kind = head[4:6] if self._is_explicit and group != _ITEMS else b""
        if kind in _SHORT:
            (length,) = struct.unpack(self._order + "H", head[6:])
        else:
            (length,) = struct.unpack(self._order + "I", self._file.read(4) if kind in _LONG else head[4:])
        if length not in (0, _UNDEFINED) and length > self._size - self._file.tell():
            raise _DamagedError
        return (group, number), length, kind

    def _open(self, tag: tuple[int, int], length: int) -> None:
        self._in_pixels = tag == _PIXELS
        self._ends.append(self._size if length == _UNDEFINED else self._file.tell() + length)
        if len(self._ends) > _DEEPEST:
            raise _DamagedError
