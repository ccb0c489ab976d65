"""Two processes with half the batch each train the weights of one with the whole batch."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medical_super_resolution_training.config.losses import LossWeights
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.training.checkpoints import restore_newest
from medical_super_resolution_training.training.distributed import DistributedContext
from medical_super_resolution_training.training.state import TrainingState, new_state
from training_runs import CRITIC, assert_same_state, plane_recipe, trained

TOLERANCE = 1e-5
SCRIPT = Path(__file__).parents[1] / "one_of_two.py"


def trained_by_two(recipe: Recipe, data: Path, run: Path) -> TrainingState:
    """What two processes leave in the folder of a run."""
    (run.parent / "recipe.json").write_text(json.dumps(dataclasses.asdict(recipe)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }
    arguments = [sys.executable, str(SCRIPT), str(run.parent / "recipe.json"), str(data), str(run)]
    both = [
        subprocess.Popen(arguments, env=environment | {"RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for process in both:
        _, problem = process.communicate(timeout=300)
        assert process.returncode == 0, problem
    state = new_state(recipe, "cpu")
    restore_newest(run, state)
    return state


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch was built without torch.distributed")
@pytest.mark.parametrize("kind", ["wasserstein", "relativistic"])
def test_two_processes_train_the_weights_of_one(entries: list[Entry], tmp_path: Path, kind: str):
    """The gradient penalty mixes by the whole batch's numbers; relativistic losses compare with the mean of all."""
    recipe = plane_recipe(
        steps=4,
        content_fraction=0.25,
        warm_up_steps=0,
        learning_rate=1e-4,
        adversarial=replace(CRITIC, kind=kind, learning_rate=1e-4, discriminator_learning_rate=1e-4, steps=2),
        loss=LossWeights(l1=1.0, gradient=0.5, adversarial=0.5),
        batch_size=4,
        mixed_precision=False,
        sample_every=0,
    )
    alone = trained(recipe, entries)
    together = trained_by_two(recipe, tmp_path / "data.json", tmp_path / "run")
    assert together.step == 4
    for one in (together, alone):  # relativistic scores are differences: the last bias moves by rounding errors alone
        one.discriminator.judge.bias.data.zero_()
    assert_same_state(together, alone, atol=TOLERANCE)


def test_a_process_alone_keeps_its_gradients_and_scores():
    parameter = torch.nn.Parameter(torch.zeros(3))
    parameter.grad = torch.arange(3.0)
    DistributedContext().average_gradients([parameter])
    assert parameter.grad.tolist() == [0, 1, 2]
    scores = torch.rand(2, 3)
    assert DistributedContext().gather_scores(scores) is scores


def test_a_batch_that_cannot_be_shared_evenly_is_refused(entries: list[Entry]):
    from medical_super_resolution.errors import SettingsError

    with pytest.raises(SettingsError, match="batch of 3 cannot be shared by 2 processes"):
        trained(plane_recipe(batch_size=3), entries, context=DistributedContext(0, 2))
