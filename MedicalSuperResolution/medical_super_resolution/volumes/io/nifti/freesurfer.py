"""Headers of FreeSurfer's .mgh and .mgz."""

from __future__ import annotations

import gzip
import math
import struct
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

    is_packed = not path.name.lower().endswith(".mgh")
    with gzip.open(path) if is_packed else path.open("rb") as file:
        block = file.read(_MGH_BYTES)
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
    voxels = Voxels(path, _MGH_BYTES, "gzip" if is_packed else "raw", is_file_packed=is_packed)
    times = NO_TIMES
    if len(sizes) > 3:
        with gzip.open(path) if is_packed else path.open("rb") as file:
            file.seek(min(_MGH_BYTES + math.prod(sizes) * stored.itemsize, _FARTHEST))
            times = _times(file.read(_MGH_FOOTER_BYTES))
    kept = FileHeader(grid.ijk_to_ras, series_axis=times)
    return Header(path, sizes, grid, stored.newbyteorder(">"), voxels, kept, notes=notes)


def _times(footer: bytes) -> tuple[float, float]:
    """Repetition time, which is the first number behind the voxels, in ms, and start of a series, in seconds."""
    (repetition,) = struct.unpack(">f", footer[:4]) if len(footer) >= 4 else (0.0,)
    return series_axis(float(f"{repetition / 1000:.7g}"), 0.0)
