"""The context of one enhancement: device, precision, memory, progress and timing."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

import torch

from ..progress import Progress
from ..settings import EnhanceSettings
from .cost import LEAST_WORKING_BYTES, PROGRAM_BYTES, allowed_bytes, volume_bytes, working_bytes
from .device import cpu_has_bfloat16, cpu_has_vnni, is_out_of_memory
from .planning import Plan

_CUDA_BYTES, _SPARE_BYTES = 1e8, 0.5e8  # of the libraries of CUDA; left unused, so that limits are kept
_LEAST_BYTES = 0.1e9  # of working memory, however little is left
STAGES = ("profile", "transfer", "network", "interpolation", "consistency", "output")


class ExecutionContext:
    """Device, progress and timing of one call of `inference.enhance.enhance`.

    Parameters
    ----------
    settings : EnhanceSettings
        The requested settings.
    device : torch.device
        Where the network runs; the CPU once a graphics card has run out of memory.
    total : int
        Measured voxels to work through, in all passes.
    progress : callable
        Called with voxels done and in total.

    Attributes
    ----------
    held_bytes : int
        Memory taken by input and output.
    tile_limit : int or None
        Side of a tile, or number of whole slices, that is not to be exceeded, once the device has run out of memory.
    halves_on_cpu : bool
        Whether the network has a half precision for a CPU.
    workers : int
        Threads that refine tiles at the same time.
    stages : dict of str to float
        Seconds by part of the work. On CUDA, whose work is queued, by the part that waited for it.
    """

    def __init__(self, settings: EnhanceSettings, device: torch.device, total: int, progress: Progress) -> None:
        self.settings = settings
        self.device = device
        self.total = total
        self.done = 0
        self.held_bytes = 0
        self.tile_limit: int | None = None
        self.halves_on_cpu = True
        self.workers = 1
        self._lock = Lock()
        self.stages = dict.fromkeys(STAGES, 0.0)
        self._progress = progress
        progress(0, total)

    def reach(self, done: int) -> None:
        """Report that ``done`` voxels are done. The progress callback may raise to cancel."""
        self.done = done
        self._progress(done, self.total)

    def advance(self, voxels: int) -> None:
        """Report that ``voxels`` more are done."""
        self.reach(self.done + voxels)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds of a block to a stage; of several workers, their mean."""
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        with self._lock:
            self.stages[stage] += seconds / self.workers

    @property
    def precision(self) -> str:
        """Precision of the network: "float32", "mixed" or "int8".

        As asked where the device has the units for it; otherwise it would be slower and less exact.
        """
        device, asked = self.device.type, self.settings.precision
        if asked == "int8" and device == "cpu" and cpu_has_vnni():
            return "int8"
        if device == "cuda":
            return "float32" if asked == "float32" else "mixed"
        can_halve = device == "cpu" and self.halves_on_cpu and cpu_has_bfloat16()
        return "mixed" if asked == "mixed" and can_halve else "float32"

    @property
    def is_mixed(self) -> bool:
        """Whether the network computes in half precision."""
        return self.precision == "mixed"

    def mixed_precision(self) -> torch.autocast:
        """Half precision for the network on CUDA; on a CPU, the refiner converts the network itself."""
        return torch.autocast("cuda", enabled=self.is_mixed and self.device.type == "cuda")

    def working_bytes(self) -> float:
        """Memory for the work: of a graphics card, half of what is free or cached by torch."""
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            cached = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
            return (free + cached) / 2
        left = allowed_bytes(self.settings) - self.held_bytes - _program_bytes()
        wanted = math.inf if self.settings.memory_gb else working_bytes(self.total)
        return max(min(left, wanted), _LEAST_BYTES)

    def retry_with_less_memory(self, attempt: Callable[[], None], shrink: Callable[[], None]) -> None:
        """Call ``attempt`` until the graphics card does not run out of memory, and ``shrink`` after each failure.

        Raises
        ------
        RuntimeError
            Another failure; or this one on the CPU, where there is nothing left to shrink to.
        """
        done_before = self.done
        while not self._succeeds(attempt):
            # Outside the `except` block: the traceback, which held the tensors of the failed attempt, is gone.
            self.done = done_before
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if torch.backends.mps.is_available():
                torch.mps.empty_cache()
            shrink()

    def _succeeds(self, attempt: Callable[[], None]) -> bool:
        try:
            attempt()
        except RuntimeError as problem:
            if self.device.type == "cpu" or not is_out_of_memory(problem):
                raise
            return False
        return True

    def move_to_cpu(self) -> None:
        """Continue on the CPU."""
        self.device = torch.device("cpu")
        self.tile_limit = None


def fits_memory(planned: Plan, bytes_a_voxel: int, settings: EnhanceSettings) -> bool:
    """Whether the program, input, results and working memory fit into `cost.allowed_bytes`."""
    needed = _program_bytes() + volume_bytes(planned, bytes_a_voxel, settings) + LEAST_WORKING_BYTES
    return needed <= allowed_bytes(settings)


def _program_bytes() -> float:
    """Memory of the program with PyTorch, before any volume, at most."""
    return PROGRAM_BYTES + _SPARE_BYTES + (_CUDA_BYTES if torch.version.cuda or torch.version.hip else 0.0)
