"""Several processes that train as one: each takes its share of every batch, and all keep the same weights.

Started by ``torchrun``, on one machine or several. The gradient is the mean over the processes, which is that of the
whole batch, because every loss is a mean over samples. Losses that compare scores across samples (relativistic ones)
get the scores of all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class DistributedContext:
    """One process, ``rank``, among ``world``; counted from 0."""

    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients by their mean over all processes."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.world == 1 or not gradients:
            return
        together = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(together)
        together /= self.world
        parts = together.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def gather_scores(self, scores: Tensor) -> Tensor:
        """Scores of the whole batch, (N, M), from this process' share; gradients flow into the share alone.

        A mean over them must be multiplied by ``world``: `average_gradients` divides what each process contributes.
        """
        if self.world == 1:
            return scores
        found = [torch.empty_like(scores) for _ in range(self.world)]
        distributed.all_gather(found, scores.detach().contiguous())
        found[self.rank] = scores
        return torch.cat(found)

    def gather(self, found: dict[str, float]) -> dict[str, float]:
        """The values that all processes found, in the order of the processes."""
        if self.world == 1:
            return found
        parts: list[dict[str, float]] = [{} for _ in range(self.world)]
        distributed.all_gather_object(parts, found)
        return {name: value for part in parts for name, value in part.items()}

    def barrier(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            distributed.barrier()


def initialize(device: torch.device) -> DistributedContext:
    """Join the processes that ``torchrun`` started; without it, this process alone."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return DistributedContext()
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return DistributedContext(distributed.get_rank(), world)


def local_device(device: torch.device) -> torch.device:
    """The graphics card of this process, where there are several."""
    if device.type == "cuda" and "LOCAL_RANK" in os.environ:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)  # where the processes meet, too
    return device
