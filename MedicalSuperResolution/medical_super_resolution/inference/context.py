"""What stays the same during one enhancement: the device, how far it is, and where the time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..progress import Progress
from ..settings import EnhanceSettings
from .planning import PROGRAM_BYTES

_PLENTY_BYTES = 0.9e9  # more makes nothing faster
_LEAST_BYTES = 0.1e9
STAGES = ("transfer", "network", "interpolation", "consistency", "output")


class ExecutionContext:
    """Device, progress and timing of one call of `inference.enhance`.

    total : measured voxels to work through, in all passes. held_bytes : of input and output in memory.
    stages : seconds by part of the work; on CUDA, whose work is queued, by the part that waited for it.
    """

    def __init__(self, settings: EnhanceSettings, device: torch.device, total: int, progress: Progress) -> None:
        self.settings = settings
        self.device = device
        self.total = total
        self.done = 0
        self.held_bytes = 0
        self._tile = 0, 0
        self.stages = dict.fromkeys(STAGES, 0.0)
        self._progress = progress
        progress(0, total)

    def reach(self, done: int) -> None:
        """Say that ``done`` voxels are done; this is also where the user's wish to stop is heard."""
        self.done = done
        self._progress(done, self.total)

    def begin_tile(self, core_size: int) -> None:
        """From here on `reach_slice` counts slices of ``core_size`` voxels."""
        self._tile = self.done, core_size

    def reach_slice(self, count: int) -> None:
        """Say that ``count`` slices of the tile are done."""
        done_before, core_size = self._tile
        done = done_before + count * core_size
        if done > self.done:
            self.reach(done)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds of a block to a stage."""
        started = time.perf_counter()
        yield
        self.stages[stage] += time.perf_counter() - started

    @property
    def is_mixed(self) -> bool:
        """Whether the network computes in half precision: as asked, or else on CUDA."""
        if self.settings.precision == "auto":
            return self.device.type == "cuda"
        return self.settings.precision == "mixed"

    @property
    def precision(self) -> str:
        """Of the network: "float32" or "mixed"."""
        return "mixed" if self.is_mixed else "float32"

    def working_bytes(self) -> float:
        """Memory for the work itself: of a graphics card, half of what is free."""
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            return free / 2
        if self.settings.memory_gb is None:
            return _PLENTY_BYTES
        return max(self.settings.memory_gb * 1e9 - self.held_bytes - PROGRAM_BYTES, _LEAST_BYTES)

    def mixed_precision(self) -> torch.autocast:
        """Half precision for the network on CUDA; on a CPU, the refiner converts the network itself."""
        return torch.autocast("cuda", enabled=self.is_mixed and self.device.type == "cuda")
