"""Trainings on a graphics card: ``python -m pytest -m gpu``."""

from __future__ import annotations

import csv
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.config.recipes import read_resolved
from medical_super_resolution_training.training.state import TrainingState
from medical_super_resolution_training.workflows.reproduction import MODELS, reproduce
from medical_super_resolution_training.workflows.run import run_recipe
from tiny_recipe import TINY
from training_runs import assert_same_state, plane_recipe, silent

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card that PyTorch can use with CUDA"),
]


def on_cpu(state: TrainingState) -> TrainingState:
    for network in (state.generator, state.averaged, state.discriminator):
        if network is not None:
            network.cpu()
    return state


def losses(run: Path) -> list[float]:
    with (run / "curve.csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_two_hundred_mixed_steps_bring_the_loss_down(data: Path, tmp_path: Path, a_recipe: Recipe):
    recipe = replace(
        a_recipe, generator_config={}, steps=200, warm_up_steps=20, learning_rate=2e-3, batch_size=8, sample_every=0
    )
    state = run_recipe(recipe, data, tmp_path / "run", device="cuda", log=silent)
    found = losses(tmp_path / "run")
    assert state.step == 200
    assert next(state.generator.parameters()).is_cuda
    assert found[-1] < 0.8 * found[0]


def test_an_adversarial_training_runs_mixed(data: Path, tmp_path: Path):
    recipe = plane_recipe(steps=200, content_fraction=0.2, sample_every=0)
    state = run_recipe(recipe, data, tmp_path / "run", device="cuda", log=silent)
    assert state.step == 200
    assert all(bool(value.isfinite().all()) for value in state.average.state_dict().values())


@pytest.mark.parametrize(("first", "second"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_run_resumes_on_another_device(data: Path, tmp_path: Path, first: str, second: str):
    """Single precision: what differs is the order of sums, which Adam's first steps enlarge. The rate is constant."""
    constant = {"schedule": "halving", "content_fraction": 0.0, "learning_rate": 1e-4, "warm_up_steps": 0}
    recipe = plane_recipe(steps=8, mixed_precision=False, sample_every=0, **constant)
    whole = run_recipe(recipe, data, tmp_path / "whole", device="cpu", log=silent)
    run_recipe(replace(recipe, steps=4), data, tmp_path / "run", device=first, log=silent)
    resumed = run_recipe(recipe, data, tmp_path / "run", resume=True, device=second, log=silent)
    assert resumed.step == 8
    assert_same_state(on_cpu(resumed), on_cpu(whole), atol=2e-3)


def test_a_reproduction_keeps_its_budget(a_dataset: Path, tmp_path: Path):
    settings = [*TINY, "sample_every = 0", "loss.perceptual = 0.0"]
    started = time.monotonic()
    files = reproduce("general", a_dataset, tmp_path / "out", overrides=settings, device="cuda", budget=30.0)
    assert time.monotonic() - started < 45  # with starting the card, and writing the files
    assert all(file.is_file() for file in files)
    assert all(read_resolved(tmp_path / "out" / stage.recipe).steps > 1 for stage in MODELS["general"])
