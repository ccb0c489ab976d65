"""Memory-mapped array files whose pages are released: a training may draw from more data than fits into memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medical_super_resolution.errors import VolumeError


@dataclass(frozen=True)
class StoredArray:
    """An array in a .npy file: where it is, and the entries of its header.

    It is mapped into memory for each patch again. A mapping that is kept counts every page it ever touched as memory of
    this process, and holds a file open: a thousand scans are more than a process may have.
    """

    path: str
    shape: tuple[int, int, int]
    dtype: np.dtype
    offset: int

    def patch(self, where: tuple[slice, ...]) -> np.ndarray:
        """A copy of one part of the array.

        Raises
        ------
        VolumeError
            The file has been removed or cut short since it was opened.
        """
        with _readable(self.path):
            mapped = np.memmap(self.path, self.dtype, "r", self.offset, self.shape)
        return np.array(mapped[where])


def stored_array(path: str) -> StoredArray:
    """Open an array file and check its header; see `mapped_array`."""
    mapped = mapped_array(path)
    k, j, i = mapped.shape
    return StoredArray(path, (k, j, i), mapped.dtype, mapped.offset)


def mapped_array(path: str) -> np.memmap:
    """An array file, mapped into memory, (K, J, I).

    Raises
    ------
    VolumeError
        The file is missing, cut short, or not an array of three axes as ``medsr-train prepare`` writes it.
    """
    with _readable(path):
        mapped = np.load(path, mmap_mode="r")
    if not isinstance(mapped, np.memmap) or mapped.ndim != 3 or not mapped.flags.c_contiguous:
        raise VolumeError(f"the array file {Path(path).name} holds no volume; run medsr-train prepare again")
    return mapped


@contextmanager
def _readable(path: str) -> Iterator[None]:
    """Errors of opening an array file as sentences."""
    try:
        yield
    except FileNotFoundError as problem:
        raise VolumeError(
            f"there is no array file {path}; if it was moved, name the manifest that moved with it; else run"
            " medsr-train prepare again"
        ) from problem
    except (OSError, ValueError, EOFError) as problem:
        raise VolumeError(f"the array file {path} is damaged; run medsr-train prepare again") from problem
