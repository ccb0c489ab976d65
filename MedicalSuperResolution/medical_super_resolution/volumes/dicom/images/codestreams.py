"""The sizes that compressed images state themselves: JPEG, JPEG-LS and JPEG 2000.

References
----------
.. [1] ITU-T T.81 B.2, T.87 C.2 and T.800 A.5: the headers of the three.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_ITEM = b"\xfe\xff\x00\xe0"
_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
_MOST_BITS = 16
_ODD = 2  # bytes that a scanner may count too many or too few
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # markers of JPEG and JPEG-LS with the size of an image


def stated_sizes(pixels: bytes) -> Iterator[tuple[int, int]]:
    """Rows and columns of each image in the value of encapsulated pixels (PS3.5 A.4), where it is of a known kind.

    Raises
    ------
    ValueError, LookupError, struct.error
        The header of an image is damaged, or the length of one.
    """
    at = 0
    while pixels[at : at + len(_ITEM)] == _ITEM:
        (length,) = struct.unpack_from("<I", pixels, at + 4)
        begin, at = at + 8, at + 8 + length
        if pixels.startswith(_JPEG, begin):
            yield _size_of_jpeg(pixels, begin + len(_JPEG))
        elif pixels.startswith(_JPEG_2000, begin):
            right, bottom, left, top = struct.unpack_from(">4I", pixels, begin + 8)
            yield bottom - top, right - left
    if abs(at - len(pixels)) > _ODD:
        raise ValueError("the lengths of the items do not add up")


def _size_of_jpeg(pixels: bytes, at: int) -> tuple[int, int]:
    while True:
        at = pixels.index(b"\xff", at) + 1
        marker = pixels[at]
        if marker in _FRAMES:
            bits, rows, columns = struct.unpack_from(">BHH", pixels, at + 3)
            if bits > _MOST_BITS:
                raise ValueError("no JPEG has so many bits")  # with them, GDCM ends the process
            return rows, columns
        if marker not in (0x00, 0xFF):
            at += 1 + int.from_bytes(pixels[at + 1 : at + 3], "big")
