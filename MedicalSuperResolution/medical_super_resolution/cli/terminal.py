"""What the command line shows while it works, and how it ends when nobody reads that any more."""

from __future__ import annotations

import functools
import json
import os
import select
import sys
import time
from collections.abc import Callable
from typing import TextIO

from ..progress import Progress, ignore

_UNREAD_EXIT = 141  # what a shell says of a program that SIGPIPE has ended


def quiet_when_unread(main: Callable[..., int]) -> Callable[..., int]:
    """Wrap the main function of a program: where its reader has gone, as in ``medsr models | head -1``, it just ends.

    The exit status is then 141. A pipe of another kind that breaks is a failure like any other.
    """

    @functools.wraps(main)
    def run(typed: list[str] | None = None) -> int:
        try:
            try:
                status = main(typed)
            except SystemExit:  # a help text was printed
                print(end="", flush=True)
                raise
            print(end="", flush=True)  # at the end of Python it would be too late
            return status
        except BrokenPipeError:
            unread = [stream for stream in (sys.stdout, sys.stderr) if _has_no_reader(stream)]
            if not unread:
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in unread:
                os.dup2(nowhere, stream.fileno())  # takes what is still waiting to be written
            return _UNREAD_EXIT

    return run


def _has_no_reader(stream: TextIO) -> bool:
    """Whether a standard stream leads into a pipe whose other end is closed."""
    if not hasattr(select, "poll"):  # on Windows, which leads nowhere else
        return True
    poll = select.poll()
    poll.register(stream.fileno(), 0)  # a broken pipe is told unasked
    return bool(poll.poll(0))


def progress_of_kind(kind: str) -> Progress:
    """A `Progress` for people ("auto"), for programs ("json"), or a silent one ("none")."""
    return {"json": json_progress, "none": ignore}.get(kind) or TerminalProgress(sys.stderr.isatty())


def tell(line: str) -> None:
    """One line on standard error, at once."""
    print(line, file=sys.stderr, flush=True)


def json_progress(done: int, total: int) -> None:
    """One line of JSON on standard output."""
    print(json.dumps({"done": done, "total": total}), flush=True)


class TerminalProgress:
    """A bar with the time left on a terminal; elsewhere a line every tenth of the way. On standard error."""

    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal
        self.started = time.monotonic()
        self.tenths = -1

    def __call__(self, done: int, total: int) -> None:
        """Show how far the run is."""
        part = done / total
        left = (time.monotonic() - self.started) * (1 - part) / part if part else None
        text = f"{part:4.0%}" + ("" if left is None else f"  {left:.0f} s left")
        if self.terminal:
            filled = round(30 * part)
            end = "\n" if done == total else ""
            print(f"\r[{'#' * filled}{'.' * (30 - filled)}] {text}   ", end=end, file=sys.stderr, flush=True)
        elif int(10 * part) > self.tenths:
            self.tenths = int(10 * part)
            print(text.strip(), file=sys.stderr, flush=True)
