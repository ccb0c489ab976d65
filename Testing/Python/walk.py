"""Traces which files of the product are called between two moments, and by which files; imports are ignored.

Compares them with the paths that `docs/reference/architecture.md` describes.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Collection
from types import CodeType, FrameType, TracebackType
from typing import Any

from documentation import DOCS, REPOSITORY
from import_rules import ROOTS

_FOLDERS = tuple(f"{REPOSITORY / root}/" for root in ROOTS)
_IS_FUNCTION = 0x1  # CO_OPTIMIZED of `inspect`, which the bodies of modules and classes lack
_NEAREST = 2  # files that called, looking upwards
_IMPORT = "<frozen importlib._bootstrap>"


class Walk:
    """A block whose calls are noted, as ``with Walk() as walk:``.

    Attributes
    ----------
    callers : dict of str to set of str
        For each file with a function that was called, in the order of the first calls, the files that called it,
        directly or through one other file, such as that of a decorator. Files are named by their paths below their
        root.
    """

    def __init__(self, leave_out: Collection[str] = ()) -> None:
        """``leave_out`` : functions whose calls, and all calls below them, are not noted."""
        self.callers: dict[str, set[str]] = {}
        self._leave_out = frozenset(leave_out)
        self._names: dict[CodeType, str] = {}

    def __enter__(self) -> Walk:
        threading.setprofile(self._note)  # of threads that begin meanwhile
        sys.setprofile(self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:  # as Python calls it
        name = self._name(frame.f_code) if event == "call" else ""
        if not name:
            return
        callers: set[str] = set()
        above = frame.f_back
        while above is not None:
            if above.f_code.co_filename == _IMPORT or above.f_code.co_name in self._leave_out:
                return
            caller = self._name(above.f_code)
            if caller not in ("", name) and len(callers) < _NEAREST:
                callers.add(caller)
            above = above.f_back
        self.callers.setdefault(name, set()).update(callers)

    def _name(self, code: CodeType) -> str:
        """The file of a function of the product; empty for all else."""
        if code not in self._names:
            folder = next((one for one in _FOLDERS if code.co_filename.startswith(one)), "")
            is_ours = folder and code.co_flags & _IS_FUNCTION
            self._names[code] = code.co_filename.removeprefix(folder) if is_ours else ""
        return self._names[code]


def documented(heading: str) -> list[str]:
    """The files of one path, in their order: the rows of the table below a heading."""
    text = (DOCS / "reference" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def gaps(path: list[str], walk: Walk) -> list[str]:
    """The files of a path that no earlier file of it has called; the first is called from outside."""
    return [
        file for number, file in enumerate(path) if number and not walk.callers.get(file, set()) & set(path[:number])
    ]
