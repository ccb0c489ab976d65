"""One process of trainings that ``torchrun`` would start: a manifest, and folders of runs with their recipe.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from medical_super_resolution_training.config.recipes import recipe_from
from medical_super_resolution_training.workflows.run import run_recipe

if __name__ == "__main__":
    data, *folders = (Path(argument) for argument in sys.argv[1:])
    for folder in folders:
        recipe = recipe_from(json.loads((folder / "recipe.json").read_text()))
        run_recipe(recipe, data, folder / "run", device="cpu")
