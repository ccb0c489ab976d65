"""Which images a series was enhanced of; one that comes later is refused, because acknowledging it would lose it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import SuperResolutionError


class TooLate(SuperResolutionError):
    """The series of an image was, or is being, enhanced without it."""


def names_in(folder: Path) -> str:
    """The names of the images in a folder, one a line; empty where there is no such folder."""
    return "\n".join(image.name for image in folder.glob("*.dcm"))


def check_in_time(name: str, lists: Sequence[Path], waiting: Path) -> None:
    """Refuse an image that its series was enhanced without.

    Parameters
    ----------
    name : str
        The image's file name.
    lists : sequence of Path
        Files that may hold the names of the images; an empty one is of a series that no rule fits.
    waiting : Path
        The folder of the images while there is no list yet.

    Raises
    ------
    TooLate
        The image is new.
    """
    names = next((path.read_text(encoding="utf-8") for path in lists if path.exists()), None)
    if names is None:  # it is being enhanced
        names = names_in(waiting)
    if names and name not in names:
        raise TooLate("the series was enhanced without it; a longer --quiet waits for such images")
