"""The refiner that a generator chooses, made."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ...networks.contracts import Generator, InPlaneGenerator, SequenceGenerator
from ...volumes.memmap import Allocator
from ..context import ExecutionContext
from .axis_request import VolumeRequest
from .inplane import PlaneRefiner
from .throughplane import SequenceRefiner


class Refiner(Protocol):
    """Runs a generator through a volume."""

    def refined(self, request: VolumeRequest, allocator: Allocator) -> np.ndarray:
        """Return the fine volume (K, J, I), in the type of the request's denormaliser."""


def refiner_of(generator: Generator, context: ExecutionContext) -> Refiner:
    """Return what runs this generator through a volume, on the device of the context."""
    return generator.make_refiner(_Factory(context))


class _Factory:
    """The choices of a generator: see `networks.contracts.RefinerFactory`."""

    def __init__(self, context: ExecutionContext) -> None:
        self._context = context

    def sequence_refiner(self, generator: SequenceGenerator) -> Refiner:
        return SequenceRefiner(generator, self._context)

    def plane_refiner(self, generator: InPlaneGenerator) -> Refiner:
        return PlaneRefiner(generator, self._context)
