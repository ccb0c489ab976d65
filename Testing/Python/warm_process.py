"""Processes that have PyTorch from the start: forked from one that has imported it and done nothing else.

Importing it takes seconds. A test that needs a process of its own, but not a fresh Python, takes one of these.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr
from io import StringIO
from multiprocessing.process import BaseProcess
from pathlib import Path

_FORKS = sys.platform == "linux"  # elsewhere each process imports everything
CONTEXT = multiprocessing.get_context("forkserver" if _FORKS else "spawn")


def load_ahead() -> None:
    """Start the process to fork from. Before any test: Dask, which uses the same one, would load other modules."""
    if _FORKS:
        from multiprocessing import forkserver

        CONTEXT.set_forkserver_preload(["torch._dynamo"])  # which every optimizer of PyTorch imports
        forkserver.ensure_running()


def started(function: Callable[..., object], *arguments: object, **environment: str) -> BaseProcess:
    """A process that calls a function, with this one's environment and additions to it."""
    process = CONTEXT.Process(target=_call, args=(os.environ | environment, function, arguments), daemon=True)
    process.start()
    return process


def result_of(function: Callable[..., object], *arguments: object) -> object:
    """What a function returns or raises in a process of its own, which it may end."""
    with ProcessPoolExecutor(1, CONTEXT) as process:
        return process.submit(_call, dict(os.environ), function, arguments).result()


def _call(environment: dict[str, str], function: Callable[..., object], arguments: tuple[object, ...]) -> object:
    os.environ.clear()  # that of the process from which it was forked
    os.environ.update(environment)
    return function(*arguments)


def run_commands(roots: list[str], folder: Path, commands: list[list[str]]) -> tuple[list[int], str]:
    """Run command lines of ``medsr-train`` from other sources, in a folder: each exit status, and standard error."""
    os.chdir(folder)
    sys.path[:0] = roots
    from medical_super_resolution_training.cli.main import main

    with redirect_stderr(StringIO()) as said:
        return [main(command) for command in commands], said.getvalue()
