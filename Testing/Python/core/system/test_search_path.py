"""A child process imports packages from where its parent does, though none is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medical_super_resolution.system.process import search_path


@pytest.mark.parametrize("of_the_user", [None, "elsewhere"])
def test_a_child_imports_a_package_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_the_user: str | None
):
    package, other = tmp_path / "here" / "a_package", tmp_path / "elsewhere" / "a_package"
    for folder in (package, other):
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
    if of_the_user:
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / of_the_user))
    else:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    environment = {**os.environ, "PYTHONPATH": search_path(package)}
    command = [sys.executable, "-c", "import a_package; print(a_package.__file__)"]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert Path(printed.strip()).parent == package
