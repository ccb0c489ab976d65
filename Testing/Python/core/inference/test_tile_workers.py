from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from measuring import an_mr
from medical_super_resolution.errors import Cancelled
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.refiners import throughplane
from medical_super_resolution.inference.refiners.tile_workers import TileWorkers, largest_divisor
from medical_super_resolution.inference.refiners.tiling import tiles
from medical_super_resolution.models.file import Model
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid

CUT = list(tiles((40, 60), 20, 3))  # six
SETTINGS = EnhanceSettings(factor=2, axes="k", device="cpu", slice_profile="gaussian")


def test_every_tile_is_refined_once_by_two_at_a_time_and_reported_where_it_is_waited_for():
    both = threading.Barrier(2, timeout=30)
    refined, reported, threads = [], [], set()

    def refine(tile, advance) -> None:
        both.wait()
        threads.add((threading.current_thread(), torch.get_num_threads(), torch.is_inference_mode_enabled()))
        refined.append(tile)
        advance(tile.core_size)

    def advance(voxels: int) -> None:
        reported.append((voxels, threading.current_thread()))

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        TileWorkers(refine, CUT).run(2, advance)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert {(tile.core_j.start, tile.core_i.start) for tile in refined} == {
        (j, i) for j in (0, 20) for i in (0, 20, 40)
    }
    assert len(refined) == 6
    assert sum(voxels for voxels, _ in reported) == 40 * 60
    assert {thread for _, thread in reported} == {threading.current_thread()}
    assert len(threads) == 2
    assert {entry[1:] for entry in threads} == {(1, True)}


def test_who_cancels_ends_all_workers():
    ended = []

    def refine(tile, advance) -> None:
        try:
            while True:
                advance(1)
        finally:
            ended.append(tile)

    def cancel(voxels: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        TileWorkers(refine, CUT).run(2, cancel)
    assert 1 <= len(ended) <= 2  # a worker that has not begun does not have to
    assert not [one for one in threading.enumerate() if "_work" in one.name]


def test_a_worker_that_fails_ends_the_others_and_is_raised():
    def refine(tile, advance) -> None:
        if tile is CUT[0]:
            raise MemoryError("of the first tile")
        while True:
            advance(1)

    with pytest.raises(MemoryError, match="of the first tile"):
        TileWorkers(refine, CUT).run(2, lambda voxels: None)


@pytest.mark.parametrize("threads", [2, 4])
def test_the_result_and_the_progress_are_those_of_one_thread(
    a_model: Model, monkeypatch: pytest.MonkeyPatch, threads: int
):
    monkeypatch.setattr(throughplane, "_LARGEST_SIDE", {"cpu": 16})
    monkeypatch.setattr(throughplane, "_SMALLEST_SIDE_OF_MANY", 16)
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


@pytest.mark.parametrize(("count", "most", "divisor"), [(2, 8, 2), (16, 8, 8), (6, 4, 3), (7, 4, 1), (8, 5, 4)])
def test_workers_divide_the_threads_evenly(count: int, most: int, divisor: int):
    assert largest_divisor(count, most) == divisor
