"""Reading of voxels plane by plane, raw, compressed or as text, into memory or an array on disk."""

from __future__ import annotations

import binascii
import bz2
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, Protocol, cast

import numpy as np

from ...errors import VolumeError
from ..memmap import Allocator, release_pages
from ..volume import not_finite
from .header import Header

_BLOCK = 1 << 22
_ZLIB_OR_GZIP = 47  # window bits by which zlib detects either
_LARGEST_REST = 1 << 26  # bytes after the voxels, such as notes of other programs
_PLANES_HELD = 16


class Source(Protocol):
    """Something that is read from its beginning to its end."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; fewer only at the end."""


class _Unpacked:
    """Decompressed content of a zlib or gzip stream."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unpacker = zlib.decompressobj(_ZLIB_OR_GZIP)
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        parts, wanted = [], size if size >= 0 else 1 << 62
        while wanted and not self._unpacker.eof:
            packed = self._left or self._file.read(_BLOCK)
            if not packed:
                break
            part = self._unpacker.decompress(packed, min(wanted, _BLOCK))
            self._left = self._unpacker.unconsumed_tail
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)


def read_volume(header: Header, number: int, allocator: Allocator = np.empty) -> np.ndarray:
    """One volume of a file, (K, J, I), in the type of the header's values.

    Parameters
    ----------
    header : Header
        Header of the file.
    number : int
        Number of the volume, from 0.
    allocator : callable
        Makes the array: `memmap.disk_allocator` for volumes that do not fit into memory.

    Raises
    ------
    VolumeError
        There are too few voxels, they do not unpack, or they are not finite.
    """
    array = allocator(header.grid.shape_kji, header.dtype)
    with opened(header) as source:
        if not header.is_interleaved:
            _skip(source, number * array.size * header.stored.itemsize)
        fill(array, source, header, number)
        finish(source, header)
    return array


def fill(array: np.ndarray, source: Source, header: Header, number: int = 0) -> None:
    """Read the volume whose voxels come next, plane by plane, into an array (K, J, I); ``number`` is its own."""
    for plane in range(len(array)):
        array[plane] = _plane(source, header, number, plane)
        if plane % _PLANES_HELD == 0:
            release_pages(array)
    release_pages(array)


def finish(source: Source, header: Header) -> None:
    """Read a compressed file to its end, where its checksum is; refuse one that is far too long."""
    if header.voxels.packing not in ("gzip", "bzip2"):
        return
    rest = 0
    while block := source.read(_BLOCK):
        rest += len(block)
        if rest > header.stored_bytes + _LARGEST_REST:
            raise VolumeError(f"{header.path} is damaged: it holds far more than its header states; get it again")


@contextmanager
def opened(header: Header) -> Iterator[Source]:
    """All voxels of a file, unpacked, from the first one on.

    Raises
    ------
    VolumeError
        Packed voxels do not unpack.
    """
    voxels = header.voxels
    with ExitStack() as stack:
        file = stack.enter_context(voxels.file.open("rb"))
        if not voxels.is_file_packed:
            file.seek(voxels.offset)
        source = _source(file, header)
        if voxels.is_file_packed:
            _skip(source, voxels.offset)
        try:
            yield source
        except zlib.error as problem:
            raise VolumeError(f"{header.path} is damaged: its packed voxels do not unpack; get it again") from problem


def _source(file: BinaryIO, header: Header) -> Source:
    packing = header.voxels.packing
    if packing == "gzip":
        return gzip.GzipFile(fileobj=file)
    if packing == "bzip2":
        return bz2.BZ2File(file)
    if packing == "zlib":
        return _Unpacked(file)
    if packing == "raw":
        return file
    return io.BytesIO(_written_out(file.read(), header))


def _written_out(text: bytes, header: Header) -> bytes:
    """The bytes of voxels that are kept as text."""
    try:
        if header.voxels.packing == "hex":
            return binascii.unhexlify(b"".join(text.split()))
        words = text.replace(b",", b" ").split()
        if header.stored.kind in "iu":
            return _whole_numbers(words, header.stored).tobytes()
        numbers = [float(word) for word in words]
        with np.errstate(over="ignore"):  # what becomes infinite is refused later
            return np.array(numbers, header.stored).tobytes()
    except (ValueError, OverflowError) as problem:
        raise VolumeError(
            f"{header.path} is damaged: its voxels are no numbers of their type; get it again"
        ) from problem


def _whole_numbers(words: list[bytes], kind: np.dtype) -> np.ndarray:
    numbers, limits = [int(word) for word in words], np.iinfo(kind)
    if numbers and (min(numbers) < limits.min or max(numbers) > limits.max):  # NumPy before 2 wraps them around
        raise OverflowError
    return np.array(numbers, kind)


def _skip(source: Source, count: int) -> None:
    if count and hasattr(source, "seek") and not isinstance(source, gzip.GzipFile | bz2.BZ2File):
        cast("BinaryIO", source).seek(count, io.SEEK_CUR)
        return
    while count:
        block = source.read(min(count, _BLOCK))
        if not block:
            return
        count -= len(block)


def _plane(source: Source, header: Header, number: int, plane: int) -> np.ndarray:
    """The values of one plane of a volume, (J, I)."""
    shape = header.grid.shape_kji[1:]
    together = header.count if header.is_interleaved else 1
    wanted = shape[0] * shape[1] * together * header.stored.itemsize
    block = _whole(source, wanted)
    if len(block) < wanted:
        raise _cut_short(header, plane, wanted, len(block))
    values = np.frombuffer(block, header.stored).reshape(*shape, together)[..., number if together > 1 else 0]
    if header.is_scaled:
        with np.errstate(all="ignore"):  # what becomes infinite is refused below
            values = (values * np.float64(header.slope) + header.intercept).astype(header.dtype)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise not_finite(plane, number if header.count > 1 else None)
    return values


def _whole(source: Source, wanted: int) -> bytes:
    """The requested number of bytes, or all that are left."""
    block = source.read(wanted)
    while len(block) < wanted and (more := source.read(wanted - len(block))):
        block += more
    return block


def _cut_short(header: Header, plane: int, wanted: int, held: int) -> VolumeError:
    if header.voxels.packing == "zlib":
        total = plane * wanted + held
        return VolumeError(
            f"{header.path} is cut short: its voxels unpack to {total} bytes of {header.stored_bytes}; get it again"
        )
    return VolumeError(f"{header.path} is cut short: it ends in slice {plane}; get it again")
