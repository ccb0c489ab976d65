"""The card of an exported model: what it was trained for and on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..data.manifest import Entry
from ..tasks.task import TrainingTask


def card(task: TrainingTask[Any], steps: int, entries: list[Entry], also: dict[str, Any]) -> dict[str, Any]:
    """The card of a model: what it was trained for and on.

    Parameters
    ----------
    steps
        Number of steps that were trained.
    entries
        The volumes that were trained on.
    also
        Further entries (summary, failures ...).
    """
    recipe, described = task.recipe, task.description()
    made = {
        **also,
        "trained_for": {
            "modalities": sorted({entry.modality for entry in entries}),
            **described.get("trained_for", {}),
        },
        "training": {
            "steps": steps,
            "adversarial_steps": max(0, steps - recipe.content_steps),
            "patches_a_step": recipe.batch_size,
            "seed": recipe.seed,
            **described.get("training", {}),
            "loss": {name: weight for name, weight in vars(recipe.loss).items() if weight},
            "volumes": [f"{entry.source}: {entry.licence or 'license not stated'}" for entry in entries],
        },
    }
    if recipe.start_from:
        made["training"]["started_from"] = Path(recipe.start_from).stem
        if recipe.has_adversarial_stage and not recipe.content_steps:
            made["detail_model_of"] = Path(recipe.start_from).stem
    return made
