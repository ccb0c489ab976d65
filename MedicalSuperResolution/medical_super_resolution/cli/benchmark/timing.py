"""Seconds of workloads. Those that are compared run in turns, and the fastest round of each counts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

_TURNS = 2
_LONG_TURN = 30.0  # seconds; a second one of the engine would take the whole benchmark beyond two minutes

Show = Callable[[str], None]
"""Called with a line about each measurement."""


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of a call, including CUDA's queue, and its result."""
    started = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started, result


def quickest(workloads: Mapping[str, Callable[[], Any]], show: Show) -> list[tuple[float, Any]]:
    """Seconds and result of the fastest round of each workload.

    They run in turns, so that a temporary load on the machine slows all of them. A long first turn is the only one.
    """
    best: list[tuple[float, Any]] = [(math.inf, None)] * len(workloads)
    for number in range(_TURNS):
        if number and sum(seconds for seconds, _ in best) > _LONG_TURN:
            break
        for place, (name, work) in enumerate(workloads.items()):
            show(f"measuring {name}{', again' if number else ''}")
            best[place] = min(best[place], timed(work), key=lambda one: one[0])
    return best
