"""Encoding of volumes into files, from memory or disk, a few planes at a time."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..grid import LPS_TO_RAS, Grid
from ..memmap import release_pages, slabs
from ..volume import NO_TIMES, FileHeader
from . import metaimage, nrrd

GZIP_LEVEL = 2  # a chest of 16 bit is as small as with 4, in two thirds of the time
_SIZE_DIGITS = 20


def encode(
    arrays: Sequence[np.ndarray], grid: Grid, part: Path, *, kept: FileHeader | None = None, compress: bool = True
) -> None:
    """Write a volume, or a series of volumes on one grid, in the format of the file's name.

    Parameters
    ----------
    arrays : sequence of numpy.ndarray
        (K, J, I) each, of one type.
    grid : Grid
        Grid of each volume.
    part : Path
        The file; a detached header (.mhd, .nhdr) gets a second file for the voxels beside it.
    kept : FileHeader or None
        The fields of the source's header that are kept.
    compress : bool
        Compress the voxels; ``.nii`` is never compressed, ``.nii.gz`` always.
    """
    name = part.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        _encode_nifti(arrays, grid, part, kept)
    elif name.endswith((".nrrd", ".nhdr")):
        _encode_nrrd(arrays, grid, part, kept, compress)
    else:
        _encode_meta(arrays, grid, part, kept, compress)


def _encode_nifti(arrays: Sequence[np.ndarray], grid: Grid, part: Path, kept: FileHeader | None) -> None:
    from .nifti.writing import encoded_header

    header = encoded_header(grid, kept, arrays[0].dtype, len(arrays))
    with part.open("wb") as file:
        if part.name.lower().endswith(".gz"):
            with gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0) as packed:
                packed.write(header)
                _write_all(arrays, packed.write)
        else:
            file.write(header)
            _write_all(arrays, file.write)


def _encode_nrrd(arrays: Sequence[np.ndarray], grid: Grid, part: Path, kept: FileHeader | None, compress: bool) -> None:
    is_detached, is_series = part.name.lower().endswith(".nhdr"), len(arrays) > 1
    data = part.with_suffix(".raw.gz" if compress else ".raw") if is_detached else part
    directions = " ".join(_vector(grid.ijk_to_lps[:3, axis]) for axis in range(3))
    sizes = " ".join(map(str, reversed(grid.shape_kji)))
    lines = [
        "NRRD0005",
        f"type: {nrrd.TYPES[_code(arrays[0])][0]}",
        f"dimension: {4 if is_series else 3}",
        "space: left-posterior-superior",
        f"sizes: {len(arrays)} {sizes}" if is_series else f"sizes: {sizes}",
        f"space directions: {'none ' if is_series else ''}{directions}",
        f"kinds: {'list ' if is_series else ''}domain domain domain",
        "endian: little",
        f"encoding: {'gzip' if compress else 'raw'}",
        f"space origin: {_vector(grid.ijk_to_lps[:3, 3])}",
        *(_series_axis(kept) if is_series else []),
        *_measurement_frame(kept),
        *([f"data file: {data.name}"] if is_detached else []),
        *(f"{key}:={_escaped(value)}" for key, value in (kept.fields if kept else {}).items()),
    ]
    part.write_bytes(("\n".join(lines) + "\n" + ("" if is_detached else "\n")).encode())
    with data.open("wb" if is_detached else "ab") as file:
        if compress:
            with gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0) as packed:
                _write_side_by_side(arrays, packed.write)
        else:
            _write_side_by_side(arrays, file.write)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n")


def _series_axis(kept: FileHeader | None) -> list[str]:
    if kept is None or kept.series_axis == NO_TIMES:
        return []
    spacing, origin = map(_number, kept.series_axis)
    return [f"spacings: {spacing} nan nan nan", f"axis mins: {origin} nan nan nan"]  # the others have directions


def _measurement_frame(kept: FileHeader | None) -> list[str]:
    if kept is None or kept.measurement_frame is None:
        return []
    return ["measurement frame: " + " ".join(map(_vector, (LPS_TO_RAS[:3, :3] @ kept.measurement_frame).T))]


def _encode_meta(arrays: Sequence[np.ndarray], grid: Grid, part: Path, kept: FileHeader | None, compress: bool) -> None:
    is_detached, count = part.name.lower().endswith(".mhd"), 4 if len(arrays) > 1 else 3
    data = part.with_suffix(".zraw" if compress else ".raw") if is_detached else part
    turned, spacing, origin = np.eye(count), np.ones(count), np.zeros(count)
    spacing[:3], origin[:3] = grid.spacing_ijk_mm, grid.ijk_to_lps[:3, 3]
    if kept and count > 3:
        spacing[3], origin[3] = kept.series_axis
    turned[:3, :3] = (grid.ijk_to_lps[:3, :3] / spacing[:3]).T
    sizes = [*reversed(grid.shape_kji), *([len(arrays)] if count > 3 else [])]
    head = [
        "ObjectType = Image",
        f"NDims = {count}",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        f"CompressedData = {compress}",
    ]
    tail = [
        f"TransformMatrix = {_row(turned.ravel())}",
        f"Offset = {_row(origin)}",
        f"ElementSpacing = {_row(spacing)}",
        f"DimSize = {' '.join(map(str, sizes))}",
        f"ElementType = {next(name for name, code in metaimage.TYPES.items() if code == _code(arrays[0]))}",
        f"ElementDataFile = {data.name if is_detached else 'LOCAL'}",
        "",
    ]
    begin = "\n".join(head) + "\n"
    size_line = f"CompressedDataSize = {{:<{_SIZE_DIGITS}d}}\n" if compress else ""
    part.write_bytes((begin + size_line.format(0) + "\n".join(tail)).encode())
    with data.open("wb" if is_detached else "ab") as file:
        start = file.tell()
        if compress:
            packer = zlib.compressobj(GZIP_LEVEL)
            _write_all(arrays, lambda block: file.write(packer.compress(block)))
            file.write(packer.flush())
        else:
            _write_all(arrays, file.write)
        size = file.tell() - start
    if compress:
        with part.open("r+b") as file:
            file.seek(len(begin.encode()))
            file.write(size_line.format(size).encode())


def _write_all(arrays: Sequence[np.ndarray], write: Callable[[bytes], object]) -> None:
    for array in arrays:
        for slab in slabs(array):
            write(_little(slab).tobytes())


def _write_side_by_side(arrays: Sequence[np.ndarray], write: Callable[[bytes], object]) -> None:
    """The values of all volumes of a series together in each voxel, as 3D Slicer keeps sequences."""
    if len(arrays) == 1:
        _write_all(arrays, write)
        return
    for plane in range(len(arrays[0])):
        together = np.stack([array[plane] for array in arrays], axis=-1)
        for array in arrays:
            release_pages(array)
        write(_little(together).tobytes())


def _little(values: np.ndarray) -> np.ndarray:
    return values.astype(values.dtype.newbyteorder("<"), copy=False)


def _code(array: np.ndarray) -> str:
    return f"{array.dtype.kind}{array.dtype.itemsize}"


def _vector(values: np.ndarray) -> str:
    return "(" + ",".join(_number(value) for value in values) + ")"


def _row(values: np.ndarray) -> str:
    return " ".join(_number(value) for value in values)


def _number(value: float) -> str:
    """The shortest text that is the same number again; -0 is 0."""
    return repr(float(value) + 0.0).removesuffix(".0")
