"""Private work folders named after their process, and files that appear under their own names once they are whole."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from ..errors import SuperResolutionError

WORK_FOLDER_PREFIX = ".medsr-"  # of work folders beside an output
_LOCK_ATTEMPTS, _LOCK_PAUSE_SECONDS = 100, 0.05  # renaming is quick, so a longer lock is not of this software
_WINDOWS_ATTEMPTS, _WINDOWS_PAUSE_SECONDS = 20, 0.1  # a scanner for viruses, or a process that ends, holds files open
_DISK_FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_TOO_LONG_ON_WINDOWS = (3, 206)  # for files ERROR_PATH_NOT_FOUND, for folders ERROR_FILENAME_EXCED_RANGE
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows; elsewhere there is none to suppress


def work_folder(beside: Path) -> AbstractContextManager[Path]:
    """A hidden `temporary_folder` in ``beside``, for files before they are complete."""
    return temporary_folder(_work_prefix(), beside)


def remove_abandoned(beside: Path) -> None:
    """Remove the work folders that killed processes of this computer left in ``beside``."""
    remove_stale_folders(_work_prefix(), beside)


@contextmanager
def temporary_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A private folder that is deleted at the end; those that killed processes left are removed first."""
    remove_stale_folders(prefix, parent)
    folder = private_folder(prefix, parent)
    try:
        yield folder
    finally:
        remove(folder)


@contextmanager
def folder_lock(folder: Path, attempts: int = _LOCK_ATTEMPTS) -> Iterator[bool]:
    """Lock a folder for the time of the block, or enter it with False where another process keeps the lock.

    Without effect where folders cannot be locked.
    """
    descriptor, is_ours = None, True
    with suppress(ImportError, OSError):  # Windows, some shared disks, or a folder without read permission
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
        is_ours = _wait_for_lock(lambda: fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB), attempts)
    try:
        yield is_ours
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _wait_for_lock(lock: Callable[[], None], attempts: int) -> bool:
    for _ in range(attempts):
        try:
            lock()
            return True
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE_SECONDS)
    return False


def private_folder(prefix: str, parent: Path | None = None) -> Path:
    """Create a private folder in ``parent``, or in the folder for temporary files of the system.

    Not by tempfile.mkdtemp, which tries for hours on Windows where it may not write.
    """
    process_id = os.getpid()
    name = f"{prefix}{process_id}-{_start_time(process_id)}-{secrets.token_hex(4)}"
    folder = (parent or Path(tempfile.gettempdir())) / name
    # On Windows, files that are made in a private folder stay private where they are moved to:
    folder.mkdir(mode=0o777 if parent and os.name == "nt" else 0o700)
    return folder


def try_writing(folder: Path, name: str = "file") -> None:
    """Raise OSError if no file of this name, which may be one in a folder, can be made in a work folder there."""
    try:
        work = private_folder(_work_prefix(), folder)
        try:
            (work / name).parent.mkdir(exist_ok=True)
            (work / name).touch()
        finally:
            remove(work)
    except OSError as problem:
        if problem.errno == errno.ENAMETOOLONG or getattr(problem, "winerror", None) in _TOO_LONG_ON_WINDOWS:
            reason = f"{name} is made in a work folder there, in which its path would be too long"
            raise OSError(errno.ENAMETOOLONG, reason) from problem
        raise


def check_replaceable(path: Path, *, overwrite: bool) -> None:
    """Refuse, before any work is done, a file that is there already, unless it may be replaced; and what is no file.

    Root, as in a container, may replace ``/dev/null`` and ``/dev/stdout``, and other programs would then miss them.
    """
    if path.is_dir():
        raise SuperResolutionError(f"{path} is a folder; name a file")
    if path.absolute().parent == Path("/dev") or (path.exists() and not path.is_file()):
        raise SuperResolutionError(f"{path} is a device or a pipe; name a file")
    if path.exists() and not overwrite:
        raise SuperResolutionError(f"{path} exists already; add --overwrite to replace it, or choose another name")


def check_folder_of(path: Path) -> None:
    """Refuse, before any work is done, a file in a folder that does not exist."""
    if not path.parent.is_dir():
        raise SuperResolutionError(f"the folder {path.parent} does not exist; make it first")


def put_in_place(made: Path, path: Path) -> None:
    """Give a finished file or folder its name; after a power cut it is whole, or not there, or what was there before.

    Raises
    ------
    OSError
        The disk is full or fails, or a file is there already where ``made`` is a folder.
    """
    for one in (*made.rglob("*"), made) if made.is_dir() else (made,):
        _flush(one)
    for _ in range(_WINDOWS_ATTEMPTS if os.name == "nt" else 0):
        with suppress(PermissionError):
            made.replace(path)
            return
        time.sleep(_WINDOWS_PAUSE_SECONDS)
    made.replace(path)
    _flush(path.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is whole or not there, or what was there before, whenever the program is stopped.

    Raises
    ------
    OSError
        The disk is full or fails, or the folder cannot be written.
    """
    with work_folder(path.parent) as folder:
        (folder / path.name).write_bytes(content)
        put_in_place(folder / path.name, path)


def _flush(path: Path) -> None:
    """Wait until the disk holds the content of a file, or the names in a folder where the system can say."""
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":
        return
    try:
        descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as problem:
        if not is_folder and problem.errno in _DISK_FAILURES:  # others: a disk that cannot be waited for
            raise


def remove(folder: Path) -> None:
    """Remove a private folder with its contents; errors are ignored."""
    shutil.rmtree(folder, ignore_errors=True)
    for _ in range(_WINDOWS_ATTEMPTS if os.name == "nt" else 0):
        if not folder.exists():
            return
        time.sleep(_WINDOWS_PAUSE_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def remove_stale_folders(prefix: str, parent: Path | None = None) -> None:
    """Remove the private folders of processes that ended without doing so."""
    for folder in (parent or Path(tempfile.gettempdir())).glob(f"{prefix}*-*-*"):
        process_id, started_at, _ = folder.name.removeprefix(prefix).split("-", 2)
        if process_id.isdecimal() and _start_time(int(process_id)) != started_at:
            remove(folder)


def _work_prefix() -> str:
    """How work folders of this computer or container begin: process IDs on a shared disk may be of another one."""
    container = ""
    with suppress(OSError):  # not Linux
        container = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - the target is no file
    computer = hashlib.sha256(f"{platform.node()} {container}".encode()).hexdigest()[:8]
    return f"{WORK_FOLDER_PREFIX}{computer}-"


def _start_time(process_id: int) -> str | None:
    """When a process was started, "0" where the system does not provide it; None where it is not or no longer there."""
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{process_id}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        has_ended = fields[0] == "Z"  # nobody asks for its exit status: a container without an init process
        return None if has_ended else fields[19]  # starttime, field 22 of proc(5): two come before the parenthesis
    return "0" if _is_alive(process_id) else None


def _is_alive(process_id: int) -> bool:
    if process_id == os.getpid():
        return True
    if os.name == "nt":  # where os.kill would end the process
        asked = ["tasklist", "/FI", f"PID eq {process_id}", "/NH"]
        listed = subprocess.run(asked, capture_output=True, check=False, creationflags=_NO_WINDOW).stdout
        return str(process_id).encode() in listed
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, OverflowError):  # or a number that no process can have
        return False
    except PermissionError:
        pass
    return True


def remove_empty(folder: Path, stay: Path) -> None:
    """Remove an empty folder and its empty parents, below the folder ``stay``."""
    with suppress(OSError):  # not empty, or never created
        while folder != stay:
            folder.rmdir()
            folder = folder.parent
