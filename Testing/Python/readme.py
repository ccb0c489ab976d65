"""What README.md promises, taken apart so that tests can hold it to its word."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PLACES = {  # where a block can run, told from what it imports
    "MedicalSuperResolutionTraining": "the training module",
    "MedicalSuperResolution": "the module",
    "medical_super_resolution": "any Python",
}


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [code for fenced, code in _FENCE.findall(README.read_text(encoding="utf-8")) if fenced == language]


def scripts(place: str) -> list[str]:
    """The Python blocks that run there."""
    return [code for code in blocks("python") if _PLACES[code.split()[1].partition(".")[0]] == place]


def commands(program: str) -> list[str]:
    """The command lines of a program, without it."""
    lines = [line for code in blocks("sh") for line in code.splitlines()]
    return [line.removeprefix(program).strip() for line in lines if line.split(maxsplit=1)[0] == program]


def sentences() -> list[str]:
    """The error sentences of the table, with an ellipsis for every value."""
    text = README.read_text(encoding="utf-8")
    section = text.partition("## Troubleshooting")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def links() -> list[str]:
    """What README.md links to or shows, without what is on the web."""
    found = re.findall(r"\]\(([^)\s]+)\)", README.read_text(encoding="utf-8"))
    return [link for link in found if not link.startswith("http")]
