"""The choices of the panel, its forecast before the click, and what the scene stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medical_super_resolution.models.profile_calibration import expected_profile
from medical_super_resolution.settings import EnhanceSettings
from widget.helpers import enhance, entered, settle


def test_enhance_waits_for_an_input_and_says_so(a_panel: Any):
    assert not a_panel.ui.enhanceButton.enabled
    assert a_panel.ui.enhanceButton.toolTip == "Load a volume first (try ThickMRHead in Sample Data)."


@pytest.mark.parametrize("kind", ["Vector", "LabelMap"])
def test_a_scene_with_only_colors_or_labels_says_that_they_are_not_enhanced(
    a_panel: Any, slicer_python: Any, kind: str
):
    slicer_python.mrmlScene.AddNewNodeByClass(f"vtkMRML{kind}VolumeNode", "Other")
    a_panel.enter()
    assert a_panel.ui.enhanceButton.toolTip.startswith("Load a CT or MR volume; the scene holds only label maps")


def test_a_volume_that_is_loaded_is_chosen_by_itself(a_panel: Any, a_thick_volume: Any):
    assert a_panel._parameterNode.inputVolume is a_thick_volume
    assert a_panel.ui.inputSelector.currentNode() is a_thick_volume
    assert a_panel.ui.enhanceButton.enabled


def test_a_volume_that_is_loaded_together_with_other_nodes_is_chosen_in_the_end(a_panel: Any, slicer_python: Any):
    scene = slicer_python.mrmlScene
    scene.StartState(scene.BatchProcessState)
    volume = slicer_python.util.addVolumeFromArray(np.zeros((8, 18, 20)), np.diag([1.0, 1.0, 3.0, 1.0]), "Thick")
    scene.EndState(scene.BatchProcessState)
    assert (a_panel._parameterNode.inputVolume, a_panel.ui.enhanceButton.enabled) == (volume, True)


def test_a_label_map_is_not_chosen(a_panel: Any, slicer_python: Any):
    slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    a_panel.enter()
    assert a_panel._parameterNode.inputVolume is None


def test_the_panel_says_what_enhance_will_do(a_panel: Any, a_thick_volume: Any):
    expected = "20x18x8 at 1.00x1.00x3.00 mm becomes 20x18x24 at 1.00x1.00x1.00 mm, 0.1 MB"
    assert a_panel.ui.descriptionLabel.text == f"{expected}, about 3 s"
    a_panel._parameterNode.device = type(a_panel._parameterNode.device).CUDA
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
    a_panel.ui.uncertaintyCheckBox.checked = True
    a_panel.ui.deviceComboBox.currentIndex = 3
    a_panel.ui.threadsSpinBox.value = 2
    settings = a_panel._parameterNode.settings()
    assert settings == EnhanceSettings(
        slice_thickness_mm=4.5, consistency=False, uncertainty=True, device="cpu", threads=2
    )


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


def test_a_spacing_coarser_than_the_volume_leaves_nothing_to_click(a_panel: Any, a_thick_volume: Any):
    a_panel._parameterNode.goal = type(a_panel._parameterNode.goal).CUSTOM_SPACING
    a_panel._parameterNode.spacingK = 7.0
    assert not a_panel.ui.enhanceButton.enabled
    assert "as fine as asked already" in a_panel.ui.enhanceButton.toolTip
    assert a_panel.ui.descriptionLabel.text == a_panel.ui.enhanceButton.toolTip


def test_input_and_output_must_differ(a_panel: Any, a_thick_volume: Any):
    a_panel.ui.outputSelector.setCurrentNode(a_thick_volume)
    assert not a_panel.ui.enhanceButton.enabled
    assert "Thick is chosen as input and as output" in a_panel.ui.enhanceButton.toolTip


def test_a_model_that_is_not_here_is_shown_and_refused(a_panel: Any, a_thick_volume: Any):
    a_panel._parameterNode.model = "brain"
    assert a_panel.ui.modelComboBox.currentText == "brain (not installed)"
    assert not a_panel.ui.enhanceButton.enabled
    a_panel.ui.modelComboBox.currentIndex = 0
    assert a_panel._parameterNode.model == "general"
    assert a_panel.ui.enhanceButton.enabled


def test_a_model_in_a_folder_that_is_closed_to_the_user_is_refused(a_panel: Any, a_thick_volume: Any):
    model = f"/{'x' * 300}/mine.safetensors"  # as little to be followed as one under the home of another account
    a_panel._parameterNode.model = model
    assert not a_panel.ui.enhanceButton.enabled
    assert a_panel.ui.descriptionLabel.text == f"The model {model} is not installed; choose another one."
    assert not a_panel.ui.detailSlider.enabled
    a_panel._parameterNode.model = "general"
    assert a_panel.ui.enhanceButton.enabled


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


@pytest.mark.parametrize(
    ("name", "saved", "default"),
    [
        ("goal", "OF_A_LATER_VERSION", "ISOTROPIC"),
        ("plane", "", "REVEALING"),
        ("factor", "many", 3.0),
        ("threads", "", 0),
    ],
)
def test_a_choice_that_only_another_version_knows_becomes_the_default(
    a_panel: Any, a_thick_volume: Any, name: str, saved: str, default: Any
):
    a_panel._parameterNode.detail = 0.25
    node = a_panel._parameterNode.parameterNode
    a_panel.exit()
    node.SetParameter(name, saved)  # as a scene brings it
    a_panel.enter()
    chosen = getattr(a_panel._parameterNode, name)
    assert getattr(chosen, "name", chosen) == default
    assert (a_panel._parameterNode.detail, a_panel.ui.enhanceButton.enabled) == (0.25, True)


def test_choices_that_know_no_volume_yet_are_not_used_at_the_end_of_loading(
    a_panel: Any, a_thick_volume: Any, slicer_python: Any, tmp_path: Path
):
    import slicer_host

    scene, found = slicer_python.mrmlScene, []
    slicer_host.save_bundle(scene, tmp_path / "scene.mrb")
    first = 10.0  # modules of Slicer add nodes of their own then, before the panel looks its choices up anew
    tag = scene.AddObserver(scene.EndImportEvent, lambda *_: found.append(a_panel._parameterNode), first)
    slicer_host.load_bundle(scene, tmp_path / "scene.mrb")
    scene.RemoveObserver(tag)
    assert found == [None]
    assert a_panel.ui.inputSelector.currentNode().GetName() == "Thick"


def test_the_tool_tip_of_a_model_is_its_card(a_panel: Any, monkeypatch: pytest.MonkeyPatch):
    from MedicalSuperResolutionLib.panel.sections import selectors as model_selector

    card = {"summary": "CT and MR", "trained_on": ["IXI", "LIDC"], "scores": {"psnr": 40}, "notes": "x" * 500}
    monkeypatch.setattr(model_selector, "read_header", lambda path: {"card": card})
    monkeypatch.setattr(model_selector.models, "installed_models", lambda: ["general", "general-large"])
    a_panel.exit()
    a_panel.enter()
    lines = a_panel.ui.modelComboBox.toolTip.splitlines()
    assert lines[0] == "The network that refines the volume."
    assert lines[2:6] == ["general", "summary: CT and MR", "trained on: IXI, LIDC", "scores: psnr 40"]
    assert max(map(len, lines)) <= 160
    a_panel.ui.modelComboBox.currentIndex = 1
    assert a_panel.ui.modelComboBox.toolTip.splitlines()[2] == "general-large"


def test_without_a_main_window_the_first_volume_is_chosen(
    the_module: Any, a_thick_volume: Any, a_slicer: Any, raised_in_slots: list[BaseException]
):
    a_slicer.applicationLogic().SetSliceLogics(None)
    with entered(the_module.MedicalSuperResolutionWidget) as panel:
        assert panel.ui.inputSelector.currentNode() is a_thick_volume
    assert raised_in_slots == []


def test_the_volume_on_the_screen_is_chosen_not_the_first(a_panel: Any, a_slicer: Any, slicer_python: Any):
    a_panel.exit()
    volumes = [slicer_python.util.addVolumeFromArray(np.zeros((3, 4, 5)), name=name) for name in ("First", "Second")]
    layout = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutFourUpView)
    red = a_slicer.applicationLogic().GetSliceLogicByLayoutName("Red")
    red.GetSliceCompositeNode().SetBackgroundVolumeID(volumes[1].GetID())
    a_panel.enter()
    assert a_panel._parameterNode.inputVolume is volumes[1]


@pytest.mark.parametrize("typed", ["2.25", "2,25"])
@pytest.mark.parametrize("name", ["factor", "spacingI", "sliceThickness"])
def test_a_number_can_be_typed_digit_by_digit(a_panel: Any, a_thick_volume: Any, name: str, typed: str):
    from PySide6 import QtTest

    box = getattr(a_panel.ui, f"{name}SpinBox")
    box.selectAll()
    QtTest.QTest.keyClicks(box, typed)
    assert getattr(a_panel._parameterNode, name) == 2.25
    for end, beyond in ((box.minimum, box.minimum - 0.1), (box.maximum, box.maximum + 0.1)):
        setattr(a_panel._parameterNode, name, end)
        with pytest.raises(ValueError, match=r"\d"):
            setattr(a_panel._parameterNode, name, beyond)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("name", ["spacingI", "sliceThickness", "threads"])
def test_a_typed_number_takes_the_place_of_words(a_panel: Any, a_thick_volume: Any, name: str, place: int):
    from PySide6 import QtTest, QtWidgets

    box = getattr(a_panel.ui, f"{name}SpinBox")
    words = box.findChild(QtWidgets.QLineEdit)
    words.setCursorPosition(place)  # as by a click
    QtTest.QTest.keyClicks(box, "12")
    assert getattr(a_panel._parameterNode, name) == 12


def test_a_custom_spacing_begins_with_what_to_do(a_panel: Any, a_thick_volume: Any):
    a_panel._parameterNode.goal = type(a_panel._parameterNode.goal).CUSTOM_SPACING
    assert a_panel.ui.descriptionLabel.text == "Enter a spacing."


def test_an_axis_that_stays_as_it_is_keeps_the_spacing_of_the_straightened_slices(a_panel: Any, slicer_python: Any):
    sheared = np.diag([0.8, 0.8, 3.0, 1.0])
    sheared[1, 2] = 0.9
    chosen = a_panel._parameterNode
    chosen.inputVolume = slicer_python.util.addVolumeFromArray(np.zeros((8, 18, 20)), sheared, "Tilted")
    chosen.goal, chosen.spacingI = type(chosen.goal).CUSTOM_SPACING, 0.4
    assert chosen.settings().spacing_ijk_mm == pytest.approx((0.4, 0.8, 3.0))


def expected_words(thickness_mm: float) -> str:
    """The profile of slices of this thickness, 3 mm apart, before they are seen."""
    likely = expected_profile(thickness_mm / 3)
    return f"Gaussian {3 * likely.profile.width:.1f} ± {3 * likely.error:.1f} mm (expected)"


def test_the_settings_are_shown_in_one_line(a_panel: Any, a_thick_volume: Any):
    expected = expected_words(thickness_mm=3)
    assert a_panel.ui.settingsLabel.text == (
        f"general, detail 0, CT or MR by the values, slices 3 mm (their distance), {expected}"
    )
    a_panel._parameterNode.sliceThickness = 4
    assert "slices 4 mm (set by hand)" in a_panel.ui.settingsLabel.text


def test_slices_thinner_than_pixels_are_as_thick_as_they_are_apart(a_panel: Any, slicer_python: Any):
    volume = slicer_python.util.addVolumeFromArray(np.zeros((8, 18, 20)), np.diag([0.8, 0.8, 0.5, 1]), "Thin")
    a_panel._parameterNode.inputVolume = volume
    assert ", slices 0.5 mm (their distance), " in a_panel.ui.settingsLabel.text
    assert a_panel.ui.sliceThicknessSpinBox.specialValueText == "auto, 0.5 mm"


@pytest.mark.parametrize(("shape", "name"), [("gaussian", "Gaussian"), ("box", "Box")])
def test_an_estimated_profile_is_shown_with_its_error(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, shape: str, name: str
):
    a_runner.also_reported = {
        "slice_profile": shape,
        "slice_profile_source": "estimated",
        "slice_thickness_mm": 3.0,
        "slice_width_mm": 2.7,
        "slice_width_error_mm": 0.12,
    }
    enhance(a_panel, a_runner)
    assert a_panel.ui.settingsLabel.text.endswith(f"slices 3 mm (their distance), {name} 2.70 ± 0.12 mm (estimated)")
    a_panel._parameterNode.sliceThickness = 2  # it would be estimated anew
    assert a_panel.ui.settingsLabel.text.endswith(f"slices 2 mm (set by hand), {expected_words(thickness_mm=2)}")
    a_panel._parameterNode.profile = type(a_panel._parameterNode.profile).BOX
    assert a_panel.ui.settingsLabel.text.endswith("Box 2 mm")


def test_the_comparison_of_a_new_scene_is_arranged_as_the_latest_one(a_panel: Any, slicer_python: Any):
    arrangement, plane = type(a_panel._parameterNode.arrangement), type(a_panel._parameterNode.plane)
    a_panel.ui.arrangementComboBox.currentIndex = 3
    a_panel.ui.planeComboBox.currentIndex = 3
    slicer_python.mrmlScene.Clear(False)
    assert a_panel._parameterNode.arrangement is arrangement.ROW  # a program has chosen, not the user
    a_panel.ui.arrangementComboBox.currentIndex = 3
    a_panel.ui.planeComboBox.currentIndex = 3
    a_panel.ui.planeComboBox.activated.emit(3)
    slicer_python.mrmlScene.Clear(False)
    chosen = a_panel._parameterNode
    assert (chosen.arrangement, chosen.plane, chosen.crosshair) == (arrangement.ALL_PLANES, plane.SAGITTAL, False)


def test_directions_are_those_of_the_patient(a_panel: Any, slicer_python: Any):
    sagittal = np.zeros((4, 4))
    sagittal[[1, 2, 0, 3], range(4)] = 1, -1, 3, 1  # i runs to anterior, j to inferior, k to the right
    volume = slicer_python.util.addVolumeFromArray(np.zeros((8, 18, 20)), sagittal, "Sagittal")
    a_panel._parameterNode.inputVolume = volume
    assert a_panel.ui.spacingLabel.text == "Spacing (A, S, R):"
    assert a_panel.ui.spacingISpinBox.accessibleName == "Target spacing along A"  # what a screen reader says


def test_screen_readers_say_the_name_of_a_list_of_nodes_at_the_box_that_has_the_focus(a_panel: Any):
    (box,) = (child for child in a_panel.ui.regionSelector.children() if child.inherits("QComboBox"))
    assert box.property("accessibleName") == "Region"


def test_cautions_are_shown_before_the_click(a_panel: Any, a_thick_volume: Any):
    assert a_panel.ui.warningLabel.isHidden()
    a_panel._parameterNode.goal = type(a_panel._parameterNode.goal).CUSTOM_FACTOR
    a_panel._parameterNode.factor = 6
    assert a_panel.ui.warningLabel.text == "6 times finer is far: above 5, more is guessed."
    assert not a_panel.ui.warningLabel.isHidden()


def test_uneven_slices_are_a_caution_though_slicer_says_nothing_when_it_fills_their_transform(
    a_panel: Any, a_thick_volume: Any, slicer_python: Any
):
    import vtk

    image = vtk.vtkImageData()
    image.SetDimensions(2, 2, 8)
    image.SetSpacing(20, 18, 3)
    image.AllocateScalars(vtk.VTK_DOUBLE, 3)
    image.GetPointData().GetScalars().Fill(0)
    transform = slicer_python.vtkOrientedGridTransform()
    transform.SetDisplacementGridData(image)
    node = slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode", "Acquisition")
    node.SetAndObserveTransformToParent(transform)
    a_thick_volume.SetAndObserveTransformNodeID(node.GetID())
    slicer_python.util.arrayFromGridTransform(node)[4:, ..., 2] = 3  # a slice is missing; no event tells of it
    settle()
    assert "The transform Acquisition is no matrix (uneven slices" in a_panel.ui.warningLabel.text


def test_an_output_volume_that_would_be_overwritten_is_named_before_the_click(
    a_panel: Any, a_thick_volume: Any, slicer_python: Any
):
    chosen = a_panel._parameterNode
    chosen.outputVolume = slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Mine")
    assert a_panel.ui.warningLabel.isHidden()  # there is nothing in it
    slicer_python.util.updateVolumeFromArray(chosen.outputVolume, slicer_python.util.arrayFromVolume(a_thick_volume))
    a_panel.enter()
    assert a_panel.ui.warningLabel.text == "Enhance replaces the voxels of Mine, the output volume in Advanced."
