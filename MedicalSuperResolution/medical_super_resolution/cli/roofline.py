"""Timing of workloads, and the roofline of a machine: the least time in which it can run a network.

That is the larger of the times for the arithmetic and for the memory traffic of the network, at speeds measured here.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..inference.context import ExecutionContext
from ..networks.contracts import SequenceGenerator
from ..networks.integer_convolution import IntegerConvolution
from ..system.software import __version__

_SIDES = {"cpu": 2048, "cuda": 8192}  # of matrices, whose product measures arithmetic
_BYTES = {"cpu": 1 << 28, "cuda": 1 << 31}  # of a copy, which measures memory traffic
_ROUNDS = 5
_TURNS = 2

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

    They run in turns, so that a temporary load on the machine slows all of them.
    """
    best: list[tuple[float, Any]] = [(math.inf, None)] * len(workloads)
    for number in range(_TURNS):
        for place, (name, work) in enumerate(workloads.items()):
            show(f"measuring {name}, round {number + 1} of {_TURNS}")
            best[place] = min(best[place], timed(work), key=lambda one: one[0])
    return best


def compared(
    generator: SequenceGenerator, context: ExecutionContext, voxels: int, factor: float, seconds: float
) -> dict[str, Any]:
    """The least times (floors) of a run over ``voxels`` measured voxels, and the larger one over its ``seconds``."""
    operations, values = work_a_voxel(generator, factor)
    half = torch.float16 if context.device.type == "cuda" else torch.bfloat16
    precision = {"float32": torch.float32, "mixed": half, "int8": torch.int8}[context.precision]
    arithmetic = voxels * operations / _operations_a_second(context.device, precision)
    traffic = voxels * values * precision.itemsize / _bytes_a_second(context.device)
    return {
        "arithmetic_floor_seconds": arithmetic,
        "memory_traffic_floor_seconds": traffic,
        "part_of_the_larger_floor": max(arithmetic, traffic) / seconds,
    }


def work_a_voxel(generator: SequenceGenerator, factor: float) -> tuple[float, float]:
    """Operations, and values that are read and written, for one measured voxel; a multiply-add is two operations.

    Each convolution of the generator counts once for every measured voxel, and the head once for every fine one.
    """
    convolutions = [part for part in generator.modules() if isinstance(part, nn.Conv3d)]
    operations = sum(2 * one.weight.numel() for one in convolutions)
    values = sum(one.in_channels + one.out_channels for one in convolutions)
    channels = generator.config.channels
    return operations + 4 * channels * factor, values + 2 * channels + factor


def _operations_a_second(device: torch.device, precision: torch.dtype) -> float:
    side = _SIDES.get(device.type, _SIDES["cpu"])
    left, right = (torch.rand((side, side), device=device).to(precision) for _ in range(2))
    if precision == torch.int8:
        convolution = IntegerConvolution(right[..., None, None], torch.ones(side))
        return 2 * side**3 / _quickest(lambda: convolution(left[None]))
    return 2 * side**3 / _quickest(lambda: left @ right)


def _bytes_a_second(device: torch.device) -> float:
    source = torch.zeros(_BYTES.get(device.type, _BYTES["cpu"]), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _quickest(lambda: target.copy_(source))


def _quickest(work: Callable[[], Any]) -> float:
    return min(timed(work)[0] for _ in range(_ROUNDS))


def identity() -> dict[str, Any]:
    """Context of a measurement: date, versions of this package and of PyTorch, processor."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "version": __version__,
        "engine": f"torch {torch.__version__}",
        "processor": processor(Path("/proc/cpuinfo")),
    }


def processor(known: Path) -> str:
    """The name of the processor: from Linux's file ``known``, or what Python knows elsewhere."""
    with suppress(OSError):
        for line in known.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
