"""Registry of training tasks; the setting ``task`` of a recipe names one."""

from __future__ import annotations

from typing import Any

import torch

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.objectives.terms import LOSS_TERMS

from ..config.recipe import Recipe
from .down_sampler import DownSamplerTask
from .generator import new_generator
from .in_plane import InPlaneTask
from .slice_encoder import SliceEncoderTask
from .slice_profile import SliceProfileTask
from .slice_sequence import SliceSequenceTask
from .task import TrainingTask

TASKS: dict[str, type[TrainingTask[Any]]] = {
    "slice-sequence": SliceSequenceTask,
    "in-plane": InPlaneTask,
    "slice-profile": SliceProfileTask,
    "slice-encoder": SliceEncoderTask,
    "down-sampler": DownSamplerTask,
}
_OF_GENERATORS = {"any": "slice-sequence", "in-plane": "in-plane"}  # by the axes of a generator's `Capabilities`


def task_of(recipe: Recipe) -> TrainingTask[Any]:
    """The task of a recipe; of ``task = "generator"``, the one that trains such a generator.

    Raises
    ------
    SettingsError
        There is no such task or generator, or the recipe does not fit the task.
    """
    name = recipe.task
    if name == "generator":
        with torch.device("meta"):  # without weights
            name = _OF_GENERATORS[new_generator(recipe).capabilities.axes]
    if name not in TASKS:
        raise SettingsError(f"there is no task {name!r}; choose generator or one of {', '.join(TASKS)}")
    _check_weights(recipe, name)
    return TASKS[name](recipe)


def _check_weights(recipe: Recipe, name: str) -> None:
    """Refuse weights of terms that the loss of a task does not have."""
    for term, description in LOSS_TERMS.items():
        weight = getattr(recipe.loss, term)
        if term not in TASKS[name].loss_terms and weight not in (0, description.weight):
            users = ", ".join(other for other, task in TASKS.items() if term in task.loss_terms)
            raise SettingsError(
                f"loss.{term} = {weight:g} has no effect on the task {name}, only on {users}; set it to 0"
            )
