"""One run of ``medsr enhance`` in a process of its own, which can be watched and ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import SuperResolutionError

_PACKAGE = Path(__file__).parents[1]
_GRACE_SECONDS = 5.0


class Enhancement:
    """A run, from its start.

    Parameters
    ----------
    arguments : sequence of str
        What follows ``medsr enhance``.
    folder : Path
        An empty folder of the run's own.
    finished : callable
        Called on another thread once the process has succeeded. What it raises becomes the message of the run.

    Raises
    ------
    SuperResolutionError
        The process could not be started.
    """

    def __init__(self, arguments: Sequence[str], folder: Path, finished: Callable[[], None]) -> None:
        self.status = "running"
        self.message = ""
        self.part = 0.0
        self._is_cancelled = False
        self._finished = finished
        self._errors = folder / "errors.txt"
        command = [sys.executable, "-m", _PACKAGE.name, "enhance", *arguments, "--progress", "json"]
        search_path = os.pathsep.join(filter(None, [str(_PACKAGE.parent), os.environ.get("PYTHONPATH")]))
        try:
            with self._errors.open("xb") as errors:
                self._process = subprocess.Popen(
                    [*command, "--end-with-parent"],
                    cwd=folder,
                    env={**os.environ, "PYTHONPATH": search_path, "PYTHONIOENCODING": "utf-8"},
                    stdin=subprocess.PIPE,  # ends with this process, which ends the child
                    stdout=subprocess.PIPE,
                    stderr=errors,
                )
        except OSError as problem:
            raise SuperResolutionError(f"Python could not be started: {problem.strerror}") from problem
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """End the process; return when it has ended. A run that is over stays as it is."""
        self._is_cancelled = True
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self.wait()

    def wait(self) -> None:
        """Return when the run is over and its status is known."""
        self._thread.join()

    def _watch(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        for line in self._process.stdout:
            with suppress(ValueError, KeyError, TypeError, ZeroDivisionError):  # a line of something else
                step = json.loads(line)
                self.part = step["done"] / step["total"]
        status = self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self.status, self.message = self._outcome(status)

    def _outcome(self, status: int) -> tuple[str, str]:
        if self._is_cancelled:
            return "cancelled", "Cancelled. Nothing was changed."
        if status != 0:
            return "failed", self._failure(status)
        try:
            self._finished()
        except (SuperResolutionError, MemoryError, OSError) as problem:
            return "failed", str(problem) or "there is not enough memory to show the result; try a smaller factor"
        return "done", "Done."

    def _failure(self, status: int) -> str:
        lines = self._errors.read_text(encoding="utf-8", errors="replace").splitlines()
        messages = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        if messages:
            return messages[-1]
        return f"the engine stopped with exit status {status}, most often for lack of memory; try a smaller factor"
