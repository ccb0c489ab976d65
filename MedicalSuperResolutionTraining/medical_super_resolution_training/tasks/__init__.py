"""Registry of training tasks; the setting ``task`` of a recipe names one."""

from __future__ import annotations

from typing import Any

import torch

from medical_super_resolution.errors import SettingsError

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
    return TASKS[name](recipe)
