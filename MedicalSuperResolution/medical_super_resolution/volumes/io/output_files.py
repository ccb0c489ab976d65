"""Volume files to be written: which files one makes, and whether it can be written, before any work is done."""

from __future__ import annotations

from pathlib import Path

from ...errors import VolumeError, optional
from ...system.temp_dirs import try_writing
from .formats import SUFFIXES, suffix_of
from .header import check_detached

_DATA_SUFFIXES = {".mhd": (".raw", ".zraw"), ".nhdr": (".raw", ".raw.gz")}  # where detached headers keep the voxels


def check_output(path: Path | str, *, overwrite: bool = False) -> None:
    """Refuse, before any work is done, an output that could not be written."""
    path = Path(path)
    if path.is_dir():
        raise VolumeError(f"{path} is a folder; name a file, which ends in one of: {', '.join(SUFFIXES)}")
    if suffix_of(path) is None:
        raise VolumeError(f"no volume can be written as {path.name}; end the name in one of: {', '.join(SUFFIXES)}")
    if path.name.lower().endswith((".nii", ".nii.gz")):
        optional("nibabel", "NIfTI files")
    check_detached(path)
    taken = existing(path)
    if taken and not overwrite:
        raise VolumeError(f"{taken} exists already; add --overwrite to replace it, or choose another name")
    check_writable(path.parent, max((file.name for file in written_as(path)), key=len))


def check_writable(folder: Path, name: str) -> None:
    """Refuse a folder that is not there or in which no file of this name can be written."""
    if not folder.is_dir():
        raise VolumeError(f"the folder {folder} does not exist; make it first")
    try:
        try_writing(folder, name)
    except OSError as problem:
        reason = problem.strerror
        raise VolumeError(f"cannot write in the folder {folder}: {reason}; choose another folder") from problem


def existing(path: Path) -> Path | None:
    """The first of the files that `files.write` would replace; None where there is none."""
    return next((file for file in written_as(path) if file.exists()), None)


def written_as(path: Path) -> list[Path]:
    """The files that `files.write` may make or replace: the one of that name, and the voxels of a detached header."""
    return [path, *(path.with_suffix(suffix) for suffix in _DATA_SUFFIXES.get(path.suffix.lower(), ()))]
