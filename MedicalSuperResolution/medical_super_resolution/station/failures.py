"""What failed, so that it is tried again ever more rarely, and a log is not filled with one reason."""

from __future__ import annotations

_DOUBLINGS = 5  # then, with rounds of 30 seconds, it is tried again every 16 minutes


class Failures:
    """Failures by name. What fails again and again is passed over for 0, 1, 3, 7, ... and at last 31 rounds."""

    def __init__(self) -> None:
        self._round = 0
        self._failed: dict[str, tuple[str, int, int]] = {}  # the reason, how often, and the next round to try it in

    def begin_round(self) -> None:
        """Begin to try everything once."""
        self._round += 1

    def is_paused(self, name: str) -> bool:
        """Whether it is passed over in this round."""
        return name in self._failed and self._round < self._failed[name][2]

    def add(self, name: str, reason: str) -> bool:
        """Note that it failed in this round; return whether the reason is a new one."""
        before, times, _ = self._failed.get(name, ("", 0, 0))
        self._failed[name] = (reason, times + 1, self._round + 1 + 2 ** min(times, _DOUBLINGS) - 1)
        return reason != before

    def clear(self, *names: str) -> None:
        """Note that these have succeeded."""
        for name in names:
            self._failed.pop(name, None)
