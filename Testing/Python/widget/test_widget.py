"""The panel as a user meets it: what it offers, what a click does, and what it says when something goes wrong."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.settings import EnhanceSettings

IS_ON_SLICERS_OWN = os.environ.get("MEDSR_SLICER_MODULES") == "own"


pytest.importorskip("slicer")
pytest.importorskip("PySide6")
from widget.pythonqt_double import process_events  # noqa: E402


def wait(until: Any) -> None:
    process_events(2, until)
    assert until()


def volumes(slicer: Any) -> list[str]:
    return [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]


def test_enhance_waits_for_an_input_and_says_so(a_panel: Any):
    assert not a_panel.ui.enhanceButton.enabled
    assert a_panel.ui.enhanceButton.toolTip == "There is no volume to work on; choose one."


def test_a_volume_that_is_loaded_is_chosen_by_itself(a_panel: Any, a_thick_volume: Any):
    assert a_panel._parameterNode.inputVolume is a_thick_volume
    assert a_panel.ui.inputSelector.currentNode() is a_thick_volume
    assert a_panel.ui.enhanceButton.enabled


def test_a_label_map_is_not_chosen(a_panel: Any, slicer_python: Any):
    slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    a_panel.enter()
    assert a_panel._parameterNode.inputVolume is None


def test_the_panel_says_what_enhance_will_do(a_panel: Any, a_thick_volume: Any):
    expected = "20x18x8 at 1.00x1.00x3.00 mm becomes 20x18x24 at 1.00x1.00x1.00 mm"
    assert a_panel.ui.descriptionLabel.text == expected


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        ("ISOTROPIC", EnhanceSettings()),
        ("THIN_SLICES_2", EnhanceSettings(factor=2)),
        ("THIN_SLICES_4", EnhanceSettings(factor=4)),
        ("IN_PLANE_2", EnhanceSettings(factor=2, axes="in-plane")),
        ("CUSTOM_FACTOR", EnhanceSettings(factor=3)),
        ("CUSTOM_SPACING", EnhanceSettings(spacing_ijk_mm=(1, 1, 0.75))),
    ],
)
def test_every_goal_asks_the_engine_for_what_it_says(a_panel: Any, a_thick_volume: Any, goal: str, expected: Any):
    chosen = a_panel._parameterNode
    chosen.goal = type(chosen.goal)[goal]
    chosen.spacingK = 0.75
    assert chosen.settings() == expected


def test_choices_reach_the_engine(a_panel: Any, a_thick_volume: Any):
    a_panel.ui.sliceThicknessSpinBox.value = 4.5
    a_panel.ui.consistencyCheckBox.checked = False
    a_panel.ui.deviceComboBox.currentIndex = 3
    a_panel.ui.threadsSpinBox.value = 2
    settings = a_panel._parameterNode.settings()
    assert settings == EnhanceSettings(slice_thickness_mm=4.5, consistency=False, device="cpu", threads=2)


def test_a_choice_in_the_panel_reaches_the_parameter_node(a_panel: Any):
    a_panel.ui.goalComboBox.currentIndex = a_panel.ui.goalComboBox.findText("Thin slices x4")
    assert a_panel._parameterNode.goal.name == "THIN_SLICES_4"
    assert a_panel._parameterNode.parameterNode.GetParameter("goal") == "THIN_SLICES_4"  # by name, in saved scenes


def test_a_parameter_that_is_set_shows_in_the_panel(a_panel: Any):
    a_panel._parameterNode.factor = 2.5
    a_panel._parameterNode.keepMeasuredData = False
    assert a_panel.ui.factorSpinBox.value == 2.5
    assert not a_panel.ui.consistencyCheckBox.checked


def test_only_the_boxes_that_a_goal_needs_are_shown(a_panel: Any):
    shown = {}
    for goal in type(a_panel._parameterNode.goal):
        a_panel._parameterNode.goal = goal
        boxes = (a_panel.ui.factorSpinBox, a_panel.ui.spacingWidget)
        shown[goal.name] = [not box.isHidden() for box in boxes]
    assert shown.pop("CUSTOM_FACTOR") == [True, False]
    assert shown.pop("CUSTOM_SPACING") == [False, True]
    assert all(boxes == [False, False] for boxes in shown.values())


def test_a_spacing_coarser_than_the_volume_is_refused_before_the_click(a_panel: Any, a_thick_volume: Any):
    a_panel._parameterNode.goal = type(a_panel._parameterNode.goal).CUSTOM_SPACING
    a_panel._parameterNode.spacingK = 7.0
    assert not a_panel.ui.enhanceButton.enabled
    assert "coarser" in a_panel.ui.enhanceButton.toolTip
    assert a_panel.ui.descriptionLabel.text == a_panel.ui.enhanceButton.toolTip


def test_input_and_output_must_differ(a_panel: Any, a_thick_volume: Any):
    a_panel.ui.outputSelector.setCurrentNode(a_thick_volume)
    assert not a_panel.ui.enhanceButton.enabled
    assert "same volume" in a_panel.ui.enhanceButton.toolTip


def test_a_model_that_is_not_here_is_shown_and_refused(a_panel: Any, a_thick_volume: Any):
    a_panel._parameterNode.model = "brain"
    assert a_panel.ui.modelComboBox.currentText == "brain (not installed)"
    assert not a_panel.ui.enhanceButton.enabled
    a_panel.ui.modelComboBox.currentIndex = 0
    assert a_panel._parameterNode.model == "general"
    assert a_panel.ui.enhanceButton.enabled


def test_a_click_makes_a_new_volume(a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any):
    a_panel.ui.enhanceButton.click()
    assert a_runner.settings == EnhanceSettings()
    assert volumes(slicer_python) == ["Thick"]
    a_runner.finish()
    wait(lambda: a_panel._enhancement is None)
    assert volumes(slicer_python) == ["Thick", "Thick enhanced"]
    assert a_panel._parameterNode.resultVolume.GetImageData().GetDimensions() == (20, 18, 24)
    assert a_panel.ui.statusLabel.text == "Done: Thick enhanced"


def test_the_result_is_shown(a_panel: Any, a_thick_volume: Any, a_runner: Any, a_slicer: Any):
    a_panel.ui.enhanceButton.click()
    a_runner.finish()
    wait(lambda: a_panel._enhancement is None)
    shown = a_slicer.applicationLogic().GetSelectionNode().GetActiveVolumeID()
    assert shown == a_panel._parameterNode.resultVolume.GetID()


def test_a_chosen_output_volume_is_filled(a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any):
    output = slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Mine")
    a_panel.ui.outputSelector.setCurrentNode(output)
    a_panel.ui.enhanceButton.click()
    a_runner.finish()
    wait(lambda: a_panel._enhancement is None)
    assert volumes(slicer_python) == ["Thick", "Mine"]
    assert output.GetImageData().GetDimensions() == (20, 18, 24)


def test_while_it_runs_the_panel_shows_how_far_it_is(a_panel: Any, a_thick_volume: Any, a_runner: Any):
    a_panel.ui.enhanceButton.click()
    assert a_panel.ui.enhanceButton.text == "Cancel"
    assert a_panel.ui.statusLabel.text == "Starting..."
    assert not a_panel.ui.inputsCollapsibleButton.enabled
    assert not a_panel.ui.progressBar.isHidden()
    a_runner.progress = (2**32, 2**33)  # voxels: more than a progress bar can count
    wait(lambda: a_panel.ui.progressBar.value == 500)
    assert a_panel.ui.statusLabel.text == "Enhancing..."


def test_a_second_click_cancels(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any, errors_shown: Any
):
    a_panel.ui.enhanceButton.click()
    a_panel.ui.enhanceButton.click()
    assert a_runner.was_cancelled
    assert a_panel.ui.enhanceButton.text == "Enhance"
    assert a_panel.ui.statusLabel.text == "Stopped. Nothing was changed."
    assert a_panel.ui.inputsCollapsibleButton.enabled
    assert a_panel.ui.progressBar.isHidden()
    assert (volumes(slicer_python), errors_shown) == (["Thick"], [])


def test_a_known_failure_is_shown_once_as_its_sentence(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any, errors_shown: Any
):
    a_panel.ui.enhanceButton.click()
    a_runner.fail(VolumeError("the volume holds values that are not finite"))
    wait(lambda: a_panel._enhancement is None)
    assert errors_shown == ["The volume holds values that are not finite."]
    assert a_panel.ui.statusLabel.text == errors_shown[0]
    assert a_panel.ui.enhanceButton.text == "Enhance"
    assert volumes(slicer_python) == ["Thick"]


def test_an_unknown_failure_is_shown_once_and_raised_again(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, errors_shown: Any, raised_in_slots: list
):
    a_panel.ui.enhanceButton.click()
    a_runner.fail(ZeroDivisionError("division by zero"))
    wait(lambda: a_panel._enhancement is None)
    assert errors_shown == ["The volume could not be enhanced.\n\ndivision by zero"]
    assert isinstance(raised_in_slots.pop(), ZeroDivisionError)


def test_what_keeps_it_from_starting_is_shown_once(
    a_panel: Any, a_thick_volume: Any, the_module: Any, errors_shown: Any, monkeypatch: pytest.MonkeyPatch
):
    def refuse() -> None:
        raise the_module.torch_setup.RequirementsMissing("PyTorch is not installed.")

    monkeypatch.setattr(the_module.torch_setup, "ensure_engine", refuse)
    a_panel.ui.enhanceButton.click()
    assert errors_shown == ["PyTorch is not installed."]
    assert a_panel.ui.enhanceButton.text == "Enhance"


def test_removing_the_input_disables_enhance(a_panel: Any, a_thick_volume: Any, slicer_python: Any):
    slicer_python.mrmlScene.RemoveNode(a_thick_volume)
    assert a_panel._parameterNode.inputVolume is None
    assert not a_panel.ui.enhanceButton.enabled


def test_removing_the_input_while_it_runs_ends_in_a_sentence(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any, errors_shown: Any
):
    a_panel.ui.enhanceButton.click()
    a_runner.finish()
    slicer_python.mrmlScene.RemoveNode(a_thick_volume)
    wait(lambda: a_panel._enhancement is None)
    assert len(errors_shown) == 1
    assert "removed" in errors_shown[0]
    assert volumes(slicer_python) == []


def test_closing_the_scene_ends_the_child(a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any):
    a_panel.ui.enhanceButton.click()
    slicer_python.mrmlScene.Clear(False)
    assert a_runner.was_cancelled
    assert a_panel._enhancement is None
    assert a_panel._parameterNode.inputVolume is None  # of the new scene
    assert a_panel.ui.enhanceButton.text == "Enhance"


def test_leaving_slicer_ends_the_child_in_silence(a_panel: Any, a_thick_volume: Any, a_runner: Any, errors_shown: Any):
    a_panel.ui.enhanceButton.click()
    a_panel.cleanup()
    assert a_runner.was_cancelled
    assert errors_shown == []
    assert a_panel.Observations == []


def test_it_goes_on_while_another_module_is_open(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any, errors_shown: Any
):
    a_panel.ui.enhanceButton.click()
    a_panel.exit()
    a_runner.finish()
    wait(lambda: a_panel._enhancement is None)
    assert volumes(slicer_python) == ["Thick", "Thick enhanced"]
    a_panel.enter()
    assert a_panel.ui.enhanceButton.text == "Enhance"
    assert (a_panel.ui.compareButton.enabled, errors_shown) == (True, [])


def test_volumes_that_left_the_scene_are_forgotten(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    a_panel.ui.enhanceButton.click()
    a_runner.finish()
    wait(lambda: a_panel._enhancement is None)
    a_panel.enter()
    image = weakref.ref(a_panel._parameterNode.resultVolume.GetImageData())
    slicer_python.mrmlScene.Clear(False)
    process_events(0.2, lambda: False)  # timers that still wait
    gc.collect()
    assert image() is None


def test_compare_waits_for_a_result(a_panel: Any, a_thick_volume: Any):
    assert not a_panel.ui.compareButton.enabled
    assert "Nothing to compare" in a_panel.ui.compareButton.toolTip


def test_compare_opens_and_closes(a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any):
    layout = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutOneUpRedSliceView)
    a_panel.ui.enhanceButton.click()
    a_runner.finish()
    wait(lambda: a_panel._enhancement is None)
    a_panel.ui.compareButton.click()
    assert a_panel._compare.is_active
    assert (a_panel.ui.compareButton.checked, a_panel.ui.compareButton.text) == (True, "Close comparison")
    a_panel.ui.compareButton.click()
    assert layout.GetViewArrangement() == layout.SlicerLayoutOneUpRedSliceView
    assert (a_panel.ui.compareButton.checked, a_panel.ui.compareButton.text) == (False, "Compare")


def test_compare_that_fails_says_why_once(a_panel: Any, a_thick_volume: Any, a_runner: Any, errors_shown: Any):
    a_panel.ui.enhanceButton.click()
    a_runner.finish()
    wait(lambda: a_panel._enhancement is None)
    a_panel._compare.enter = lambda *pair: (_ for _ in ()).throw(VolumeError("there are no slice views"))
    a_panel.ui.compareButton.click()
    assert errors_shown == ["There are no slice views."]
    assert not a_panel.ui.compareButton.checked


def test_a_result_is_compared_with_its_own_source_only(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    a_panel.ui.enhanceButton.click()
    a_runner.finish()
    wait(lambda: a_panel._enhancement is None)
    result = a_panel._parameterNode.resultVolume
    assert a_panel._parameterNode.pair_to_compare() == (a_thick_volume, result)
    a_panel._parameterNode.inputVolume = result
    assert a_panel._parameterNode.pair_to_compare() is None


def test_removing_the_result_leaves_nothing_to_compare(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    a_panel.ui.enhanceButton.click()
    a_runner.finish()
    wait(lambda: a_panel._enhancement is None)
    slicer_python.mrmlScene.RemoveNode(a_panel._parameterNode.resultVolume)
    assert a_panel._parameterNode.pair_to_compare() is None


def test_the_choices_survive_saving_the_scene(a_panel: Any, a_thick_volume: Any, slicer_python: Any, tmp_path: Path):
    import slicer_host

    a_panel._parameterNode.goal = type(a_panel._parameterNode.goal).IN_PLANE_2
    slicer_host.save_bundle(slicer_python.mrmlScene, tmp_path / "scene.mrb")
    slicer_python.mrmlScene.Clear(False)
    assert a_panel._parameterNode.goal.name == "ISOTROPIC"
    slicer_host.load_bundle(slicer_python.mrmlScene, tmp_path / "scene.mrb")
    assert a_panel._parameterNode.goal.name == "IN_PLANE_2"
    assert a_panel.ui.goalComboBox.currentText == "In-plane x2"
    assert a_panel.ui.inputSelector.currentNode().GetName() == "Thick"


def test_a_script_gets_the_node(the_module: Any, a_thick_volume: Any, a_runner: Any):
    logic = the_module.MedicalSuperResolutionLogic()
    heard = []
    node = logic.enhance(a_thick_volume, factor=2, progress=lambda *step: heard.append(step), device="cpu")
    assert node.GetImageData().GetDimensions() == (20, 18, 16)
    assert a_runner.settings == EnhanceSettings(factor=2, device="cpu")
    assert heard == [(1, 2)]


def test_a_script_need_not_wait(the_module: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any):
    logic = the_module.MedicalSuperResolutionLogic()
    running = logic.enhance(a_thick_volume, spacing=[1, 1, 1.5], wait=False)
    assert running.is_running
    a_runner.finish()
    wait(lambda: not running.is_running)
    assert volumes(slicer_python) == ["Thick", "Thick enhanced"]


def test_the_self_tests_pass(the_module: Any, a_slicer: Any, slicer_python: Any, a_panel: Any, monkeypatch: Any):
    """As far as they can outside Slicer: the panel's."""
    monkeypatch.setattr(slicer_python.util, "getModuleWidget", lambda name: a_panel)
    test = the_module.MedicalSuperResolutionTest("test_the_panel_says_what_enhance_will_do")
    test.setUp()
    test.test_the_panel_says_what_enhance_will_do()


@pytest.mark.skipif(IS_ON_SLICERS_OWN, reason="this is the run on Slicer's own modules")
def test_all_of_this_holds_on_slicers_own_modules_too():
    if "SLICER_PYTHON_SRC" not in os.environ:
        pytest.skip("SLICER_PYTHON_SRC does not name Slicer's folder Base/Python")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).parent)]
    done = subprocess.run(
        command, env={**os.environ, "MEDSR_SLICER_MODULES": "own"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
