"""Memory of this process."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of mallopt(3)
_LARGE_BLOCK = 1 << 25  # the most that every glibc accepts; a slice of features is smaller
_KEPT = 1 << 30


def keep_freed_blocks() -> None:
    """Ask glibc to keep freed blocks for the next one of the same size; elsewhere, do nothing.

    A network frees and asks for the same blocks all the time. To get each of them from the system anew, cleared, takes
    about as long as the arithmetic that is done in it.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            c_library = ctypes.CDLL(None)
            c_library.mallopt(_MMAP_THRESHOLD, _LARGE_BLOCK)
            c_library.mallopt(_TRIM_THRESHOLD, _KEPT)


def return_freed_blocks() -> None:
    """Give what `keep_freed_blocks` kept back to the system, before memory is needed for something else."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def physical_bytes() -> int | None:
    """The memory of this computer; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def peak_mb() -> float | None:
    """The most memory that this process has held, in megabytes; None where the system does not tell."""
    with suppress(OSError, StopIteration, ValueError):  # not Linux, where `resource` counts the parent's memory too
        lines = Path("/proc/self/status").read_text().splitlines()
        return round(int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1e3, 1)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)
