"""The panel of the training: its messages and its buttons."""

from __future__ import annotations

import json
import os
import shutil
import sys
import types
import unittest
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from widget.helpers import (
    check_passing,
    double_click,
    packages_left_by_reload,
    settle,
    take_torch_away,
    texts_cut_in,
    wait,
)

LASTS = "step(50, 0.5); step(100, 0.25); checkpoint(); time.sleep(60)"


def start(panel: Any) -> None:
    panel.ui.startButton.click()
    wait(lambda: not panel._running or panel.ui.statusLabel.text.startswith("Step 100"))


def end(panel: Any) -> None:
    wait(lambda: panel._running is None)


# ---- what it says before anything runs


def test_it_says_what_is_missing_one_after_the_other(a_training_panel: Any, tmp_path: Path):
    ui = a_training_panel.ui
    assert ui.descriptionLabel.text == "Choose the data first: a manifest, or a folder of volumes."
    assert (ui.startButton.enabled, ui.startButton.toolTip) == (False, ui.descriptionLabel.text)
    ui.volumesPathLineEdit.currentPath = str(tmp_path)
    assert ui.descriptionLabel.text == "Choose a folder for the run first."
    assert ui.dataCheckLabel.text.startswith("Files of volumes: 0")
    ui.runPathLineEdit.currentPath = str(tmp_path / "run")
    assert ui.descriptionLabel.text == f"general: 7,500 steps, into {tmp_path / 'run'}"
    assert ui.startButton.enabled
    ui.volumesPathLineEdit.currentPath = ""
    assert not ui.startButton.enabled


def test_a_folder_that_is_not_there_is_named(a_training_panel: Any, tmp_path: Path):
    a_training_panel.ui.volumesPathLineEdit.currentPath = str(tmp_path / "nowhere")
    assert a_training_panel.ui.descriptionLabel.text == f"There is no folder {tmp_path / 'nowhere'}" + "."


@pytest.mark.parametrize("name", ["recipeFile", "volumes", "manifest", "run", "model"])
def test_a_path_in_a_folder_that_is_closed_to_the_user_is_refused(a_training_panel: Any, ready: Path, name: str):
    chosen, path = a_training_panel._parameterNode, f"/{'x' * 300}/mine.toml"
    if name == "recipeFile":
        chosen.recipe = ""
    elif name == "volumes":
        chosen.dataKind = type(chosen.dataKind).VOLUMES
    setattr(chosen, name, path)  # as little to be followed as one under the home of another account
    expected = {"recipeFile": f"There is no recipe {path}.", "volumes": f"There is no folder {path}."}
    expected["manifest"] = f"There is no manifest {path}."
    assert a_training_panel.ui.startButton.toolTip == expected.get(
        name, "Train; Slicer stays usable, and leaving Slicer or the scene stops it."
    )
    assert not a_training_panel.ui.exportButton.enabled
    assert not a_training_panel.ui.useButton.enabled


def test_only_the_boxes_that_are_needed_are_shown(a_training_panel: Any):
    ui = a_training_panel.ui
    assert ui.recipePathLineEdit.isHidden()
    assert ui.manifestPathLineEdit.isHidden()
    assert not ui.volumesPathLineEdit.isHidden()
    ui.recipeComboBox.currentIndex = ui.recipeComboBox.findText("From a file")
    ui.dataComboBox.currentIndex = ui.dataComboBox.count - 1
    assert not ui.recipePathLineEdit.isHidden()
    assert not ui.manifestPathLineEdit.isHidden()
    assert ui.volumesPathLineEdit.isHidden()


def test_the_shipped_recipes_are_offered(a_training_panel: Any):
    box = a_training_panel.ui.recipeComboBox
    names = [box.itemText(index) for index in range(box.count)]
    assert {"general", "slice-profile"} <= set(names)
    assert (names[-1], box.currentText) == ("From a file", "general")


def test_a_mistake_in_a_recipe_is_shown_before_it_starts(a_training_panel: Any, ready: Path, tmp_path: Path):
    (tmp_path / "mine.toml").write_text("stepps = 3")
    ui = a_training_panel.ui
    ui.recipeComboBox.currentIndex = ui.recipeComboBox.count - 1
    assert ui.descriptionLabel.text == "Choose a recipe first."
    ui.recipePathLineEdit.currentPath = str(tmp_path / "mine.toml")
    assert "did you mean 'steps'?" in ui.descriptionLabel.text
    assert not ui.startButton.enabled


def test_other_steps_are_shown_and_handed_over(a_training_panel: Any, ready: Path, given: Callable):
    a_training_panel.ui.stepsSpinBox.value = 300
    assert "general: 300 steps" in a_training_panel.ui.descriptionLabel.text
    a_training_panel.ui.startButton.click()
    end(a_training_panel)
    assert given()[0][-2:] == ["--set", "steps = 300"]


# ---- a run


def test_a_run_is_started_with_what_was_chosen(a_training_panel: Any, ready: Path, given: Callable, errors_shown: Any):
    ui = a_training_panel.ui
    ui.deviceComboBox.currentIndex = ui.deviceComboBox.findText("CPU")
    ui.startButton.click()
    assert ui.startButton.text == "Stop"
    end(a_training_panel)
    (command,) = given()
    assert command[0] == "train"
    assert Path(command[1]).name == "general.toml"
    assert command[2:] == ["--data", str(ready.parent / "volumes.json"), "--out", str(ready), "--device", "cpu"]
    assert (ui.startButton.text, ui.statusLabel.text, errors_shown) == ("Start", "Done.", [])


def test_a_folder_of_volumes_is_prepared_first(a_training_panel: Any, ready: Path, given: Callable, tmp_path: Path):
    ui = a_training_panel.ui
    ui.dataComboBox.currentIndex = ui.dataComboBox.findText("BraTS 2021")
    ui.volumesPathLineEdit.currentPath = str(tmp_path)
    ui.startButton.click()
    end(a_training_panel)
    prepare, train = given()
    assert prepare == ["prepare", str(tmp_path), str(ready / "data.json"), "--layout", "brats2021"]
    assert train[2:4] == ["--data", str(ready / "data.json")]


def test_volumes_that_were_prepared_for_a_run_that_never_began_are_prepared_again(
    tmp_path: Path, the_training_module: Any
):
    from MedicalSuperResolutionTrainingLib import commands

    (tmp_path / "scans").mkdir()
    (tmp_path / "data.json").write_text("{}")  # since then, there may be others in the folder
    choices = commands.Choices(recipe="general", data=tmp_path / "scans", layout="volumes", run=tmp_path)
    assert [command[0] for command in commands.training(choices)] == ["prepare", "train"]
    (tmp_path / "checkpoint-00000002.safetensors").touch()
    assert [command[0] for command in commands.training(choices)] == ["train"]


def test_the_curve_is_drawn_and_shown_while_it_runs(
    a_training_panel: Any, ready: Path, train_as: Callable, slicer_python: types.ModuleType
):
    train_as(LASTS)
    start(a_training_panel)
    chart = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotChartNode")
    table = chart.GetPlotSeriesNode().GetTableNode().GetTable()
    assert (chart.GetTitle(), table.GetNumberOfRows()) == ("my run", 2)
    layout = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    assert layout.GetViewArrangement() == layout.SlicerLayoutFourUpPlotView
    ui = a_training_panel.ui
    assert ui.statusLabel.text.startswith("Step 100 of 7,500, loss 0.25")
    assert (ui.progressBar.value, ui.progressBar.maximum) == (100, 7500)
    assert ui.logTextEdit.plainText == "step 50\nstep 100"
    assert not ui.trainingCollapsibleButton.enabled


def test_a_curve_that_cannot_be_drawn_ends_no_training(
    a_training_panel: Any, ready: Path, train_as: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from MedicalSuperResolutionTrainingLib import plot

    def fails(*_: object) -> None:
        raise ValueError("no chart")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(plot, "draw", fails)
        train_as("step(50, 0.5); wait_for('go'); step(100, 0.25); time.sleep(60)")
        a_training_panel.ui.startButton.click()
        wait(lambda: "The training continues, but cannot be drawn: no chart" in a_training_panel.ui.statusLabel.text)
        assert a_training_panel.ui.startButton.text == "Stop"
        assert a_training_panel.ui.statusLabel.text.startswith("Step 50 of 7,500, loss 0.5")
    (tmp_path / "go").touch()
    wait(lambda: a_training_panel.ui.statusLabel.text.startswith("Step 100 of"))
    assert "drawn" not in a_training_panel.ui.statusLabel.text


def test_it_says_how_long_it_will_take(a_training_panel: Any, ready: Path, train_as: Callable, tmp_path: Path):
    a_training_panel.ui.stepsSpinBox.value = 1000
    train_as("step(100, 0.5); wait_for('go'); step(200, 0.4); time.sleep(60)")
    a_training_panel.ui.startButton.click()
    wait(lambda: a_training_panel.ui.statusLabel.text.startswith("Step 100 of"))
    (tmp_path / "go").touch()
    wait(lambda: " left" in a_training_panel.ui.statusLabel.text)
    assert "Step 200 of 1,000, loss 0.4, about " in a_training_panel.ui.statusLabel.text


def test_before_there_is_a_curve_its_loss_alone_can_be_chosen(a_training_panel: Any):
    box = a_training_panel.ui.quantityComboBox
    assert [(box.itemText(index), box.itemData(index)) for index in range(box.count)] == [("loss", "loss")]


def test_columns_of_the_curve_can_be_chosen(
    a_training_panel: Any, ready: Path, train_as: Callable, slicer_python: types.ModuleType
):
    train_as("(run / 'curve.csv').write_text('step,generator,psnr\\n50,0.5,30.5\\n')")
    a_training_panel.ui.startButton.click()
    end(a_training_panel)
    box = a_training_panel.ui.quantityComboBox
    assert [box.itemText(index) for index in range(box.count)] == ["generator", "psnr"]
    assert a_training_panel._parameterNode.quantity == "generator"
    box.currentIndex = 1
    a_training_panel.ui.curveButton.click()
    chart = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotChartNode")
    assert chart.GetYAxisTitle() == "psnr"


def test_a_run_from_outside_slicer_can_be_watched(
    a_training_panel: Any, ready: Path, slicer_python: types.ModuleType, errors_shown: Any
):
    from PySide6 import QtGui

    a_training_panel.ui.curveButton.click()
    assert errors_shown == [f"There is no curve of loss in {ready}" + "."]
    ready.mkdir()
    (ready / "curve.csv").write_text("50,0.5\n")
    (ready / "samples").mkdir()
    QtGui.QImage(40, 20, QtGui.QImage.Format.Format_RGB32).save(str(ready / "samples" / "step-00000050.png"))
    a_training_panel.ui.curveButton.click()
    assert slicer_python.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 1
    assert a_training_panel.ui.sampleLabel.toolTip == "step-00000050.png"


# ---- how it ends


def test_a_second_click_stops_it_and_a_third_goes_on(
    a_training_panel: Any, ready: Path, train_as: Callable, given: Callable, errors_shown: Any
):
    train_as(LASTS)
    ui = a_training_panel.ui
    start(a_training_panel)
    ui.startButton.click()
    assert a_training_panel._running is None
    assert (ui.startButton.text, errors_shown) == ("Start", [])
    assert ui.statusLabel.text == "Stopped. Start it again to continue from its latest checkpoint."
    assert "continues the run in" in ui.descriptionLabel.text
    train_as("")
    ui.startButton.click()
    end(a_training_panel)
    assert given()[1][-1] == "--resume"


def test_a_double_click_on_stop_does_not_start_it_again(a_training_panel: Any, ready: Path, train_as: Callable):
    train_as(LASTS)
    double_click(a_training_panel.ui.startButton)
    assert a_training_panel._running is not None
    double_click(a_training_panel.ui.startButton)
    assert a_training_panel._running is None


def test_a_finished_run_can_only_be_extended(a_training_panel: Any, ready: Path):
    ui = a_training_panel.ui
    ready.mkdir()
    (ready / "checkpoint-00000300.safetensors").touch()
    ui.stepsSpinBox.value = 300
    expected = f"The run in {ready} has done its 300 steps; choose more steps, or another folder for the run."
    assert (ui.descriptionLabel.text, ui.startButton.toolTip, ui.startButton.enabled) == (expected, expected, False)
    ui.stepsSpinBox.value = 400
    assert ui.descriptionLabel.text == f"general: continues the run in {ready}, up to step 400"
    assert ui.startButton.enabled


def test_a_run_that_is_stopped_at_once_has_nothing_to_go_on_from(
    a_training_panel: Any, ready: Path, train_as: Callable
):
    train_as("time.sleep(60)")
    a_training_panel.ui.startButton.click()
    a_training_panel.ui.startButton.click()
    assert a_training_panel.ui.statusLabel.text == "Stopped. There is no checkpoint yet."


def test_a_failure_is_shown_once_as_its_sentence(
    a_training_panel: Any, ready: Path, train_as: Callable, errors_shown: Any
):
    train_as("print('error: the loss is nan at step 7', file=sys.stderr); sys.exit(1)")
    a_training_panel.ui.startButton.click()
    end(a_training_panel)
    assert errors_shown == ["The loss is nan at step 7."]
    assert a_training_panel.ui.statusLabel.text == errors_shown[0]
    assert "error: the loss is nan" in a_training_panel.ui.logTextEdit.plainText


def test_what_keeps_it_from_starting_is_shown_once(
    a_training_panel: Any, ready: Path, errors_shown: Any, monkeypatch: pytest.MonkeyPatch
):
    take_torch_away(monkeypatch)
    a_training_panel.ui.startButton.click()
    assert errors_shown == ["PyTorch is not installed."]
    assert a_training_panel.ui.startButton.text == "Start"
    assert not ready.exists()


def test_closing_the_scene_ends_the_child(
    a_training_panel: Any, ready: Path, train_as: Callable, slicer_python: types.ModuleType, errors_shown: Any
):
    train_as(LASTS)
    start(a_training_panel)
    process = a_training_panel._running._process
    slicer_python.mrmlScene.Clear(False)
    assert (a_training_panel._running, process.is_running, errors_shown) == (None, False, [])
    assert a_training_panel._parameterNode.run == ""  # of the new scene


def test_leaving_slicer_ends_the_child_in_silence(
    a_training_panel: Any, ready: Path, train_as: Callable, errors_shown: Any
):
    train_as(LASTS)
    start(a_training_panel)
    process = a_training_panel._running._process
    a_training_panel.cleanup()
    assert (process.is_running, errors_shown, a_training_panel.Observations) == (False, [], [])


def test_it_goes_on_while_another_module_is_open(a_training_panel: Any, ready: Path, train_as: Callable):
    train_as("wait_for('go')")
    a_training_panel.ui.startButton.click()
    a_training_panel.exit()
    (ready.parent / "go").touch()
    end(a_training_panel)
    a_training_panel.enter()
    assert a_training_panel.ui.startButton.text == "Start"


def test_its_curve_takes_no_layout_while_another_module_is_open(
    a_training_panel: Any, ready: Path, train_as: Callable, slicer_python: types.ModuleType
):
    layout = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    before = layout.GetViewArrangement()
    train_as("step(50, 0.5); wait_for('go'); step(100, 0.25); time.sleep(60)")
    a_training_panel.ui.startButton.click()
    a_training_panel.exit()
    wait(lambda: slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotChartNode"))
    assert layout.GetViewArrangement() == before
    a_training_panel.enter()
    (ready.parent / "go").touch()
    wait(lambda: layout.GetViewArrangement() == layout.SlicerLayoutFourUpPlotView)


def test_a_curve_that_grows_is_brought_into_view_once(
    the_training_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from MedicalSuperResolutionTrainingLib import plot, watched_run

    shown: list[Any] = []
    monkeypatch.setattr(plot, "show", shown.append)
    run = watched_run.WatchedRun(tmp_path, 100)
    for text in ("50,0.5\n", "50,0.5\n100,0.25\n"):
        (tmp_path / "curve.csv").write_text(text)
        run.update("loss")
    assert len(shown) == 1
    assert run.latest("loss") == (100, 0.25)


def test_what_a_run_that_was_stopped_left_is_not_taken_for_the_progress_of_the_new_one(
    the_training_module: Any, tmp_path: Path
):
    from MedicalSuperResolutionTrainingLib import watched_run

    def latest(run: Any) -> tuple[int, float] | None:
        run.update("loss")
        return run.latest("loss")

    written = tmp_path / "curve.csv"
    written.write_text("step,loss\n50,0.5\n100,0.25\n")
    run = watched_run.WatchedRun(tmp_path, 300)
    assert latest(run) is None
    (tmp_path / "checkpoint-00000050.safetensors").touch()
    run = watched_run.WatchedRun(tmp_path, 300)
    assert latest(run) is None
    written.write_text("step,loss\n50,0.5\n")  # the training has begun
    assert latest(run) == (50, 0.5)
    assert latest(watched_run.WatchedRun(tmp_path, 300)) == (50, 0.5)


def test_the_choices_are_kept_in_the_scene(a_training_panel: Any, ready: Path):
    a_training_panel.ui.stepsSpinBox.value = 300
    a_training_panel.exit()
    a_training_panel.ui.runPathLineEdit.currentPath = ""
    a_training_panel.enter()
    ui = a_training_panel.ui
    assert (ui.runPathLineEdit.currentPath, ui.stepsSpinBox.value) == (str(ready), 300)
    assert ui.dataComboBox.currentText == "Manifest"


def test_a_choice_that_only_another_version_knows_becomes_the_default(a_training_panel: Any, ready: Path):
    node = a_training_panel._parameterNode.parameterNode
    a_training_panel.exit()
    node.SetParameter("dataKind", "OF_A_LATER_VERSION")  # as a scene brings it
    a_training_panel.enter()
    assert a_training_panel._parameterNode.dataKind.name == "VOLUMES"
    assert a_training_panel._parameterNode.run == str(ready)


# ---- the model


def test_a_model_is_exported_and_offered_to_enhance(
    a_training_panel: Any, ready: Path, train_as: Callable, given: Callable, slicer_python: Any, monkeypatch: Any
):
    ui = a_training_panel.ui
    assert "train first" in ui.exportButton.toolTip
    train_as("checkpoint()")
    ui.startButton.click()
    end(a_training_panel)
    assert (ui.exportButton.enabled, ui.useButton.enabled) == (True, False)
    train_as("Path(arguments[-1]).touch()")
    ui.exportButton.click()
    end(a_training_panel)
    written = ready / "my run.safetensors"
    assert given()[-1] == ["export", str(ready), "--overwrite", "-o", str(written)]
    assert ui.statusLabel.text == f"Written: {written}"
    (ready / "best.safetensors").touch()
    ui.exportButton.click()
    end(a_training_panel)
    assert given()[-1][-1] == "--best"
    opened = []
    monkeypatch.setattr(slicer_python.util, "selectModule", opened.append)
    ui.useButton.click()
    enhance = sys.modules["MedicalSuperResolution"].MedicalSuperResolutionLogic()
    assert (enhance.getParameterNode().model, opened) == (str(written), ["MedicalSuperResolution"])


def test_the_model_of_one_run_does_not_replace_that_of_another(
    a_training_panel: Any, ready: Path, train_as: Callable, given: Callable, tmp_path: Path
):
    ui, files = a_training_panel.ui, []
    train_as("Path(arguments[-1]).touch()")
    for run in (ready, tmp_path / "other"):
        run.mkdir()
        (run / "checkpoint-00000100.safetensors").touch()
        ui.runPathLineEdit.currentPath = str(run)
        a_training_panel.enter()  # which looks for checkpoints
        ui.exportButton.click()
        end(a_training_panel)
        files.append(given()[-1][-1])
    assert files == [str(ready / "my run.safetensors"), str(tmp_path / "other" / "other.safetensors")]


@pytest.mark.parametrize("may_replace", [True, False])
def test_a_chosen_model_file_that_is_there_is_replaced_only_if_the_user_agrees(
    a_training_panel: Any,
    ready: Path,
    given: Callable,
    slicer_python: Any,
    monkeypatch: Any,
    tmp_path: Path,
    may_replace: bool,
):
    ui, model, asked = a_training_panel.ui, tmp_path / "of another run.safetensors", []
    monkeypatch.setattr(
        slicer_python.util, "confirmYesNoDisplay", lambda text: asked.append(text) or may_replace, raising=False
    )
    ready.mkdir()
    (ready / "checkpoint-00000100.safetensors").touch()
    ui.modelPathLineEdit.currentPath = str(model)
    for is_there in (False, True):
        if is_there:
            model.touch()
        a_training_panel.enter()
        ui.exportButton.click()
        end(a_training_panel)
    assert asked == [f"{model} is there already, and may be the model of another run. Replace it?"]
    assert len(given()) == 1 + may_replace


def test_a_tilde_in_a_path_is_the_home_folder(
    a_training_panel: Any, ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    chosen = a_training_panel._parameterNode
    a_training_panel.ui.runPathLineEdit.currentPath = "~/mine"
    assert a_training_panel.ui.descriptionLabel.text == f"general: 7,500 steps, into {tmp_path / 'mine'}"
    assert chosen.model_file() == tmp_path / "mine" / "mine.safetensors"
    chosen.run = "~nobody-of-this-name/mine"
    assert chosen.run_folder() == Path("~nobody-of-this-name/mine")


def test_an_export_that_is_stopped_is_not_taken_for_a_training(a_training_panel: Any, ready: Path, train_as: Callable):
    ui = a_training_panel.ui
    train_as("checkpoint()")
    ui.startButton.click()
    end(a_training_panel)
    train_as("time.sleep(60)")
    ui.exportButton.click()
    ui.startButton.click()
    assert ui.statusLabel.text == "Stopped. No model file was written."


def test_enhance_lists_a_model_file_by_its_name(a_panel: Any, tmp_path: Path):
    from medical_super_resolution.models.store import SHIPPED_FOLDER

    file = shutil.copyfile(SHIPPED_FOLDER / "general.safetensors", tmp_path / "mine.safetensors")
    a_panel.logic.getParameterNode().model = str(file)
    box = a_panel.ui.modelComboBox
    assert box.currentText == "mine.safetensors"
    assert "\n\nmine\n" in box.toolTip


# ---- without the panel, and inside Slicer


def test_a_script_trains_and_exports(
    the_training_module: Any, train_as: Callable, given: Callable, tmp_path: Path, errors_shown: Any
):
    logic = the_training_module.MedicalSuperResolutionTrainingLogic()
    (tmp_path / "data.json").write_text("[]")
    train_as("")
    logic.train("general", tmp_path / "data.json", tmp_path / "run", steps=3)
    assert given()[0][-2:] == ["--set", "steps = 3"]
    train_as("print('error: there is no checkpoint', file=sys.stderr); sys.exit(1)")
    with pytest.raises(Exception, match="there is no checkpoint"):
        logic.export(tmp_path / "run", tmp_path / "model.safetensors")


def test_the_self_tests_pass(a_training_panel: Any, the_training_module: Any, slicer_python: Any, monkeypatch: Any):
    monkeypatch.setattr(slicer_python.util, "getModuleWidget", lambda name: a_training_panel)
    kind = the_training_module.MedicalSuperResolutionTrainingTest
    check_passing(unittest.defaultTestLoader.loadTestsFromTestCase(kind))


def test_reloading_reads_our_packages_anew(a_training_panel: Any, monkeypatch: Any):
    left = packages_left_by_reload(a_training_panel, monkeypatch)
    assert "MedicalSuperResolutionTrainingLib" not in left
    assert "MedicalSuperResolutionLib" in left  # the other module goes on with it


def test_the_recipe_is_explained_in_one_line(a_training_panel: Any):
    a_training_panel._parameterNode.recipe = "srcnn"
    assert a_training_panel.ui.recipeInfoLabel.text.startswith(
        "SRCNN (Dong et al. 2016, DOI 10.1109/TPAMI.2015.2439281)"
    )
    assert a_training_panel.ui.recipeInfoLabel.text.endswith("interpolated slices.")


def test_the_explanation_of_a_recipe_is_translated(a_training_panel: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("MedicalSuperResolutionLib.translation.translate", lambda context, text: f"[{text}]")
    a_training_panel._parameterNode.recipe = "srcnn"
    assert a_training_panel.ui.recipeInfoLabel.text.startswith("[SRCNN (Dong et al. 2016")


def test_every_shipped_recipe_is_explained_in_a_sentence_of_two_lines_at_most(the_training_module: Any):
    from MedicalSuperResolutionTrainingLib import commands, data_check

    lines = {name: data_check.explained(name) for name in commands.shipped_recipes()}
    assert {name: line for name, line in lines.items() if not line.endswith(".") or len(line) > 160} == {}
    assert not any("`" in line or "medsr-train" in line for line in lines.values())


def test_the_data_are_counted_before_the_start(a_training_panel: Any, ready: Path):
    volumes = []
    for name, modality, shape, split in (
        ("a", "ct", (90, 90, 90), "train"),
        ("b", "mr", (4, 90, 90), "train"),
        ("c", "mr", (90, 90, 90), "validation"),
    ):
        np.save(ready.parent / f"{name}.npy", np.zeros(shape, np.int8))
        entry = {"source": name, "array": f"{name}.npy", "modality": modality, "spacing_kji_mm": [1, 1, 1]}
        volumes.append(entry | {"low": 0, "high": 1, "split": split})
    (ready.parent / "volumes.json").write_text(json.dumps({"volumes": volumes}))
    a_training_panel._updatePanel()
    text = a_training_panel.ui.dataCheckLabel.text
    assert text == (
        "Volumes: 2 to train on (1 CT, 1 MR), 1 to validate."
        " Too small for a patch (patch_slices 8, patch_in_plane 40): 1 of 2."
    )


def test_a_folder_of_volumes_is_counted(a_training_panel: Any, ready: Path, tmp_path: Path):
    (tmp_path / "scans").mkdir()
    for name in ("a.nii.gz", "b.NRRD", "notes.txt"):
        (tmp_path / "scans" / name).touch()
    ui = a_training_panel.ui
    ui.dataComboBox.currentIndex = ui.dataComboBox.findText("Volumes")
    ui.volumesPathLineEdit.currentPath = str(tmp_path / "scans")
    assert ui.dataCheckLabel.text == "Files of volumes: 2; they are checked and prepared first."


def test_a_folder_that_vanishes_while_it_is_counted_is_passed_over(
    a_training_panel: Any, ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("scans", "scans/stays", "scans/vanishes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.nrrd").touch()
    look = os.scandir

    def look_late(folder: Any) -> Any:
        if str(folder).endswith("vanishes"):
            raise FileNotFoundError(2, "No such file or directory", str(folder))
        return look(folder)

    monkeypatch.setattr(os, "scandir", look_late)
    ui = a_training_panel.ui
    ui.dataComboBox.currentIndex = ui.dataComboBox.findText("Volumes")
    ui.volumesPathLineEdit.currentPath = str(tmp_path / "scans")
    assert ui.dataCheckLabel.text == "Files of volumes: 2; they are checked and prepared first."


def test_volumes_too_small_for_a_patch_are_counted_by_their_headers(
    a_training_panel: Any, ready: Path, a_folder_of_two: Path
):
    ui = a_training_panel.ui
    ui.dataComboBox.currentIndex = ui.dataComboBox.findText("Volumes")
    ui.volumesPathLineEdit.currentPath = str(a_folder_of_two)
    assert ui.dataCheckLabel.text == (
        "Files of volumes: 2; they are checked and prepared first."
        " Too small for a patch (patch_slices 8, patch_in_plane 40): 1 of 2."
    )


def test_of_a_run_that_goes_on_the_volumes_that_were_prepared_are_counted(
    a_training_panel: Any, ready: Path, a_folder_of_two: Path
):
    ready.mkdir()
    (ready / "checkpoint-00000050.safetensors").touch()
    entry = {"source": "a", "array": "a.npy", "modality": "mr", "spacing_kji_mm": [1, 1, 1], "low": 0, "high": 1}
    (ready / "data.json").write_text(json.dumps({"volumes": [entry]}))
    ui = a_training_panel.ui
    ui.dataComboBox.currentIndex = ui.dataComboBox.findText("Volumes")
    ui.volumesPathLineEdit.currentPath = str(a_folder_of_two)
    assert ui.dataCheckLabel.text.startswith("Volumes: 1 to train on (1 MR), 0 to validate.")


def test_nifti_files_are_counted_without_nibabel_which_is_asked_for_at_the_start(
    a_training_panel: Any,
    ready: Path,
    train_as: Callable,
    a_folder_of_two: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    from MedicalSuperResolutionTrainingLib import scripting

    ui, asked = a_training_panel.ui, []
    monkeypatch.setattr("MedicalSuperResolutionLib.setup.torch.ensure_packages", asked.append)
    monkeypatch.setitem(sys.modules, "nibabel", None)  # Slicer does not bring it
    train_as("")
    other = tmp_path / "nrrd"
    other.mkdir()
    (other / "one.nrrd").touch()
    ui.dataComboBox.currentIndex = ui.dataComboBox.findText("Volumes")
    for folder, count, expected in ((other, 1, []), (a_folder_of_two, 2, [scripting.REQUIREMENTS])):
        ui.volumesPathLineEdit.currentPath = str(folder)
        assert ui.dataCheckLabel.text == f"Files of volumes: {count}; they are checked and prepared first."
        ui.startButton.click()
        end(a_training_panel)
        assert asked == expected
    assert "nibabel" in scripting.REQUIREMENTS.read_text()


def test_very_many_files_are_not_counted_to_the_end_nor_twice(
    a_training_panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from MedicalSuperResolutionTrainingLib import data_check

    (tmp_path / "scans").mkdir()
    for number in range(5):
        (tmp_path / "scans" / f"{number}.dcm").touch()
    monkeypatch.setattr(data_check, "_MOST_COUNTED", 3)
    looked = []
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda folder: looked.append(folder) or walk(folder))
    ui = a_training_panel.ui
    ui.dataComboBox.currentIndex = ui.dataComboBox.findText("Volumes")
    ui.volumesPathLineEdit.currentPath = str(tmp_path / "scans")
    ui.runPathLineEdit.currentPath = str(tmp_path / "run")
    for steps in (10, 20):
        ui.stepsSpinBox.value = steps
        assert ui.dataCheckLabel.text == "Files of volumes: at least 3; they are checked and prepared first."
    assert looked == [tmp_path / "scans"]


def test_typing_a_path_does_not_wait_until_the_whole_disk_was_looked_through(
    a_training_panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from MedicalSuperResolutionTrainingLib import data_check

    seconds = iter(range(1000))
    monkeypatch.setattr(data_check, "time", SimpleNamespace(monotonic=lambda: 0.1 * next(seconds)))
    walked = []
    disk = ((walked.append(number) or f"/{number}", [], ["ct.nrrd"]) for number in range(100))
    monkeypatch.setattr(os, "walk", lambda folder: disk)
    a_training_panel.ui.volumesPathLineEdit.currentPath = str(tmp_path)
    shown = a_training_panel.ui.dataCheckLabel.text
    assert shown == "Files of volumes: at least 5; they are checked and prepared first."
    assert len(walked) < 10


def test_the_latest_sample_picture_is_shown_until_the_scene_is_closed(
    a_training_panel: Any, tmp_path: Path, slicer_python: Any
):
    from PySide6 import QtGui

    (tmp_path / "samples").mkdir()
    assert a_training_panel.ui.sampleLabel.isHidden()
    for step, width in ((50, 40), (100, 60)):
        QtGui.QImage(width, 20, QtGui.QImage.Format.Format_RGB32).save(str(tmp_path / f"samples/step-{step:08d}.png"))
    a_training_panel._sample.show(tmp_path)
    assert not a_training_panel.ui.sampleLabel.isHidden()
    assert a_training_panel.ui.sampleLabel.toolTip == "step-00000100.png"
    assert 0 < a_training_panel.ui.sampleLabel.pixmap.width() <= 60
    slicer_python.mrmlScene.Clear(False)
    assert a_training_panel.ui.sampleLabel.isHidden()
    a_training_panel._sample.show(tmp_path)
    assert not a_training_panel.ui.sampleLabel.isHidden()


def test_where_another_run_is_chosen_the_picture_of_the_one_before_is_hidden(a_training_panel: Any, ready: Path):
    from PySide6 import QtGui

    (ready / "samples").mkdir(parents=True)
    QtGui.QImage(40, 20, QtGui.QImage.Format.Format_RGB32).save(str(ready / "samples" / "step-00000050.png"))
    (ready / "curve.csv").write_text("50,0.5\n")
    ui = a_training_panel.ui
    ui.curveButton.click()
    ui.stepsSpinBox.value = 300
    assert not ui.sampleLabel.isHidden()
    ui.runPathLineEdit.currentPath = str(ready.parent / "another run")
    assert ui.sampleLabel.isHidden()


def test_a_picture_that_is_being_written_is_shown_at_the_next_look(a_training_panel: Any, tmp_path: Path):
    from PySide6 import QtGui

    (tmp_path / "samples").mkdir()
    picture = tmp_path / "samples" / "step-00000050.png"
    picture.write_bytes(b"\x89PNG")
    a_training_panel._sample.show(tmp_path)
    assert a_training_panel.ui.sampleLabel.isHidden()
    QtGui.QImage(40, 20, QtGui.QImage.Format.Format_RGB32).save(str(picture))
    a_training_panel._sample.show(tmp_path)
    assert not a_training_panel.ui.sampleLabel.isHidden()


def test_a_folder_that_nothing_can_be_written_into_is_refused(
    a_training_panel: Any, ready: Path, errors_shown: Any, tmp_path: Path
):
    (tmp_path / "file").touch()
    a_training_panel.ui.runPathLineEdit.currentPath = str(tmp_path / "file" / "run")
    a_training_panel.ui.startButton.click()
    assert errors_shown == [
        f"Nothing can be written into {tmp_path / 'file' / 'run'}: Not a directory; choose another folder for the run."
    ]
    assert a_training_panel.ui.startButton.text == "Start"


def test_while_it_runs_it_says_what_is_trained_on_what(a_training_panel: Any, ready: Path, train_as: Callable):
    header = "through-plane with 306,771 parameters; volumes: 2 train, 1 validation; 60 steps on 2 CPU threads"
    train_as(f"print('warning: thin'); print('{header}', flush=True); " + LASTS)
    start(a_training_panel)
    assert a_training_panel.ui.descriptionLabel.text == header
    a_training_panel.ui.startButton.click()
    assert a_training_panel.ui.descriptionLabel.text.startswith("general: continues")


@pytest.mark.parametrize(
    ("printed", "shown", "bar"),
    [
        ("preparing  30%  2 s, 5 s left", "Preparing the volumes, 30 %", (30, 100)),
        ("preparing 100%  7 s, 0 s left", "Starting...", (0, 0)),
        ("warning: no such font", "Starting...", (0, 0)),
    ],
)
def test_before_the_first_step_it_shows_how_far_the_preparation_is(
    a_training_panel: Any, printed: str, shown: str, bar: tuple[int, int]
):
    from MedicalSuperResolutionTrainingLib import panel

    ui = a_training_panel.ui
    panel.show_progress(ui, None, "loss", 100, None, (printed, "refused b"))
    assert ui.statusLabel.text == shown
    assert (max(ui.progressBar.value, 0), ui.progressBar.maximum) == bar
    lines = ("preparing  30%  2 s, 5 s left", "refused b", "preparing  40%  3 s, 4 s left")
    panel.show_progress(ui, None, "loss", 100, None, lines)
    assert ui.statusLabel.text == "Preparing the volumes, 40 %"


def test_closing_a_scene_starts_no_timer(a_training_panel: Any, slicer_python: Any, monkeypatch: pytest.MonkeyPatch):
    from MedicalSuperResolutionLib import timers

    started: list[Any] = []
    monkeypatch.setattr(timers, "soon", started.append)
    slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    slicer_python.mrmlScene.Clear()
    assert started == []


def test_the_names_of_the_recipes_are_whole_in_a_narrow_panel(a_training_panel: Any):
    a_training_panel.parent.resize(300, 1200)
    a_training_panel.parent.show()
    settle()
    assert texts_cut_in(a_training_panel.ui.recipeComboBox) == []
