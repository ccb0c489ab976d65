"""Headers of MetaImage files.

References
----------
.. [1] MetaIO documentation, https://itk.org/Wiki/MetaIO/Documentation
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ...errors import VolumeError
from ..grid import LPS_TO_RAS
from ..volume import NO_TIMES, FileHeader
from .foreign import not_read
from .header import Header, Voxels, beside, checked_sizes, damaged, is_whole, not_scalar, placed, series_axis

_HEADER_BYTES = 1 << 20
_LINE = re.compile(rb"^[ \t]*([^\s=:]+)[ \t]*[=:][ \t]*([^\r\n]*?)[ \t]*\r?$")
TYPES = {  # the first name of a code is the one that is written
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_MOST_DIMENSIONS = 10
_ALIASES = {
    "Rotation": "TransformMatrix",
    "Orientation": "TransformMatrix",
    "Position": "Offset",
    "Origin": "Offset",
    "ElementByteOrderMSB": "BinaryDataByteOrderMSB",
}


def read_meta_header(path: Path) -> Header:
    """The header of ``.mha`` or ``.mhd``.

    Raises
    ------
    VolumeError
        It is no MetaImage file, damaged, or names voxels elsewhere.
    """
    with path.open("rb") as file:
        block = file.read(_HEADER_BYTES)
    fields, end = _fields(path, block)
    dimensions = fields.get("NDims", "")
    if not is_whole(dimensions) or not 0 < int(dimensions) <= _MOST_DIMENSIONS:
        raise damaged(path, f"its number of dimensions is {dimensions[:20]!r}")
    count = int(dimensions)
    counts = [int(number) if number == int(number) else 0 for number in _numbers(path, fields, "DimSize", count, None)]
    components = fields.get("ElementNumberOfChannels", "1")
    if components != "1":
        raise not_scalar(path, int(components) if is_whole(components) else 0)
    sizes = checked_sizes(path, counts)
    spacing, origin = _spacing(path, fields, count), _numbers(path, fields, "Offset", count, [0.0] * count)
    grid, notes = placed(path, sizes, _matrix(path, fields, spacing, origin))
    kind = fields.get("ElementType", "")
    if kind not in TYPES:
        raise damaged(path, f"its voxels are of the unknown type {kind[:40]!r}")
    stored = np.dtype((">" if _is_true(fields.get("BinaryDataByteOrderMSB", "False")) else "<") + TYPES[kind])
    expected = int(np.prod(sizes, dtype=object)) * stored.itemsize
    voxels = _voxels(path, fields, end, expected)
    times = series_axis(spacing[3], origin[3]) if len(sizes) > 3 else NO_TIMES
    return Header(path, sizes, grid, stored, voxels, FileHeader(grid.ijk_to_ras, series_axis=times), notes=notes)


def _fields(path: Path, block: bytes) -> tuple[dict[str, str], int]:
    """Values by name, and where the header ends, in bytes: behind the line that names the file of the voxels."""
    fields: dict[str, str] = {}
    start = 0
    while "ElementDataFile" not in fields:
        stop = block.find(b"\n", start)
        line, start = (block[start:stop], stop + 1) if stop >= 0 else (block[start:], len(block))
        match = _LINE.match(line)
        if match is None and (stop < 0 or line.strip()):
            if not fields:
                raise not_read(path, block[:512])
            raise damaged(path, "it does not state the position of its voxels")
        if match is None:
            continue
        name = match.group(1).decode("latin-1")
        name = _ALIASES.get(name, name)
        if name in fields:
            raise damaged(path, f"it names {name} twice")
        fields[name] = match.group(2).decode("utf-8", "replace")
    return fields, start


def _numbers(path: Path, fields: dict[str, str], name: str, count: int, default: list[float] | None) -> list[float]:
    if name not in fields and default is not None:
        return default
    try:
        found = [float(word) for word in fields.get(name, "").split()]
    except ValueError:
        found = []
    if len(found) != count or not np.isfinite(found).all() or max(map(abs, found)) > 1e15:
        raise damaged(path, f"its {name} is {fields.get(name, 'not there')[:60]!r}")
    return found


def _spacing(path: Path, fields: dict[str, str], count: int) -> list[float]:
    size = _numbers(path, fields, "ElementSize", count, [1.0] * count)
    return _numbers(path, fields, "ElementSpacing", count, size)


def _matrix(path: Path, fields: dict[str, str], spacing: list[float], origin: list[float]) -> np.ndarray:
    """(4, 4) index to RAS; of more than three dimensions, of the first three."""
    count = len(spacing)
    turned = np.reshape(
        _numbers(path, fields, "TransformMatrix", count * count, np.eye(count).ravel().tolist()), (count, count)
    )
    matrix = np.eye(4)
    used = min(count, 3)
    with np.errstate(all="ignore"):  # what is not finite is refused as a place
        matrix[:used, :used] = turned[:used, :used].T * spacing[:used]
        matrix[:used, 3] = origin[:used]
        return LPS_TO_RAS @ matrix


def _is_true(text: str) -> bool:
    return text[:1] in ("T", "t", "1")


def _voxels(path: Path, fields: dict[str, str], end: int, expected: int) -> Voxels:
    name = fields["ElementDataFile"]
    is_local = name.upper() == "LOCAL"
    file = path if is_local else beside(path, name)
    packing = "raw"
    if _is_true(fields.get("CompressedData", "False")):
        packing = "zlib"
    elif not _is_true(fields.get("BinaryData", "True")):
        packing = "text"
    skipped = fields.get("HeaderSize", "0")
    if skipped == "0":
        return Voxels(file, end if is_local else 0, packing)
    if packing != "raw" or not re.fullmatch(r"-1|\d{1,10}", skipped):
        raise VolumeError(f"{path} keeps its packed voxels behind a foreign header; save it as .nrrd or .mha first")
    return Voxels(file, max(file.stat().st_size - expected, 0) if skipped == "-1" else int(skipped), packing)
