"""What the tests of the command line share: the type of a call, and what a refusal looks like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Medsr = Callable[..., tuple[int, str, str]]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def refused(medsr: Medsr, folder: Path, *arguments: object) -> str:
    """The sentence of a refusal, after checking that there is nothing but it."""
    before = contents(folder)
    status, out, err = medsr(*arguments)
    assert status == 1
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert contents(folder) == before
    return err
