"""Damage to files that ITK does not tell of, or tells where the user should not look."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ...errors import VolumeError
from ...system.memory import physical_bytes
from ..volume import not_finite
from .header_validation import packing_in_meta

_NIFTI_HEADER_BYTES = 352
_NIFTI_FLOATS = {"16": "f4", "64": "f8"}  # NIfTI's numbers of the floating types
_BLOCK = 1 << 22
_LARGEST_COMPRESSION = 1100  # deflate cannot do better than 1032 to 1
_ZLIB_OR_GZIP = 47  # zlib's number for either
_LARGEST_OFFSET = 1 << 26  # bytes before the voxels, such as notes of other programs
_BYTES = {
    sitk.sitkInt8: 1,
    sitk.sitkUInt8: 1,
    sitk.sitkInt16: 2,
    sitk.sitkUInt16: 2,
    sitk.sitkInt32: 4,
    sitk.sitkUInt32: 4,
    sitk.sitkFloat32: 4,
}


def check_complete(path: Path, described: sitk.ImageFileReader | sitk.Image) -> None:
    """Refuse a file that ITK would mend in silence, or never come to the end of.

    NIfTI: cut short, garbled, or with values that are not finite. MetaImage: packed voxels that do not unpack.
    """
    name = path.name.lower()
    if name.endswith((".mha", ".mhd")):
        _check_unpacks(path, claimed_bytes(described))
    if not name.endswith((".nii", ".nii.gz")):
        return
    kind = described.GetMetaData("datatype") if described.HasMetaDataKey("datatype") else ""
    floating = _NIFTI_FLOATS.get(kind)
    expected = _stored_bytes(described) + _NIFTI_HEADER_BYTES
    if floating is None and name.endswith(".nii"):
        held = path.stat().st_size
    else:
        start = _first_voxel(path, described) if floating else 0
        stop = start + _stored_bytes(described)
        try:
            held = _scanned_bytes(path, floating, range(start, stop), math.prod(described.GetSize()[:2]))
        except (EOFError, OSError, zlib.error) as problem:
            raise VolumeError(f"{path} is damaged or cut short: {problem}; get it again") from problem
    if held < expected:
        raise VolumeError(f"{path} is cut short: {held} bytes of {expected}; get it again")


def _check_unpacks(path: Path, expected: int) -> None:
    """Refuse a MetaImage whose packed voxels are not ``expected`` bytes: ITK reads on without end, or makes some up."""
    packing = packing_in_meta(path)
    if packing is None:
        return
    unpacker, total = zlib.decompressobj(_ZLIB_OR_GZIP), 0
    try:
        with packing.file.open("rb") as file:
            file.seek(packing.offset)
            left = packing.size or packing.file.stat().st_size
            while total < expected and not unpacker.eof and (block := file.read(min(_BLOCK, left))):
                left -= len(block)
                while block and total < expected:
                    total += len(unpacker.decompress(block, _BLOCK))
                    block = unpacker.unconsumed_tail
    except zlib.error as problem:
        raise VolumeError(f"{path} is damaged: its packed voxels do not unpack; get it again") from problem
    if total < expected:
        raise VolumeError(f"{path} is cut short: its voxels unpack to {total} bytes of {expected}; get it again")


def _first_voxel(path: Path, described: sitk.ImageFileReader | sitk.Image) -> int:
    """Where the voxels of a NIfTI file begin, in bytes."""
    offset = float(described.GetMetaData("vox_offset"))
    if not 0 <= offset <= _LARGEST_OFFSET:  # nor not a number
        raise VolumeError(f"{path} is damaged: its voxels cannot begin at byte {offset:g}; get it again")
    return int(offset)


def _scanned_bytes(path: Path, floating: str | None, voxels: range, plane: int) -> int:
    """Bytes in a NIfTI file, unpacked, read to its end so that a checksum is compared too.

    Values of a ``floating`` type in the bytes ``voxels``, ``plane`` of them in a slice, must be finite.
    """
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        header = file.read(voxels.start)
        order = "<" if header[:1] and header[0] else ">"  # the first number is the size of the header, below 65536
        total = len(header)
        while block := file.read(_BLOCK):
            if floating:
                part = block[: max(0, voxels.stop - total)]
                values = np.frombuffer(part, order + floating, count=len(part) // int(floating[1]))
                bad = np.flatnonzero(~np.isfinite(values))
                if bad.size:
                    raise not_finite(((total - voxels.start) // values.itemsize + int(bad[0])) // plane)
            total += len(block)
            if total > 2 * voxels.stop + _LARGEST_OFFSET:
                raise OSError("it holds far more than its header says")
    return total


def _stored_bytes(described: sitk.ImageFileReader | sitk.Image) -> int:
    """Bytes of the voxels in a NIfTI file: integers that the header scales become floating numbers when read."""
    if not described.HasMetaDataKey("bitpix"):
        return claimed_bytes(described)
    return math.prod(described.GetSize()) * int(described.GetMetaData("bitpix")) // 8


def claimed_bytes(described: sitk.ImageFileReader | sitk.Image) -> int:
    """Bytes of the voxels in memory."""
    return math.prod(described.GetSize()) * _BYTES.get(described.GetPixelID(), 8)


def check_size(what: str, claimed: int, held: int) -> None:
    """Refuse sizes that cannot be true, before any memory is taken: bytes of voxels, and bytes of their files."""
    if claimed > held * _LARGEST_COMPRESSION:
        raise VolumeError(f"{what} claims {claimed / 1e9:.1f} GB of voxels but holds {held} bytes; the file is damaged")
    memory = physical_bytes()
    if memory is not None and claimed > memory:
        raise VolumeError(
            f"{what} needs {claimed / 1e9:.1f} GB, this computer has {memory / 1e9:.1f} GB; crop it first"
        )


@contextmanager
def silent() -> Iterator[None]:
    """Hush what the C libraries below ITK print on standard error: the user gets one sentence instead."""
    try:
        shown = os.dup(2)
    except OSError:  # a program without a standard error
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(shown, 2)
        os.close(shown)
