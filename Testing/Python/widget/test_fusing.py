"""Several stacks become one volume: the section of the panel, its messages, and the scene at the end."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume
from widget.helpers import volume_names, wait

AXIAL = np.diag([1.0, 1.0, 4.0, 1.0])
CORONAL = np.array([[1.0, 0, 0, 0], [0, 0, 4.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])
REPORT = {
    "model": "general",
    "model_sha256": "0123",
    "modality": "ct",
    "size_ijk": [24, 24, 24],
    "spacing_mm": 1.0,
    "slice_profile": ["gaussian", "gaussian"],
    "shift_mm": [0.0, 1.25],
    "angle_degrees": [0.0, 0.5],
    "gain": [1.0, 1.1],
    "slices_held_down": [0, 0],
    "consistency_error_rms": [2.0, 3.0],
    "seconds": 12.4,
    "settings": {},
    "software": "MedicalSuperResolution 0.1.0",
    "notice": "For research. Not for diagnostic use.",
}


def add(name: str, ijk_to_ras: np.ndarray) -> Any:
    import slicer

    array = np.random.default_rng(len(name)).integers(0, 1000, (6, 24, 24)).astype(np.int16)
    return slicer.util.addVolumeFromArray(array, ijk_to_ras, name)


@pytest.fixture
def stacks(a_panel: Any) -> list[Any]:
    """Two stacks of one head, both checked."""
    made = [add("Axial", AXIAL), add("Coronal", CORONAL)]
    for one in made:
        a_panel.ui.queueSelector.check(one)
    return made


def fused(**also: Any) -> Any:
    from MedicalSuperResolutionLib.scene.stacks import FusedStacks

    volume = Volume(np.full((24, 24, 24), 7, np.int16), Grid((24, 24, 24), np.eye(4)))
    return FusedStacks(volume, REPORT, **also)


def test_one_volume_cannot_be_fused_and_two_are_foreseen(a_panel: Any):
    a_panel.ui.queueSelector.check(add("Axial", AXIAL))
    assert (a_panel.ui.fuseButton.enabled, a_panel.ui.fuseLabel.isHidden()) == (False, True)
    assert a_panel.ui.fuseButton.toolTip == "Check at least two stacks of one session."
    a_panel.ui.queueSelector.check(add("Coronal", CORONAL))
    assert a_panel.ui.fuseButton.enabled
    assert not a_panel.ui.fuseLabel.isHidden()
    assert a_panel.ui.fuseLabel.text == "2 stacks become 24x26x26 at 1.00x1.00x1.00 mm, 0.1 MB"


def test_the_finest_spacing_of_all_stacks_is_foreseen(a_panel: Any):
    for one in (add("Axial", AXIAL), add("Fine", CORONAL @ np.diag([0.5, 0.5, 1, 1]))):
        a_panel.ui.queueSelector.check(one)
    assert " at 0.50x0.50x0.50 mm, " in a_panel.ui.fuseLabel.text


def test_tilted_stacks_are_straightened_at_the_click_only(a_panel: Any, a_runner: Any, monkeypatch: pytest.MonkeyPatch):
    from MedicalSuperResolutionLib.engine import fusion

    straighten, seen = fusion.straightened, []
    monkeypatch.setattr(fusion, "straightened", lambda volume: seen.append(1) or straighten(volume))
    tilted = AXIAL.copy()
    tilted[1, 2] = 1.0
    for one in (add("Axial", tilted), add("Coronal", CORONAL)):
        a_panel.ui.queueSelector.check(one)
    assert a_panel.ui.fuseLabel.text == "2 stacks become 24x26x31 at 1.00x1.00x1.00 mm, 0.1 MB"
    assert seen == []
    a_panel.ui.fuseButton.click()
    assert seen == [1]
    assert [one.grid.is_sheared for one in a_runner.exchange.stacks] == [False, False]


def test_a_click_makes_one_volume_that_is_compared_with_each_stack(a_panel: Any, stacks: list[Any], a_runner: Any):
    from MedicalSuperResolutionLib.scene import provenance

    a_panel.ui.fuseButton.click()
    a_runner.stage, a_runner.progress = "fusing", (1, 4)
    wait(lambda: a_panel.ui.statusLabel.text == "Fusing...")
    assert (a_panel.ui.enhanceButton.text, a_panel.ui.fuseButton.enabled) == ("Cancel", False)
    a_runner.give(fused())
    wait(lambda: a_panel._run.current is None)
    result = a_panel._parameterNode.resultVolume
    assert volume_names() == ["Axial", "Coronal", "Axial fused"]
    assert (result.GetSpacing(), result.GetImageData().GetDimensions()) == ((1.0, 1.0, 1.0), (24, 24, 24))
    assert provenance.sources_of(result) == stacks
    for stack in stacks:
        a_panel._parameterNode.inputVolume = stack
        assert a_panel._parameterNode.pair_to_compare() == (stack, result)
    note = provenance.note_of(result).GetText()
    assert "Stack 2 was moved by 1.2 mm and 0.5 degrees, its values were multiplied by 1.1" in note
    assert "Coronal" not in note


def test_a_fusion_can_be_cancelled_where_its_first_stack_could_not_be_enhanced(
    a_panel: Any, stacks: list[Any], a_runner: Any
):
    chosen = a_panel._parameterNode
    chosen.goal = type(chosen.goal).CUSTOM_SPACING  # and no spacing is entered: fusing takes the finest
    button = a_panel.ui.enhanceButton
    assert (button.enabled, button.toolTip) == (False, "Enter a spacing.")
    a_panel.ui.fuseButton.click()
    assert (button.enabled, button.text) == (True, "Cancel")
    button.click()
    wait(lambda: a_panel._run.current is None)
    assert volume_names() == ["Axial", "Coronal"]


def test_a_fused_volume_is_of_the_modality_that_was_stated_of_any_stack(a_panel: Any, stacks: list[Any], a_runner: Any):
    from MedicalSuperResolutionLib.scene import dicom_source

    dicom_source.state_modality(stacks[1], "ct")
    a_panel.ui.fuseButton.click()
    arguments = a_runner.exchange.arguments()
    assert arguments[arguments.index("--modality") + 1] == "ct"
    a_runner.give(fused())
    wait(lambda: a_panel._run.current is None)
    assert dicom_source.modality(a_panel._parameterNode.resultVolume) == "ct"


def test_an_open_comparison_goes_over_to_the_stack_that_is_chosen(a_panel: Any, stacks: list[Any], a_runner: Any):
    a_panel.ui.fuseButton.click()
    a_runner.give(fused())
    wait(lambda: a_panel._run.current is None)
    a_panel.ui.compareButton.click()
    assert a_panel.ui.comparisonLabel.text.startswith("Before is Axial, resampled")
    a_panel._parameterNode.inputVolume = stacks[1]
    assert a_panel.ui.comparisonLabel.text.startswith("Before is Coronal, resampled")


def test_where_stacks_contradict_each_other_becomes_a_map(a_panel: Any, stacks: list[Any], a_runner: Any):
    from MedicalSuperResolutionLib.scene import provenance, uncertainty_node

    a_panel.ui.uncertaintyCheckBox.checked = True
    a_panel.ui.fuseButton.click()
    assert "--uncertainty" in a_runner.exchange.arguments()
    a_runner.give(fused(uncertainty=Volume(np.ones((24, 24, 24), np.float32), Grid((24, 24, 24), np.eye(4)))))
    wait(lambda: a_panel._run.current is None)
    known = uncertainty_node.map_of(a_panel._parameterNode.resultVolume)
    assert known.GetName() == "Axial fused uncertainty"
    assert "contradict" in known.GetAttribute("MedicalSuperResolution.Uncertainty")
    assert provenance.is_fused(known)
    assert provenance.report_of(known) is None  # which an export would need


def test_why_stacks_cannot_be_fused_is_shown_before_the_click(
    a_panel: Any, stacks: list[Any], slicer_python: Any, monkeypatch: pytest.MonkeyPatch
):
    from MedicalSuperResolutionLib.scene import dicom_source

    chosen = a_panel._parameterNode
    monkeypatch.setattr(dicom_source, "patient", lambda node: node.GetName())
    a_panel._fuse.show()
    assert a_panel.ui.fuseLabel.text == "The volumes are of different patients; fuse stacks of one session."
    assert not a_panel.ui.fuseButton.enabled
    monkeypatch.setattr(dicom_source, "patient", lambda node: "")
    monkeypatch.setattr(dicom_source, "frame_of_reference", lambda node: node.GetName())
    a_panel._fuse.show()
    assert a_panel.ui.fuseLabel.text.startswith("The volumes have different frames of reference")
    registered = slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    stacks[1].SetAndObserveTransformNodeID(registered.GetID())
    a_panel._fuse.show()
    assert a_panel.ui.fuseButton.enabled
    chosen.model = "gone"
    assert a_panel.ui.fuseLabel.text == "The model gone is not installed; choose another one."


def test_a_stack_under_a_transform_is_fused_where_it_lies(stacks: list[Any], slicer_python: Any):
    from MedicalSuperResolutionLib.scene.stacks import volumes_of

    moved = slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, 3] = 1, 2, 3
    moved.SetMatrixTransformToParent(slicer_python.util.vtkMatrixFromArray(matrix))
    stacks[1].SetAndObserveTransformNodeID(moved.GetID())
    np.testing.assert_allclose(volumes_of(stacks)[1].grid.ijk_to_ras, matrix @ CORONAL)
    np.testing.assert_allclose(volumes_of(stacks[::-1])[1].grid.ijk_to_ras, np.linalg.inv(matrix) @ AXIAL)


def test_a_first_stack_that_is_moved_while_they_are_fused_takes_the_result_along(
    a_panel: Any, stacks: list[Any], a_runner: Any
):
    from MedicalSuperResolutionLib.scene import uncertainty_node

    a_panel.ui.fuseButton.click()
    stacks[0].SetOrigin(*np.add(stacks[0].GetOrigin(), (5, 6, 7)))
    a_runner.give(fused(uncertainty=fused().volume))
    wait(lambda: a_panel._run.current is None)
    result = a_panel._parameterNode.resultVolume
    assert (result.GetOrigin(), uncertainty_node.map_of(result).GetOrigin()) == ((5, 6, 7), (5, 6, 7))


@pytest.mark.parametrize("ending", ["refused", "removed", "cancelled"])
def test_what_goes_wrong_leaves_the_scene_as_it_was(
    a_panel: Any, stacks: list[Any], a_runner: Any, errors_shown: list[str], slicer_python: Any, ending: str
):
    a_panel.ui.fuseButton.click()
    if ending == "refused":
        a_runner.fail(VolumeError("stack 2 overlaps with no other stack in space; are they of one session?"))
    elif ending == "removed":
        slicer_python.mrmlScene.RemoveNode(stacks[1])
    else:
        a_panel.ui.enhanceButton.click()
    wait(lambda: a_panel._run.current is None)
    assert volume_names() == (["Axial"] if ending == "removed" else ["Axial", "Coronal"])
    expected = {
        "refused": ["Stack 2 overlaps with no other stack in space; are they of one session?"],
        "removed": ["The volume Coronal was removed meanwhile; nothing was made."],
        "cancelled": [],
    }
    assert errors_shown == expected[ending]


def test_the_engine_understands_what_it_is_asked(a_panel: Any, stacks: list[Any], a_runner: Any):
    from medical_super_resolution.cli.main import parser

    chosen = a_panel._parameterNode
    chosen.goal, chosen.spacingK, chosen.threads = type(chosen.goal).CUSTOM_SPACING, 0.5, 2
    a_panel.ui.fuseButton.click()
    asked = parser(None).parse_args(a_runner.exchange.arguments())
    assert ([path.name for path in asked.stacks], asked.output.name) == (
        ["stack-1.nrrd", "stack-2.nrrd"],
        "output.nrrd",
    )
    assert (asked.spacing, asked.slice_thickness, asked.threads) == (0.5, [4.0, 4.0], 2)
    assert (asked.model, asked.progress, asked.no_compression, asked.uncertainty) == ("general", "json", True, None)


def test_a_slice_thickness_that_is_set_by_hand_counts_before_that_of_dicom(
    a_panel: Any, stacks: list[Any], a_runner: Any, monkeypatch: pytest.MonkeyPatch
):
    from MedicalSuperResolutionLib.scene import dicom_source

    monkeypatch.setattr(dicom_source, "slice_thickness_mm", lambda node: 3.5 if node is stacks[0] else None)
    for by_hand, expected in ((0.0, ["3.5", "4.0"]), (2.5, ["2.5", "2.5"])):
        a_panel._parameterNode.sliceThickness = by_hand
        a_panel.logic.startFusion(stacks, a_panel._parameterNode.fusion_settings()).abandon()
        assert a_runner.exchange.arguments()[-3:] == ["--slice-thickness", *expected]


def test_a_script_may_give_a_number_of_numpy(a_panel: Any, stacks: list[Any], a_runner: Any):
    running = a_panel.logic.startFusion(stacks, EnhanceSettings(), np.float64(0.5))
    running.abandon()
    arguments = a_runner.exchange.arguments()
    assert arguments[arguments.index("--spacing") + 1] == "0.5"


@pytest.mark.parametrize("problem", [None, VolumeError("they do not overlap")])
def test_the_process_of_a_script_ends_with_its_fusion(
    a_panel: Any, stacks: list[Any], a_runner: Any, problem: Exception | None
):
    a_runner.run_exchange = mock.Mock(side_effect=problem, return_value=fused())
    with nullcontext() if problem is None else pytest.raises(VolumeError, match="do not overlap"):
        a_panel.logic.fuse(stacks)
    assert a_runner.is_closed


@pytest.mark.parametrize(
    ("name", "value"), [("detail", 1.0), ("quality", "best"), ("slice_profile", "box"), ("factor", 4.0)]
)
def test_a_setting_without_effect_on_a_fusion_is_refused_by_name(
    a_panel: Any, stacks: list[Any], name: str, value: object
):
    with pytest.raises(SettingsError, match=f"{name} has no effect on a fusion"):
        a_panel.logic.startFusion(stacks, EnhanceSettings(**{name: value}))
    with pytest.raises(SettingsError, match=f"{name} has no effect on a fusion"):
        a_panel.logic.fuse(stacks, **{name: value})


def test_choices_for_single_volumes_do_not_hinder_a_fusion_and_the_button_says_which_count(
    a_panel: Any, stacks: list[Any]
):
    chosen = a_panel._parameterNode
    chosen.detail, chosen.keepMeasuredData, chosen.profile = 0.5, False, type(chosen.profile).BOX
    assert a_panel.ui.fuseButton.enabled
    assert "all other choices are for Enhance" in a_panel.ui.fuseButton.toolTip


def test_how_long_it_takes_is_learned(a_panel: Any, stacks: list[Any], a_runner: Any):
    assert "about" not in a_panel.ui.fuseLabel.text
    a_panel.ui.fuseButton.click()
    a_runner.give(fused())
    wait(lambda: a_panel._run.current is None)
    assert a_panel.ui.fuseLabel.text.endswith(", 0.1 MB, about 1 s")


def test_a_fused_volume_becomes_a_series_that_names_every_stack(
    a_panel: Any, a_runner: Any, tmp_path: Path, slicer_python: Any, monkeypatch: pytest.MonkeyPatch
):
    pydicom = pytest.importorskip("pydicom")
    import dicom_database
    from dicom_sources import ROOT, write_source

    def another_series(header: Any, k: int) -> None:
        header.SOPInstanceUID, header.SeriesInstanceUID = f"{ROOT}.4.{k + 1}", f"{ROOT}.9"

    stored = np.full((6, 24, 24), 1000, np.uint16)
    sources = [write_source(tmp_path / "a", stored), write_source(tmp_path / "b", stored, change=another_series)]
    dicom_database.use(dicom_database.DicomDatabase(sum(sources, [])), slicer_python, monkeypatch)
    names = [[str(pydicom.dcmread(file).SOPInstanceUID) for file in series] for series in sources]
    stacks = [add(name, AXIAL) for name in ("First", "Second")]
    for stack, instances in zip(stacks, names, strict=True):
        stack.SetAttribute("DICOM.instanceUIDs", " ".join(instances))
        a_panel.ui.queueSelector.check(stack)
    a_panel.ui.fuseButton.click()
    a_runner.give(fused())
    wait(lambda: a_panel._run.current is None)
    a_panel.ui.exportPathLineEdit.currentPath = str(tmp_path)
    a_panel.ui.exportButton.click()
    assert a_panel.ui.exportLabel.text.startswith("24 files are in")
    one = pydicom.dcmread(next((tmp_path / "super-resolution-1").iterdir()))
    assert {str(item.ReferencedSOPInstanceUID) for item in one.SourceImageSequence} == {*names[0], *names[1]}


def test_a_fused_volume_of_which_a_stack_is_not_from_dicom_is_not_exported(
    a_panel: Any, stacks: list[Any], a_runner: Any
):
    stacks[0].SetAttribute("DICOM.instanceUIDs", "1.2.3")
    a_panel.ui.fuseButton.click()
    a_runner.give(fused())
    wait(lambda: a_panel._run.current is None)
    assert not a_panel.ui.databaseButton.enabled
    assert a_panel.ui.databaseButton.toolTip.startswith("Axial fused was not made here")
