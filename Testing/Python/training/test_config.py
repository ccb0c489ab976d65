from __future__ import annotations

from pathlib import Path

import pytest

from medical_super_resolution.errors import SettingsError
from medical_super_resolution_training.config import Recipe, read_recipe, read_resolved, recipe_from, write_resolved

RECIPES = Path(__file__).parents[3] / "MedicalSuperResolutionTraining" / "Resources" / "Recipes"


def test_a_recipe_says_what_differs_from_the_defaults(tmp_path: Path):
    path = tmp_path / "recipe.toml"
    path.write_text("steps = 12\nfactors = [3.0]\nfactor_weights = [1]\n[generator_config]\nchannels = 8\n")
    recipe = read_recipe(path, [])
    assert recipe == Recipe(steps=12, factors=(3.0,), factor_weights=(1,), generator_config={"channels": 8})


def test_an_override_wins_over_the_file(tmp_path: Path):
    path = tmp_path / "recipe.toml"
    path.write_text("steps = 12\nseed = 3\n")
    assert read_recipe(path, ["steps = 99", "thickness_range = [0.9, 1.1]"]) == Recipe(
        steps=99, seed=3, thickness_range=(0.9, 1.1)
    )


@pytest.mark.parametrize(
    ("key", "neighbour"), [("learning_rte", "learning_rate"), ("step", "steps"), ("batchsize", "batch_size")]
)
def test_a_misspelt_setting_is_refused_with_its_neighbour(key: str, neighbour: str):
    with pytest.raises(SettingsError, match=f"no setting '{key}'; did you mean '{neighbour}'"):
        recipe_from({key: 1})


def test_a_setting_like_no_other_is_refused_without_a_guess():
    with pytest.raises(SettingsError, match="no setting 'xyzzy'$"):
        recipe_from({"xyzzy": 1})


def test_a_misspelt_override_is_refused(tmp_path: Path):
    (tmp_path / "recipe.toml").write_text("")
    with pytest.raises(SettingsError, match="did you mean 'seed'"):
        read_recipe(tmp_path / "recipe.toml", ["sed = 1"])


@pytest.mark.parametrize("name", ["steps", "batch_size", "patch_slices", "patch_in_plane", "learning_rate"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_numbers_without_meaning_are_refused(name: str, value: float):
    with pytest.raises(SettingsError, match=f"{name} must be (above 0|of type int)"):
        recipe_from({name: value})


@pytest.mark.parametrize("name", ["steps", "learning_rate", "factors"])
def test_a_word_for_a_number_is_refused_with_a_sentence(name: str):
    with pytest.raises(SettingsError, match=name):
        recipe_from({name: "many"})


def test_every_factor_needs_its_weight():
    with pytest.raises(SettingsError, match="same length, got 3 and 2"):
        recipe_from({"factors": [2.0, 3.0, 4.0]})


@pytest.mark.parametrize("text", ["steps 12", "steps = ", "[steps"])
def test_a_recipe_that_is_no_toml_is_refused(tmp_path: Path, text: str):
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_recipe(tmp_path / "recipe.toml", [])


def test_a_missing_recipe_is_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match="there is no recipe"):
        read_recipe(tmp_path / "recipe.toml", [])


def test_a_run_remembers_every_setting(tmp_path: Path, a_recipe: Recipe):
    write_resolved(a_recipe, tmp_path)
    assert read_resolved(tmp_path) == a_recipe


def test_a_folder_without_a_run_is_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match="no folder of a training run"):
        read_resolved(tmp_path)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_can_be_read(path: Path):
    assert read_recipe(path, []).steps > 0
