"""Arrays on disk whose pages are in memory only while they are used."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from ..errors import VolumeError
from ..system.temp_dirs import work_folder

Allocator = Callable[[tuple[int, ...], np.dtype], np.ndarray]  # makes an array of a shape and type, like numpy.empty
_BLOCK = 1 << 24
_PLANES = 16
_SAMPLES = 2_000_000


def release_pages(array: np.ndarray) -> None:
    """Release the memory of an array on disk, whose voxels stay in their file; other arrays are left alone.

    So is one of the mode "c" (copy-on-write), as nibabel maps files: what was written to it is in no file.
    """
    mapping = getattr(array, "_mmap", None)  # of numpy.memmap, and of what was cut out of one
    if mapping is not None and getattr(array, "mode", "") != "c" and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def is_on_disk(array: np.ndarray) -> bool:
    """Whether the voxels of an array lie in a file, as those of `disk_allocator` do."""
    return isinstance(array, np.memmap)


def slabs(array: np.ndarray) -> Iterator[np.ndarray]:
    """Iterate over a (K, J, I) array in groups of planes, (k, J, I); of a memory map, few are in memory at a time."""
    for start in range(0, len(array), _PLANES):
        yield np.asarray(array[start : start + _PLANES])  # a view
        release_pages(array)


def extremes(array: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest value."""
    ends = [(part.min(), part.max()) for part in slabs(array)]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def every(array: np.ndarray, step: int) -> np.ndarray:
    """Each ``step``-th value, in the order of the indices, wherever they lie in memory."""
    found, begin = [], 0
    for part in slabs(array):
        found.append(part.reshape(-1)[-begin % step :: step])
        begin += part.size
    return np.concatenate(found)


def sampled(array: np.ndarray) -> np.ndarray:
    """Two to four million of the values, evenly spaced; all of at most four million."""
    return every(array, max(1, array.size // _SAMPLES))


@contextmanager
def disk_allocator(beside: Path) -> Iterator[Allocator]:
    """Allocator for arrays in private files in a folder. They are deleted at the end, however the program ends."""
    with work_folder(beside) as folder:
        made: list[np.ndarray] = []

        def allocator(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
            file = folder / f"voxels{len(made)}"
            _reserve(file, int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
            array = np.memmap(file, dtype=dtype, mode="r+", shape=shape)
            with suppress(OSError):  # Windows keeps a file that is in use; there it goes with its folder
                file.unlink()
            made.append(array)
            return array

        try:
            yield allocator
        finally:
            for array in made:
                with suppress(BufferError):  # a view of it is still in use
                    getattr(array, "_mmap").close()  # noqa: B009 - NumPy has no other name for it


def _reserve(file: Path, size: int) -> None:
    """Create a file with its space reserved, so that a full disk is detected now and not while voxels are written."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(opened.fileno(), 0, size)
            else:
                for start in range(0, size, _BLOCK):
                    opened.write(bytes(min(_BLOCK, size - start)))
    except OSError as problem:
        raise VolumeError(
            f"{size / 1e9:.1f} GB are needed temporarily on the disk, in the folder of the output:"
            f" {problem.strerror}; free some space or choose another folder"
        ) from problem
