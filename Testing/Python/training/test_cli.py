from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medical_super_resolution.models import file as models
from medical_super_resolution_training.cli.main import VERBS, main
from medical_super_resolution_training.config.recipes import read_resolved
from medical_super_resolution_training.training.checkpoints import restore_newest
from medical_super_resolution_training.training.state import new_state
from tiny_recipe import TINY


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text("\n".join(["steps = 3", *TINY]))
    return path


@pytest.fixture
def a_run(tmp_path: Path, a_dataset: Path, recipe: Path) -> Path:
    """A finished run of three steps."""
    data, run = tmp_path / "data.json", tmp_path / "run"
    assert main(["prepare", str(a_dataset), str(data)]) == 0
    assert main(["train", str(recipe), "--data", str(data), "--out", str(run)]) == 0
    return run


def test_an_exported_model_holds_the_averaged_weights_and_has_seen_features(a_run: Path, tmp_path: Path, capsys):
    output = tmp_path / "mine.safetensors"
    capsys.readouterr()
    assert main(["export", str(a_run), "-o", str(output)]) == 0
    printed = capsys.readouterr()
    assert (printed.out.strip(), "64 patches" in printed.err) == (str(output), True), "what takes minutes is announced"
    state = new_state(read_resolved(a_run), "cpu")
    restore_newest(a_run, state)
    generator = models.load(output).generator
    exported = dict(generator.named_parameters())
    for name, tensor in state.average.named_parameters():
        np.testing.assert_array_equal(exported[name], tensor)
    assert generator.capabilities.precisions == ("float32", "mixed", "int8")


def test_a_model_whose_volumes_are_gone_is_exported_for_float32(a_run: Path, tmp_path: Path, capsys):
    for array in a_run.parent.rglob("*.npy"):
        array.unlink()
    assert main(["export", str(a_run), "-o", str(tmp_path / "mine.safetensors")]) == 0
    assert "8-bit" in capsys.readouterr().err
    assert models.load(tmp_path / "mine.safetensors").generator.capabilities.precisions == ("float32", "mixed")


def test_an_exported_model_enhances_a_volume(a_run: Path, tmp_path: Path, a_volume):
    from medical_super_resolution.inference.enhance import enhance
    from medical_super_resolution.settings import EnhanceSettings

    output = tmp_path / "mine.safetensors"
    output.touch()
    assert main(["export", str(a_run), "-o", str(output)]) == 1, "a file is not replaced silently"
    assert main(["export", str(a_run), "-o", str(output), "--overwrite"]) == 0
    enhanced = enhance(a_volume, models.load(output), EnhanceSettings(factor=2))
    assert enhanced.volume.array.shape == (18, 18, 20)
    assert enhanced.report.model == "mine"


def test_a_resumed_run_goes_on_from_its_last_step(a_run: Path, tmp_path: Path, recipe: Path):
    arguments = ["train", str(recipe), "--data", str(tmp_path / "data.json"), "--out", str(a_run)]
    assert main([*arguments, "--resume", "--set", "steps = 5"]) == 0
    state = new_state(read_resolved(a_run), "cpu")
    restore_newest(a_run, state)
    assert state.step == 5


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 1
    _, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_a_new_run_does_not_go_into_the_folder_of_another(a_run: Path, tmp_path: Path, recipe: Path, capsys):
    """The other run's later checkpoints would be taken for this run's."""
    before = {path: path.read_bytes() for path in a_run.rglob("*") if path.is_file()}
    arguments = ("train", recipe, "--data", tmp_path / "data.json", "--out", a_run, "--set", "steps = 2")
    assert "--resume" in refusal(capsys, *arguments)
    assert {path: path.read_bytes() for path in a_run.rglob("*") if path.is_file()} == before


def test_a_run_without_a_checkpoint_is_not_exported(a_run: Path, tmp_path: Path, capsys):
    for checkpoint in a_run.glob("*.safetensors"):
        checkpoint.unlink()
    assert "checkpoint" in refusal(capsys, "export", a_run, "-o", tmp_path / "mine.safetensors")
    assert not (tmp_path / "mine.safetensors").exists()


def test_a_misspelled_setting_gets_one_sentence(tmp_path: Path, recipe: Path, capsys):
    arguments = ("train", recipe, "--data", tmp_path / "data.json", "--out", tmp_path / "run", "--set", "setps = 5")
    assert "did you mean 'steps'" in refusal(capsys, *arguments)


def test_the_recipes_are_listed_and_printed(capsys):
    assert main(["recipes"]) == 0
    listed = capsys.readouterr().out
    assert {line.split()[0] for line in listed.splitlines()} >= {"general", "lstmagan", "srcnn", "hybrid-attention"}
    assert all(line.endswith(".") for line in listed.splitlines())
    assert main(["recipes", "lstmagan"]) == 0
    assert "eq. 15" in capsys.readouterr().out
    assert main(["recipes", "lstmagan", "--print-config"]) == 0
    printed = capsys.readouterr().out
    assert "gradient_clip = 1.0" in printed
    assert "perceptual = 0.006" in printed


def test_every_setting_is_printed_before_a_training(recipe: Path, capsys):
    assert main(["train", str(recipe), "--print-config", "--set", "loss.mse=0.5"]) == 0
    printed = capsys.readouterr().out
    assert "steps = 3" in printed
    assert "mse = 0.5" in printed


def test_a_training_without_data_gets_one_sentence(recipe: Path, capsys):
    assert "--data MANIFEST.json" in refusal(capsys, "train", recipe)


def test_a_missing_manifest_gets_one_sentence(tmp_path: Path, recipe: Path, capsys):
    arguments = ("train", recipe, "--data", tmp_path / "data.json", "--out", tmp_path / "run")
    assert "there is no manifest" in refusal(capsys, *arguments)


def test_a_folder_that_is_no_run_gets_one_sentence(tmp_path: Path, capsys):
    assert "no folder of a training run" in refusal(capsys, "export", tmp_path, "-o", tmp_path / "mine.safetensors")


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_command_says_what_it_does(verb: str, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    described = capsys.readouterr().out.split("\n\n")[1]
    assert described == VERBS[verb].HELP or len(described) > len(VERBS[verb].HELP)


def test_an_interrupted_command_ends_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("medical_super_resolution_training.cli.commands.recipes.run", interrupted)
    assert main(["recipes"]) == 130
    assert capsys.readouterr().err == "stopped; what was finished before is kept\n"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--device", "gpu", "invalid choice: 'gpu'"), ("--workers", "-1", "the number must be at least 0, got -1")],
)
@pytest.mark.parametrize("command", [["train", "srcnn"], ["reproduce", "general", "scans", "out"]])
def test_a_device_or_a_number_of_workers_without_a_meaning_is_refused(
    command: list[str], option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        main([*command, option, value])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
