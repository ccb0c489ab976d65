"""One process of trainings that ``torchrun`` would start: a manifest, and folders of runs with their recipe.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from medical_super_resolution_training.config.recipes import recipe_from
from medical_super_resolution_training.workflows.run import run_recipe


def train(data: Path, folders: list[Path]) -> None:
    """Go through the trainings, each with the other process."""
    for folder in folders:
        recipe = recipe_from(json.loads((folder / "recipe.json").read_text()))
        run_recipe(recipe, data, folder / "run", device="cpu", loggers=[])


if __name__ == "__main__":
    manifest, *runs = (Path(argument) for argument in sys.argv[1:])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    train(manifest, runs)
