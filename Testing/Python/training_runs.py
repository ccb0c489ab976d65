"""Tiny recipes and runs of them, for the tests of the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from medical_super_resolution_training.config.losses import AdversarialSettings, LossWeights
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.data.loader import batches
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.tasks import task_of
from medical_super_resolution_training.training.checkpoints import save_checkpoint
from medical_super_resolution_training.training.distributed import DistributedContext
from medical_super_resolution_training.training.state import TrainingState, new_state
from medical_super_resolution_training.training.trainer import train

CPU = torch.device("cpu")
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


def silent(state: TrainingState, terms: dict[str, torch.Tensor]) -> None:
    """Watch nothing."""


def trained(
    recipe: Recipe,
    entries: list[Entry],
    *,
    state: TrainingState | None = None,
    steps: Iterable[int] | None = None,
    after_step: Callable[..., None] = silent,
    context: DistributedContext | None = None,
) -> TrainingState:
    """A run without a folder, from its state to the end of the recipe or for the given steps."""
    state = state or new_state(recipe, "cpu")
    left = range(state.step, recipe.steps) if steps is None else steps
    context = context or DistributedContext()
    task = task_of(recipe)
    given = batches(task.dataset(entries), left, workers=0, rank=context.rank, world=context.world)  # type: ignore[arg-type]
    train(task, state, given, after_step, device=CPU, context=context)  # type: ignore[arg-type]
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
