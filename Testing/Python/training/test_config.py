from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest

from command_line import PACKAGE_ROOT, start
from medical_super_resolution.errors import SettingsError
from medical_super_resolution.networks.discriminators.cuts import CutsConfig
from medical_super_resolution.networks.generators.through_plane import ThroughPlaneConfig
from medical_super_resolution_training.config.losses import AdversarialSettings, LossWeights
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.config.recipes import (
    as_toml,
    explanation_of,
    find_recipe,
    network_config,
    read_recipe,
    read_resolved,
    recipe_from,
    shipped,
    write_resolved,
)
from medical_super_resolution_training.tasks.generator import new_generator


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
    ("key", "neighbor"), [("learning_rte", "learning_rate"), ("step", "steps"), ("batchsize", "batch_size")]
)
def test_a_misspelled_setting_is_refused_with_its_neighbor(key: str, neighbor: str):
    with pytest.raises(SettingsError, match=f"no setting '{key}'; did you mean '{neighbor}'"):
        recipe_from({key: 1})


def test_a_setting_like_no_other_is_refused_with_those_there_are():
    with pytest.raises(SettingsError, match="no setting 'xyzzy'; it has adversarial, "):
        recipe_from({"xyzzy": 1})


def test_a_misspelled_override_is_refused(tmp_path: Path):
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


def test_a_recipe_that_the_editor_of_windows_saved_is_read(tmp_path: Path):
    (tmp_path / "recipe.toml").write_text("\ufeff# A try. More.\nsteps = 12\n", encoding="utf-8")
    assert explanation_of(tmp_path / "recipe.toml") == "A try."
    assert read_recipe(tmp_path / "recipe.toml", []) == Recipe(steps=12)


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


def test_settings_that_cannot_be_written_leave_the_former_ones(tmp_path: Path, a_recipe: Recipe, monkeypatch):
    def cut_short(path: Path, content: bytes) -> None:
        path.open("wb").close()
        raise OSError(28, "No space left on device")

    write_resolved(a_recipe, tmp_path)
    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", cut_short)
        with pytest.raises(OSError, match="No space left"):
            write_resolved(dataclasses.replace(a_recipe, steps=7), tmp_path)
    assert read_resolved(tmp_path) == a_recipe


@pytest.mark.parametrize("content", [b"", b'{"steps": 3', b"\xff"])
def test_damaged_settings_of_a_run_are_refused(tmp_path: Path, content: bytes):
    (tmp_path / "recipe.json").write_bytes(content)
    with pytest.raises(SettingsError, match=r"recipe\.json is damaged"):
        read_resolved(tmp_path)


def test_a_folder_without_a_run_is_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match="no folder of a training run"):
        read_resolved(tmp_path)


def test_a_run_of_another_version_is_called_so(tmp_path: Path, a_recipe: Recipe):
    write_resolved(a_recipe, tmp_path)
    written = tmp_path / "recipe.json"
    written.write_text(json.dumps(json.loads(written.read_text()) | {"later": 1}))
    with pytest.raises(SettingsError, match="holds a run of another version of medsr-train; .* setting 'later'"):
        read_resolved(tmp_path)


# Tables inside a recipe


def test_a_dotted_override_changes_one_setting_of_a_table(tmp_path: Path):
    path = tmp_path / "recipe.toml"
    path.write_text("[loss]\nmse = 1.0\nl1 = 0.0\n[generator_config]\nchannels = 8\nblocks = 2\n")
    recipe = read_recipe(path, ["loss.gradient=0.5", "generator_config.blocks=1"])
    assert recipe.loss == LossWeights(l1=0.0, mse=1.0, gradient=0.5)
    assert recipe.generator_config == {"channels": 8, "blocks": 1}


@pytest.mark.parametrize(
    ("override", "neighbor"),
    [("loss.gradent=1", "gradient"), ("perceptual.feature='vgg'", "features"), ("adversarial.step=2", "steps")],
)
def test_a_misspelled_setting_of_a_table_is_refused_with_its_neighbor(tmp_path: Path, override: str, neighbor: str):
    (tmp_path / "recipe.toml").write_text("")
    with pytest.raises(SettingsError, match=f"the table .* did you mean '{neighbor}'"):
        read_recipe(tmp_path / "recipe.toml", [override])


def test_a_misspelled_setting_of_a_network_is_refused_with_its_neighbor():
    from medical_super_resolution.networks.generators.srcnn import SrcnnConfig

    with pytest.raises(SettingsError, match="no setting 'kernel'; did you mean 'kernels'"):
        network_config(SrcnnConfig, {"kernel": [9, 5, 5]}, "the generator srcnn")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"loss": 3}, "the setting loss must be a table"),
        ({"loss": {"l1": "much"}}, "loss.l1 must be of type float"),
        ({"loss": {"l1": -1.0}}, "loss.l1 must not be below 0"),
        ({"loss": {"adversarial": 1.0}}, "needs a discriminator"),
        ({"adversarial": {"kind": "wasserstien"}}, "adversarial.kind must be one of wasserstein"),
        ({"adversarial": {"betas": [0.9]}}, "adversarial.betas must be two numbers"),
        ({"betas": [0.9, 1.0]}, "betas must be two numbers"),
        ({"schedule": "linear"}, "schedule must be one of cosine, halving"),
        ({"content_fraction": 1.5}, "content_fraction must be from 0 to 1"),
        ({"steps": True}, "steps must be of type int"),
        ({"gradient_clip": 0}, "gradient_clip must be above 0"),
        ({"seed": -1}, "seed must not be below 0"),
        ({"checkpoint_minutes": float("nan")}, "checkpoint_minutes must not be below 0"),
        ({"modality_shares": {"ct": "all"}}, "modality_shares must not be below 0"),
        ({"adversarial": {"head_start": -1}}, "adversarial.head_start must not be below 0"),
        ({"consistent_weight": 5}, "consistent_weight must be from 0 to 1"),
        ({"factors": [9.0], "factor_weights": [1.0]}, "factors must be above 1 and at most 8, got \\[9.0\\]"),
        ({"factor_weights": [0, 0], "any_factor_weight": 0}, "any_factor_weight, must be above 0"),
    ],
)
def test_settings_without_meaning_are_refused(table: dict, said: str):
    with pytest.raises(SettingsError, match=said):
        recipe_from(table)


@pytest.mark.parametrize(("kind", "name"), [(ThroughPlaneConfig, "channels"), (CutsConfig, "every")])
@pytest.mark.parametrize("value", ["many", 2.5])
def test_a_network_setting_of_another_type_is_refused(kind: type, name: str, value: object):
    with pytest.raises(SettingsError, match=f"{name} must be of type int"):
        network_config(kind, {name: value}, "the network")


@pytest.mark.parametrize(
    ("name", "table", "said"),
    [
        ("through-plane", {"channels": 0}, "channels of the generator through-plane must be at least 1, got 0"),
        ("rrdb", {"blocks": -1}, "blocks of the generator rrdb must be at least 0, got -1"),
        ("srcnn", {"channels": [0, 32]}, "channels of the generator srcnn must be at least 1"),
        ("srcnn", {"kernels": [9, 5]}, r"kernels must be of type tuple\[int, int, int\]"),
        ("srcnn", {"kernels": [4, 4, 4]}, "kernels must be odd"),
        ("hybrid-attention", {"kernel": 4}, "kernel must be odd, got 4"),
        ("tgan", {"heads": 5}, "width must be a multiple of heads, got 96 and 5"),
    ],
)
def test_sizes_of_which_no_network_can_be_made_are_refused(name: str, table: dict, said: str):
    with pytest.raises(SettingsError, match=said):
        new_generator(Recipe(generator=name, generator_config=table))


def test_stages_follow_the_share_of_the_content_stage():
    loss, adversarial = LossWeights(adversarial=1e-3), AdversarialSettings(discriminator="patch")
    recipe = Recipe(steps=200, content_fraction=0.7, loss=loss, adversarial=adversarial)
    assert (recipe.content_steps, recipe.has_adversarial_stage) == (140, True)
    assert (Recipe(steps=200, content_fraction=0.7).content_steps, Recipe().has_adversarial_stage) == (200, False)


# The shipped recipes


def test_a_recipe_is_found_by_its_name_or_its_path(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text("")
    assert find_recipe(str(path)) == path
    assert find_recipe("esrgan").name == "esrgan.toml"
    with pytest.raises(SettingsError, match="there is no recipe 'esrgna'; shipped: .*esrgan"):
        find_recipe("esrgna")


def test_recipes_are_found_where_pip_installs_for_one_user(tmp_path: Path):
    home, package = tmp_path / "lib" / "python3" / "site-packages", "medical_super_resolution_training"
    shutil.copytree(PACKAGE_ROOT.parent / "MedicalSuperResolutionTraining" / package, home / package)
    recipes = shutil.copytree(find_recipe("srcnn").parent, tmp_path / "share" / "medical-super-resolution" / "Recipes")
    path = os.pathsep.join(map(str, (home, PACKAGE_ROOT)))
    with start("recipes", "srcnn", package=package, environment={"PYTHONPATH": path}) as process:
        assert process.communicate(timeout=120) == ((recipes / "srcnn.toml").read_text(), "")


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_what_is_printed_of_a_shipped_recipe_is_the_recipe(path: Path, tmp_path: Path):
    recipe = read_recipe(path, [])
    (tmp_path / "printed.toml").write_text(as_toml(recipe))
    assert read_recipe(tmp_path / "printed.toml", []) == recipe


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("lstmagan", {"loss.mse": 1.0, "loss.perceptual": 6e-3, "loss.adversarial": 1e-3, "adversarial.penalty": 10.0}),
        ("lstmagan", {"patch_slices": 16, "generator_config.beta": 0.2}),
        ("hybrid-attention", {"loss.perceptual": 1.0, "loss.adversarial": 1.0, "loss.gradient_difference": 1.0}),
        ("hybrid-attention", {"loss.l1": 10.0, "batch_size": 16, "learning_rate": 1e-4, "epsilon": 1e-8}),
        ("hybrid-attention", {"halve_at": (5000, 10000, 20000, 30000), "betas": (0.9, 0.999)}),
        ("esrgan", {"loss.l1": 1e-2, "loss.perceptual": 1.0, "loss.adversarial": 5e-3, "batch_size": 16}),
        ("srgan", {"loss.mse": 1.0, "loss.perceptual": 6e-3, "loss.adversarial": 1e-3, "patch_in_plane": 96}),
        ("srcnn", {"loss.mse": 1.0, "generator_config.kernels": [9, 5, 5], "generator_config.channels": [64, 32]}),
        ("disgan", {"loss.l1": 1.0, "loss.perceptual": 1e-2, "loss.adversarial": 5e-3}),
    ],
)
def test_the_numbers_of_the_papers_are_in_the_recipes(name: str, numbers: dict):
    recipe = read_recipe(find_recipe(name), [])
    for key, expected in numbers.items():
        table, _, setting = key.rpartition(".")
        holder = getattr(recipe, table) if table else recipe
        assert (holder[setting] if isinstance(holder, dict) else getattr(holder, setting)) == expected


def test_the_models_of_the_ablation_differ_in_the_gate_and_the_memory_alone():
    found, same = {}, {"adversarial": {}, "loss": {"mse": 1.0, "l1": 0.0}}
    whole = recipe_from(dataclasses.asdict(read_recipe(find_recipe("lstmagan"), [])) | same)
    for number in range(1, 5):
        recipe = read_recipe(find_recipe(f"lstmagan-{number}"), [])
        found[number] = (recipe.generator_config["attention"], recipe.adversarial.discriminator)
        gated = {"generator_config": {**recipe.generator_config, "attention": True}}
        assert recipe_from(dataclasses.asdict(recipe) | gated | same) == whole
    assert found == {
        1: (False, "vgg-style"),
        2: (False, "sequence-lstm"),
        3: (True, "vgg-style"),
        4: (True, "sequence-lstm"),
    }
