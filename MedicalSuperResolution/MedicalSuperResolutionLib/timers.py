"""Timers that release their callback.

`qt.QTimer.singleShot` of Slicer keeps its timer, and with it what it calls, until Slicer ends: volumes, for a run.
"""

from collections.abc import Callable

import qt


class Repeated:
    """Calls back repeatedly until it is stopped."""

    def __init__(self, interval_ms: int, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback
        self._timer = qt.QTimer()
        self._timer.setInterval(interval_ms)
        self._timer.connect("timeout()", self._call)
        self._timer.start()

    def stop(self) -> None:
        """Stop, and release the callback. May be called by the callback itself."""
        if self._callback is not None:
            self._callback = None
            self._timer.stop()
            self._timer.deleteLater()  # not at once: this may be a callback

    def _call(self) -> None:
        if self._callback is not None:
            self._callback()


def soon(callback: Callable[[], None], after_ms: int = 0) -> None:
    """Call back once, after the events that are pending now, or after some time."""

    def call() -> None:
        timer.stop()
        callback()

    timer = Repeated(after_ms, call)
