"""How long enhancing takes is learned from the runs so far."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("slicer")

from medical_super_resolution.inference.cost import START_SECONDS
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume
from MedicalSuperResolutionLib.engine.run_times import RunTimes


class Store(dict):
    """Settings of the application."""

    def value(self, key, default):
        return self.get(key, default)

    def setValue(self, key, value):
        self[key] = value


@pytest.fixture
def a_large_volume():
    shape = (60, 512, 512)
    return Volume(np.zeros(shape, np.int16), Grid(shape, np.diag([1.0, 1.0, 4.0, 1.0])))


def test_before_the_first_run_the_estimate_of_the_package_counts_except_for_a_graphics_card(a_volume):
    run_times = RunTimes(Store())
    assert run_times.seconds(a_volume, EnhanceSettings(threads=2)) > 2.9
    assert run_times.seconds(a_volume, EnhanceSettings(threads=2, device="cuda")) is None


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_after_two_runs_the_time_is_within_a_factor_of_one_and_a_half(a_large_volume, device):
    store, settings = Store(), EnhanceSettings(threads=2, device=device, uncertainty=True)
    for _ in range(2):
        RunTimes(store).learn(a_large_volume, settings, engine_seconds=40.0, start_seconds=5.0)
    assert 45 / 1.5 < RunTimes(store).seconds(a_large_volume, settings) < 45 * 1.5
    assert 85 / 1.5 < RunTimes(store).seconds(a_large_volume, settings, count=2) < 85 * 1.5


def test_the_first_run_of_a_kind_is_foreseen_by_how_the_device_did_with_others(a_large_volume):
    plain, mirrored = EnhanceSettings(threads=2), EnhanceSettings(threads=2, uncertainty=True)
    work = {one: RunTimes(Store()).seconds(a_large_volume, one) - START_SECONDS for one in (plain, mirrored)}
    store = Store()
    RunTimes(store).learn(a_large_volume, plain, engine_seconds=10 * work[plain], start_seconds=3.0)  # a slow computer
    assert RunTimes(store).seconds(a_large_volume, mirrored) == pytest.approx(3 + 10 * work[mirrored], rel=0.1)
    RunTimes(store).learn(a_large_volume, mirrored, engine_seconds=2 * work[mirrored], start_seconds=3.0)
    assert RunTimes(store).seconds(a_large_volume, mirrored) == pytest.approx(3 + 2 * work[mirrored], rel=0.1)
    assert RunTimes(store).seconds(a_large_volume, plain) == pytest.approx(3 + 10 * work[plain], rel=0.1)
    elsewhere = EnhanceSettings(threads=2, device="cpu")
    assert RunTimes(store).seconds(a_large_volume, elsewhere) == pytest.approx(3 + work[plain], rel=0.1)


def test_two_threads_say_nothing_about_twenty(a_large_volume):
    store = Store()
    before = RunTimes(store).seconds(a_large_volume, EnhanceSettings(threads=2))
    RunTimes(store).learn(a_large_volume, EnhanceSettings(threads=20), engine_seconds=900.0)
    assert RunTimes(store).seconds(a_large_volume, EnhanceSettings(threads=2)) == before


def test_fusing_says_nothing_about_enhancing(a_large_volume):
    store, settings = Store(), EnhanceSettings(threads=2)
    before = RunTimes(store).seconds(a_large_volume, settings)
    RunTimes(store).learn_fusion(1_000_000, settings, seconds=900.0)
    assert RunTimes(store).seconds(a_large_volume, settings) == before


def test_one_run_that_others_slowed_down_is_forgotten_after_three(a_large_volume):
    store, settings = Store(), EnhanceSettings(threads=2)
    usual = {"engine_seconds": 40.0, "start_seconds": 5.0}
    RunTimes(store).learn(a_large_volume, settings, engine_seconds=800.0, start_seconds=60.0)
    for _ in range(3):
        RunTimes(store).learn(a_large_volume, settings, **usual)
    assert 45 / 1.5 < RunTimes(store).seconds(a_large_volume, settings) < 45 * 1.5


def test_a_short_run_hardly_counts_for_long_ones(a_volume, a_large_volume):
    """Most of its time is the same for all volumes."""
    store, settings = Store(), EnhanceSettings(threads=2)
    before = RunTimes(store).seconds(a_large_volume, settings)
    RunTimes(store).learn(a_volume, settings, engine_seconds=2.0, start_seconds=4.0)
    assert before / 1.5 < RunTimes(store).seconds(a_large_volume, settings) < before * 1.5


def test_runs_of_a_running_process_do_not_count_for_its_start(a_large_volume):
    store, settings = Store(), EnhanceSettings(threads=2)
    RunTimes(store).learn(a_large_volume, settings, engine_seconds=50.0, start_seconds=80.0)
    for _ in range(5):
        RunTimes(store).learn(a_large_volume, settings, engine_seconds=50.0)
    assert RunTimes(store).seconds(a_large_volume, settings) == pytest.approx(130.0, rel=0.1)


def test_what_is_kept_holds_numbers_only_and_what_others_wrote_is_ignored(a_large_volume):
    store = Store()
    RunTimes(store).learn(
        a_large_volume, EnhanceSettings(threads=2, model="/home/jane doe/x"), engine_seconds=1.0, start_seconds=3.0
    )
    (kept,) = store.values()
    assert "jane" not in kept
    assert all(isinstance(value, float) for value in json.loads(kept).values())
    for broken in ("[1]", "{", '{"start": "x"}', '{"start": 0, "auto 2 general plain": -1}'):
        store[next(iter(store))] = broken
        assert RunTimes(store).seconds(a_large_volume, EnhanceSettings(threads=2)) > 0
