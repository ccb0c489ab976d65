"""Import of a model file: compared with its checksum, loaded once as a test, then installed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError
from ..system import checksum
from ..system.temp_dirs import put_in_place, work_folder
from .store import FOLDER_VARIABLE, SHIPPED_FOLDER, SUFFIX, user_folder


@dataclass(frozen=True)
class Imported:
    """An imported model. ``was_compared``: whether ``sha256`` was compared with a given checksum."""

    path: Path
    sha256: str
    was_compared: bool


def import_model(file: Path, sha256: str | None = None) -> Imported:
    """Copy a model file into the user's folder of models, where it is found by its name.

    Parameters
    ----------
    sha256
        Its expected checksum; None takes that of a file of the same name with .sha256 behind it, if there is one.

    Raises
    ------
    ModelError
        The file is no model, has another checksum, or another model of its name is installed; or the folder cannot be
        written. Nothing is changed then.
    """
    if file.suffix != SUFFIX:
        raise ModelError(f"{file.name} is no model file; their names end in {SUFFIX}")
    wanted, folder = checksum.expected(file, sha256), user_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with work_folder(folder) as work:
            copy = work / file.name
            _copy(file, copy)
            found, was_compared = checksum.check(copy, wanted)  # of the copy: that one is kept
            _check_name(file.name, found, folder)
            _check_loading(copy, file)
            note = checksum.note_of(copy)
            note.write_text(f"{found}  {file.name}\n", encoding="utf-8")
            put_in_place(note, folder / note.name)  # so that each use compares it
            put_in_place(copy, folder / file.name)
    except OSError as problem:
        raise ModelError(
            f"the folder {folder} cannot be written: {problem.strerror}; free some space, or let the environment"
            f" variable {FOLDER_VARIABLE} name another folder"
        ) from problem
    return Imported(folder / file.name, found, was_compared)


def _copy(file: Path, copy: Path) -> None:
    if not file.is_file():
        raise ModelError(f"there is no model file {file}")
    try:
        with file.open("rb"):
            pass
    except OSError as problem:
        raise ModelError(f"{file} cannot be read: {problem.strerror}") from problem
    shutil.copyfile(file, copy)


def _check_name(name: str, sha256: str, folder: Path) -> None:
    """Refuse to hide or replace another model. The same one may be imported again."""
    for home in (SHIPPED_FOLDER, folder):
        installed = home / name
        if installed.is_file() and (home != folder or checksum.digest_of(installed) != sha256):
            raise ModelError(f"a model named {installed.stem} is installed already; rename the file {name} first")


def _check_loading(copy: Path, file: Path) -> None:
    from .file import load  # imports torch, which takes seconds; all quick checks come first

    try:
        load(copy)
    except ModelError as problem:  # it names the copy, which is gone when it is read
        raise ModelError(str(problem).replace(str(copy), str(file))) from problem
