"""Texts for people: a line in a terminal, and a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def on_one_line(text: str) -> str:
    """A text from a file of anyone, without what moves the cursor, colors a terminal, or feigns further lines.

    White space becomes spaces, and what else cannot be printed, such as a name in another encoding, becomes escapes.
    """
    return "".join(one if one.isprintable() else " " if one.isspace() else _escape(one) for one in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, and an empty one."""
    head = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return [*head, *("| " + " | ".join(row) + " |" for row in rows), ""]
