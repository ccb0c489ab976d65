"""Volume files read and written a few planes at a time, for volumes that do not fit into memory."""

from __future__ import annotations

import gzip
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import SimpleITK as sitk

from ...errors import VolumeError
from ..memmap import release_pages, slabs
from ..volume import not_finite

OUTLINE_SHAPE = (2, 2, 2)  # of the small volume whose header `complete` takes
_NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_NIFTI_DIMENSIONS = 40  # where the header has the number of dimensions, then voxels along i, j and k, two bytes each
_NIFTI_HEADER_BYTES = 352
_LONGEST_NIFTI_AXIS = 32767
_TYPES = {
    sitk.sitkInt8: "i1",
    sitk.sitkUInt8: "u1",
    sitk.sitkInt16: "i2",
    sitk.sitkUInt16: "u2",
    sitk.sitkInt32: "i4",
    sitk.sitkUInt32: "u4",
    sitk.sitkInt64: "i8",
    sitk.sitkUInt64: "u8",
    sitk.sitkFloat32: "f4",
    sitk.sitkFloat64: "f8",
}
_HEADER_BYTES = 1 << 20
_GZIP_LEVEL = 4
_SIZES = re.compile(rb"^(sizes: |DimSize = )2 2 2", re.MULTILINE)
_NRRD_END = re.compile(rb"\r?\n\r?\n")
_META_END = re.compile(rb"^ElementDataFile *=[^\n]*\n", re.MULTILINE)


@dataclass(frozen=True)
class Storage:
    """How a file keeps its voxels.

    file, offset : where they begin, in bytes. is_packed : with gzip; of NIfTI the whole file is, ``offset`` counts
    unpacked bytes. dtype : as stored. slope, intercept : from stored values to the volume's.
    """

    file: Path
    offset: int
    is_packed: bool
    dtype: np.dtype
    slope: float = 1.0
    intercept: float = 0.0


def storage_of(path: Path, described: sitk.ImageFileReader, named: list[Path]) -> Storage | None:
    """How a volume file keeps its voxels; None where it is in a way that cannot be read plane by plane.

    described : a reader that has read the header. named : the files that a detached header names for its voxels.
    """
    suffix = path.suffix.lower()
    if suffix in (".nii", ".gz"):
        return _nifti_storage(path, described)
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    kind = _TYPES.get(described.GetPixelID())
    is_nrrd = suffix in (".nrrd", ".nhdr")
    end = None if is_nrrd and named else (_NRRD_END if is_nrrd else _META_END).search(header)
    text = header[: end.end()] if end else header
    if kind is None or (end is None and not named) or len(named) > 1:
        return None
    if is_nrrd:
        is_odd = re.search(rb"^(byte|line) ?skip:", text, re.MULTILINE) is not None
        encoding = re.search(rb"^encoding: *(\w+)", text, re.MULTILINE)
        order = ">" if re.search(rb"^endian: *big", text, re.MULTILINE) else "<"
        packing = encoding.group(1).decode("ascii") if encoding else ""
    else:
        is_odd = re.search(rb"^(HeaderSize|CompressedData *= *True)", text, re.MULTILINE) is not None
        order = ">" if re.search(rb"^(BinaryData|Element)ByteOrderMSB *= *True", text, re.MULTILINE) else "<"
        packing = "raw"
    if is_odd or packing not in ("raw", "gzip", "gz"):
        return None
    offset = 0 if named or end is None else end.end()
    return Storage(named[0] if named else path, offset, packing != "raw", np.dtype(order + kind))


def _nifti_storage(path: Path, described: sitk.ImageFileReader) -> Storage | None:
    is_packed = path.suffix.lower() == ".gz"
    with gzip.open(path) if is_packed else path.open("rb") as file:
        order = "<" if file.read(1) != b"\0" else ">"  # the first number is the size of the header, below 65536
    kind = _NIFTI_TYPES.get(int(described.GetMetaData("datatype")))
    slope, intercept = (float(described.GetMetaData(name)) for name in ("scl_slope", "scl_inter"))
    if kind is None:
        return None
    if slope == 0 or not math.isfinite(slope):
        slope, intercept = 1.0, 0.0
    offset = int(float(described.GetMetaData("vox_offset")))
    return Storage(path, offset, is_packed, np.dtype(order + kind), slope, intercept)


def type_of(described: sitk.ImageFileReader) -> np.dtype:
    """The type that the values have once they are read."""
    return np.dtype(_TYPES[described.GetPixelID()])


def fill(array: np.ndarray, storage: Storage) -> None:
    """Read all voxels of a file into an array (K, J, I), plane by plane.

    Raises
    ------
    VolumeError : there are too few, or values that are not finite.
    """
    plane = array[0].size
    with storage.file.open("rb") as file:
        whole = storage.is_packed and storage.file.suffix.lower() == ".gz"
        if storage.is_packed and not whole:
            file.seek(storage.offset)
        source = gzip.GzipFile(fileobj=file) if storage.is_packed else file
        if whole or not storage.is_packed:
            source.seek(storage.offset)
        for number in range(len(array)):
            array[number] = _plane(source, plane, storage, number).reshape(array.shape[1:])
            if number % 16 == 0:
                release_pages(array)
    release_pages(array)


def _plane(source: BinaryIO | gzip.GzipFile, count: int, storage: Storage, number: int) -> np.ndarray:
    wanted = count * storage.dtype.itemsize
    block = source.read(wanted)
    if len(block) < wanted:
        raise VolumeError(f"{storage.file} is cut short: it ends in slice {number}; get it again")
    values = np.frombuffer(block, storage.dtype)
    if (storage.slope, storage.intercept) != (1.0, 0.0):
        values = values * np.float64(storage.slope) + storage.intercept
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise not_finite(number)
    return values


def complete(part: Path, array: np.ndarray) -> None:
    """Make the file of a volume out of that of its outline: its header with other sizes, then all voxels.

    part : an uncompressed file of a volume of the shape `OUTLINE_SHAPE`, else like the one that is to come; voxels of
    ".nii.gz" are packed. array : the voxels, (K, J, I).
    """
    name = part.name.lower()
    voxels = math.prod(OUTLINE_SHAPE) * array.itemsize
    if name.endswith(".nii.gz"):
        header = _with_nifti_sizes(gzip.decompress(part.read_bytes())[:_NIFTI_HEADER_BYTES], array.shape)
        with part.open("wb") as file, gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
            packed.write(header)
            for slab in slabs(array):
                packed.write(slab.tobytes())
        return
    is_detached = name.endswith((".mhd", ".nhdr"))
    outline = part.read_bytes()
    header = outline if is_detached else outline[:-voxels]
    if name.endswith(".nii"):
        header = _with_nifti_sizes(header, array.shape)
    else:
        sizes = " ".join(map(str, array.shape[::-1])).encode("ascii")
        header, count = _SIZES.subn(rb"\g<1>" + sizes, header)
        if count != 1:
            raise VolumeError(f"the header of {part.name} could not be made; choose .nii or .nii.gz")
    part.write_bytes(header)
    with (part.with_suffix(".raw") if is_detached else part).open("wb" if is_detached else "ab") as file:
        for slab in slabs(array):
            file.write(slab.tobytes())


def _with_nifti_sizes(header: bytes, shape: tuple[int, ...]) -> bytes:
    if max(shape) > _LONGEST_NIFTI_AXIS:
        raise VolumeError(f"NIfTI holds {_LONGEST_NIFTI_AXIS} voxels along an axis at most; choose .nrrd or .mha")
    start = _NIFTI_DIMENSIONS + 2
    sizes = np.array(shape[::-1], "<i2").tobytes()
    return header[:start] + sizes + header[start + len(sizes) :]
