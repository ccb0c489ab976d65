"""Zipped folders, of which the last few stay unpacked until the program ends."""

from __future__ import annotations

import atexit
import shutil
import threading
import zipfile
from collections import OrderedDict
from pathlib import Path

from ..errors import VolumeError
from .temp_dirs import private_folder, remove, remove_stale_folders

_PREFIX = "medsr-zip-"
_MOST_MEMBERS = 200_000
_LONGEST_NAME = 100
_MOST_UNPACKED = 16  # a program in several threads may still read each of them
_unpacked: OrderedDict[tuple[Path, int, int], Path] = OrderedDict()  # by path, size and time; the latest one last
_lock = threading.Lock()


def unpacked(path: Path) -> Path:
    """The content of a zip file in a private folder, which is deleted after 16 others, or when the program ends.

    Raises
    ------
    VolumeError
        The file is damaged or encrypted, or its content does not fit on the disk.
    """
    state = path.stat()
    key = path.resolve(), state.st_size, state.st_mtime_ns
    with _lock:  # of two threads that read one file, only one unpacks it
        _unpacked[key] = folder = _unpacked.pop(key, None) or _unpacked_anew(path)
        while len(_unpacked) > _MOST_UNPACKED:
            remove(_unpacked.popitem(last=False)[1])
    return folder


def _unpacked_anew(path: Path) -> Path:
    remove_stale_folders(_PREFIX)
    folder = private_folder(_PREFIX)
    try:
        unpack(path, folder)
    except BaseException:
        remove(folder)
        raise
    return folder


@atexit.register
def _remove_all() -> None:
    for folder in _unpacked.values():
        remove(folder)


def unpack(path: Path, folder: Path) -> None:
    """Write the files of a zip file into one folder, under unique names.

    Raises
    ------
    VolumeError
        See `unpacked`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not (member.is_dir() or _is_of_macos(member))]
            needed, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
            if needed > free or len(members) > _MOST_MEMBERS:
                raise VolumeError(
                    f"{path} unpacks to {len(members)} files of {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free"
                    " for temporary files; unpack it yourself and name the folder"
                )
            for number, member in enumerate(members):
                # Without its folders, which may lead out of this one; a header finds its voxels by their name.
                name = Path(member.filename.replace("\\", "/")).name[-_LONGEST_NAME:]
                target = folder / name
                if target.exists():
                    target = folder / f"{number:06d}-{name}"
                with archive.open(member) as packed, target.open("xb") as file:
                    shutil.copyfileobj(packed, file)
    except (VolumeError, MemoryError):
        raise
    except Exception as problem:  # each way to pack has errors of its own
        raise VolumeError(f"{path} cannot be unpacked: it is damaged or encrypted; unpack it yourself") from problem


def _is_of_macos(member: zipfile.ZipInfo) -> bool:
    """Whether a member holds what macOS notes about another one, under the name of that one behind "._"."""
    return member.filename.startswith("__MACOSX/")
