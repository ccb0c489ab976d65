"""Several threads that refine tiles together.

The threads take turns with the slices of one tile and share its memory. Threads that split every operation, as in
PyTorch, wait for each other after each one; on a machine with other programs running, that is several times slower.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Protocol

import torch

from ...errors import Cancelled
from ..device import cpu_threads

Advance = Callable[[int], None]
"""Called with the number of voxels refined since the last call; may raise to cancel."""


class SharedTile(Protocol):
    """A tile that several threads can refine together."""

    def refine(self, advance: Advance) -> None:
        """Refine the slices that other threads have not taken, and call ``advance`` after each."""


class TileWorkers:
    """Threads that refine one tile after the other. Progress is reported in the thread that called `run`.

    Parameters
    ----------
    tiles : iterator of SharedTile
        The tiles; the next one is taken when all slices of the one before have been started.
    """

    def __init__(self, tiles: Iterator[SharedTile]) -> None:
        self._tiles = tiles
        self._current: SharedTile | None = None
        self._lock = threading.Lock()
        self._events: SimpleQueue[int | BaseException | None] = SimpleQueue()  # voxels, a failure, the end of a worker
        self._is_stopping = threading.Event()

    def run(self, count: int, advance: Advance) -> None:
        """Refine all tiles with ``count`` workers, which share the threads of torch.

        Raises
        ------
        BaseException
            What ``advance`` or a worker raised, once all workers have ended.
        """
        threads_each = max(torch.get_num_threads() // count, 1)
        with cpu_threads(threads_each):
            workers: list[threading.Thread] = []
            try:
                for _ in range(count):
                    worker = threading.Thread(target=self._work, args=(threads_each,))
                    worker.start()  # raises where the system gives no more threads
                    workers.append(worker)
                while count:
                    event = self._events.get()
                    if event is None:
                        count -= 1
                    elif isinstance(event, BaseException):
                        raise event
                    else:
                        advance(event)
            finally:
                self._is_stopping.set()
                for worker in workers:
                    worker.join()

    @torch.inference_mode()
    def _work(self, threads: int) -> None:
        try:
            torch.set_num_threads(threads)  # the setting is per thread
            tile: SharedTile | None = None
            while (tile := self._tile_after(tile)) is not None:
                tile.refine(self._advance)
        except BaseException as problem:  # raised again by `run`
            self._events.put(problem)
        self._events.put(None)

    def _tile_after(self, done: SharedTile | None) -> SharedTile | None:
        """The tile that other workers have started after ``done``, or else a new one."""
        with self._lock:
            if self._current is done:
                self._current = next(self._tiles, None)
            return self._current

    def _advance(self, voxels: int) -> None:
        if self._is_stopping.is_set():
            raise Cancelled
        self._events.put(voxels)


def largest_divisor(count: int, most: int) -> int:
    """The largest divisor of ``count`` that is at most ``most``."""
    return next(divisor for divisor in range(min(count, most), 0, -1) if count % divisor == 0)
