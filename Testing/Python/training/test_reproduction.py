from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from medical_super_resolution.errors import ModelError, SettingsError
from medical_super_resolution.models import file as models
from medical_super_resolution_training.cli.main import main
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.config.recipes import find_recipe, read_recipe
from medical_super_resolution_training.data.manifest import read_manifest
from medical_super_resolution_training.training.checkpoints import checkpoints
from medical_super_resolution_training.workflows import reproduction
from medical_super_resolution_training.workflows.reproduction import MODELS, reproduce
from medical_super_resolution_training.workflows.run import run_recipe
from tiny_recipe import TINY

SETTINGS = ["steps = 2", "sample_every = 0", "loss.perceptual = 0.0", *TINY]


@pytest.fixture
def reproduced(a_dataset: Path, tmp_path: Path) -> Path:
    """The folder of a reproduction of two steps a stage."""
    another = sitk.ReadImage(str(a_dataset / "mr_1.nii.gz")) + 1
    sitk.WriteImage(another, str(a_dataset / "mr_2.nii.gz"))  # of three patients some could be held back
    settings = [part for one in SETTINGS for part in ("--set", one)]
    assert main(["reproduce", "general", str(a_dataset), str(tmp_path / "out"), "--device", "cpu", *settings]) == 0
    return tmp_path / "out"


def test_a_reproduction_trains_every_stage_and_writes_both_detail_models(reproduced: Path):
    for stage in MODELS["general"]:
        assert [path.name for path in checkpoints(reproduced / stage.recipe)] == ["checkpoint-00000002.safetensors"]
    general, detailed = (models.load(reproduced / f"{name}.safetensors") for name in ("general", "general-detail"))
    assert general.card["detail_model"] == "general-detail"
    assert general.card["license"] == "Apache-2.0"
    assert not {"validation", "how_trained"} & general.card.keys()  # measured on other weights
    assert detailed.card["detail_model_of"] == "general"
    assert "detail_model" not in detailed.card
    assert [entry.split for entry in read_manifest(reproduced / "data.json")] == ["train"] * 3


def test_each_stage_says_where_it_started(reproduced: Path):
    card = models.load(reproduced / "general.safetensors").card
    assert card["training"]["started_from"] == "general-finetune"


def test_a_second_call_does_not_train_again(reproduced: Path, a_dataset: Path):
    before = {path: path.stat().st_mtime_ns for path in reproduced.rglob("checkpoint-*")}
    weights = models.load(reproduced / "general-detail.safetensors").generator.state_dict()
    files = reproduce("general", a_dataset, reproduced, overrides=SETTINGS, device="cpu")
    assert files == [reproduced / "general.safetensors", reproduced / "general-detail.safetensors"]
    assert {path: path.stat().st_mtime_ns for path in reproduced.rglob("checkpoint-*")} == before
    again = models.load(reproduced / "general-detail.safetensors").generator.state_dict()
    assert all(np.array_equal(again[name], weights[name]) for name in weights)


def test_a_reproduction_continues_under_another_path_of_its_folder(
    reproduced: Path, a_dataset: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(reproduced.parent)
    reproduce("general", a_dataset, Path("out"), overrides=SETTINGS, device="cpu")
    moved = reproduced.rename(reproduced.with_name("moved"))
    reproduce("general", a_dataset, moved, overrides=SETTINGS, device="cpu")


def test_other_scans_than_those_that_were_prepared_are_refused(reproduced: Path, a_dataset: Path):
    (a_dataset / "ct_1.nii.gz").rename(a_dataset / "ct_2.nii.gz")
    with pytest.raises(SettingsError, match=r"made of other scans than those in .*: ct_1\.nii\.gz differs"):
        reproduce("general", a_dataset, reproduced, overrides=SETTINGS, device="cpu")


def test_other_settings_are_refused_within_a_budget_too(reproduced: Path, a_dataset: Path):
    settings = [*SETTINGS, "seed = 5"]
    with pytest.raises(SettingsError, match="seed is 5 and was"):
        reproduce("general", a_dataset, reproduced, overrides=settings, device="cpu", budget=1.0)


def test_a_stage_gets_its_share_of_the_time_that_the_stages_before_have_left(
    a_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    now, given = 0.0, []

    def fitted(recipe: Recipe, seconds: float, *about: object, **more: object) -> Recipe:
        nonlocal now
        given.append(seconds)
        now += seconds / 2  # each stage is done in half of its time
        return replace(recipe, steps=1)

    monkeypatch.setattr(reproduction.time, "monotonic", lambda: now)
    monkeypatch.setattr(reproduction, "fitted", fitted)
    settings = SETTINGS[1:]
    reproduce("general", a_dataset, tmp_path / "out", overrides=settings, device="cpu", budget=1000.0)
    steps, left = [read_recipe(find_recipe(stage.recipe), settings).steps for stage in MODELS["general"]], 1000.0
    for number, seconds in enumerate(given):
        assert seconds == pytest.approx(left * steps[number] / sum(steps[number:]))
        left -= seconds / 2


def test_the_workers_that_are_asked_for_measure_the_time_and_train(
    a_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fitted(recipe: Recipe, *about: object, workers: int) -> Recipe:
        asked.append(workers)
        return recipe

    def trained(*about: Any, workers: int, **more: Any) -> None:
        asked.append(workers)
        run_recipe(*about, **more)

    asked: list[int] = []
    monkeypatch.setattr(reproduction, "fitted", fitted)
    monkeypatch.setattr(reproduction, "run_recipe", trained)
    out = tmp_path / "out"
    reproduce("general-large", a_dataset, out, overrides=SETTINGS, device="cpu", workers=3, budget=1.0)
    assert asked == [3, 3]


def test_packages_that_the_last_stage_needs_are_missed_before_the_first(
    a_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    settings = [one for one in SETTINGS if not one.startswith("loss.perceptual")]
    with pytest.raises(ModelError, match="pip install efficientnet-lite-pytorch"):
        reproduce("general", a_dataset, tmp_path / "out", overrides=settings)
    assert not (tmp_path / "out").exists()


def test_the_help_text_names_every_model_that_can_be_reproduced(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit):
        main(["reproduce", "--help"])
    assert f"model {' or '.join(MODELS)} " in " ".join(capsys.readouterr().out.split())


def test_a_model_that_nobody_can_reproduce_is_refused(a_dataset: Path, tmp_path: Path):
    with pytest.raises(SettingsError, match="'generic' cannot be reproduced; choose one of general"):
        reproduce("generic", a_dataset, tmp_path / "out", overrides=[])
