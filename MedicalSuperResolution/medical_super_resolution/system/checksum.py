"""SHA-256 of a file, and its comparison with a published one."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from ..errors import ModelError

_BLOCK = 1 << 22
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LONGEST_NOTE = 4096  # bytes of a .sha256 file that are read


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits.

    Raises
    ------
    ModelError
        It cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as problem:
        raise ModelError(f"{path} cannot be read: {problem.strerror}") from problem
    return digest.hexdigest()


def note_of(path: Path) -> Path:
    """The file that may state the SHA-256 of another, as ``sha256sum`` prints it."""
    return path.with_name(path.name + ".sha256")


def expected(path: Path, given: str | None = None) -> str | None:
    """The expected SHA-256: as given, or that in a file of the same name with .sha256 behind it; None if unknown.

    Raises
    ------
    ModelError
        What is given, or what the file holds, is no SHA-256.
    """
    note = note_of(path)
    where, digest = "the SHA-256 that was given", (given or "").strip()
    if not digest and note.is_file():
        where, digest = f"the content of {note.name}", _first_word(note)
    if not digest:
        return None
    if not _DIGEST.fullmatch(digest.lower()):
        raise ModelError(f"{where} is no SHA-256, which has 64 digits of 0-9 and a-f; copy it again: {digest[:80]!r}")
    return digest.lower()


def check(path: Path, given: str | None = None) -> tuple[str, bool]:
    """Return the SHA-256 of a file, and whether there was an `expected` one, to which it must be equal.

    Raises
    ------
    ModelError
        The two differ; or see `expected`.
    """
    wanted, found = expected(path, given), digest_of(path)
    if wanted is not None and wanted != found:
        advice = "" if given else f", or remove {note_of(path).name} if you have replaced the model yourself"
        raise ModelError(
            f"{path.name} has the SHA-256 {found}, not {wanted}: it is damaged or another file; get it again{advice}"
        )
    return found, wanted is not None


def _first_word(note: Path) -> str:
    try:
        with note.open("rb") as file:
            words = file.read(_LONGEST_NOTE).decode("utf-8-sig", "replace").split()  # the mark of Windows' Notepad
    except OSError as problem:
        raise ModelError(f"{note} cannot be read: {problem.strerror}") from problem
    return words[0] if words else ""
