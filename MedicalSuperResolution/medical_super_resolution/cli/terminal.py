"""Progress display of the command line, and how a command ends: failed, interrupted, or with its output closed."""

from __future__ import annotations

import errno
import functools
import io
import json
import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from ..errors import Cancelled, SuperResolutionError
from ..system.texts import on_one_line

INTERRUPTED_EXIT = 130
_CLOSED_OUTPUT_EXIT = 141  # as a shell reports a program that SIGPIPE has ended
_USUAL_COLUMNS = 80


def quiet_on_broken_pipe(main: Callable[..., int]) -> Callable[..., int]:
    """Decorator of a main function that ends quietly when its output is closed (``medsr info scan | head -1``).

    The exit status is then 141. A pipe of another kind that breaks is a failure like any other. What the output cannot
    encode, such as a name in another encoding, becomes escapes. A program that was started without standard streams
    (``2>&-``) prints into nothing; else the next file that it opens would take the place of one.
    """

    @functools.wraps(main)
    def run(typed: list[str] | None = None) -> int:
        for name in ("stdin", "stdout", "stderr"):
            if getattr(sys, name) is None:
                setattr(sys, name, open(os.devnull, "r+"))  # noqa: PTH123, SIM115 - until the program ends
        if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
            sys.stdout.reconfigure(errors="backslashreplace")  # as standard error has it
        status = 0
        try:
            try:
                status = main(typed)
            except SystemExit:  # a help text was printed
                print(end="", flush=True)
                raise
            print(end="", flush=True)  # at the end of Python it would be too late
            return status
        except OSError as problem:
            if closed := _closed_by(problem):
                _mute(closed)
                return _CLOSED_OUTPUT_EXIT
            if isinstance(problem, BrokenPipeError):
                raise
            with suppress(OSError):
                if not status:  # else `status_of` has said it
                    print(f"error: the output cannot be written: {problem.strerror}", file=sys.stderr, flush=True)
            _mute((sys.stdout, sys.stderr))
            return 1

    return run


def _mute(streams: Sequence[TextIO]) -> None:
    """Let streams lead nowhere, so that flushing them at exit does not fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream.fileno())


def _closed_by(problem: OSError) -> list[TextIO]:
    """The standard streams whose closed pipes explain a failure, which Windows calls an invalid argument."""
    if not isinstance(problem, BrokenPipeError) and (os.name, problem.errno) != ("nt", errno.EINVAL):
        return []
    return [stream for stream in (sys.stdout, sys.stderr) if _is_closed_pipe(stream)]


def _is_closed_pipe(stream: TextIO) -> bool:
    """Whether a standard stream leads into a pipe whose other end is closed."""
    if os.name == "nt":  # where only writing shows it
        try:
            print(file=stream, flush=True)
        except OSError:
            return True
        return False
    poll = select.poll()
    poll.register(stream.fileno(), 0)  # a broken pipe is always reported
    return bool(poll.poll(0))


def _known(path: str | bytes | int) -> str:
    """The path, or the folder that holds the hidden work folder with it, which the user did not name."""
    from ..system.temp_dirs import WORK_FOLDER_PREFIX

    parts = Path(str(path)).parts
    hidden = [number for number, part in enumerate(parts) if part.startswith(WORK_FOLDER_PREFIX)]
    return str(Path(*parts[: hidden[0]])) if hidden else str(path)


def status_of(command: Callable[[], int], *, interrupted: str = "nothing was written") -> int:
    """Run a command; print its failure as one sentence, and return the exit status.

    Parameters
    ----------
    command : callable
        Returns its exit status.
    interrupted : str
        What to print after Ctrl-C where the exception has no message.
    """
    try:
        return command()
    except SuperResolutionError as problem:
        sentence = str(problem)
    except MemoryError:
        sentence = "the computer ran out of memory; crop the volume or ask for a smaller factor"
    except ImportError as problem:
        if "failed to map segment" not in str(problem):
            raise
        remedies = "raise the memory limit of this program (ulimit -v), or use a disk without the option noexec"
        sentence = f"a library, as of PyTorch, cannot be loaded; {remedies}: {problem}"
    except OSError as problem:
        if isinstance(problem, BrokenPipeError) or _closed_by(problem):
            raise
        where = f"{_known(problem.filename)}: " if problem.filename else ""
        reason = problem.strerror or str(problem)
        sentence = f"{where}{reason}; check the path, its permissions and the free space of the disk"
    except (KeyboardInterrupt, Cancelled) as stop:
        print(f"stopped; {str(stop) or interrupted}", file=sys.stderr)
        return INTERRUPTED_EXIT
    print(f"error: {on_one_line(sentence)}", file=sys.stderr)  # it may quote a file of anyone
    return 1


def show_warnings(warnings: Sequence[str]) -> None:
    """Print the warnings of a report, which may quote a file of anyone, each on one line."""
    for warning in warnings:
        print(on_one_line(f"warning: {warning}"), file=sys.stderr)


class Display:
    """A `Progress` that also takes the names of stages. This one shows nothing."""

    def stage(self, name: str) -> None:
        """Begin a stage of the work, such as "reading"."""

    def __call__(self, done: int, total: int) -> None:
        """Show the progress of the stage."""


def progress_of_kind(kind: str) -> Display:
    """Make a display for people ("auto"), for programs ("json"), or a silent one ("none")."""
    return {"json": JsonProgress, "none": Display}.get(kind, TerminalProgress)()


def print_line(line: str) -> None:
    """Print one line on standard error, at once."""
    print(line, file=sys.stderr, flush=True)


class JsonProgress(Display):
    """One line of JSON on standard output for each step, and for each stage as it begins."""

    def stage(self, name: str) -> None:
        """Print the name of the stage."""
        print(json.dumps({"stage": name}), flush=True)

    def __call__(self, done: int, total: int) -> None:
        """Print the step."""
        print(json.dumps({"done": done, "total": total}), flush=True)


class TerminalProgress(Display):
    """Stage, elapsed time and time left, on standard error: a bar on a terminal, elsewhere a line every tenth."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.started = time.monotonic()
        self._begin("refining")

    def _begin(self, name: str) -> None:
        self._name = name
        self._stage_started = time.monotonic()
        self._tenths = -1

    def stage(self, name: str) -> None:
        """Begin a stage, and show its name at once."""
        self._begin(name)
        text = f"{name} ... {time.monotonic() - self.started:.0f} s"
        self._show(text, "\r" if self.terminal else "\n")  # what comes next, such as a warning, takes its place

    def __call__(self, done: int, total: int) -> None:
        """Show the progress of the stage."""
        now, part = time.monotonic(), done / total
        text = f"{part:4.0%}  {now - self.started:.0f} s"
        if part:
            text += f", {(now - self._stage_started) * (1 - part) / part:.0f} s left"
        if self.terminal:
            size = max(0, min(30, _columns() - 45))
            filled = round(size * part)
            self._show(f"{self._name} [{'#' * filled}{'.' * (size - filled)}] {text}", "\n" if done == total else "")
        elif int(10 * part) > self._tenths:
            self._tenths = int(10 * part)
            self._show(f"{self._name} {text.strip()}", "\n")

    def _show(self, text: str, end: str) -> None:
        if self.terminal:
            columns = _columns() - 1  # a line that wraps would stay, and the next one begin below it
            text = f"\r{text[:columns]:<{min(70, columns)}}"
        print(text, end=end, file=sys.stderr, flush=True)


def _columns() -> int:
    """Of the terminal behind standard error; standard output, which shutil asks, may be a file."""
    with suppress(OSError):
        return os.get_terminal_size(2).columns or _USUAL_COLUMNS
    return _USUAL_COLUMNS
