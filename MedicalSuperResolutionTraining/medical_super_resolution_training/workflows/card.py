"""What an exported model says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medical_super_resolution.networks.generators.plane import PlaneGenerator

from ..config.recipe import Recipe
from ..data.manifest import Entry
from ..data.sequences import FACTOR_RANGE
from ..training.state import TrainingState


def card(recipe: Recipe, state: TrainingState, entries: list[Entry], also: dict[str, Any]) -> dict[str, Any]:
    """The card of a model: what it was trained for and on, and what else is to be said (summary, failures ...)."""
    is_plane = isinstance(state.generator, PlaneGenerator)
    factor = [state.generator.factor] if isinstance(state.generator, PlaneGenerator) else list(recipe.factors)
    if not is_plane and recipe.any_factor_weight:
        factor = list(FACTOR_RANGE)
    profile = f"Gaussian, and box in {recipe.box_fraction:.0%} of the batches"
    made = {
        **also,
        "trained_for": {
            "modalities": sorted({entry.modality for entry in entries}),
            "factor": factor,
            "thickness": list(recipe.thickness_range),
        },
        "training": {
            "steps": state.step,
            "adversarial_steps": max(0, state.step - recipe.content_steps),
            "patches_a_step": recipe.batch_size,
            "seed": recipe.seed,
            "slice_profile": profile if recipe.degradation == "measured" or not is_plane else recipe.degradation,
            "loss": {name: weight for name, weight in vars(recipe.loss).items() if weight},
            "volumes": [f"{entry.source}: {entry.licence or 'licence not stated'}" for entry in entries],
        },
    }
    if recipe.part in ("encoder", "degradation"):  # they know of no slice sequence
        made["trained_for"] = {"modalities": made["trained_for"]["modalities"]}
        del made["training"]["slice_profile"]
    if recipe.start_from:
        made["training"]["started_from"] = Path(recipe.start_from).stem
        if recipe.has_adversarial_stage and not recipe.content_steps:
            made["sharp_twin_of"] = Path(recipe.start_from).stem
    return made
