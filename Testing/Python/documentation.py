"""README.md and the pages of ``docs``, parsed so that tests can check them."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
DOCS = REPOSITORY / "docs"
PAGES = (README, *sorted(DOCS.rglob("*.md")))
NOTEBOOK = DOCS / "tutorials" / "python.ipynb"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PLACES = {  # where a block can run, by what it imports
    "MedicalSuperResolutionTraining": "the training module",
    "MedicalSuperResolution": "the module",
    "medical_super_resolution": "any Python",
}


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, on all pages."""
    found = [block for page in PAGES for block in _FENCE.findall(page.read_text(encoding="utf-8"))]
    return [code for fenced, code in found if fenced == language]


def scripts(place: str) -> list[str]:
    """The Python blocks that run there, each once."""
    found = [code for code in blocks("python") if _PLACES[code.split()[1].partition(".")[0]] == place]
    return list(dict.fromkeys(found))


def commands(program: str) -> list[str]:
    """The command lines of a program, without it, each once."""
    found = [line.removeprefix(program).strip() for line in command_lines() if line.split(maxsplit=1)[0] == program]
    return list(dict.fromkeys(found))


def command_lines() -> list[str]:
    """The command lines of all pages, without comments above them."""
    return [line for code in blocks("sh") for line in code.splitlines() if not line.startswith("#")]


def sentences() -> list[str]:
    """The error sentences of the troubleshooting page, with an ellipsis for every value."""
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]
    return rows[2:]


def links(page: Path) -> list[str]:
    """What a page links to or shows, without what is on the web."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    return [link for link in found if not link.startswith("http")]
