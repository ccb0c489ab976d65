"""Completion of command lines by the Tab key, as argcomplete asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def completed(line: str, folder: Path) -> set[str]:
    """What the shell is offered after ``line``."""
    found = folder / "found"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"}
    environment = os.environ | asked | {"_ARGCOMPLETE_STDOUT_FILENAME": str(found)}
    program = [sys.executable, "-m", "medical_super_resolution"]
    subprocess.run(program, cwd=folder, env=environment, check=True, capture_output=True, timeout=60)
    return {word.strip() for word in found.read_text().splitlines()}


def test_an_option_is_completed(tmp_path: Path):
    assert completed("medsr enhance --max-m", tmp_path) == {"--max-memory"}


@pytest.mark.parametrize("command", ["enhance", "benchmark", "fuse"])
def test_a_model_is_completed_by_name_or_file(command: str, tmp_path: Path):
    (tmp_path / "general-mine.safetensors").touch()
    (tmp_path / "general.txt").touch()
    found = completed(f"medsr {command} --model gen", tmp_path)
    assert found == {"general", "general-large", "general-mine.safetensors"}
