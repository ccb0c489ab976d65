"""Extensions of a NIfTI header: notes of other programs, which a result keeps as they are."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

_LARGEST = 1 << 20  # bytes; what is longer is left out
_HEAD = 8  # bytes of each: its size, which counts them, and its code
_UNIT = 16  # of sizes


def extensions_of(file: Path, block: bytes, begin: int, end: int, order: str) -> bytes:
    """The extensions between the header and the voxels; ``block`` is how the file begins."""
    if not any(block[begin : begin + 1]):
        return b""
    return _extensions_in(start_of(file, min(end, begin + _LARGEST))[begin:], order)


def _extensions_in(block: bytes, order: str) -> bytes:
    """The whole extensions in what follows a header.

    Parameters
    ----------
    block : bytes
        From the end of the header, four bytes before the first extension, to the voxels or the end of the file.
    order : str
        "<" or ">", the byte order of the file.

    Returns
    -------
    bytes
        Sizes and codes in little endian, contents as they are; empty where there is none, or where one is damaged.
    """
    found, at = [], 4
    while at + _HEAD <= len(block):
        size, code = struct.unpack_from(order + "ii", block, at)
        if size < _UNIT or size % _UNIT or at + size > len(block):
            break
        found.append(struct.pack("<ii", size, code) + block[at + _HEAD : at + size])
        at += size
    return b"".join(found)


def start_of(file: Path, size: int) -> bytes:
    """The first bytes of the content of a file, unpacked where it is packed by gzip."""
    with gzip.open(file) if is_packed(file) else file.open("rb") as content:
        return content.read(size)


def is_packed(file: Path) -> bool:
    """Whether the content is packed by gzip, whatever the name of the file."""
    with file.open("rb") as content:
        return content.read(2) == b"\x1f\x8b"
