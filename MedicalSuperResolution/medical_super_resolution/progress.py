"""Progress of a run, and its cancellation."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with (done, total). To cancel, it raises `errors.Cancelled`, which passes straight through the engine."""


def ignore(done: int, total: int) -> None:
    """A `Progress` that does nothing."""
