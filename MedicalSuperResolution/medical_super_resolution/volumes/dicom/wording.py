"""Series in a few words, for a sentence."""

from __future__ import annotations

from .sorter import Series

_MOST_LISTED = 8


def described(series: Series, *, with_uid: bool = False) -> str:
    """A series in a few words: its number and description, how many images it has, and one of its files."""
    number = "" if series.number is None else f"{series.number}: "
    volumes = f" in {len(series.parts)} volumes" if len(series.parts) > 1 else ""
    uid = f", {series.uid}" if with_uid else ""
    first = series.parts[0].frames[0].file.path.name
    return f"{number}{series.description or 'no description'} ({series.images} images{volumes}, {first}{uid})"


def listed(items: list[str]) -> str:
    """Some items in one sentence, the first of them if they are many."""
    more = f"; and {len(items) - _MOST_LISTED} more" if len(items) > _MOST_LISTED else ""
    return "; ".join(items[:_MOST_LISTED]) + more
