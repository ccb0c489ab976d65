"""What stays the same during one enhancement: the device, how far it is, and where the time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .progress import Progress
from .settings import EnhanceSettings

STAGES = ("transfer", "network", "interpolation", "consistency", "output")


class Workbench:
    """Device, progress and timing of one call of `inference.enhance`.

    total : measured voxels to work through, in all passes. stages : seconds by part of the work; on CUDA, whose work
    is queued, by the part that waited for it.
    """

    def __init__(self, settings: EnhanceSettings, device: torch.device, total: int, progress: Progress) -> None:
        self.settings = settings
        self.device = device
        self.total = total
        self.done = 0
        self.stages = dict.fromkeys(STAGES, 0.0)
        self._progress = progress
        progress(0, total)

    def reach(self, done: int) -> None:
        """Say that ``done`` voxels are done; this is also where the user's wish to stop is heard."""
        self.done = done
        self._progress(done, self.total)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds of a block to a stage."""
        started = time.perf_counter()
        yield
        self.stages[stage] += time.perf_counter() - started

    def working_bytes(self) -> float:
        """Memory to use beside input and output: as the user says; of a graphics card, half of what is free."""
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            return free / 2
        return self.settings.memory_gb * 1e9

    def mixed_precision(self) -> torch.autocast:
        """Half precision for the network where it pays: on CUDA."""
        return torch.autocast("cuda", enabled=self.device.type == "cuda")
