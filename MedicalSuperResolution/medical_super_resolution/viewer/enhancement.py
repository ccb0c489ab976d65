"""One run of ``medsr enhance`` in a child process, with its progress and cancellation."""

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
from ..system.process import search_path

_PACKAGE = Path(__file__).parents[1]
_GRACE_SECONDS = 5.0
CANCELLED = "Cancelled. Nothing was changed."
# The arguments come by standard input: other users of the computer see the command lines of all processes.
_PROGRAM = (
    f"import json, sys; from {_PACKAGE.name}.cli.main import main; sys.exit(main(json.loads(sys.stdin.readline())))"
)


class Enhancement:
    """A running or finished enhancement.

    Parameters
    ----------
    arguments : sequence of str
        Arguments of ``medsr enhance``.
    folder : Path
        An empty folder for this run.
    finished : callable
        Called on another thread when the process has succeeded. Its exception becomes the message of the run.

    Raises
    ------
    SuperResolutionError
        The process could not be started.
    """

    def __init__(self, arguments: Sequence[str], folder: Path, finished: Callable[[], None]) -> None:
        self.status = "running"
        self.message = ""
        self.part = 0.0
        self._why_cancelled = ""  # for the page
        self._finished = finished
        self._errors = folder / "errors.txt"
        command = ["enhance", *arguments, "--progress", "json", "--end-with-parent"]
        try:
            with self._errors.open("xb") as errors:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _PROGRAM],
                    cwd=folder,
                    env={**os.environ, "PYTHONPATH": search_path(_PACKAGE), "PYTHONIOENCODING": "utf-8"},
                    stdin=subprocess.PIPE,  # closed when this process ends, which ends the child
                    stdout=subprocess.PIPE,
                    stderr=errors,
                )
        except OSError as problem:
            raise SuperResolutionError(f"Python could not be started: {problem.strerror}") from problem
        assert self._process.stdin is not None  # it is a pipe
        with suppress(OSError):  # the process has ended
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def cancel(self, message: str = CANCELLED) -> None:
        """End the process, and return when it has ended; without effect on a finished run."""
        self._why_cancelled = message
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self.wait()

    def wait(self) -> None:
        """Wait until the run has ended and its status is set."""
        self._thread.join()

    def _watch(self) -> None:
        assert self._process.stdout is not None  # it is a pipe
        for line in self._process.stdout:
            with suppress(ValueError, KeyError, TypeError, ZeroDivisionError):  # lines that do not count voxels
                step = json.loads(line)
                self.part = step["done"] / step["total"]
        status = self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self.status, self.message = self._outcome(status)

    def _outcome(self, status: int) -> tuple[str, str]:
        if self._why_cancelled:
            return "cancelled", self._why_cancelled
        if status != 0:
            return "failed", self._failure(status)
        try:
            self._finished()
        except (SuperResolutionError, OSError) as problem:
            return "failed", str(problem)
        except Exception:  # SimpleITK has an error of its own for a lack of memory
            return "failed", "the result cannot be shown, most often for lack of memory; try a smaller factor"
        return "done", "Done."

    def _failure(self, status: int) -> str:
        lines = self._errors.read_text(encoding="utf-8", errors="replace").splitlines()
        messages = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        if messages:
            return messages[-1]
        return f"the engine stopped with exit status {status}, most often for lack of memory; try a smaller factor"
