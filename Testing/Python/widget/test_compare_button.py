"""Compare: offered when there is something to compare, and a way back."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medical_super_resolution.errors import VolumeError
from widget.helpers import enhance, settle, volume_names, wait


def test_compare_waits_for_a_result(a_panel: Any, a_thick_volume: Any):
    assert not a_panel.ui.compareButton.enabled
    assert "Nothing to compare" in a_panel.ui.compareButton.toolTip


def test_compare_opens_and_closes(a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any):
    layout = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutOneUpRedSliceView)
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    assert a_panel._compare.comparison.is_active
    assert (a_panel.ui.compareButton.checked, a_panel.ui.compareButton.text) == (True, "Close comparison")
    a_panel.ui.compareButton.click()
    assert layout.GetViewArrangement() == layout.SlicerLayoutOneUpRedSliceView
    assert (a_panel.ui.compareButton.checked, a_panel.ui.compareButton.text) == (False, "Compare")


def test_compare_that_fails_says_why_once(a_panel: Any, a_thick_volume: Any, a_runner: Any, errors_shown: Any):
    enhance(a_panel, a_runner)
    a_panel._compare.comparison.enter = lambda *pair, **options: (_ for _ in ()).throw(
        VolumeError("there are no slice views")
    )
    a_panel.ui.compareButton.click()
    assert errors_shown == ["There are no slice views."]
    assert not a_panel.ui.compareButton.checked


def test_compare_that_failed_opens_at_the_next_click(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, errors_shown: Any, slicer_python: Any
):
    enhance(a_panel, a_runner)
    vtk_matrix = slicer_python.util.vtkMatrixFromArray
    far = np.diag([1.0, 1.0, 3.0, 1.0])
    far[:3, 3] = 5000
    a_thick_volume.SetIJKToRASMatrix(vtk_matrix(far))
    a_panel.ui.compareButton.click()
    assert (len(errors_shown), a_panel._compare.comparison.is_active) == (1, False)
    a_thick_volume.SetIJKToRASMatrix(vtk_matrix(np.diag([1.0, 1.0, 3.0, 1.0])))
    a_panel.ui.compareButton.click()
    assert (len(errors_shown), a_panel._compare.comparison.is_active) == (1, True)


def test_the_panel_says_what_is_compared(a_panel: Any, a_thick_volume: Any, a_runner: Any):
    enhance(a_panel, a_runner)
    assert (a_panel.ui.comparisonLabel.text, a_panel.ui.overlayComboBox.enabled) == ("", False)
    a_panel.ui.compareButton.click()
    said = a_panel.ui.comparisonLabel.text
    assert "Before is Thick, resampled by cubic B-spline onto the grid of Thick 1 mm." in said
    assert "Difference is after minus before: orange is higher, blue lower, brightest at" in said
    a_panel.ui.arrangementComboBox.currentIndex = a_panel.ui.arrangementComboBox.findText("Two planes")
    assert a_panel.ui.comparisonLabel.text == (
        "Before is Thick, resampled by cubic B-spline onto the grid of Thick 1 mm."  # their difference is in no view
    )
    a_panel.ui.compareButton.click()
    assert (a_panel.ui.comparisonLabel.text, a_panel.ui.overlayComboBox.enabled) == ("", False)


def test_volumes_that_are_renamed_are_named_as_they_are_now(a_panel: Any, a_thick_volume: Any, a_runner: Any):
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    shown = a_panel._compare.comparison.shown
    a_panel._parameterNode.resultVolume.SetName("Fine")
    settle()
    assert "Before is Thick, resampled by cubic B-spline onto the grid of Fine." in a_panel.ui.comparisonLabel.text
    a_thick_volume.SetName("Coarse")
    settle()
    assert "Before is Coarse, resampled by cubic B-spline onto the grid of Fine." in a_panel.ui.comparisonLabel.text
    assert a_panel._compare.comparison.shown is shown  # not computed anew


def test_the_limit_of_the_colors_is_said_also_after_the_user_has_changed_it(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    slicer_python.util.getNode("Difference").GetDisplayNode().SetWindowLevel(246, 30)
    assert a_panel.ui.comparisonLabel.text.endswith("orange is higher, blue lower, brightest at 123.")


@pytest.mark.parametrize("moving", ["before", "after"])
def test_a_step_of_a_sequence_is_compared_anew(a_panel: Any, a_thick_volume: Any, slicer_python: Any, moving: str):
    import slicer_host

    phases = [np.full((8, 18, 20), value, np.int16) for value in (100, 300)]
    proxy = slicer_host.add_sequence(phases, np.diag([1.0, 1.0, 3.0, 1.0]))
    slicer_python.util.arrayFromVolume(a_thick_volume)[:] = 0
    chosen = a_panel._parameterNode
    chosen.inputVolume, chosen.compareVolume = (
        (proxy, a_thick_volume) if moving == "before" else (a_thick_volume, proxy)
    )
    a_panel.ui.compareButton.click()
    browser = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLSequenceBrowserNode")
    for number, value in enumerate((100, 300)):
        browser.SetSelectedItemNumber(number)
        slicer_python.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        settle()
        difference = slicer_python.mrmlScene.GetFirstNodeByName("Difference")
        expected = -value if moving == "before" else value
        assert np.unique(slicer_python.util.arrayFromVolume(difference)) == [expected]


@pytest.mark.parametrize("moved", ["before", "after"])
@pytest.mark.parametrize("leave_panel", [False, True])
def test_a_volume_that_is_moved_is_compared_anew_where_the_views_are(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any, moved: str, leave_panel: bool
):
    enhance(a_panel, a_runner)
    result, scene = a_panel._parameterNode.resultVolume, slicer_python.mrmlScene
    slicer_python.util.arrayFromVolume(a_thick_volume)[:] = np.arange(20)
    slicer_python.util.arrayFromVolume(result)[:] = np.arange(20)
    a_panel.ui.compareButton.click()
    settle()
    view = a_panel._compare.comparison.views._rows[0][0]
    view.SetSliceOffset(3)
    view.GetSliceNode().SetFieldOfView(5, 5, 1)
    if leave_panel:  # as for the module Transforms
        a_panel.exit()
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    (a_thick_volume if moved == "before" else result).SetAndObserveTransformNodeID(transform.GetID())
    for right_mm in (1, 2):
        shift = np.eye(4)
        shift[0, 3] = right_mm
        transform.SetMatrixTransformToParent(slicer_python.util.vtkMatrixFromArray(shift))
        settle()
        difference = slicer_python.util.arrayFromVolume(scene.GetFirstNodeByName("Difference"))[12, 9, 5:15]
        np.testing.assert_allclose(difference, right_mm if moved == "before" else -right_mm, atol=0.05)
    assert (view.GetSliceOffset(), view.GetSliceNode().GetFieldOfView()[0]) == (3, 5)


def test_while_the_mouse_drags_nothing_is_resampled(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any, monkeypatch: pytest.MonkeyPatch
):
    import qt

    buttons = [qt.Qt.LeftButton]
    monkeypatch.setattr(qt.QApplication, "mouseButtons", staticmethod(lambda: buttons[0]))
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    difference = slicer_python.mrmlScene.GetFirstNodeByName("Difference")
    a_thick_volume.SetOrigin(1, 0, 0)
    settle()
    assert slicer_python.mrmlScene.GetFirstNodeByName("Difference") is difference
    buttons[0] = qt.Qt.NoButton
    wait(lambda: slicer_python.mrmlScene.GetFirstNodeByName("Difference") is not difference)


def test_a_volume_that_is_moved_away_from_the_other_ends_the_comparison(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, errors_shown: Any
):
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    a_thick_volume.SetOrigin(1000, 0, 0)
    settle()
    assert (len(errors_shown), a_panel._compare.comparison.is_active) == (1, False)


def choose(panel: Any, how: str) -> None:
    panel.ui.overlayComboBox.currentIndex = panel.ui.overlayComboBox.findText(how)


def test_the_slider_wipes_and_fades(a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any):
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    logic = slicer_python.app.applicationLogic().GetSliceLogicByLayoutName("MedicalSuperResolutionAfter")
    composite, reslice = logic.GetSliceCompositeNode(), logic.GetForegroundLayer().GetReslice()
    assert not a_panel.ui.overlaySlider.enabled
    choose(a_panel, "Fade")
    a_panel.ui.overlaySlider.value = 40
    assert (a_panel.ui.overlaySlider.enabled, composite.GetForegroundOpacity(), reslice.GetStencil()) == (
        True,
        0.4,
        None,
    )
    choose(a_panel, "Wipe")
    assert composite.GetForegroundOpacity() == 1
    assert reslice.GetStencil().IsInside(79, 0, 0)
    assert not reslice.GetStencil().IsInside(80, 0, 0)
    assert a_panel.ui.overlaySlider.toolTip == "Left of the line is before, right of it after."
    choose(a_panel, "Checkerboard")
    assert not a_panel.ui.overlaySlider.enabled
    assert not reslice.GetStencil().IsInside(25, 0, 0)


def test_a_comparison_begins_with_after_alone(a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any):
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    choose(a_panel, "Wipe")
    a_panel.ui.compareButton.click()
    logic = slicer_python.app.applicationLogic().GetSliceLogicByLayoutName("MedicalSuperResolutionAfter")
    assert logic.GetForegroundLayer().GetReslice().GetStencil() is None
    a_panel.ui.compareButton.click()
    assert a_panel.ui.overlayComboBox.currentText == "After alone"
    assert logic.GetSliceCompositeNode().GetForegroundVolumeID() is None


def test_no_unit_is_said_of_values_that_have_none(a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any):
    units = slicer_python.vtkCodedEntry()
    units.SetValueSchemeMeaning("1", "UCUM", "no units")  # as Slicer says of an MR that comes from DICOM
    a_thick_volume.SetVoxelValueUnits(units)
    a_panel.ui.uncertaintyCheckBox.checked = True
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    choose(a_panel, "Uncertainty")
    assert "no units" not in a_panel.ui.comparisonLabel.text
    legends = slicer_python.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    assert {legend.GetTitleText().replace("\n", " ") for legend in legends} == {
        "Difference (no units)",
        "Uncertainty (no units)",
    }


def test_uncertainty_is_colored_where_it_is_known(a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any):
    a_panel.ui.uncertaintyCheckBox.checked = True
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    choose(a_panel, "Uncertainty")
    logic = slicer_python.app.applicationLogic().GetSliceLogicByLayoutName("MedicalSuperResolutionAfter")
    shown = slicer_python.mrmlScene.GetNodeByID(logic.GetSliceCompositeNode().GetForegroundVolumeID())
    assert shown.GetName() == "Thick 1 mm uncertainty"
    assert a_panel.ui.overlaySlider.enabled
    assert a_panel.ui.comparisonLabel.text.endswith("Uncertainty is colored from 0.25 on, and brightest at 1.")


def test_missing_uncertainty_is_explained(a_panel: Any, a_thick_volume: Any, a_runner: Any):
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    choose(a_panel, "Uncertainty")
    assert not a_panel.ui.overlaySlider.enabled
    assert "There is no uncertainty map of Thick 1 mm" in a_panel.ui.comparisonLabel.text


def test_any_two_volumes_can_be_compared(a_panel: Any, a_thick_volume: Any, slicer_python: Any):
    other = slicer_python.util.addVolumeFromArray(np.ones((4, 18, 20), np.uint8), np.diag([1.0, 1, 6, 1]), "Other")
    assert not a_panel.ui.compareButton.enabled
    a_panel.ui.compareSelector.setCurrentNode(other)
    a_panel.ui.compareButton.click()
    assert a_panel._compare.comparison.shown.after == "Other"
    assert a_panel.ui.comparisonLabel.text.startswith(
        "Before is Thick, resampled by cubic B-spline onto the grid of Other."
    )


@pytest.mark.parametrize("is_removed", [False, True])
def test_what_was_chosen_to_compare_one_input_with_does_not_hide_the_result_of_another(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any, is_removed: bool
):
    reference, other = (
        slicer_python.util.addVolumeFromArray(np.ones((4, 18, 20), np.uint8), np.diag([1.0, 1, 6, 1]), name)
        for name in ("Reference", "Other")
    )
    a_panel.ui.compareSelector.setCurrentNode(reference)
    if is_removed:
        slicer_python.mrmlScene.RemoveNode(a_thick_volume)
    a_panel.ui.inputSelector.setCurrentNode(other)
    assert a_panel.ui.compareSelector.currentNode() is None
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    shown = a_panel._compare.comparison.shown
    assert (shown.before, shown.after) == ("Other", "Other 1 mm")


def test_a_comparison_stays_where_another_input_has_nothing_to_compare(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, errors_shown: list[str], slicer_python: Any
):
    other = slicer_python.util.addVolumeFromArray(np.ones((4, 18, 20), np.uint8), np.diag([1.0, 1, 6, 1]), "Other")
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    shown = a_panel._compare.comparison.shown
    a_panel.ui.inputSelector.setCurrentNode(other)
    assert (a_panel._compare.comparison.shown, errors_shown) == (shown, [])
    assert (a_panel.ui.compareButton.text, a_panel.ui.compareButton.enabled) == ("Close comparison", True)


def test_what_was_chosen_to_compare_with_stays_while_the_panel_is_left(
    a_panel: Any, a_thick_volume: Any, slicer_python: Any
):
    reference = slicer_python.util.addVolumeFromArray(np.ones((4, 18, 20), np.uint8), np.eye(4), "Reference")
    a_panel.ui.compareSelector.setCurrentNode(reference)
    a_panel.exit()
    a_panel.enter()
    assert a_panel._parameterNode.compareVolume is reference


def test_volumes_of_different_patients_are_compared_with_a_caution(
    a_panel: Any, a_thick_volume: Any, slicer_python: Any, monkeypatch: pytest.MonkeyPatch
):
    from MedicalSuperResolutionLib.scene import dicom_source

    monkeypatch.setattr(dicom_source, "patient", lambda node: node.GetName())
    other = slicer_python.util.addVolumeFromArray(np.ones((4, 18, 20), np.uint8), np.diag([1.0, 1, 6, 1]), "Other")
    a_panel.ui.compareSelector.setCurrentNode(other)
    a_panel.ui.compareButton.click()
    said = a_panel.ui.comparisonLabel.text
    assert said.startswith("Caution: before and after are of different patients. Before is Thick")


def test_a_volume_of_no_known_patient_is_compared_without_a_caution(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, monkeypatch: pytest.MonkeyPatch
):
    from MedicalSuperResolutionLib.scene import dicom_source

    enhance(a_panel, a_runner)
    monkeypatch.setattr(dicom_source, "patient", lambda node: "4711" if node is a_thick_volume else "")
    a_panel.ui.compareButton.click()
    assert a_panel.ui.comparisonLabel.text.startswith("Before is Thick")


def test_what_is_made_for_comparing_is_not_offered_and_leaves(a_panel: Any, a_thick_volume: Any, a_runner: Any):
    enhance(a_panel, a_runner)
    names = volume_names()
    a_panel.ui.compareButton.click()
    assert len(volume_names()) == len(names) + 2
    box = a_panel.ui.compareSelector._box
    assert [box.itemText(index) for index in range(box.count)] == ["Latest result", *names]
    a_panel.ui.compareButton.click()
    assert volume_names() == names


def test_a_scene_that_was_saved_while_comparing_is_compared_again(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    layout = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    comparing = layout.GetViewArrangement()
    a_panel.ui.compareButton.click()
    layout.SetViewArrangement(comparing)  # as loading such a scene does
    a_panel.enter()
    settle()
    assert a_panel._compare.comparison.shown.after == "Thick 1 mm"
    assert a_panel.ui.comparisonLabel.text.startswith("Before is Thick")
    a_panel.ui.compareButton.click()
    slicer_python.mrmlScene.RemoveNode(a_panel._parameterNode.resultVolume)
    layout.SetViewArrangement(comparing)
    a_panel.enter()
    settle()
    assert not a_panel._compare.comparison.is_active


def test_a_scene_that_was_saved_while_comparing_is_compared_once_slicer_has_made_its_views(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any, monkeypatch: pytest.MonkeyPatch
):
    layout = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    comparing = layout.GetViewArrangement()
    a_panel.ui.compareButton.click()
    layout.SetViewArrangement(comparing)
    with monkeypatch.context() as loading:
        loading.setattr(type(a_panel._compare.comparison.views), "_rows", [[]] * 3)
        a_panel.enter()
    settle()
    assert a_panel._compare.comparison.shown.after == "Thick 1 mm"


@pytest.mark.parametrize("is_left", [False, True])
def test_a_scene_that_was_saved_while_comparing_is_added_while_comparing(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any, tmp_path: Path, is_left: bool
):
    mrml, comparison = slicer_python.mrmlScene, a_panel._compare.comparison
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    mrml.SetURL(str(tmp_path / "scene.mrml"))
    mrml.Commit()  # without voxels, so that there is nothing to compare in it
    if is_left:
        a_panel.exit()
    mrml.Import()
    a_panel.enter()
    settle()
    assert (comparison.shown, comparison.is_active, a_panel.ui.compareButton.text) == (None, False, "Compare")
    assert [name for name in volume_names() if "B-spline" in name] == []


def test_a_scene_that_was_saved_while_comparing_and_left_gets_its_fill_back(a_panel: Any, slicer_python: Any):
    region = slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    region.CreateDefaultDisplayNodes()
    region.GetDisplayNode().SetFillVisibility(False)  # as such a scene holds it
    region.GetDisplayNode().SetAttribute("MedicalSuperResolution.ChangedByComparison", "FillVisibility")
    a_panel.enter()
    assert region.GetDisplayNode().GetFillVisibility()


def test_a_result_is_compared_with_its_own_source_only(a_panel: Any, a_thick_volume: Any, a_runner: Any):
    enhance(a_panel, a_runner)
    result = a_panel._parameterNode.resultVolume
    assert a_panel._parameterNode.pair_to_compare() == (a_thick_volume, result)
    a_panel._parameterNode.inputVolume = result
    assert a_panel._parameterNode.pair_to_compare() is None


def test_an_output_volume_that_was_made_of_another_input_is_no_latest_result(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    chosen = a_panel._parameterNode
    chosen.outputVolume = slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Mine")
    enhance(a_panel, a_runner)
    assert chosen.pair_to_compare() == (a_thick_volume, chosen.outputVolume)
    other = slicer_python.util.addVolumeFromArray(np.zeros((8, 18, 20)), np.diag([1.0, 1.0, 3.0, 1.0]), "Other")
    chosen.inputVolume = other
    assert chosen.pair_to_compare() is None
    enhance(a_panel, a_runner)
    assert chosen.pair_to_compare() == (other, chosen.outputVolume)
    chosen.inputVolume = a_thick_volume
    assert chosen.pair_to_compare() is None


def test_removing_the_result_leaves_nothing_to_compare(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    enhance(a_panel, a_runner)
    slicer_python.mrmlScene.RemoveNode(a_panel._parameterNode.resultVolume)
    assert a_panel._parameterNode.pair_to_compare() is None


@pytest.mark.parametrize("leave_panel", [False, True])
def test_removing_a_compared_volume_ends_the_comparison(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any, leave_panel: bool
):
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    result = a_panel._parameterNode.resultVolume
    if leave_panel:  # as for the module Data
        a_panel.exit()
    slicer_python.mrmlScene.RemoveNode(result)
    if leave_panel:
        assert not a_panel._compare.comparison.is_active
        a_panel.enter()
    assert not a_panel._compare.comparison.is_active
    assert (volume_names(), a_panel.ui.comparisonLabel.text) == (["Thick"], "")


def test_a_comparison_that_is_over_keeps_no_volume(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    freed = []
    enhance(a_panel, a_runner)
    a_panel._parameterNode.resultVolume.AddObserver("DeleteEvent", lambda *_: freed.append(True))
    a_panel.ui.compareButton.click()
    a_panel.ui.compareButton.click()
    slicer_python.mrmlScene.RemoveNode(a_panel._parameterNode.resultVolume)
    gc.collect()
    assert freed


def shown_nodes(scene: Any) -> set[str]:
    """Volumes and their displays, colors and legends, hidden ones too; not what slice views need for themselves."""
    kinds = (
        "vtkMRMLScalarVolumeNode",
        "vtkMRMLScalarVolumeDisplayNode",
        "vtkMRMLColorNode",
        "vtkMRMLColorLegendDisplayNode",
    )
    nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    return {node.GetID() for node in nodes if any(node.IsA(kind) for kind in kinds)}


@pytest.mark.parametrize("left", ["before", "after"])
def test_another_layout_leaves_nothing_hidden_behind_also_where_the_panel_was_left(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any, left: str
):
    layout = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    enhance(a_panel, a_runner)
    known = shown_nodes(slicer_python.mrmlScene)
    a_panel.ui.compareButton.click()
    assert shown_nodes(slicer_python.mrmlScene) > known
    if left == "before":
        a_panel.exit()
    layout.SetViewArrangement(layout.SlicerLayoutConventionalView)
    if left == "after":
        a_panel.exit()
    a_panel.enter()
    assert shown_nodes(slicer_python.mrmlScene) == known
    assert (a_panel.ui.compareButton.checked, a_panel.ui.compareButton.text) == (False, "Compare")
