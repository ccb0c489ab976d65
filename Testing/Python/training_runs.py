"""Tiny recipes and runs of them, for the tests of the training loop, also in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import torch

from medical_super_resolution_training.config.losses import AdversarialSettings, LossWeights
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.config.recipes import recipe_from
from medical_super_resolution_training.data.loader import batches
from medical_super_resolution_training.data.manifest import Entry, read_manifest
from medical_super_resolution_training.data.samplers.planes import PlaneSampler
from medical_super_resolution_training.data.samplers.sequences import PatchSampler
from medical_super_resolution_training.tasks import task_of
from medical_super_resolution_training.training.checkpoints import save_checkpoint
from medical_super_resolution_training.training.distributed import DistributedContext
from medical_super_resolution_training.training.monitoring import callbacks
from medical_super_resolution_training.training.state import TrainingState, new_state
from medical_super_resolution_training.training.trainer import train
from medical_super_resolution_training.workflows.run import run_recipe

CPU, ALONE = torch.device("cpu"), DistributedContext()
CRITIC = AdversarialSettings(
    discriminator="sequence-lstm",
    discriminator_config={"channels": 2, "grid": 2, "hidden": 4},
    learning_rate=1e-3,
    discriminator_learning_rate=1e-3,
)


def plane_recipe(**changes: object) -> Recipe:
    """An in-plane recipe with a content stage of two steps and an adversarial one of three."""
    recipe = Recipe(
        generator="srresnet",
        generator_config={"factor": 2, "channels": 4, "blocks": 1},
        loss=LossWeights(l1=0.5, mse=1.0, adversarial=1e-2),
        adversarial=CRITIC,
        steps=5,
        warm_up_steps=1,
        content_fraction=0.4,
        batch_size=2,
        patch_slices=4,
        patch_in_plane=16,
        seed=3,
    )
    return replace(recipe, **changes)  # type: ignore[arg-type]


def silent(*_: object) -> None:
    """Take what a run reports, and do nothing."""


def trained(
    recipe: Recipe,
    entries: list[Entry],
    *,
    state: TrainingState | None = None,
    steps: Iterable[int] | None = None,
    after_step: Callable[..., None] = silent,
) -> TrainingState:
    """A run without a folder, from its state to the end of the recipe or for the given steps."""
    state = state or new_state(recipe, "cpu")
    left = range(state.step, recipe.steps) if steps is None else steps
    task = task_of(recipe)
    given = batches(task.dataset(entries), left, workers=0)  # type: ignore[arg-type]
    train(task, state, given, after_step, device=CPU)  # type: ignore[arg-type]
    return state


def saved(folder: Path, state: TrainingState) -> Path:
    """A checkpoint in a folder that is made where it is missing."""
    folder.mkdir(exist_ok=True)
    return save_checkpoint(folder, state)


def assert_same_state(one: TrainingState, other: TrainingState, *, atol: float = 0.0) -> None:
    """All networks have the same weights."""
    for part in ("generator", "average", "discriminator"):
        network = getattr(one, part)
        for name, tensor in network.state_dict().items() if network else ():
            np.testing.assert_allclose(
                tensor, getattr(other, part).state_dict()[name], rtol=0, atol=atol, err_msg=f"{part} {name}"
            )


def run_of_folder(folder: Path, data: Path) -> None:
    """Train the recipe.json of a folder into run, below it."""
    recipe = recipe_from(json.loads((folder / "recipe.json").read_text()))
    run_recipe(recipe, data, folder / "run", device="cpu", loggers=[])


def runs_of_folders(folders: list[Path], data: Path, ready: Event | None = None) -> None:
    """What each process of those that ``torchrun`` starts does: one training after the other, with the others."""
    if ready:
        ready.set()
    for folder in folders:
        run_of_folder(folder, data)


def run_that_is_killed(folder: Path, data: Path, step: int) -> None:
    """Train as `run_of_folder`, and die of -9 soon after a step, in the middle of whatever follows."""
    save = callbacks.save_checkpoint

    def save_and_die(run: Path, state: TrainingState) -> Path:
        if state.step == step:
            threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return save(run, state)

    callbacks.save_checkpoint = save_and_die
    run_of_folder(folder, data)


def largest_mb() -> float:
    """The most memory that this process has held."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def growth_mb(data: Path) -> float:
    """How much more memory this process holds after the first batch of either kind."""
    entries = read_manifest(data)
    recipe = Recipe(batch_size=4, patch_slices=8, patch_in_plane=64, generator_config={}, degradation="measured")
    before = largest_mb()
    for sampler in (PatchSampler(entries, recipe), PlaneSampler(entries, recipe)):
        list(batches(sampler, range(1), workers=0))
    return largest_mb() - before
