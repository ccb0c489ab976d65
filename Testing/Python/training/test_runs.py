"""Runs with their folders: what is written, what survives kill -9, and what every shipped recipe makes."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import DeviceError, ModelError, SettingsError, SuperResolutionError
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.models import file as models
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution_training.config.losses import LossWeights, PerceptualSettings
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.config.recipes import find_recipe, read_recipe, shipped, write_resolved
from medical_super_resolution_training.data.manifest import Entry, read_manifest, write_manifest
from medical_super_resolution_training.data.samplers.planes import PlaneSampler
from medical_super_resolution_training.tasks import task_of
from medical_super_resolution_training.training import trainer
from medical_super_resolution_training.training.checkpoints import checkpoints
from medical_super_resolution_training.training.monitoring import callbacks
from medical_super_resolution_training.training.monitoring.curves import COLUMNS
from medical_super_resolution_training.training.monitoring.validation import keep_best
from medical_super_resolution_training.training.state import TrainingState, new_state
from medical_super_resolution_training.workflows.card import card as card_of
from medical_super_resolution_training.workflows.export import export_run
from medical_super_resolution_training.workflows.resume import MANIFEST
from medical_super_resolution_training.workflows.run import run_recipe
from training_runs import assert_same_state, plane_recipe, run_that_is_killed, silent
from warm_process import started


@pytest.fixture
def validated_data(entries: list[Entry], tmp_path: Path) -> Path:
    """The MR volume is for validation."""
    split = [replace(entry, split="validation" if entry.modality == "mr" else "train") for entry in entries]
    write_manifest(split, tmp_path / "split.json")
    return tmp_path / "split.json"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# What a run leaves


def test_the_curves_have_a_row_for_every_report(data: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(callbacks, "REPORT_EVERY", 2)
    run_recipe(plane_recipe(), data, tmp_path / "run", device="cpu", log=silent)
    rows = rows_of(tmp_path / "run" / "curve.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["step"]) for row in rows] == [1, 2, 4, 5]
    assert [bool(row["accuracy"]) for row in rows] == [False, False, True, True]
    assert all(float(row["loss"]) == pytest.approx(float(row["l1"]) + float(row["mse"]), rel=1e-4) for row in rows)


def test_a_run_has_early_pictures_and_ends_with_a_checkpoint_a_picture_and_a_line(
    data: Path, tmp_path: Path, monkeypatch
):
    assert callbacks.FIRST_PICTURES[0] <= 300 / 20  # of a trial of 300 steps
    monkeypatch.setattr(callbacks, "FIRST_PICTURES", (2,))
    lines: list[str] = []
    run_recipe(plane_recipe(), data, tmp_path / "run", device="cpu", log=lines.append)
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-00000005.safetensors"]
    pictures = sorted(path.name for path in (tmp_path / "run" / "samples").iterdir())
    assert pictures == ["step-00000002.png", "step-00000005.png"]
    assert lines[-1].startswith("step 5 of 5  loss ")
    assert "accuracy" in lines[-1]
    assert lines[-1].endswith("0 min left")


def test_whole_volumes_are_validated_and_the_best_weights_kept(validated_data: Path, tmp_path: Path):
    recipe = plane_recipe(content_fraction=1.0, steps=4, validate_every=2)
    run_recipe(recipe, validated_data, tmp_path / "run", device="cpu", log=silent)
    rows = rows_of(tmp_path / "run" / "validation.csv")
    assert [(int(row["step"]), row["volume"]) for row in rows] == [(2, "mr_1.nii.gz"), (4, "mr_1.nii.gz")]
    assert all(15 < float(row["psnr_db"]) < 60 for row in rows)
    export_run(tmp_path / "run", tmp_path / "best.safetensors", best=True)
    assert models.load(tmp_path / "best.safetensors").card["training"]["volumes"] == ["ct_1.nii.gz: license not stated"]


def test_a_run_keeps_the_list_of_the_volumes_of_every_split(validated_data: Path, tmp_path: Path):
    run_recipe(plane_recipe(steps=1), validated_data, tmp_path / "run", device="cpu", log=silent)
    assert read_manifest(tmp_path / "run" / MANIFEST) == read_manifest(validated_data)


def test_volumes_for_validation_are_not_trained_on(validated_data: Path, tmp_path: Path):
    (array,) = (Path(entry.array) for entry in read_manifest(validated_data) if entry.split == "validation")
    array.unlink()
    run_recipe(plane_recipe(validate_every=0), validated_data, tmp_path / "run", device="cpu", log=silent)


def test_slice_sequences_are_validated_along_the_sequence(validated_data: Path, tmp_path: Path, a_recipe: Recipe):
    run_recipe(replace(a_recipe, steps=2, validate_every=2), validated_data, tmp_path / "run", device="cpu", log=silent)
    (row,) = rows_of(tmp_path / "run" / "validation.csv")
    assert 15 < float(row["psnr_db"]) < 60


def test_a_trial_of_a_few_steps_is_not_validated(validated_data: Path, tmp_path: Path):
    run_recipe(plane_recipe(steps=1), validated_data, tmp_path / "run", device="cpu", log=silent)
    assert not (tmp_path / "run" / "validation.csv").exists()


def test_the_best_of_the_content_stage_gives_way_to_the_adversarial_one(tmp_path: Path):
    average = new_state(plane_recipe(), "cpu").average
    assert keep_best(tmp_path, average, 1, 30.0, is_adversarial=False)
    assert not keep_best(tmp_path, average, 2, 29.9, is_adversarial=False)
    assert keep_best(tmp_path, average, 3, 29.0, is_adversarial=True)
    assert not keep_best(tmp_path, average, 4, 28.0, is_adversarial=True)


def test_a_run_that_begins_anew_forgets_the_best_weights_of_the_one_before(validated_data: Path, tmp_path: Path):
    run = tmp_path / "run"
    run_recipe(plane_recipe(validate_every=1, steps=2), validated_data, run, device="cpu", log=silent)
    for checkpoint in run.glob("checkpoint-*"):
        checkpoint.unlink()
    run_recipe(plane_recipe(validate_every=0, steps=1), validated_data, run, device="cpu", log=silent)
    assert not (run / "best.safetensors").exists()


def test_the_card_of_the_best_weights_states_their_own_steps(data: Path, tmp_path: Path):
    run = tmp_path / "run"
    state = run_recipe(plane_recipe(steps=2), data, run, device="cpu", log=silent)
    keep_best(run, state.average, 1, 30.0, is_adversarial=False)
    export_run(run, tmp_path / "best.safetensors", best=True)
    assert models.load(tmp_path / "best.safetensors").card["training"]["steps"] == 1


def test_without_validation_there_are_no_best_weights_to_export(data: Path, tmp_path: Path):
    run_recipe(plane_recipe(steps=1), data, tmp_path / "run", device="cpu", log=silent)
    with pytest.raises(
        SettingsError,
        match="fewer steps than validate_every; without --best, the last weights are exported",
    ):
        export_run(tmp_path / "run", tmp_path / "best.safetensors", best=True)


def test_weights_that_were_never_trained_are_not_exported(tmp_path: Path):
    write_manifest([], tmp_path / MANIFEST)
    write_resolved(plane_recipe(), tmp_path)
    with pytest.raises(SettingsError, match="has no checkpoint that can be read; train first"):
        export_run(tmp_path, tmp_path / "mine.safetensors")
    assert not (tmp_path / "mine.safetensors").exists()


def test_a_model_file_has_the_ending_by_which_it_is_recognized(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"mine.foo does not end in .safetensors"):
        export_run(tmp_path / "run", tmp_path / "mine.foo")


def test_a_model_file_never_replaces_the_weights_that_the_run_keeps(data: Path, tmp_path: Path):
    run = tmp_path / "run"
    run_recipe(plane_recipe(steps=1), data, run, device="cpu", log=silent)
    (checkpoint,) = checkpoints(run)
    before = checkpoint.read_bytes()
    for own in (checkpoint, run / "samples" / ".." / checkpoint.name, run / "best.safetensors"):
        with pytest.raises(SettingsError, match="is where the run keeps its own weights; choose another name"):
            export_run(run, own)
    assert checkpoint.read_bytes() == before
    export_run(run, run / "mine.safetensors")


def test_a_loss_that_is_not_finite_names_the_last_good_checkpoint(data: Path, tmp_path: Path, monkeypatch):
    run = tmp_path / "run"
    for steps in (1, 2):
        run_recipe(plane_recipe(steps=steps), data, run, device="cpu", resume=True, log=silent)
    real = PlaneSampler.batch

    def damaged(sampler, *where):
        batch = real(sampler, *where)
        return replace(batch, lr=batch.lr * float("nan"))

    monkeypatch.setattr(PlaneSampler, "batch", damaged)
    with pytest.raises(SuperResolutionError, match=r"nan at step 2, on patches of .*checkpoint-00000002.safetensors"):
        run_recipe(plane_recipe(), data, run, device="cpu", resume=True, log=silent)
    with pytest.raises(SuperResolutionError, match="nan at step 0, on patches of .*there is no checkpoint yet"):
        run_recipe(plane_recipe(), data, tmp_path / "other", device="cpu", log=silent)


def test_a_loss_that_is_not_finite_advises_what_is_possible(data: Path, tmp_path: Path):
    broken = plane_recipe(steps=4, warm_up_steps=0, learning_rate=1e30, gradient_clip=1e30, checkpoint_minutes=1e-9)
    with pytest.raises(SuperResolutionError, match="train in another folder with a lower learning_rate") as found:
        run_recipe(broken, data, tmp_path / "run", device="cpu", log=silent)
    assert "the last good checkpoint is" in str(found.value)
    lower = replace(broken, learning_rate=1e-4)
    with pytest.raises(SettingsError, match="train in another folder"):
        run_recipe(lower, data, tmp_path / "run", resume=True, device="cpu", log=silent)
    run_recipe(lower, data, tmp_path / "other", device="cpu", log=silent)


def test_a_training_that_is_refused_leaves_no_folder(entries: list[Entry], data: Path, tmp_path: Path):
    write_manifest([replace(entry, split="test") for entry in entries], tmp_path / "tests.json")
    features = PerceptualSettings(file=str(tmp_path / "missing.safetensors"))
    without_features = plane_recipe(loss=LossWeights(adversarial=0.1, perceptual=0.1), perceptual=features)
    for recipe, manifest in ((plane_recipe(), tmp_path / "tests.json"), (without_features, data)):
        with pytest.raises((SettingsError, ModelError), match=r"no volumes to train on|missing\.safetensors"):
            run_recipe(recipe, manifest, tmp_path / "run", device="cpu", log=silent)
        assert not (tmp_path / "run").exists()


def test_volumes_that_are_too_small_are_not_blamed_on_the_learning_rate(data: Path, tmp_path: Path):
    with pytest.raises(SettingsError, match="too small") as refusal:
        run_recipe(plane_recipe(patch_in_plane=4096), data, tmp_path / "run", device="cpu", log=silent)
    assert "learning rate" not in str(refusal.value)


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (DeviceError("the graphics card failed"), "the graphics card failed"),  # as the engine says it in a validation
        (torch.OutOfMemoryError("CUDA out of memory"), "the graphics card ran out of memory; .* batch_size"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), "the graphics card ran out of memory; .*"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "the computer ran out of memory; .* batch_size"),
        (MemoryError(), "the computer ran out of memory; .* batch_size"),
    ],
)
def test_a_lack_of_memory_is_one_sentence_and_not_blamed_on_the_learning_rate(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception, sentence: str
):
    def failing(*step: object, **settings: object) -> dict[str, torch.Tensor]:
        raise problem

    monkeypatch.setattr(trainer, "training_step", failing)
    with pytest.raises(DeviceError, match=sentence) as refusal:
        run_recipe(plane_recipe(), data, tmp_path / "run", device="cpu", log=silent)
    assert "learning rate" not in str(refusal.value)


def test_the_card_says_what_the_model_was_trained_for_and_how(data: Path, tmp_path: Path):
    run_recipe(plane_recipe(), data, tmp_path / "run", device="cpu", log=silent)
    export_run(tmp_path / "run", tmp_path / "mine.safetensors", also={"summary": "mine"})
    card = models.load(tmp_path / "mine.safetensors").card
    assert card["summary"] == "mine"
    assert card["trained_for"] == {"modalities": ["ct", "mr"], "factor": [2], "thickness": [0.7, 1.3]}
    assert (card["training"]["steps"], card["training"]["adversarial_steps"]) == (5, 3)
    assert "detail_model_of" not in card


def test_a_model_of_before_the_adversarial_stage_has_no_adversarial_steps():
    assert card_of(task_of(plane_recipe()), 1, [], {})["training"]["adversarial_steps"] == 0


def test_a_model_with_a_stage_for_its_content_is_no_detail_model_of_the_one_that_it_started_from():
    recipe = replace(plane_recipe(), start_from="plain.safetensors")
    made = card_of(task_of(recipe), recipe.steps, [], {})
    assert made["training"]["started_from"] == "plain"
    assert "detail_model_of" not in made


def test_a_detail_model_says_whose_detail_model_it_is(data: Path, tmp_path: Path, a_recipe: Recipe):
    run_recipe(replace(a_recipe, steps=1), data, tmp_path / "run", device="cpu", log=silent)
    export_run(tmp_path / "run", tmp_path / "plain.safetensors")
    small = [
        f"start_from = '{(tmp_path / 'plain.safetensors').as_posix()}'",
        *(f"generator_config.{key} = {value}" for key, value in a_recipe.generator_config.items()),
        "steps = 2",
        "batch_size = 1",
        "patch_in_plane = 16",
        "factors = [2.0]",
        "factor_weights = [1.0]",
        "any_factor_weight = 0.0",
        "patch_slices = 4",
        "thick_in_plane_fraction = 0.0",
        "loss.perceptual = 0.0",
    ]
    recipe = read_recipe(find_recipe("general-detail"), small)
    run_recipe(recipe, data, tmp_path / "sharp", device="cpu", log=silent)
    export_run(tmp_path / "sharp", tmp_path / "plain-detail.safetensors")
    plain, detailed = (models.load(tmp_path / name) for name in ("plain.safetensors", "plain-detail.safetensors"))
    assert detailed.card["detail_model_of"] == "plain"
    weights = plain.generator.state_dict()
    changed = {
        name for name, tensor in detailed.generator.state_dict().items() if not np.array_equal(tensor, weights[name])
    }
    assert changed


# Stopped at any moment


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_a_run_that_was_killed_resumes_to_the_weights_of_one_that_was_not(data: Path, tmp_path: Path):
    """Killed with -9 when it has written checkpoints, at whatever moment that is."""
    recipe = plane_recipe(steps=24, content_fraction=0.2, checkpoint_minutes=1e-6, sample_every=0)
    run = tmp_path / "killed" / "run"
    run.parent.mkdir()
    (run.parent / "recipe.json").write_text(json.dumps(dataclasses.asdict(recipe)))
    process = started(run_that_is_killed, run.parent, data, 8)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (newest, *_) = checkpoints(run)
    assert 7 <= int(newest.stem[-8:]) < 24
    resumed = run_recipe(recipe, data, run, device="cpu", resume=True, log=silent)
    whole = run_recipe(recipe, data, tmp_path / "whole", device="cpu", log=silent)
    assert_same_state(resumed, whole, atol=1e-6)
    reports = [[row["step"] for row in rows_of(folder / "curve.csv")] for folder in (run, tmp_path / "whole")]
    assert reports[0] == reports[1]


@pytest.mark.parametrize("step", [4, 5, 7])
def test_the_curves_of_a_run_that_was_stopped_between_two_rows_are_those_of_one_that_was_not(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
):
    recipe, save = plane_recipe(steps=8, checkpoint_minutes=0.0, sample_every=0), callbacks.save_checkpoint

    def save_and_stop(run: Path, state: TrainingState) -> None:
        save(run, state)
        if state.step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(callbacks, "save_checkpoint", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, data, tmp_path / "stopped", device="cpu", log=silent)
    monkeypatch.setattr(callbacks, "save_checkpoint", save)
    run_recipe(recipe, data, tmp_path / "stopped", device="cpu", resume=True, log=silent)
    run_recipe(recipe, data, tmp_path / "whole", device="cpu", log=silent)
    curves = [(tmp_path / name / "curve.csv").read_text() for name in ("stopped", "whole")]
    assert curves[0] == curves[1]


@pytest.mark.parametrize("left", ["", "step,lo"])
def test_curves_of_which_a_full_disk_left_no_row_have_their_header_again(data: Path, tmp_path: Path, left: str):
    run_recipe(plane_recipe(steps=1), data, tmp_path / "run", device="cpu", log=silent)
    (tmp_path / "run" / "curve.csv").write_text(left)
    run_recipe(plane_recipe(steps=2), data, tmp_path / "run", device="cpu", resume=True, log=silent)
    (row,) = rows_of(tmp_path / "run" / "curve.csv")
    assert (tuple(row), row["step"]) == (COLUMNS, "2")


def test_a_run_that_continues_from_an_older_checkpoint_says_why(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for steps in (1, 2):
        run_recipe(plane_recipe(steps=steps), data, tmp_path / "run", device="cpu", resume=True, log=silent)
    checkpoints(tmp_path / "run")[0].write_bytes(b"damaged")
    run_recipe(plane_recipe(steps=2), data, tmp_path / "run", device="cpu", resume=True, log=silent)
    assert "checkpoint-00000002.safetensors is damaged" in capsys.readouterr().err


def test_pictures_of_what_came_after_the_checkpoint_are_removed(data: Path, tmp_path: Path):
    run = tmp_path / "run"
    run_recipe(plane_recipe(steps=1), data, run, device="cpu", log=silent)
    (run / "samples" / "step-00000010.png").touch()
    run_recipe(plane_recipe(steps=2), data, run, device="cpu", resume=True, log=silent)
    assert [path.name for path in sorted((run / "samples").iterdir())] == ["step-00000001.png", "step-00000002.png"]


def test_a_run_whose_checkpoints_are_all_damaged_does_not_begin_anew(data: Path, tmp_path: Path):
    run_recipe(plane_recipe(steps=1), data, tmp_path / "run", device="cpu", log=silent)
    for path in checkpoints(tmp_path / "run"):
        path.write_bytes(b"damaged")
    with pytest.raises(SuperResolutionError, match="no checkpoint in .* can be read: .*; train") as caught:
        run_recipe(plane_recipe(), data, tmp_path / "run", device="cpu", resume=True, log=silent)
    assert "is used" not in str(caught.value)  # there is none before it


# Every shipped recipe

SMALL = {
    "srcnn": {"channels": [4, 2]},
    "srresnet": {"channels": 4, "blocks": 1},
    "rrdb": {"channels": 4, "growth": 2, "blocks": 1},
    "hybrid-attention": {"channels": 4, "blocks": 1},
    "attention-dense": {"channels": 4, "modules": 1, "layers": 2},
    "medgan": {"channels": 4, "convolutions": 1},
    "tgan": {"channels": 4, "blocks": 1, "patch": 4, "width": 8, "layers": 1},
    "disgan": {"channels": 4, "growth": 2, "blocks": 1},
    "through-plane": {"channels": 4, "blocks": 1, "pairs": 1, "gate_channels": 2, "kernel_hidden": 4},
}
SMALL_DISCRIMINATORS = {
    "vgg-style": {"channels": 2, "hidden": 4},
    "patch": {"channels": 2, "halvings": 1},
    "sequence-lstm": {"channels": 2, "grid": 2, "hidden": 4},
    "refined-sequence": {"channels": 2, "hidden": 4},
    "wavelet-conditional": {"channels": 2},
}
OF_GENERATORS = [path.stem for path in shipped() if read_recipe(path, []).task == "generator"]


def made_small(name: str, a_slice_encoder: Path) -> Recipe:
    """A shipped recipe with a network of a few weights, two steps, small patches; everything else as it is."""
    recipe = read_recipe(find_recipe(name), [])
    adversarial = recipe.adversarial
    features = recipe.perceptual.features
    if features == "efficientnet-lite2":  # an optional package
        features = "slice-encoder"
    small = SMALL_DISCRIMINATORS.get(adversarial.discriminator, {})
    return replace(
        recipe,
        start_from="",
        generator_config=recipe.generator_config | SMALL.get(recipe.generator, {}),
        adversarial=replace(adversarial, discriminator_config=small),
        perceptual=replace(recipe.perceptual, features=features, file=str(a_slice_encoder)),
        steps=2,
        content_fraction=min(recipe.content_fraction, 0.5),
        batch_size=1,
        patch_slices=4,
        patch_in_plane=16,
        factors=(2.0,),
        factor_weights=(1.0,),
        any_factor_weight=0.0,
        thick_in_plane_fraction=0.0,
    )


@pytest.mark.parametrize("name", OF_GENERATORS)
def test_every_recipe_trains_and_makes_a_model_that_enhances(
    name: str, data: Path, tmp_path: Path, a_slice_encoder: Path, a_volume
):
    recipe = made_small(name, a_slice_encoder)
    state = run_recipe(recipe, data, tmp_path / "run", device="cpu", log=silent)
    assert state.step == 2
    assert (state.discriminator is not None) == (recipe.loss.adversarial > 0)
    export_run(tmp_path / "run", tmp_path / "mine.safetensors")
    model = models.load(tmp_path / "mine.safetensors")
    k, j, i = a_volume.array.shape
    if recipe.generator == "through-plane":
        enhanced = enhance(a_volume, model, EnhanceSettings(factor=2, axes="k"))
        assert enhanced.volume.array.shape == (2 * k, j, i)
    else:
        enhanced = enhance(a_volume, model, EnhanceSettings())
        assert enhanced.volume.array.shape == (k, 2 * j, 2 * i)
