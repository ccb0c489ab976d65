"""A run is resumed with its own recipe and volumes; others are refused and named."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.models import file as models
from medical_super_resolution_training.cli.main import main
from medical_super_resolution_training.config.losses import LossWeights
from medical_super_resolution_training.config.recipes import read_resolved
from medical_super_resolution_training.data.manifest import Entry, write_manifest
from medical_super_resolution_training.training.distributed import DistributedContext
from medical_super_resolution_training.workflows.export import export_run, trained
from medical_super_resolution_training.workflows.run import _alone_in, run_recipe
from tiny_recipe import TINY
from training_runs import CRITIC, plane_recipe, silent


@pytest.fixture
def a_run(data: Path, tmp_path: Path) -> Path:
    """A run of two steps."""
    run_recipe(plane_recipe(steps=2), data, tmp_path / "run", device="cpu", log=silent)
    return tmp_path / "run"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


CHANGES = {
    "seed": ({"seed": 4}, "seed is 4 and was 3"),
    "a loss": ({"loss": LossWeights(l1=0.5, mse=1.0, gradient=2.0, adversarial=1e-2)}, "loss.gradient is 2.0 and was"),
    "a network": ({"generator_config": {"factor": 2, "channels": 8, "blocks": 1}}, "'channels': 8"),
    "the critic": ({"adversarial": replace(CRITIC, kind="gan")}, "adversarial.kind is 'gan' and was 'wasserstein'"),
    "the data's noise": ({"noise_fraction": 0.9}, "noise_fraction is 0.9 and was 0.2"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_recipe_is_refused_and_the_run_stays_as_it_is(a_run: Path, data: Path, change: str):
    settings, named = CHANGES[change]
    before = contents(a_run)
    with pytest.raises(SettingsError, match="was started with another recipe") as refusal:
        run_recipe(plane_recipe(**settings), data, a_run, resume=True, device="cpu", log=silent)
    assert named in str(refusal.value)
    assert contents(a_run) == before


def test_a_run_is_continued_only_where_that_is_asked_for(a_run: Path, data: Path):
    before = contents(a_run)
    with pytest.raises(SettingsError, match="holds a run already; add --resume to continue it"):
        run_recipe(plane_recipe(steps=3), data, a_run, device="cpu", log=silent)
    assert contents(a_run) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows locks no folders")
def test_a_second_training_in_the_folder_of_one_that_is_under_way_is_refused(data: Path, tmp_path: Path):
    run, refusals = tmp_path / "run", []

    def start_another(_line: str) -> None:
        before = contents(run)
        with pytest.raises(SettingsError, match="another training is under way in") as refusal:
            run_recipe(plane_recipe(steps=2), data, run, resume=True, device="cpu", log=silent)
        refusals.append(refusal)
        assert contents(run) == before

    run_recipe(plane_recipe(steps=1), data, run, device="cpu", log=start_another)
    assert refusals
    run_recipe(plane_recipe(steps=2), data, run, resume=True, device="cpu", log=silent)


def test_each_process_of_a_training_is_refused_where_the_first_one_finds_another_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(DistributedContext, "gather", lambda self, found: {"0": False} | found)
    second = _alone_in(tmp_path / "run", DistributedContext(rank=1, world=2))
    with pytest.raises(SettingsError, match="another training is under way in"), second:
        pytest.fail("it trained")
    assert not list(tmp_path.iterdir())


def test_every_setting_that_differs_is_named(a_run: Path, data: Path):
    with pytest.raises(SettingsError) as refusal:
        run_recipe(plane_recipe(seed=1, betas=(0.1, 0.2)), data, a_run, resume=True, device="cpu", log=silent)
    assert "seed is 1 and was 3" in str(refusal.value)
    assert "betas is (0.1, 0.2) and was (0.9, 0.99)" in str(refusal.value)


def test_the_number_of_steps_may_change(a_run: Path, data: Path):
    state = run_recipe(plane_recipe(steps=3), data, a_run, resume=True, device="cpu", log=silent)
    assert state.step == 3
    assert read_resolved(a_run).steps == 3


@pytest.mark.parametrize("steps", [2, 1])
def test_a_run_that_has_done_its_steps_is_left_as_it_is(a_run: Path, data: Path, steps: int):
    lines: list[str] = []
    run_recipe(plane_recipe(steps=steps), data, a_run, resume=True, device="cpu", log=lines.append)
    assert lines == [f"the run in {a_run} has done 2 steps already; to go on, give more, by --set steps=N"]
    assert read_resolved(a_run).steps == 2


def test_a_run_resumes_by_itself_from_its_own_recipe_and_manifest(a_run: Path, data: Path):
    data.unlink()
    assert main(["train", "--resume", "--out", str(a_run), "--device", "cpu", "--set", "steps = 4"]) == 0
    assert read_resolved(a_run) == plane_recipe(steps=4)
    assert (a_run / "checkpoint-00000004.safetensors").is_file()


def test_a_run_resumes_without_the_model_that_it_started_from(a_run: Path, data: Path, tmp_path: Path):
    export_run(a_run, tmp_path / "start.safetensors")
    recipe = plane_recipe(steps=1, start_from=str(tmp_path / "start.safetensors"))
    run_recipe(recipe, data, tmp_path / "further", device="cpu", log=silent)
    (tmp_path / "start.safetensors").unlink()
    again = run_recipe(replace(recipe, steps=2), data, tmp_path / "further", resume=True, device="cpu", log=silent)
    assert again.step == 2


def test_other_volumes_are_refused(a_run: Path, entries: list[Entry], tmp_path: Path):
    write_manifest(entries[:1], tmp_path / "fewer.json")
    with pytest.raises(SettingsError, match=r"other volumes than .*fewer.json lists: mr_1.nii.gz differs"):
        run_recipe(plane_recipe(), tmp_path / "fewer.json", a_run, resume=True, device="cpu", log=silent)


def test_the_same_volumes_in_another_order_are_refused(a_run: Path, entries: list[Entry], tmp_path: Path):
    write_manifest(entries[::-1], tmp_path / "turned.json")
    with pytest.raises(SettingsError, match=r"other volumes than .*turned.json lists: their order differs"):
        run_recipe(plane_recipe(), tmp_path / "turned.json", a_run, resume=True, device="cpu", log=silent)


def test_volumes_that_have_moved_are_the_same_volumes(a_run: Path, entries: list[Entry], tmp_path: Path):
    moved = []
    for entry in entries:
        array = Path(entry.array).rename(tmp_path / f"moved_{Path(entry.array).name}")
        moved.append(replace(entry, array=str(array)))
    write_manifest(moved, tmp_path / "moved.json")
    state = run_recipe(plane_recipe(steps=3), tmp_path / "moved.json", a_run, resume=True, device="cpu", log=silent)
    assert state.step == 3


def test_the_card_of_an_export_names_the_loss_that_was_trained(a_run: Path, data: Path, tmp_path: Path):
    """A refused recipe must not reach the card, although its weights are those of the run."""
    with pytest.raises(SettingsError):
        run_recipe(plane_recipe(loss=LossWeights(mse=9.0)), data, a_run, resume=True, device="cpu", log=silent)
    export_run(a_run, tmp_path / "mine.safetensors")
    assert models.load(tmp_path / "mine.safetensors").card["training"]["loss"]["mse"] == 1.0


def test_an_ablation_refuses_a_folder_of_another_recipe(data: Path, tmp_path: Path):
    settings = [*TINY, "steps = 1"]
    trained("through-plane", settings, data, tmp_path, device="cpu", log=silent)
    with pytest.raises(SettingsError, match="seed is 8 and was 0"):
        trained("through-plane", [*settings, "seed = 8"], data, tmp_path, device="cpu", log=silent)


def test_a_folder_without_a_checkpoint_starts_with_the_recipe_that_is_given(a_run: Path, data: Path):
    for path in a_run.glob("checkpoint-*"):
        path.unlink()
    run_recipe(plane_recipe(steps=2, seed=9), data, a_run, resume=True, device="cpu", log=silent)
    assert json.loads((a_run / "recipe.json").read_text())["seed"] == 9


def test_a_training_without_a_recipe_says_what_to_give(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["train", "--out", str(tmp_path)]) == 1
    assert "name a recipe to train, or give --resume and --out FOLDER" in capsys.readouterr().err
