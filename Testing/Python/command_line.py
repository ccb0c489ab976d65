"""What the tests of the command line share: the type of a call, and what a refusal looks like."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from import_rules import ROOTS
from medical_super_resolution.volumes.io import files

PACKAGE_ROOT = Path(files.__file__).parents[3]
Medsr = Callable[..., tuple[int, str, str]]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def refused(medsr: Medsr, folder: Path, *arguments: object) -> str:
    """The sentence of a refusal, after checking that there is nothing but it and the parts of the work before it."""
    before = contents(folder)
    status, out, err = medsr(*arguments)
    assert status == 1
    assert out == ""
    assert err.endswith("\n")
    *stages, sentence = err.splitlines(keepends=True)
    assert all(re.fullmatch(r"[a-z ]+ \.\.\. \d+ s\n", stage) for stage in stages)
    assert sentence.startswith("error: ")
    assert contents(folder) == before
    return sentence


@contextmanager
def nearly_full_disk() -> Iterator[None]:
    """No file can grow beyond 4096 bytes meanwhile: writing fails there, as on a full disk."""
    resource = pytest.importorskip("resource", reason="limits of Unix")
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def next_step(process: subprocess.Popen[str]) -> dict[str, int]:
    """The next line of progress for programs that counts steps; lines that name a stage are passed over."""
    while "done" not in (line := json.loads(process.stdout.readline())):
        pass
    return line


def start(
    *arguments: object,
    package: str = "medical_super_resolution",
    environment: dict[str, str] | None = None,
    **options: object,
) -> subprocess.Popen[str]:
    """The command line of one of our packages in a process of its own, with additions to its environment."""
    roots = os.pathsep.join(str(PACKAGE_ROOT.parent / name) for name in ROOTS)
    whole = os.environ | {"PYTHONPATH": roots, "OMP_NUM_THREADS": "1"} | (environment or {})
    command = [sys.executable, "-m", package, *map(str, arguments)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(command, env=whole, text=True, **options)
