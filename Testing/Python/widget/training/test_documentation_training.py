"""The scripts of the documentation that train run, with a script that plays medsr-train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import documentation


@pytest.mark.parametrize("code", documentation.scripts("the training module"))
def test_scripts_train(
    code: str,
    train_as: Callable[[str], None],
    given: Callable[[], list[list[str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    Path("scans").mkdir()
    train_as("if verb == 'train': step(50, 0.5)")
    exec(compile(code, "documentation", "exec"), {})
    assert [command[0] for command in given()] == ["prepare", "train", "export"]
    assert given()[1][-2:] == ["--set", "steps = 300"]
