"""A click on Enhance, and the messages of the panel when it fails."""

from __future__ import annotations

import gc
import json
import weakref
from typing import Any

import numpy as np
import pytest

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.settings import EnhanceSettings
from widget.helpers import (
    double_click,
    enhance,
    packages_left_by_reload,
    process_events,
    settle,
    take_torch_away,
    volume_names,
    wait,
)


def test_a_click_makes_a_new_volume(a_panel: Any, a_thick_volume: Any, a_runner: Any):
    a_panel.ui.enhanceButton.click()
    assert a_runner.settings == EnhanceSettings()
    assert volume_names() == ["Thick"]
    a_runner.finish()
    wait(lambda: a_panel._run.current is None)
    assert volume_names() == ["Thick", "Thick 1 mm"]
    assert a_panel._parameterNode.resultVolume.GetImageData().GetDimensions() == (20, 18, 24)
    assert a_panel.ui.statusLabel.text == "Done: Thick 1 mm"


def test_the_start_of_a_process_is_learned_from_the_run_that_waited_for_it(
    a_panel: Any, a_thick_volume: Any, a_runner: Any
):
    import qt

    for was_there in (True, False):
        a_runner.has_process = was_there
        enhance(a_panel, a_runner)
        learned = json.loads(qt.QSettings().value("MedicalSuperResolution/SecondsLearned"))
        assert ("start" in learned) == (not was_there)


def test_an_uncertainty_map_comes_beside_the_result(a_panel: Any, a_thick_volume: Any, a_runner: Any):
    from MedicalSuperResolutionLib.scene import uncertainty_node

    a_panel.ui.uncertaintyCheckBox.checked = True
    enhance(a_panel, a_runner)
    assert volume_names() == ["Thick", "Thick 1 mm", "Thick 1 mm uncertainty"]
    result = a_panel._parameterNode.resultVolume
    assert (result.GetName(), uncertainty_node.map_of(result).GetName()) == tuple(volume_names()[1:])


def draw(mask: Any, segmentation: Any, volume: Any) -> None:
    import slicer

    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), segmentation, "Box", volume)


@pytest.fixture
def a_segmentation(a_thick_volume: Any) -> Any:
    """All of a thick volume as one segment, "Drawn"."""
    drawn = a_thick_volume.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", "Drawn")
    drawn.SetReferenceImageGeometryParameterFromVolumeNode(a_thick_volume)
    drawn.GetSegmentation().AddEmptySegment("Box")
    draw(np.ones((8, 18, 20)), drawn, a_thick_volume)
    return drawn


def test_nothing_else_can_be_started_while_a_segmentation_is_refined(a_panel: Any, a_segmentation: Any, a_runner: Any):
    ui, seen = a_panel.ui, []
    a_panel.logic.refine_segmentation = lambda *nodes: seen.append(
        (ui.enhanceButton.enabled, ui.descriptionLabel.text, a_panel._isBusy())
    )
    ui.segmentationSelector.setCurrentNode(a_segmentation)
    enhance(a_panel, a_runner)
    assert seen == [(False, "A segmentation is being refined.", True)]
    assert (ui.enhanceButton.enabled, a_panel._isBusy()) == (True, False)


@pytest.mark.parametrize(
    ("meanwhile", "shown"),
    [
        (lambda scene: scene.Clear(False), []),
        (
            lambda scene: scene.RemoveNode(scene.GetFirstNodeByName("Thick 1 mm")),
            ["Thick 1 mm was removed meanwhile; the segmentation was not refined."],
        ),
    ],
    ids=["the scene is closed", "the result is removed"],
)
def test_while_a_segmentation_is_refined(
    a_panel: Any, a_segmentation: Any, a_runner: Any, a_slicer: Any, errors_shown: Any, meanwhile: Any, shown: Any
):
    import slicer

    a_panel.ui.segmentationSelector.setCurrentNode(a_segmentation)
    a_slicer.processEvents = lambda: meanwhile(slicer.mrmlScene)
    enhance(a_panel, a_runner)
    assert errors_shown == shown
    assert not a_panel._isBusy()
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == [a_segmentation][: len(shown)]


def test_a_segmentation_of_no_segment_in_the_volume_or_its_region_is_refused_before_the_work(
    a_panel: Any, a_segmentation: Any, a_runner: Any, errors_shown: Any
):
    from MedicalSuperResolutionLib.scene import region

    ui, volume = a_panel.ui, a_panel._parameterNode.inputVolume
    draw(np.arange(8 * 18 * 20).reshape(8, 18, 20) < 18 * 20, a_segmentation, volume)  # the first slice
    roi = volume.GetScene().AddNewNodeByClass("vtkMRMLMarkupsROINode", "Lesion")
    region.lay_over(roi, volume)  # the middle half
    ui.segmentationSelector.setCurrentNode(a_segmentation)
    ui.regionSelector.setCurrentNode(roi)
    ui.enhanceButton.click()
    a_segmentation.GetSegmentation().RemoveAllSegments()
    ui.enhanceButton.click()
    assert errors_shown == [
        "No segment of Drawn lies in the region Lesion; move the region, or choose no segmentation.",
        "No segment of Drawn lies in the volume Thick; choose a segmentation of this volume, or none.",
    ]
    assert (a_panel._isBusy(), a_runner.settings) == (False, None)


def test_a_name_in_angle_brackets_is_no_formatting(a_panel: Any):
    from PySide6 import QtCore

    labels = [one for one in vars(a_panel.ui).values() if one.inherits("QLabel")]
    assert labels
    assert {label.textFormat for label in labels} == {QtCore.Qt.TextFormat.PlainText}


def test_the_result_is_shown(a_panel: Any, a_thick_volume: Any, a_runner: Any, a_slicer: Any):
    enhance(a_panel, a_runner)
    shown = a_slicer.applicationLogic().GetSelectionNode().GetActiveVolumeID()
    assert shown == a_panel._parameterNode.resultVolume.GetID()


def test_the_result_of_the_foreground_is_the_foreground(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, a_slicer: Any, slicer_python: Any
):
    """As of a PET that lies over a CT."""
    below = slicer_python.util.addVolumeFromArray(np.zeros((3, 4, 5)), name="CT")
    layout = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutFourUpView)
    composite = a_slicer.applicationLogic().GetSliceLogicByLayoutName("Red").GetSliceCompositeNode()
    composite.SetBackgroundVolumeID(below.GetID())
    composite.SetForegroundVolumeID(a_thick_volume.GetID())
    enhance(a_panel, a_runner)
    result = a_panel._parameterNode.resultVolume
    assert (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()) == (below.GetID(), result.GetID())


def test_a_chosen_output_volume_is_filled(a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any):
    output = slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Mine")
    a_panel.ui.outputSelector.setCurrentNode(output)
    enhance(a_panel, a_runner)
    assert volume_names() == ["Thick", "Mine"]
    assert output.GetImageData().GetDimensions() == (20, 18, 24)


def test_while_it_runs_the_panel_shows_how_far_it_is(a_panel: Any, a_thick_volume: Any, a_runner: Any):
    a_panel.ui.enhanceButton.click()
    assert a_panel.ui.enhanceButton.text == "Cancel"
    assert a_panel.ui.statusLabel.text == "Starting..."
    assert not a_panel.ui.inputsWidget.enabled
    assert not a_panel.ui.progressBar.isHidden()
    a_runner.stage = "loading the model"
    wait(lambda: a_panel.ui.statusLabel.text == "Loading the model...")
    a_runner.progress, a_runner.stage = (2**32, 2**33), "refining"  # voxels: more than a progress bar can count
    wait(lambda: a_panel.ui.progressBar.value == 500)
    assert a_panel.ui.statusLabel.text == "Enhancing..."
    a_runner.progress, a_runner.stage = (2**33, 2**33), "writing"
    wait(lambda: a_panel.ui.statusLabel.text == "Taking over the result...")


def test_a_second_click_cancels(a_panel: Any, a_thick_volume: Any, a_runner: Any, errors_shown: Any):
    a_panel.ui.enhanceButton.click()
    a_panel.ui.enhanceButton.click()
    assert a_runner.was_cancelled
    assert a_panel.ui.enhanceButton.text == "Enhance"
    assert a_panel.ui.statusLabel.text == "Stopped. Nothing was changed."
    assert a_panel.ui.inputsWidget.enabled
    assert a_panel.ui.progressBar.isHidden()
    assert (volume_names(), errors_shown) == (["Thick"], [])


def test_a_double_click_starts_and_does_not_cancel(a_panel: Any, a_thick_volume: Any, a_runner: Any):
    double_click(a_panel.ui.enhanceButton)
    assert (a_panel.ui.enhanceButton.text, a_runner.was_cancelled) == ("Cancel", False)
    double_click(a_panel.ui.enhanceButton)
    assert (a_panel.ui.enhanceButton.text, a_runner.was_cancelled) == ("Enhance", True)


def test_before_and_after_can_be_switched_as_quickly_as_one_clicks(a_panel: Any, a_thick_volume: Any, a_runner: Any):
    enhance(a_panel, a_runner)
    double_click(a_panel.ui.compareButton)
    assert a_panel.ui.compareButton.checked
    double_click(a_panel.ui.beforeButton)
    assert not a_panel.ui.beforeButton.checked


def test_a_known_failure_is_shown_once_as_its_sentence(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, errors_shown: Any
):
    a_panel.ui.enhanceButton.click()
    a_runner.fail(VolumeError("the volume holds values that are not finite"))
    wait(lambda: a_panel._run.current is None)
    assert errors_shown == ["The volume holds values that are not finite."]
    assert a_panel.ui.statusLabel.text == errors_shown[0]
    assert a_panel.ui.enhanceButton.text == "Enhance"
    assert volume_names() == ["Thick"]


def test_an_unknown_failure_is_shown_once_and_raised_again(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, errors_shown: Any, raised_in_slots: list
):
    a_panel.ui.enhanceButton.click()
    a_runner.fail(ZeroDivisionError("division by zero"))
    wait(lambda: a_panel._run.current is None)
    assert errors_shown == ["The volume could not be made.\n\ndivision by zero"]
    assert isinstance(raised_in_slots.pop(), ZeroDivisionError)


def test_what_keeps_it_from_starting_is_shown_once(
    a_panel: Any, a_thick_volume: Any, errors_shown: Any, monkeypatch: pytest.MonkeyPatch
):
    take_torch_away(monkeypatch)
    a_panel.ui.enhanceButton.click()
    assert errors_shown == ["PyTorch is not installed."]
    assert a_panel.ui.enhanceButton.text == "Enhance"


def test_closing_a_scene_starts_one_timer_however_many_nodes_it_has(
    a_panel: Any, a_thick_volume: Any, slicer_python: Any, monkeypatch: pytest.MonkeyPatch
):
    from MedicalSuperResolutionLib import timers

    started, soon = [], timers.soon
    monkeypatch.setattr(timers, "soon", lambda callback: started.append(callback) or soon(callback))
    for _ in range(2):
        for _ in range(10):
            slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        slicer_python.mrmlScene.Clear()
        settle()
    assert len(started) == 2


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
    wait(lambda: a_panel._run.current is None)
    assert len(errors_shown) == 1
    assert "removed" in errors_shown[0]
    assert volume_names() == []


def test_closing_the_scene_ends_the_child(a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any):
    a_panel.ui.enhanceButton.click()
    slicer_python.mrmlScene.Clear(False)
    assert a_runner.was_cancelled
    assert a_panel._run.current is None
    assert a_panel._parameterNode.inputVolume is None  # of the new scene
    assert a_panel.ui.enhanceButton.text == "Enhance"


def test_leaving_slicer_ends_the_child_in_silence(a_panel: Any, a_thick_volume: Any, a_runner: Any, errors_shown: Any):
    a_panel.ui.enhanceButton.click()
    a_panel.cleanup()
    assert a_runner.was_cancelled
    assert errors_shown == []
    assert a_panel.Observations == []


def test_it_goes_on_while_another_module_is_open(a_panel: Any, a_thick_volume: Any, a_runner: Any, errors_shown: Any):
    a_panel.ui.enhanceButton.click()
    a_panel.exit()
    a_runner.finish()
    wait(lambda: a_panel._run.current is None)
    assert volume_names() == ["Thick", "Thick 1 mm"]
    a_panel.enter()
    assert a_panel.ui.enhanceButton.text == "Enhance"
    assert (a_panel.ui.compareButton.enabled, errors_shown) == (True, [])


def test_volumes_that_left_the_scene_are_forgotten(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    enhance(a_panel, a_runner)
    a_panel.enter()
    image = weakref.ref(a_panel._parameterNode.resultVolume.GetImageData())
    slicer_python.mrmlScene.Clear(False)
    process_events(0.2, lambda: False)  # timers that still wait
    gc.collect()
    assert image() is None


def test_reloading_reads_our_packages_anew(a_panel: Any, monkeypatch: pytest.MonkeyPatch):
    left = packages_left_by_reload(a_panel, monkeypatch)
    assert left & {"MedicalSuperResolutionLib", "medical_super_resolution"} == set()
    assert "MedicalSuperResolutionTrainingLib" not in left  # it would go on with the old ones
