"""From the manifest to the loss of a batch, as docs/reference/architecture.md describes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import walk
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.training.state import new_state
from medical_super_resolution_training.workflows.run import run_recipe


def test_the_path_of_a_batch_is_as_documented(entries: list[Entry], a_recipe: Recipe, tmp_path: Path):
    recipe = replace(a_recipe, steps=1, warm_up_steps=1)
    new_state(recipe, "cpu")  # PyTorch's optimizers import much, which would be slow while it is traced
    with walk.Walk() as walked:
        run_recipe(recipe, tmp_path / "data.json", tmp_path / "run", device="cpu", log=lambda line: None)
    path = walk.documented("A batch's path")
    assert walk.gaps(path, walked) == []
