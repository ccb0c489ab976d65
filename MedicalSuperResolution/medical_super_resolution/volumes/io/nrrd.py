"""Headers of NRRD files.

References
----------
.. [1] Kindlmann, Definition of NRRD file format. https://teem.sourceforge.net/nrrd/format.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

from ...errors import VolumeError
from ..grid import AXES_IJK, Grid
from ..volume import NO_TIMES, FileHeader
from .foreign import not_read
from .header import Header, Voxels, beside, checked_sizes, damaged, is_whole, not_scalar, placed, series_axis

T = TypeVar("T")
_HEADER_BYTES = 1 << 20  # headers are a thousandth of that
_END = re.compile(rb"\r?\n\r?\n")
_VECTOR = re.compile(r"\(([^()]*)\)|none", re.IGNORECASE)
_SPACES = {  # their names without blanks and hyphens, by the signs of the axes in RAS
    (1.0, 1.0, 1.0): ("rightanteriorsuperior", "ras", "rast"),
    (-1.0, 1.0, 1.0): ("leftanteriorsuperior", "las", "last"),
    (-1.0, -1.0, 1.0): ("leftposteriorsuperior", "lps", "lpst", "scannerxyz", "3drighthanded", "3dlefthanded", ""),
}
_ESCAPED = re.compile(r"\\[\\n]")  # a backslash or the end of a line, within a value
_DIFFUSION = "DWMRI_"  # how the keys of gradients begin
_SERIES_KINDS = ("list", "time", "domain", "space", "???", "")
_ENCODINGS = {
    "raw": "raw", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2", "txt": "text", "text": "text",
    "ascii": "text", "hex": "hex",
}  # fmt: skip
TYPES = {  # the first name is the one that is written
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("unsigned char", "uchar", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("unsigned short", "ushort", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("unsigned int", "uint", "uint32", "uint32_t"),
    "i8": ("long long int", "longlong", "long long", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("unsigned long long int", "ulonglong", "unsigned long long", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}


def read_nrrd_header(path: Path) -> Header:
    """The header of ``.nrrd`` or ``.nhdr``.

    Raises
    ------
    VolumeError
        It is no NRRD file, damaged, or names voxels elsewhere.
    """
    fields, kept, end = _parsed(path)
    sizes = _whole_numbers(path, fields, "sizes")
    _check_counts(path, fields, len(sizes))
    series = _series_axis(path, fields, len(sizes))
    if series is not None:
        sizes = [*_along_space(sizes, series), sizes[series]]
    shape = checked_sizes(path, sizes)
    grid, notes = placed(path, shape, _matrix(path, fields, series, shape))
    if "axismaxs" in fields and not {"spacedirections", "spacings"} & set(fields):
        notes += ("the header gives no spacing but the ends of its axes; voxels count as 1 mm, as in other programs",)
    stored = _stored(path, fields)
    is_interleaved = series == 0 and len(shape) == 4
    voxels = _voxels(path, fields, end, int(np.prod(shape, dtype=object)) * stored.itemsize)
    header = FileHeader(
        grid.ijk_to_ras,
        fields=kept,
        measurement_frame=_measurement_frame(path, fields, kept),
        series_axis=NO_TIMES if series is None else _times(path, fields, series),
    )
    thickness_mm = _thickness_mm(fields, series, grid)
    return Header(path, shape, grid, stored, voxels, header, 1.0, 0.0, is_interleaved, notes, thickness_mm)


def _parsed(path: Path) -> tuple[dict[str, str], dict[str, str], int | None]:
    """Fields, free pairs of keys and values, and where the header ends, in bytes; None where it has no end."""
    with path.open("rb") as file:
        block = file.read(_HEADER_BYTES)
    if not block.startswith(b"NRRD"):
        raise not_read(path, block[:512])
    end = _END.search(block)
    fields, kept = _fields(path, (block[: end.start()] if end else block).decode("utf-8", "replace"))
    return fields, kept, end.end() if end else None


def _fields(path: Path, text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Fields by name, lower case and without blanks; and the free pairs of keys and values."""
    fields: dict[str, str] = {}
    kept: dict[str, str] = {}
    for line in text.replace("\r\n", "\n").split("\n")[1:]:
        if line.startswith("#"):
            continue
        name, separator, value = line.partition(":")
        if separator and value.startswith("="):
            kept[name] = _ESCAPED.sub(lambda found: "\n" if found[0] == r"\n" else "\\", value[1:])
        elif separator:
            key = name.lower().replace(" ", "")
            if key in fields:
                raise damaged(path, f"it names {name.strip()!r} twice")
            fields[key] = value.strip()
    return fields, kept


def _whole_numbers(path: Path, fields: dict[str, str], name: str) -> list[int]:
    words = fields.get(name, "").split()
    if not words or not all(map(is_whole, words)):
        raise damaged(path, f"its {name} are {fields.get(name, 'not there')[:60]!r}")
    return [int(word) for word in words]


def _check_counts(path: Path, fields: dict[str, str], axes: int) -> None:
    """Refuse a header that states the distance of voxels along more or fewer axes than it gives sizes of."""
    counts = {
        "spacings": len(_numbers(path, fields.get("spacings", ""))),
        "space directions": len(_vectors(path, fields.get("spacedirections", ""))),
    }
    for name, count in counts.items():
        if name.replace(" ", "") in fields and count != axes:
            raise damaged(path, f"its {name} are damaged: {count} for {axes} axes")


def _series_axis(path: Path, fields: dict[str, str], dimensions: int) -> int | None:
    """The axis along which volumes follow each other; values of several components are refused."""
    kinds = (fields.get("kinds", "").lower().split() + [""] * dimensions)[:dimensions]
    if dimensions == 4 and path.name.lower().endswith(".seg.nrrd"):  # layers of segments, which ITK calls a vector
        kinds = [kind if kind in _SERIES_KINDS else "list" for kind in kinds]
    directions = _vectors(path, fields.get("spacedirections", ""))
    if dimensions <= 3:
        vector = next((axis for axis, kind in enumerate(kinds) if kind not in _SERIES_KINDS), None)
        if dimensions == 3 and vector is not None:
            raise not_scalar(path, _whole_numbers(path, fields, "sizes")[vector])
        return None
    apart = [axis for axis, direction in enumerate(directions) if direction is None]
    apart = apart or [axis for axis, kind in enumerate(kinds) if kind in ("list", "time")]
    if len(apart) > 1 or dimensions > 4:
        return None
    axis = apart[0] if apart else dimensions - 1
    if kinds[axis] not in _SERIES_KINDS or (kinds[axis] in ("???", "") and axis == 0 and apart):
        raise not_scalar(path, _whole_numbers(path, fields, "sizes")[axis])
    if axis not in (0, dimensions - 1):
        raise VolumeError(f"{path} has its series along axis {axis}; save it with the series first or last")
    return axis


def _times(path: Path, fields: dict[str, str], series: int) -> tuple[float, float]:
    """Spacing and origin along a series: of its own axis, or as ITK writes them, in a space of four dimensions."""
    directions, origins = (_vectors(path, fields.get(name, "")) for name in ("spacedirections", "spaceorigin"))
    spacings, mins = (fields.get(name, "").split() for name in ("spacings", "axismins"))
    return series_axis(_along(series, directions[series:], spacings), _along(series, origins, mins))


def _along(series: int, vectors: list[np.ndarray | None], words: list[str]) -> float:
    """The fourth number of the first vector, or else the word of the series; NaN where there is no number."""
    if vectors and vectors[0] is not None and vectors[0].size > 3:
        return float(vectors[0][3])
    try:
        return float(words[series])
    except (IndexError, ValueError):
        return math.nan


def _vectors(path: Path, text: str) -> list[np.ndarray | None]:
    """The vectors in a field; None for each "none"."""
    return [None if vector[1] is None else _numbers(path, vector[1]) for vector in _VECTOR.finditer(text)]


def _numbers(path: Path, text: str) -> np.ndarray:
    try:
        return np.array([float(word) for word in re.split(r"[\s,]+", text.strip()) if word], np.float64)
    except ValueError as problem:
        raise damaged(path, "its position in space is damaged") from problem


def _matrix(path: Path, fields: dict[str, str], series: int | None, shape: tuple[int, ...]) -> np.ndarray:
    """(4, 4) index to RAS."""
    matrix = np.eye(4)
    vectors = _along_space(_vectors(path, fields.get("spacedirections", "")), series)
    origins = _vectors(path, fields.get("spaceorigin", ""))
    if "spacedirections" in fields:
        directions = [one[:3] for one in vectors if one is not None and one.size >= 3]
        if len(directions) < len(vectors):
            raise damaged(path, "its space directions are damaged")
        matrix[:3, :3] = np.stack(directions[:3], axis=1)
    elif "spacings" in fields:
        spacings = _along_space(_numbers(path, fields["spacings"]), series)
        matrix[:3, :3] = np.diag(spacings[:3])
    if "spaceorigin" in fields and len(origins) != 1:
        raise damaged(path, "its space origin is damaged")
    if not vectors and not origins and "axismins" in fields:
        matrix[:3, 3] = _first_center(path, fields, series, matrix.diagonal()[:3], shape)
    if origins and origins[0] is not None:
        if origins[0].size < 3:
            raise damaged(path, "its space origin is damaged")
        matrix[:3, 3] = origins[0][:3]
    with np.errstate(all="ignore"):  # what is not finite is refused as a place
        return np.diag([*_signs(path, fields), 1.0]) @ matrix


def _along_space(values: Iterable[T], series: int | None) -> list[T]:
    """The values of the axes in space, from those of all axes."""
    return [value for axis, value in enumerate(values) if axis != series]


def _signs(path: Path, fields: dict[str, str]) -> tuple[float, float, float]:
    """The matrix from the space of a file to RAS."""
    space = fields.get("space", "")
    name = re.sub(r"[\s-]", "", space.lower()).removesuffix("time")
    found = next((signs for signs, names in _SPACES.items() if name in names), None)
    if found is None:
        raise damaged(path, f"its space is the unknown {space[:40]!r}")
    return found


def _first_center(
    path: Path, fields: dict[str, str], series: int | None, spacing: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """(3,) where the first voxel lies by the lower ends of the axes, which are half a voxel before cells."""
    lowest, highest = (
        np.array(_along_space(_numbers(path, fields.get(name, "")), series)[:3]) for name in ("axismins", "axismaxs")
    )
    kinds = _along_space(fields.get("centerings", fields.get("centers", "")).lower().split(), series)
    is_node = np.array([*(kind == "node" for kind in kinds), False, False, False][:3])
    if "spacings" not in fields and highest.size == 3 and lowest.size == 3:
        spacing = (highest - lowest) / np.maximum(np.array(shape[:3]) - is_node, 1)
    if lowest.size != 3 or not np.isfinite(lowest).all():
        return np.zeros(3)
    return lowest + np.where(is_node, 0.0, spacing / 2)


def _measurement_frame(path: Path, fields: dict[str, str], kept: dict[str, str]) -> np.ndarray | None:
    """(3, 3) axes of what was measured as columns, RAS: directions of diffusion gradients are given along them."""
    vectors = _vectors(path, fields.get("measurementframe", ""))
    if len(vectors) == 3 and all(one is not None and one.size == 3 for one in vectors):
        frame = np.stack([one for one in vectors if one is not None], axis=1)
    elif any(key.startswith(_DIFFUSION) for key in kept):
        frame = np.eye(3)  # without one, directions are those of the file's space
    else:
        return None
    return np.diag(_signs(path, fields)) @ frame if np.isfinite(frame).all() else None


def _thickness_mm(fields: dict[str, str], series: int | None, grid: Grid) -> float | None:
    """The slice thickness, of those that the format has for all axes; None where it is no positive number."""
    words = _along_space(fields.get("thicknesses", "").split(), series)
    try:
        thickness_mm = float(words[AXES_IJK.index(grid.through_plane_axis)])
    except (IndexError, ValueError):
        return None
    return thickness_mm if 0 < thickness_mm < math.inf else None


def _stored(path: Path, fields: dict[str, str]) -> np.dtype:
    name = " ".join(fields.get("type", "").lower().split())
    code = next((code for code, names in TYPES.items() if name in names), None)
    if code is None:
        raise damaged(path, f"its voxels are of the unknown type {name[:40]!r}")
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "little").lower())
    if order is None:
        raise damaged(path, f"its byte order is the unknown {fields['endian'][:40]!r}")
    return np.dtype(order + code)


def _voxels(path: Path, fields: dict[str, str], end: int | None, expected: int) -> Voxels:
    packing = _ENCODINGS.get(fields.get("encoding", "").lower())
    if packing is None:
        raise damaged(path, f"its voxels are in the unknown encoding {fields.get('encoding', '')[:40]!r}")
    name = fields.get("datafile")
    if name is None and end is None:
        raise damaged(path, "it does not state the position of its voxels")
    file, offset = (path, end or 0) if name is None else (beside(path, name), 0)
    skipped = fields.get("byteskip", "0"), fields.get("lineskip", "0")
    if skipped[1] not in ("0", "") or not re.fullmatch(r"-1|\d{1,10}", skipped[0]):
        raise VolumeError(f"{path} keeps its voxels behind lines of text; save it as .nrrd or .mha first")
    if skipped[0] == "-1":
        if packing != "raw":
            raise damaged(path, "its header places packed voxels at the end")
        return Voxels(file, max(file.stat().st_size - expected, 0), packing)
    if packing != "raw" and int(skipped[0]):
        raise VolumeError(f"{path} keeps its packed voxels behind a foreign header; save it as .nrrd or .mha first")
    return Voxels(file, offset + int(skipped[0]), packing)
