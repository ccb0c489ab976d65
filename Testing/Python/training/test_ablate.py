"""medsr-train ablate: trains missing models, reuses existing ones, measures all four."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from medical_super_resolution.errors import SettingsError
from medical_super_resolution_training.cli.commands.ablate import RECIPES
from medical_super_resolution_training.cli.main import main
from medical_super_resolution_training.data.manifest import Entry, write_manifest
from medical_super_resolution_training.evaluation import runner
from medical_super_resolution_training.workflows.export import trained

SMALL = [
    *("steps = 2", "warm_up_steps = 1", "batch_size = 1", "patch_slices = 4", "patch_in_plane = 16"),
    *("generator_config.channels = 4", "generator_config.modules = 1", "generator_config.layers = 1"),
    *("loss.perceptual = 0.0", "adversarial.discriminator_config.channels = 2"),
    *("adversarial.discriminator_config.hidden = 4", "validate_every = 0", "sample_every = 0"),
]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_measurements")
def test_four_models_are_trained_once_and_measured(
    a_dataset: Path,
    entries: list[Entry],
    tmp_path: Path,
    a_slice_encoder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    out, measured = tmp_path / "ablation", tmp_path / "measured"
    measured.mkdir()
    shutil.copy(a_dataset / "mr_1.nii.gz", measured)
    arguments = ["ablate", "--data", tmp_path / "data.json", "--measure-on", measured, "--out", out]
    arguments += ["--encoder", a_slice_encoder, "--crop", "16x24x24", "--show", "mr_1", "--device", "cpu"]
    for setting in SMALL:
        arguments += ["--set", setting]
    assert main([str(one) for one in arguments]) == 0
    weights = {name: (out / f"{name}.safetensors").read_bytes() for name in RECIPES}
    assert len(set(weights.values())) == 4
    assert {"table.md", "mr_1_ij_2.png", "discriminator.png", "discriminator.csv"} <= {
        path.name for path in out.iterdir()
    }
    with (out / "scores.csv").open(newline="") as file:
        next(file)
        methods = {row["method"] for row in csv.DictReader(file)}
    assert methods == {"linear", "cubic B-spline", "Lanczos", *RECIPES}

    capsys.readouterr()
    monkeypatch.setattr(runner, "measure", lambda study, found, log: f"{len(study.methods)} methods measured again")
    assert main([str(one) for one in arguments]) == 0
    shown = capsys.readouterr().out
    assert shown.count("trained already") == 4
    assert "7 methods measured again" in shown
    assert weights == {name: (out / f"{name}.safetensors").read_bytes() for name in RECIPES}


def test_a_run_that_was_stopped_goes_on(entries: list[Entry], tmp_path: Path):
    """A longer training continues the shorter one, as after a stop."""
    said: list[str] = []
    for steps in (2, 3):
        settings = [*SMALL, f"steps = {steps}"]
        trained("lstmagan-1", settings, tmp_path / "data.json", tmp_path / "out", device="cpu", log=said.append)
    assert (tmp_path / "out" / "lstmagan-1" / "checkpoint-00000003.safetensors").is_file()
    assert not any("already" in line for line in said)


def test_a_model_that_was_trained_on_other_volumes_is_not_reused(entries: list[Entry], tmp_path: Path):
    trained("lstmagan-1", SMALL, tmp_path / "data.json", tmp_path / "out", device="cpu", log=lambda line: None)
    write_manifest(entries[:1], tmp_path / "fewer.json")
    with pytest.raises(SettingsError, match="started on other volumes than .*fewer.json lists: mr_1"):
        trained("lstmagan-1", SMALL, tmp_path / "fewer.json", tmp_path / "out", device="cpu")
