from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from measuring import an_mr
from medical_super_resolution.errors import Cancelled
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.refiners import throughplane
from medical_super_resolution.inference.refiners.tile_workers import TileWorkers, largest_divisor
from medical_super_resolution.models.file import Model
from medical_super_resolution.networks.blocks import FactorizedPair
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid

SETTINGS = EnhanceSettings(factor=2, axes="k", device="cpu", slice_profile="gaussian")


class Shared:
    """A tile of some slices, of which a thread takes the next."""

    def __init__(self, slices: int, refine_slice: Callable[[Callable[[int], None]], None]) -> None:
        self._slices = iter(range(slices))
        self._refine_slice = refine_slice

    def refine(self, advance: Callable[[int], None]) -> None:
        for _ in self._slices:
            self._refine_slice(advance)


def test_threads_share_the_slices_of_each_tile_and_report_where_they_are_waited_for():
    both = threading.Barrier(2, timeout=30)
    asked, reported, threads = [], [], set()

    def refine_slice(advance) -> None:
        both.wait()
        threads.add((threading.current_thread(), torch.get_num_threads(), torch.is_inference_mode_enabled()))
        advance(10)

    def cut():
        for slices in (6, 0, 4):
            asked.append(slices)
            yield Shared(slices, refine_slice)

    def advance(voxels: int) -> None:
        reported.append((voxels, threading.current_thread()))

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        TileWorkers(cut()).run(2, advance)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert asked == [6, 0, 4]
    assert reported == [(10, threading.current_thread())] * 10
    assert len(threads) == 2
    assert {entry[1:] for entry in threads} == {(1, True)}


def test_where_the_system_gives_too_few_threads_those_that_run_are_ended(monkeypatch: pytest.MonkeyPatch):
    start, begun, ended = threading.Thread.start, [], threading.Event()

    def refine_slice(advance) -> None:
        try:
            while True:
                advance(1)
        finally:
            ended.set()

    def started(thread: threading.Thread) -> None:
        if begun:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    workers = TileWorkers(iter([Shared(1, refine_slice)]))
    monkeypatch.setattr(threading.Thread, "start", started)
    try:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            workers.run(2, lambda voxels: None)
        assert ended.is_set()
    finally:
        workers._is_stopping.set()


def test_who_cancels_ends_all_workers():
    ended = []

    def refine_slice(advance) -> None:
        try:
            while True:
                advance(1)
        finally:
            ended.append(True)

    def cancel(voxels: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        TileWorkers(iter([Shared(2, refine_slice), Shared(9, refine_slice)])).run(2, cancel)
    assert 1 <= len(ended) <= 2  # a worker that has not begun does not have to
    assert not [one for one in threading.enumerate() if "_work" in one.name]


def test_a_worker_that_fails_ends_the_others_and_is_raised():
    first = threading.Lock()

    def refine_slice(advance) -> None:
        if first.acquire(blocking=False):
            raise MemoryError("of the first slice")
        while True:
            advance(1)

    with pytest.raises(MemoryError, match="of the first slice"):
        TileWorkers(iter([Shared(9, refine_slice)])).run(2, lambda voxels: None)


def test_what_fails_in_one_turn_of_a_tile_is_what_all_threads_raise(a_model: Model, monkeypatch: pytest.MonkeyPatch):
    """A turn after a failed one must neither continue with its partial state nor hide its error."""
    real, pairs = FactorizedPair.forward, []

    def failing(pair, features, sequence):
        pairs.append(pair)
        if len(pairs) == 5:
            raise MemoryError("of one turn")
        return real(pair, features, sequence)

    monkeypatch.setattr(FactorizedPair, "forward", failing)
    with pytest.raises(MemoryError, match="of one turn"):
        enhance(an_mr(Grid((9, 40, 30), np.eye(4))), a_model, replace(SETTINGS, threads=2))
    assert not [one for one in threading.enumerate() if "_work" in one.name]


@pytest.mark.parametrize("threads", [2, 4])
def test_the_result_and_the_progress_are_those_of_one_thread(
    a_model: Model, monkeypatch: pytest.MonkeyPatch, threads: int
):
    monkeypatch.setattr(throughplane, "_LARGEST_SIDE", {"cpu": 16})
    volume = an_mr(Grid((5, 40, 30), np.eye(4)))
    seen: dict[int, list[tuple[int, int]]] = {1: [], threads: []}
    alone, together = (
        enhance(
            volume,
            a_model,
            replace(SETTINGS, threads=count),
            lambda done, total, n=count: seen[n].append((done, total)),
        ).volume.array
        for count in (1, threads)
    )
    np.testing.assert_array_equal(together, alone)
    assert seen[threads][-1] == seen[1][-1]
    done = [one for one, _ in seen[threads]]
    assert done == sorted(done)
    assert len(done) > 10


@pytest.mark.parametrize("threads", [1, 2])
def test_what_a_tile_held_is_freed_as_soon_as_it_is_done(a_model: Model, monkeypatch: pytest.MonkeyPatch, threads: int):
    """Objects that refer to each other would wait for the garbage collector, which does not see how large they are."""
    made, living = [], weakref.WeakSet()

    class Watched(throughplane.TileStream):
        def __init__(self, *arguments) -> None:
            super().__init__(*arguments)
            living.add(self)
            made.append(self.tile)

    monkeypatch.setattr(throughplane, "_LARGEST_SIDE", {"cpu": 16})
    monkeypatch.setattr(throughplane, "TileStream", Watched)
    gc.disable()
    try:
        enhance(an_mr(Grid((3, 40, 30), np.eye(4))), a_model, replace(SETTINGS, threads=threads))
    finally:
        gc.enable()
    assert len(made) == 6
    assert not living


@pytest.mark.parametrize(("count", "most", "divisor"), [(2, 8, 2), (16, 8, 8), (6, 4, 3), (7, 4, 1), (8, 5, 4)])
def test_workers_divide_the_threads_evenly(count: int, most: int, divisor: int):
    assert largest_divisor(count, most) == divisor
