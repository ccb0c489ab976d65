"""What the tests of the command line share: the type of a call, and what a refusal looks like."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from medical_super_resolution.volumes import files

PACKAGE_ROOT = Path(files.__file__).parents[2]
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


def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "medical_super_resolution", *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
