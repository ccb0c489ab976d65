"""One process of a training that ``torchrun`` would start: recipe.json, manifest, run folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from medical_super_resolution_training.config.recipes import recipe_from
from medical_super_resolution_training.workflows.run import run_recipe

if __name__ == "__main__":
    recipe, data, run = (Path(argument) for argument in sys.argv[1:])
    run_recipe(recipe_from(json.loads(recipe.read_text())), data, run, device="cpu")
