"""What the pages of an evaluation share: a table in Markdown, and a number of volumes in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, and an empty one."""
    head = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return [*head, *("| " + " | ".join(row) + " |" for row in rows), ""]


def volumes(count: int) -> str:
    """Such as "3 volumes"."""
    return "1 volume" if count == 1 else f"{count} volumes"
