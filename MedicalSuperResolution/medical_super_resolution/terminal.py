"""What the command line shows while it works."""

from __future__ import annotations

import json
import sys
import time

from .progress import Progress, ignore


def progress_of_kind(kind: str) -> Progress:
    """A `Progress` for people ("auto"), for programs ("json"), or a silent one ("none")."""
    return {"json": json_progress, "none": ignore}.get(kind) or TerminalProgress(sys.stderr.isatty())


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
