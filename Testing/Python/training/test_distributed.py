"""Two processes with half the batch each train the weights of one with the whole batch."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import torch

from medical_super_resolution_training.config.losses import LossWeights
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.training.checkpoints import restore_newest
from medical_super_resolution_training.training.distributed import DistributedContext
from medical_super_resolution_training.training.state import TrainingState, new_state
from training_runs import CRITIC, assert_same_state, plane_recipe, runs_of_folders, trained
from warm_process import CONTEXT, started

TOLERANCE = 1e-5
WAIT = timedelta(minutes=2)  # for a process that may have died; PyTorch waits for half an hour


def trained_by_two(recipes: dict[str, Recipe], data: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, TrainingState]:
    """What this process and another leave in the folders of the runs of all recipes, one after the other."""
    folders = {name: data.with_name(name) for name in recipes}
    for name, recipe in recipes.items():
        folders[name].mkdir()
        (folders[name] / "recipe.json").write_text(json.dumps(dataclasses.asdict(recipe)))
    meeting = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # as torchrun does
    for name, value in {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(meeting.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "WORLD_SIZE": "2",
        "RANK": "0",
    }.items():
        monkeypatch.setenv(name, value)
    join = partial(torch.distributed.init_process_group, timeout=WAIT)
    monkeypatch.setattr(torch.distributed, "init_process_group", join)
    work = (list(folders.values()), data)
    ready = CONTEXT.Event()
    other = started(runs_of_folders, *work, ready, RANK="1")
    try:
        assert ready.wait(120)
        runs_of_folders(*work)
        other.join(timeout=300)
    finally:
        other.kill()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    assert other.exitcode == 0
    states = {name: new_state(recipe, "cpu") for name, recipe in recipes.items()}
    for name, state in states.items():
        restore_newest(folders[name] / "run", state)
    return states


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch was built without torch.distributed")
def test_two_processes_train_the_weights_of_one(entries: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The gradient penalty mixes by the whole batch's numbers; relativistic losses compare with the mean of all."""
    common = plane_recipe(
        steps=4,
        content_fraction=0.25,
        warm_up_steps=0,
        learning_rate=1e-4,
        loss=LossWeights(l1=1.0, gradient=0.5, adversarial=0.5),
        batch_size=4,
        mixed_precision=False,
        sample_every=0,
    )
    critic = replace(CRITIC, learning_rate=1e-4, discriminator_learning_rate=1e-4, steps=2)
    kinds = ("wasserstein", "relativistic")
    recipes = {kind: replace(common, adversarial=replace(critic, kind=kind)) for kind in kinds}
    for kind, together in trained_by_two(recipes, tmp_path / "data.json", monkeypatch).items():
        alone = trained(recipes[kind], entries)
        assert together.step == 4
        for one in (together, alone):  # relativistic scores are differences: the last bias moves by rounding alone
            one.discriminator.judge.bias.data.zero_()
        assert_same_state(together, alone, atol=TOLERANCE)


def test_a_process_alone_keeps_its_gradients_and_scores():
    parameter = torch.nn.Parameter(torch.zeros(3))
    parameter.grad = torch.arange(3.0)
    DistributedContext().average_gradients([parameter])
    assert parameter.grad.tolist() == [0, 1, 2]
    scores = torch.rand(2, 3)
    assert DistributedContext().gather_scores(scores) is scores
