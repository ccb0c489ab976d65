"""Headers of FreeSurfer's .mgh and .mgz."""

from __future__ import annotations

import gzip
import math
import struct
from functools import lru_cache
from pathlib import Path

import numpy as np

from ....errors import optional
from ...volume import NO_TIMES, FileHeader
from ..foreign import not_read
from ..header import Header, Voxels, checked_sizes, damaged, placed, series_axis

_MGH_BYTES = 284
_MGH_FOOTER_BYTES = 20
_FARTHEST = 1 << 40  # bytes, more than a file that is read


def read_mgh_header(path: Path) -> Header:
    """The header of FreeSurfer's ``.mgh`` and ``.mgz``."""
    optional("nibabel", "FreeSurfer's files")
    from nibabel.freesurfer.mghformat import MGHHeader
    from nibabel.spatialimages import HeaderDataError

    block = _bytes(path, 0, _MGH_BYTES)
    if len(block) < _MGH_BYTES or block[:4] != b"\0\0\0\x01":
        raise not_read(path, block)
    try:
        header = MGHHeader(block + bytes(_MGH_FOOTER_BYTES), check=False)
        sizes = checked_sizes(path, [int(count) for count in header["dims"]])
        stored = header.get_data_dtype()
        with np.errstate(all="ignore"):  # what is not finite is refused as a place
            matrix = header.get_affine()
    except (HeaderDataError, ValueError, KeyError, ZeroDivisionError) as problem:
        raise damaged(path, "its header is damaged") from problem
    grid, notes = placed(path, sizes, matrix)
    is_packed = _is_packed(path)
    voxels = Voxels(path, _MGH_BYTES, "gzip" if is_packed else "raw", is_file_packed=is_packed)
    times = NO_TIMES
    if len(sizes) > 3:
        state = path.stat()
        times = _times(path, math.prod(sizes) * stored.itemsize, (state.st_size, state.st_mtime_ns))
    kept = FileHeader(grid.ijk_to_ras, series_axis=times)
    return Header(path, sizes, grid, stored.newbyteorder(">"), voxels, kept, notes=notes)


@lru_cache(maxsize=1)  # a packed file is unpacked to its end, and its header is read several times
def _times(path: Path, count: int, state: tuple[int, int]) -> tuple[float, float]:
    """Repetition time, in ms the first number behind the ``count`` bytes of voxels, and start of a series, in s.

    ``state`` is the size of the file and when it was changed: of a changed one, it is read anew.
    """
    footer = _bytes(path, min(_MGH_BYTES + count, _FARTHEST), struct.calcsize(">f"))
    (milliseconds,) = struct.unpack(">f", footer) if len(footer) == struct.calcsize(">f") else (0.0,)
    return series_axis(float(f"{milliseconds / 1000:.7g}"), 0.0)


def _bytes(path: Path, start: int, count: int) -> bytes:
    with gzip.open(path) if _is_packed(path) else path.open("rb") as file:
        file.seek(start)
        return file.read(count)


def _is_packed(path: Path) -> bool:
    return not path.name.lower().endswith(".mgh")
