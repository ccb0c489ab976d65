"""Steps are scaled to a time, from the measured time of a step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from medical_super_resolution.errors import SettingsError
from medical_super_resolution_training.cli.main import main
from medical_super_resolution_training.config.recipes import read_resolved
from medical_super_resolution_training.data.batch import Batch
from medical_super_resolution_training.data.loader import READY_BATCHES
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.tasks import task_of
from medical_super_resolution_training.training import trainer
from medical_super_resolution_training.workflows import budget
from medical_super_resolution_training.workflows.reproduction import MODELS
from tiny_recipe import TINY
from training_runs import CPU, CRITIC, plane_recipe

AHEAD = replace(CRITIC, head_start=100)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("0.5m", 30)])
def test_a_time_is_read_with_its_unit(text: str, seconds: float):
    assert budget.parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "ten m", "0m", "-3m", "5d"])
def test_a_time_without_meaning_is_refused(text: str):
    with pytest.raises(SettingsError, match="write a number with a unit, such as 90s, 10m or 2h"):
        budget.parse_budget(text)


def test_steps_warm_up_halvings_and_head_start_shrink_together(entries: list[Entry], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(budget, "seconds_a_step", lambda *about, **more: 2.0)
    recipe = plane_recipe(steps=1000, warm_up_steps=100, schedule="halving", halve_at=(400, 800), adversarial=AHEAD)
    found = budget.fitted(recipe, 1000.0, entries, CPU)
    assert found.steps == pytest.approx(450, abs=1)  # nine tenths of 1000 s, 2 s each
    assert found.warm_up_steps == 45
    assert found.halve_at == pytest.approx((180, 360), abs=1)
    assert found.adversarial.head_start == 45
    assert replace(found, steps=1000, warm_up_steps=100, halve_at=(400, 800), adversarial=AHEAD) == recipe


@pytest.mark.parametrize(("seconds", "steps"), [(1000.0, 405), (50.0, 1)])
def test_the_time_of_the_measurement_is_taken_off_and_a_step_is_always_left(
    entries: list[Entry], monkeypatch: pytest.MonkeyPatch, seconds: float, steps: int
):
    def measure(*about: object, **more: object) -> float:
        nonlocal now
        now += 100
        return 2.0

    now = 0.0
    monkeypatch.setattr(budget.time, "monotonic", lambda: now)
    monkeypatch.setattr(budget, "seconds_a_step", measure)
    assert budget.fitted(plane_recipe(steps=1000), seconds, entries, CPU).steps == steps


def test_more_time_than_a_recipe_needs_changes_nothing(entries: list[Entry], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(budget, "seconds_a_step", lambda *about, **more: 1e-3)
    assert budget.fitted(plane_recipe(), 1000.0, entries, CPU) == plane_recipe()


def test_the_time_of_a_step_is_measured_in_both_stages(entries: list[Entry], monkeypatch: pytest.MonkeyPatch):
    judged: list[str] = []
    real = trainer.adversarial_terms
    monkeypatch.setattr(trainer, "adversarial_terms", lambda *about: judged.append("once") or real(*about))
    assert 0 < budget.seconds_a_step(plane_recipe(steps=1000, adversarial=AHEAD), entries, CPU) < 60
    assert len(judged) == 4  # of 8 measured steps: the content stage has three, the head start one


@pytest.mark.parametrize("workers", [1, 3, 6])
def test_the_time_of_a_step_is_that_of_the_workers_where_the_network_waits_for_them(
    workers: int, entries: list[Entry], monkeypatch: pytest.MonkeyPatch
):
    """The first step takes long, in which they work ahead; later on the network takes no time, and a batch a second."""
    now = 0.0
    batch = task_of(plane_recipe()).dataset(entries).batch(0)

    def drawn(sampler: object, steps: range, **about: object) -> Iterator[Batch]:
        nonlocal now
        made, taken = [0.0] * workers, [0.0] * READY_BATCHES * workers
        for step in steps:
            made.append(max(made[-workers], taken[-READY_BATCHES * workers]) + 1)
            now = max(now, made[-1])
            taken.append(now)
            now += 100 * (step == 0)
            yield batch

    monkeypatch.setattr(budget.time, "monotonic", lambda: now)
    monkeypatch.setattr(budget, "batches", drawn)
    assert budget.seconds_a_step(plane_recipe(), entries, CPU, workers=workers) == pytest.approx(1 / workers)


@pytest.mark.slow
def test_a_reproduction_within_a_budget_trains_fewer_steps_and_continues_as_it_began(a_dataset: Path, tmp_path: Path):
    halving = ('schedule = "halving"', "halve_at = [500]")
    lines = ("sample_every = 0", "loss.perceptual = 0.0", *halving, *TINY)
    settings = [part for one in lines for part in ("--set", one)]
    out = tmp_path / "out"
    arguments = ["reproduce", "general", str(a_dataset), str(out), "--device", "cpu", *settings]
    assert main([*arguments, "--budget", "0.4s"]) == 0
    steps = [read_resolved(out / stage.recipe).steps for stage in MODELS["general"]]
    assert all(1 <= one < 1000 for one in steps)
    assert (out / "general.safetensors").is_file()
    assert main([*arguments, "--budget", "0.8s"]) == 0
    assert [read_resolved(out / stage.recipe).steps for stage in MODELS["general"]] == steps
