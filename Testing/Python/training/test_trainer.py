from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution_training import trainer
from medical_super_resolution_training.checkpoints import restore_newest, save_checkpoint
from medical_super_resolution_training.config import Recipe
from medical_super_resolution_training.data import PatchSampler
from medical_super_resolution_training.manifest import Entry
from medical_super_resolution_training.trainer import (
    TrainingState,
    content_loss,
    generator_loss,
    learning_rate,
    new_state,
    train,
    update_average,
)


def trained(recipe: Recipe, entries: list[Entry], run: Path, state: TrainingState | None = None) -> TrainingState:
    run.mkdir(exist_ok=True)
    state = state or new_state(recipe, "cpu")
    train(
        state,
        PatchSampler(entries, recipe),
        recipe,
        "cpu",
        run,
        checkpoint=lambda: save_checkpoint(run, state),
        report=lambda step, loss: None,
    )
    return state


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    for name, tensor in other.state_dict().items():
        np.testing.assert_allclose(one.state_dict()[name], tensor, atol=1e-6, err_msg=name)


# The learning rate


@pytest.fixture
def a_schedule() -> Recipe:
    return Recipe(steps=110, warm_up_steps=10, learning_rate=1e-2, final_learning_rate=1e-4)


def test_the_learning_rate_rises_in_a_line(a_schedule: Recipe):
    rates = [learning_rate(a_schedule, step) for step in range(10)]
    np.testing.assert_allclose(rates, np.arange(1, 11) * 1e-3)


def test_the_learning_rate_falls_as_half_a_cosine(a_schedule: Recipe):
    assert learning_rate(a_schedule, 10) == pytest.approx(1e-2)
    assert learning_rate(a_schedule, 60) == pytest.approx((1e-2 + 1e-4) / 2)
    assert learning_rate(a_schedule, 35) == pytest.approx(1e-4 + (1e-2 - 1e-4) * (1 + np.cos(np.pi / 4)) / 2)
    assert learning_rate(a_schedule, 110) == pytest.approx(1e-4)


def test_the_learning_rate_never_rises_again(a_schedule: Recipe):
    rates = [learning_rate(a_schedule, step) for step in range(10, 200)]
    assert all(after <= before for before, after in zip(rates[:-1], rates[1:], strict=True))


@pytest.mark.parametrize("warm_up", [0, 5])
def test_a_run_no_longer_than_its_warm_up_has_a_learning_rate_too(warm_up: int):
    recipe = Recipe(steps=5, warm_up_steps=warm_up, learning_rate=1e-2, final_learning_rate=1e-4)
    assert all(1e-4 <= learning_rate(recipe, step) <= 1e-2 for step in range(6))


# Losses and the average


def test_the_loss_is_the_mean_absolute_error():
    sr, hr = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 3.0, 1.0])
    assert float(content_loss(sr, hr, 0.0)) == pytest.approx(4 / 3)


def test_the_loss_can_be_the_mean_squared_error():
    sr, hr = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 3.0, 1.0])
    assert float(content_loss(sr, hr, 1.0)) == pytest.approx(10 * 10 / 3)


def test_the_consistent_part_of_the_loss_does_not_punish_what_the_projection_mends(entries, a_recipe: Recipe):
    """An answer that is wrong by what the measured slices tell costs nothing once it is projected."""

    class Wrong(torch.nn.Module):
        def forward(self, lr, positions, factor, thickness):
            seen = torch.einsum("mk,nckji->ncmji", batch.consistency, torch.ones_like(lr))
            return batch.hr + 0.1 * seen

    batch = PatchSampler(entries, replace(a_recipe, noise_fraction=0.0, thickness_range=(0.9, 1.0))).batch(0)
    raw = float(generator_loss(Wrong(), batch, replace(a_recipe, consistent_weight=0.0)))
    consistent = float(generator_loss(Wrong(), batch, replace(a_recipe, consistent_weight=1.0)))
    assert raw > 0.05
    assert consistent < 1e-5


def test_the_average_moves_by_a_part_of_the_way():
    average, generator = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    before, after = average.weight.detach().clone(), generator.weight.detach().clone()
    update_average(average, generator, 0.75)
    np.testing.assert_allclose(average.weight.detach(), 0.75 * before + 0.25 * after, atol=1e-6)


# The loop


def test_training_brings_the_loss_down(entries: list[Entry], a_recipe: Recipe, tmp_path: Path):
    recipe = replace(a_recipe, steps=40, learning_rate=5e-3, batch_size=4)
    sampler = PatchSampler(entries, replace(recipe, seed=1234))
    state = new_state(recipe, "cpu")

    def loss() -> float:
        with torch.no_grad():
            return float(
                np.mean([float(generator_loss(state.generator, sampler.batch(step), recipe)) for step in range(6)])
            )

    before = loss()
    trained(recipe, entries, tmp_path / "run", state)
    assert loss() < 0.9 * before


def test_the_same_recipe_gives_the_same_weights(entries: list[Entry], a_recipe: Recipe, tmp_path: Path):
    one = trained(a_recipe, entries, tmp_path / "one")
    torch.rand(5)
    other = trained(a_recipe, entries, tmp_path / "other")
    assert_same_weights(one.generator, other.generator)
    assert_same_weights(one.average, other.average)


@pytest.mark.parametrize("after", [1, 4])
def test_a_run_that_was_broken_off_resumes_to_the_same_weights(entries, a_recipe: Recipe, tmp_path: Path, after: int):
    whole = trained(a_recipe, entries, tmp_path / "whole")

    class BrokenOff(Exception):  # noqa: N818
        pass

    class Sampler(PatchSampler):
        def batch(self, step: int):
            if step == after:
                save_checkpoint(tmp_path / "broken", state)
                raise BrokenOff
            return super().batch(step)

    (tmp_path / "broken").mkdir()
    state = new_state(a_recipe, "cpu")
    with pytest.raises(BrokenOff):
        train(
            state, Sampler(entries, a_recipe), a_recipe, "cpu", tmp_path / "broken",
            checkpoint=lambda: None, report=lambda step, loss: None,
        )  # fmt: skip
    resumed = new_state(replace(a_recipe, seed=a_recipe.seed + 1), "cpu")  # weights that must not matter
    assert restore_newest(tmp_path / "broken", resumed) is None
    assert resumed.step == after
    trained(a_recipe, entries, tmp_path / "broken", resumed)
    assert resumed.step == whole.step == a_recipe.steps
    assert_same_weights(resumed.generator, whole.generator)
    assert_same_weights(resumed.average, whole.average)


def test_a_run_ends_with_a_checkpoint_of_its_last_step(entries: list[Entry], a_recipe: Recipe, tmp_path: Path):
    trained(a_recipe, entries, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").glob("*.safetensors")] == ["checkpoint-00000006.safetensors"]


def test_the_curve_has_a_line_for_every_report(entries, a_recipe: Recipe, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(trainer, "_REPORT_EVERY", 5)
    trained(replace(a_recipe, steps=11, batch_size=1), entries, tmp_path / "run")
    rows = list(csv.reader((tmp_path / "run" / "curve.csv").open()))
    assert [int(row[0]) for row in rows] == [5, 10]
    assert all(0 < float(row[1]) < 1 for row in rows)


def test_a_loss_that_is_not_finite_stops_the_run_before_the_weights_are_spoilt(
    entries, a_recipe: Recipe, tmp_path: Path
):
    class Sampler(PatchSampler):
        def batch(self, step: int):
            batch = super().batch(step)
            return replace(batch, hr=batch.hr * float("nan")) if step == 2 else batch

    state = new_state(a_recipe, "cpu")
    with pytest.raises(SuperResolutionError, match="the loss is nan at step 2"):
        train(
            state, Sampler(entries, a_recipe), a_recipe, "cpu", tmp_path,
            checkpoint=lambda: None, report=lambda step, loss: None,
        )  # fmt: skip
    assert all(bool(parameter.isfinite().all()) for parameter in state.generator.parameters())


def test_the_average_of_the_weights_is_not_the_weights(entries: list[Entry], a_recipe: Recipe, tmp_path: Path):
    state = trained(a_recipe, entries, tmp_path / "run")
    differences = [
        float((mean - value).abs().max().detach())
        for mean, value in zip(state.average.parameters(), state.generator.parameters(), strict=True)
    ]
    assert 0 < max(differences) < 0.1
