"""Batches in the order of the steps, prepared by worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from medical_super_resolution.errors import SuperResolutionError

READY_BATCHES = 2  # batches that each worker holds ready
BatchType = TypeVar("BatchType", covariant=True)


class Sampler(Protocol[BatchType]):
    """Draws the batch of a step as a function of the step alone."""

    def batch(self, step: int, rank: int = 0, world: int = 1) -> BatchType:
        """The batch, or one process's share of it."""
        ...


class _Steps(Dataset):
    """The batches of a range of steps, as torch's loader wants them."""

    def __init__(self, sampler: Sampler, steps: range, rank: int, world: int) -> None:
        self.sampler, self.steps, self.rank, self.world = sampler, steps, rank, world

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, number: int) -> object:
        try:
            return self.sampler.batch(self.steps[number], self.rank, self.world)
        except SuperResolutionError as problem:
            return problem  # torch would turn its sentence into a traceback


def batches(
    sampler: Sampler[BatchType], steps: range, *, workers: int, rank: int = 0, world: int = 1
) -> Iterator[BatchType]:
    """The batches of ``steps`` in their order; the same ones whatever the number of workers.

    Each worker holds `READY_BATCHES` batches ready. They end with the iterator.

    Raises
    ------
    SuperResolutionError
        What the sampler raises, also in a worker.
    """
    if not workers:
        for step in steps:
            yield sampler.batch(step, rank, world)
        return
    unused = torch.Generator()  # a loader draws a seed; not from the numbers that the training draws from
    loader = DataLoader(
        _Steps(sampler, steps, rank, world),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=READY_BATCHES,
        generator=unused,
    )
    for batch in loader:
        if isinstance(batch, SuperResolutionError):
            raise batch
        yield batch
