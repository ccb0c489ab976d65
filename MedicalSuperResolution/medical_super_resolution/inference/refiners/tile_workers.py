"""Several tiles at the same time, each by a thread of its own.

Threads that share every operation of one tile wait for each other after each of them; threads with a tile each do
not. On a machine that other programs use as well, that is several times as fast.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue

import torch

from ...errors import Cancelled
from ..device import cpu_threads
from .tiling import Tile

Advance = Callable[[int], None]
"""Takes the number of voxels that were done since the last call; may raise to cancel."""


class TileWorkers:
    """Threads that refine tiles; what they have done is reported in the thread that waits for them.

    Parameters
    ----------
    refine : callable
        Refines a tile and calls its second argument after every slice. Of each tile it is called once.
    cut : iterable of Tile
        What is to be done.
    """

    def __init__(self, refine: Callable[[Tile, Advance], None], cut: Iterable[Tile]) -> None:
        self._refine = refine
        self._tiles: SimpleQueue[Tile] = SimpleQueue()
        for tile in cut:
            self._tiles.put(tile)
        self._events: SimpleQueue[int | BaseException | None] = SimpleQueue()  # voxels, a failure, the end of a worker
        self._is_stopping = threading.Event()

    def run(self, count: int, advance: Advance) -> None:
        """Refine all tiles with ``count`` workers, which divide torch's threads between them.

        Raises
        ------
        BaseException
            What ``advance`` or a worker raised, once all workers have ended.
        """
        threads_each = max(torch.get_num_threads() // count, 1)
        with cpu_threads(threads_each):
            workers = [threading.Thread(target=self._work, args=(threads_each,)) for _ in range(count)]
            for worker in workers:
                worker.start()
            try:
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
            torch.set_num_threads(threads)  # each thread has a number of its own
            for tile in iter(self._next, None):
                self._refine(tile, self._advance)
        except BaseException as problem:  # noqa: BLE001 - goes on in the thread that waits
            self._events.put(problem)
        self._events.put(None)

    def _next(self) -> Tile | None:
        with suppress(Empty):
            return self._tiles.get_nowait()
        return None

    def _advance(self, voxels: int) -> None:
        if self._is_stopping.is_set():
            raise Cancelled
        self._events.put(voxels)


def largest_divisor(count: int, most: int) -> int:
    """The largest divisor of ``count`` that is at most ``most``."""
    return next(divisor for divisor in range(min(count, most), 0, -1) if count % divisor == 0)
