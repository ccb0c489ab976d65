"""Extensions of a NIfTI header: notes of other programs, which a result keeps as they are."""

from __future__ import annotations

import struct

LARGEST_EXTENSIONS = 1 << 20  # bytes; what is longer is left out
_HEAD = 8  # bytes of each: its size, which counts them, and its code
_UNIT = 16  # of sizes


def extensions_in(block: bytes, order: str) -> bytes:
    """The whole extensions in what follows a header.

    Parameters
    ----------
    block : bytes
        From the end of the header up to the voxels, or to the end of a header by itself.
    order : str
        "<" or ">", the byte order of the file.

    Returns
    -------
    bytes
        Sizes and codes in little endian, contents as they are; empty where there is none, or where one is damaged.
    """
    if len(block) < 4 or not block[0]:
        return b""
    found, at = [], 4
    while at + _HEAD <= len(block):
        size, code = struct.unpack_from(order + "ii", block, at)
        if size < _UNIT or size % _UNIT or at + size > len(block):
            break
        found.append(struct.pack("<ii", size, code) + block[at + _HEAD : at + size])
        at += size
    return b"".join(found)
