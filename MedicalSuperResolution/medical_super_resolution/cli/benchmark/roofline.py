"""The roofline of a machine: the least time in which it can run a network.

That is the larger of the times for the arithmetic and for the memory traffic of the network, at speeds measured here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ...inference.context import ExecutionContext
from ...networks.contracts import SequenceGenerator
from ...networks.narrow.integer_convolution import IntegerConvolution
from ...networks.products import product
from .timing import timed

_SIDES = {"cpu": 2048, "cuda": 8192}  # of matrices, whose product measures arithmetic
_BYTES = {"cpu": 1 << 28, "cuda": 1 << 31}  # of a copy, which measures memory traffic
_ROUNDS = 5


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
    return 2 * side**3 / _quickest(lambda: product(left, right))


def _bytes_a_second(device: torch.device) -> float:
    source = torch.zeros(_BYTES.get(device.type, _BYTES["cpu"]), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _quickest(lambda: target.copy_(source))


def _quickest(work: Callable[[], Any]) -> float:
    return min(timed(work)[0] for _ in range(_ROUNDS))
