"""Memory of this process."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of mallopt(3)
_LARGE_BLOCK = 1 << 22


def return_freed_blocks() -> None:
    """Ask glibc to give large freed blocks back to the system at once; elsewhere, do nothing.

    A stream of slices frees blocks of ever different sizes. Kept for later, as glibc does, they about double the peak.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE_BLOCK)


def peak_mb() -> float | None:
    """The most memory that this process has held, in megabytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)
