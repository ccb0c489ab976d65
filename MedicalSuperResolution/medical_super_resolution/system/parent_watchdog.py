"""A child process that does not outlive the one that started it."""

from __future__ import annotations

import os
import signal
import threading


def end_with_parent() -> None:
    """From now on, end this process when its standard input ends, which happens when its parent ends."""
    threading.Thread(target=_wait_for_the_end, daemon=True).start()


def _wait_for_the_end() -> None:
    while os.read(0, 1):  # not sys.stdin, whose lock would be held when Python ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)
