"""Queue of the series in the station. The folder of a series is its state; nothing else is stored.

Every step renames one file or folder, which is atomic:

    receiving/SERIES/INSTANCE.dcm   received images; an empty INSTANCE.missing marks a refused or expected one
    waiting/SERIES/                 complete series, still to be enhanced
    enhancing/SERIES/               derived images while they are written
    sending/SERIES/DERIVED.dcm      derived images still to be sent; each is removed once its receiver has it
    sending/SERIES/DERIVED.begun    derived image whose transfer began; its receiver may have it
    done/SERIES                     images that a series was enhanced of; empty where no rule fits it, or if made here
    failed/SERIES/                  series set aside; ``reason.txt`` holds the reason

SERIES and INSTANCE are SHA-256 digests of DICOM's identifiers, so no path names a patient.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..system.temp_dirs import put_in_place
from .received import check_in_time, names_in
from .room import QueueFull, Room, size_of

RECEIVING, WAITING, SENDING, DONE, FAILED = STATES = ("receiving", "waiting", "sending", "done", "failed")
_ENHANCING = "enhancing"
_DIGITS = 20
_PART, _MISSING, BEGUN = ".part", ".missing", ".begun"
_REASON, DESTINATION, _RECEIVED = "reason.txt", "destination.txt", "received.txt"
_INCOMPLETE = "there was no room for some images, or the station ended before them; the series goes on when they come"
logger = logging.getLogger(__name__)


def label(uid: str) -> str:
    """The name of a series or an instance in the queue, and in logs."""
    return hashlib.sha256(uid.encode()).hexdigest()[:_DIGITS]


class Queue:
    """Series in a folder, one subfolder for each state.

    Parameters
    ----------
    folder : Path
        Created if it is missing, readable by its owner only.
    largest_bytes : int
        Limit of the size of all files together.
    clock : callable
        Seconds that pass, as `time.monotonic`: the time of day may be set back or forth.
    """

    def __init__(self, folder: Path, *, largest_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self._clock, self._started = clock, clock()
        self._latest: dict[str, float] = {}  # when the last image of each series that is being received came
        self._lock = threading.Lock()  # images arrive in several threads while series are enhanced in another
        self._taken = ""  # the series that is being enhanced
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # before its subfolders, which would make it for all
        for state in STATES:
            (folder / state).mkdir(mode=0o700, exist_ok=True)
        shutil.rmtree(folder / _ENHANCING, ignore_errors=True)  # left by a killed process
        for part in folder.rglob(f"*{_PART}"):
            part.unlink()
        for series in [*self.waiting(), *self.sending()]:  # left in two states, of which the later one counts
            later = (DONE,) if series.parent.name == SENDING else (SENDING, DONE)
            if self._lies_in(series.name, *later):
                shutil.rmtree(series)
        self._room = Room(folder, largest_bytes)

    def add(self, series_uid: str, instance_uid: str, encoded: bytes) -> bool:
        """Store an image; return False if it was dropped because it came before, or no rule fits its series.

        The image is on disk when this returns. A series that waits to be enhanced and lacks the image was not complete,
        and is received further.

        Raises
        ------
        QueueFull
            The queue has reached its size.
        TooLate
            The series was, or is being, enhanced without the image.
        OSError
            The disk is full, or cannot be written.
        """
        series, name = label(series_uid), f"{label(instance_uid)}.dcm"
        with self._lock:
            waiting = self.folder / WAITING / series
            if waiting.exists() and series != self._taken and not (waiting / name).exists():
                waiting.replace(self.folder / RECEIVING / series)
            if self._lies_in(series, WAITING, SENDING, DONE):
                check_in_time(name, (self.folder / SENDING / series / _RECEIVED, self.folder / DONE / series), waiting)
                return False
            self._take_up(series)  # it may have been incomplete
            self._latest[series] = self._clock()
            self._store(self.folder / RECEIVING / series / name, encoded)
            return True

    def expect(self, series_uid: str, instance_uids: list[str]) -> None:
        """Mark images as missing until they are added, so that a series is not complete if a kill comes between."""
        series = label(series_uid)
        with self._lock:
            if self._lies_in(series, WAITING, SENDING, DONE):
                return
            self._take_up(series)
            folder = self.folder / RECEIVING / series
            folder.mkdir(mode=0o700, exist_ok=True)
            for name in map(label, instance_uids):
                if not (folder / f"{name}.dcm").exists():
                    (folder / f"{name}{_MISSING}").touch()

    def _take_up(self, series: str) -> None:
        """Receive a series further that was set aside."""
        aside = self.folder / FAILED / series
        if aside.exists():
            (aside / _REASON).unlink(missing_ok=True)
            aside.replace(self.folder / RECEIVING / series)

    def _store(self, path: Path, encoded: bytes) -> None:
        """Write an image, or mark it as missing where there is no room for it."""
        if path.exists():
            return
        part, missing = path.with_suffix(_PART), path.with_suffix(_MISSING)
        try:
            self._room.check(len(encoded))
            path.parent.mkdir(mode=0o700, exist_ok=True)
            part.write_bytes(encoded)
            put_in_place(part, path)
            missing.unlink(missing_ok=True)
        except (QueueFull, OSError):
            with suppress(OSError):  # an empty file mostly still fits on a full disk
                part.unlink(missing_ok=True)
                path.parent.mkdir(mode=0o700, exist_ok=True)
                missing.touch()
            raise
        self._room.count(len(encoded))

    def is_known(self, series_uid: str) -> bool:
        """Whether a series was received as a whole."""
        series = label(series_uid)
        is_aside = self._lies_in(series, FAILED) and not _lacks_images(self.folder / FAILED / series)
        return is_aside or self._lies_in(series, WAITING, SENDING, DONE)

    def complete(self, *, quiet_seconds: float) -> list[str]:
        """Mark as complete the series without a new image for ``quiet_seconds``; return their labels.

        A series that lacks an image which was refused or expected is set aside until that image comes. Time before the
        station was started does not count, because no image could arrive.
        """
        with self._lock:  # receiving threads rename files
            return [folder.name for folder in self._folders(RECEIVING) if self._completed(folder, quiet_seconds)]

    def _completed(self, folder: Path, quiet_seconds: float) -> bool:
        last = self._latest.get(folder.name, self._started)
        if self._clock() - last < quiet_seconds or not any(folder.glob("*.dcm")):
            return False
        self._latest.pop(folder.name, None)
        if _lacks_images(folder):
            logger.warning("series %s: set aside, because images of it are missing", folder.name)
            self._set_aside(folder, _INCOMPLETE)
            return False
        folder.replace(self.folder / WAITING / folder.name)
        return True

    def waiting(self) -> list[Path]:
        """Folders of the complete series, the oldest first."""
        return self._folders(WAITING)

    def take(self, series: str) -> bool:
        """Begin to enhance a waiting series, which accepts no more images then; return False if it no longer waits."""
        with self._lock:
            self._taken = series if self._lies_in(series, WAITING) else ""
            return bool(self._taken)

    def put_back(self) -> None:
        """Return the series of `take` to the waiting ones."""
        self._taken = ""

    def workspace(self, series: str) -> Path:
        """An empty folder for the derived images of a series, see `enhanced`."""
        parent = self.folder / _ENHANCING
        shutil.rmtree(parent, ignore_errors=True)
        parent.mkdir(mode=0o700)
        return parent / series

    def enhanced(self, series: str, workspace: Path, destination: str) -> None:
        """Queue the derived images of a series for sending, and remove its source."""
        source = self.folder / WAITING / series
        (workspace / DESTINATION).write_text(destination, encoding="utf-8")
        (workspace / _RECEIVED).write_text(names_in(source), encoding="utf-8")
        size = size_of(workspace)
        with self._lock:
            put_in_place(workspace, self.folder / SENDING / series)  # before it is counted: the disk may be full
        self._room.count(size)
        self._remove(source)

    def sending(self) -> list[Path]:
        """Folders of derived images to send: ``*.dcm``, and ``*.begun`` whose transfer began."""
        return self._folders(SENDING)

    def begin(self, image: Path) -> Path:
        """Mark the transfer of an image as begun; return its new path."""
        return image.replace(image.with_suffix(BEGUN))

    def sent(self, image: Path) -> None:
        """Remove an image that its receiver has."""
        self._room.count(-image.stat().st_size)
        image.unlink()

    def finish(self, series: str) -> None:
        """Mark a series as done: sent, or ignored by the rules."""
        mark = self.folder / DONE / series
        with self._lock:
            if (names := self.folder / SENDING / series / _RECEIVED).exists():
                names.replace(mark)
            mark.touch()
        for state in (WAITING, SENDING):
            self._remove(self.folder / state / series)

    def pass_over(self, series_uid: str) -> None:
        """Mark a series as done that was made here: it is neither fetched nor stored."""
        with suppress(OSError):  # the disk is full; sending frees it
            (self.folder / DONE / label(series_uid)).touch()

    def fail(self, series: str, reason: str) -> None:
        """Set aside a series that cannot be enhanced."""
        self.put_back()
        self._set_aside(self.folder / WAITING / series, reason)

    def _set_aside(self, folder: Path, reason: str) -> None:
        aside = self.folder / FAILED / folder.name
        with suppress(OSError):  # the disk is full
            text = reason.replace(str(folder), str(aside))
            (folder / _REASON).write_bytes(f"{text}\n".encode(errors="backslashreplace"))  # it may name the queue
        folder.replace(aside)

    def forget(self, *, older_than_seconds: float) -> None:
        """Remove marks of series that were done or refused long ago, so that their number stays bounded."""
        for mark in (self.folder / DONE).iterdir():
            if time.time() - mark.stat().st_mtime > older_than_seconds:
                self._room.count(-mark.stat().st_size)
                mark.unlink()
        with self._lock:  # an image that comes meanwhile would be removed with its folder
            for empty in (one for one in self._folders(RECEIVING) if not any(one.glob("*.dcm"))):
                if time.time() - empty.stat().st_mtime > older_than_seconds:
                    self._remove(empty)

    def _lies_in(self, series: str, *states: str) -> bool:
        return any((self.folder / state / series).exists() for state in states)

    def _folders(self, state: str) -> list[Path]:
        found = []
        for path in (self.folder / state).iterdir():
            with suppress(FileNotFoundError):  # an image came, and its thread has moved the series
                if path.is_dir():
                    found.append((path.stat().st_mtime, path))
        return [path for _, path in sorted(found)]

    def _remove(self, folder: Path) -> None:
        if folder.exists():
            self._room.count(-size_of(folder))
            shutil.rmtree(folder)


def _lacks_images(folder: Path) -> bool:
    return any(not mark.with_suffix(".dcm").exists() for mark in folder.glob(f"*{_MISSING}"))
