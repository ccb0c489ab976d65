"""What failed, so that it is tried again ever more rarely, and a log is not filled with one reason."""

from __future__ import annotations

from dataclasses import dataclass

_DOUBLINGS = 5  # then, with rounds of 30 seconds, it is tried again every 16 minutes


@dataclass(frozen=True)
class _Failure:
    reason: str
    times: int  # in a row
    next_round: int  # to try it in


class Failures:
    """Failures by name. What fails again and again is passed over for 0, 1, 3, 7, ... and at last 31 rounds."""

    def __init__(self) -> None:
        self._round = 0
        self._failed: dict[str, _Failure] = {}

    def begin_round(self) -> None:
        """Begin to try everything once."""
        self._round += 1

    def is_paused(self, name: str) -> bool:
        """Whether it is passed over in this round."""
        return name in self._failed and self._round < self._failed[name].next_round

    def add(self, name: str, reason: str) -> bool:
        """Note that it failed in this round; return whether the reason is a new one."""
        before = self._failed.get(name)
        times = before.times if before else 0
        self._failed[name] = _Failure(reason, times + 1, self._round + 2 ** min(times, _DOUBLINGS))
        return before is None or reason != before.reason

    def clear(self, *names: str) -> None:
        """Note that these have succeeded."""
        for name in names:
            self._failed.pop(name, None)
