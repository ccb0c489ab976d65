"""Whether a path names something, also one that nobody may follow: Python raises where a folder is closed to the user.

Such paths come with scenes and recipes of other accounts; to this one, nothing is there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def is_file(path: Path) -> bool:
    """Whether there is a file that can be reached."""
    return _answer(path.is_file)


def is_folder(path: Path) -> bool:
    """Whether there is a folder that can be reached."""
    return _answer(path.is_dir)


def exists(path: Path) -> bool:
    """Whether there is anything that can be reached."""
    return _answer(path.exists)


def _answer(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # a closed folder on the way, or a name too long
        return False
