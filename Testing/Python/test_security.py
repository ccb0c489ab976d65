"""Every row of the table of faults in SECURITY.md names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TESTS = Path(__file__).parent


def rows() -> list[str]:
    text = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
    section = text.partition("## Faults, promises, tests")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


def test_the_table_has_rows():
    assert len(rows()) >= 15


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split("|")[1].strip())
def test_every_promise_has_its_tests(row: str):
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row)
    assert named
    for file, name in named:
        (path,) = TESTS.rglob(file)
        assert f"\ndef {name}(" in path.read_text(encoding="utf-8")
