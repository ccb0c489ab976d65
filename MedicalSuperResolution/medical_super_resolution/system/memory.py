"""Memory of this process."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .process import control_groups

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # M_TRIM_THRESHOLD and so on, of mallopt(3)
_LARGE_BLOCK = 1 << 25  # largest value that every glibc accepts; a slice of features is smaller
_KEPT = 1 << 30  # bytes


def keep_freed_blocks() -> None:
    """Ask glibc to keep freed blocks for the next one of the same size; elsewhere, do nothing.

    A network frees and allocates blocks of the same sizes all the time. Getting zeroed pages from the system for each
    takes about as long as the arithmetic. Call it before torch is imported: MKL then does not keep blocks of its own,
    9 MB for each thread.
    """
    os.environ.setdefault("MKL_DISABLE_FAST_MM", "1")
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            c_library = ctypes.CDLL(None)
            c_library.mallopt(_MMAP_THRESHOLD, _LARGE_BLOCK)
            c_library.mallopt(_TRIM_THRESHOLD, _KEPT)
            c_library.mallopt(_ARENA_MAX, 1)  # arenas of other threads would return freed blocks


def return_freed_blocks() -> None:
    """Return the blocks of `keep_freed_blocks` to the system, before memory is needed for something else."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def return_code_pages() -> None:
    """Unmap the code of PyTorch from this process; what runs again comes back from the file cache of the system.

    Importing PyTorch runs tens of megabytes of code that nothing runs afterwards, and that count as memory of the
    process.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):
        advise = ctypes.CDLL(None).madvise
        advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        areas = Path("/proc/self/maps").read_bytes()  # names of files may be in any encoding
        for start, stop in re.findall(rb"^(\w+)-(\w+) r-xp .*/libtorch", areas, re.MULTILINE):
            advise(int(start, 16), int(stop, 16) - int(start, 16), mmap.MADV_DONTNEED)


def physical_bytes(root: Path = Path("/")) -> int | None:
    """Return the memory that this process may use: that of the computer, or less in a container.

    Parameters
    ----------
    root : Path
        Where the file systems ``proc`` and ``sys`` are mounted.

    Returns
    -------
    int or None
        In bytes; None if the system does not provide it.
    """
    known = [size for size in (_computer_bytes(), *_container_limits(root)) if size]
    return min(known, default=None)


def _computer_bytes() -> int | None:
    if sys.platform == "win32":
        return _windows_bytes()
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = [  # ctypes wants a list
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        *((name, ctypes.c_uint64) for name in ("total", "free", "page_total", "page_free", "virtual", "virtual_free")),
        ("extended", ctypes.c_uint64),
    ]


def _windows_bytes() -> int | None:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined, unused-ignore]
    return int(status.total) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else None


def _container_limits(root: Path) -> Iterator[int]:
    """Limits of the control groups."""
    for version, group in control_groups("memory", root):
        with suppress(OSError, ValueError):  # "max" is no number
            yield int((group / ("memory.max" if version == 2 else "memory.limit_in_bytes")).read_text())


def peak_mb() -> float | None:
    """The most memory that this process has held, in megabytes; None where the system does not provide it."""
    with suppress(OSError, StopIteration, ValueError):  # not Linux, where `resource` counts the parent's memory too
        lines = Path("/proc/self/status").read_text().splitlines()
        return _in_mb(int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _in_mb(peak * (1 if sys.platform == "darwin" else 1024))


def _in_mb(count: int) -> float:
    """Bytes in megabytes, millions of bytes."""
    return round(count / 1e6, 1)
