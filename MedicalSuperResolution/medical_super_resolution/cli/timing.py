"""How long works take that are compared: they take turns, so that whatever slows the machine for a while slows all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

_ROUNDS = 2

Tell = Callable[[str], None]
"""Takes a line for whoever waits."""


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, CUDA's queue included, and what it gives."""
    started = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started, result


def quickest(works: Mapping[str, Callable[[], Any]], tell: Tell) -> list[tuple[float, Any]]:
    """Seconds and result of each work's quickest round."""
    best: list[tuple[float, Any]] = [(math.inf, None)] * len(works)
    for number in range(_ROUNDS):
        for place, (name, work) in enumerate(works.items()):
            tell(f"measuring {name}, round {number + 1} of {_ROUNDS}")
            best[place] = min(best[place], timed(work), key=lambda one: one[0])
    return best
