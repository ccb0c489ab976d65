"""How much the queue of the station may store."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path

from ..errors import SuperResolutionError

_RESERVED_SHARE, _RESERVED_BYTES = 0.1, 5e9  # of a disk, kept free for derived images; the smaller one counts
_RECOUNT_SECONDS = 30.0


class QueueFull(SuperResolutionError):
    """There is no room for another image."""


class Room:
    """The size of the files in a folder, and its limits.

    The files are counted at the start, and again when they reach the limit: people remove series that were set aside.

    Parameters
    ----------
    folder : Path
        The folder.
    largest_bytes : int
        Limit of the size of all files together.
    """

    def __init__(self, folder: Path, largest_bytes: int) -> None:
        self._folder, self._largest_bytes = folder, largest_bytes
        self._lock = threading.Lock()  # images arrive in several threads while others are removed in another
        self.used_bytes = size_of(folder)
        self._counted = time.monotonic()

    def count(self, added: int) -> None:
        """Count bytes that were added; below 0 such that were removed."""
        with self._lock:
            self.used_bytes += added

    def check(self, count: int) -> None:
        """Refuse ``count`` more bytes where there is no room for them.

        Raises
        ------
        QueueFull
            The limit would be exceeded, or little of the disk would be left.
        """
        if self.used_bytes + count > self._largest_bytes:
            self._count_anew()
        if self.used_bytes + count > self._largest_bytes:
            size = f"{self._largest_bytes / 1e9:.3g} GB"
            raise QueueFull(f"the queue holds its {size}; remove series from its failed/, or increase --max-storage")
        disk = shutil.disk_usage(self._folder)
        if disk.free - count < min(_RESERVED_SHARE * disk.total, _RESERVED_BYTES):
            raise QueueFull(f"{disk.free / 1e9:.3g} GB are free on the disk of the queue; free some space")

    def _count_anew(self) -> None:
        if time.monotonic() - self._counted >= _RECOUNT_SECONDS:  # it takes long where there are many files
            with self._lock, suppress(OSError):  # one was removed meanwhile
                self.used_bytes = size_of(self._folder)
            self._counted = time.monotonic()


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
