"""What an exported model says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .config import Recipe, read_toml
from .data import FACTOR_RANGE
from .manifest import Entry


def card(recipe: Recipe, steps: int, entries: list[Entry], also: Path | None) -> dict[str, Any]:
    """The card of a model: what it was trained for and on, and what a file adds (summary, validation, failures)."""
    return {
        **(read_toml(also) if also else {}),
        "trained_for": {
            "modalities": sorted({entry.modality for entry in entries}),
            "factor": list(FACTOR_RANGE if recipe.any_factor_weight else recipe.factors),
            "thickness": list(recipe.thickness_range),
        },
        "training": {
            "steps": steps,
            "patches_a_step": recipe.batch_size,
            "seed": recipe.seed,
            "slice_profile": f"Gaussian, and box in {recipe.box_fraction:.0%} of the batches",
            "volumes": [f"{entry.source}: {entry.licence or 'licence not stated'}" for entry in entries],
        },
    }
