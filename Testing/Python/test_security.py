"""Every item of the list of faults in SECURITY.md names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TESTS = Path(__file__).parent


def items() -> list[str]:
    text = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
    section = text.partition("## Faults, promises, tests")[2].partition("\n## ")[0]
    return section.split("\n- ")[1:]


def test_the_list_has_items():
    assert len(items()) >= 15


@pytest.mark.parametrize("item", items(), ids=lambda item: item.split("**")[1])
def test_every_promise_has_its_tests(item: str):
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", item)
    assert named
    for file, name in named:
        (path,) = TESTS.rglob(file)
        assert f"\ndef {name}(" in path.read_text(encoding="utf-8")
