"""The uncertainty of a result as a second volume: its position, attributes, and removal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the scene needs slicer-core")

from medical_super_resolution.errors import SettingsError  # noqa: E402
from medical_super_resolution.settings import EnhanceSettings  # noqa: E402
from MedicalSuperResolutionLib.engine import tasks  # noqa: E402
from MedicalSuperResolutionLib.scene import nodes as scene  # noqa: E402
from MedicalSuperResolutionLib.scene import provenance, uncertainty_node  # noqa: E402
from slicer_host import hierarchy_of, ijk_to_ras, load_bundle, node_ids, save_bundle  # noqa: E402

WHAT = "the standard deviation over 8 mirror images of the scan"


@pytest.fixture
def an_unsure_result(an_enhanced):
    """A result with a ramp from 0 to 98 as its uncertainty."""
    grid = an_enhanced.volume.grid
    values = np.linspace(0, 98, np.prod(grid.shape_kji), dtype=np.float32).reshape(grid.shape_kji)
    report = replace(an_enhanced.report, uncertainty=WHAT)
    return replace(an_enhanced, report=report, uncertainty=replace(an_enhanced.volume, array=values))


def test_the_map_lies_where_the_result_lies(an_unsure_result, a_volume_node):
    transform = a_volume_node.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode")
    a_volume_node.SetAndObserveTransformNodeID(transform.GetID())
    node = uncertainty_node.write(an_unsure_result, a_volume_node)
    found = uncertainty_node.map_of(node)
    assert (node.GetName(), found.GetName()) == ("Chest x3", "Chest x3 uncertainty")
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(found), an_unsure_result.uncertainty.array)
    np.testing.assert_allclose(ijk_to_ras(found), ijk_to_ras(node))
    assert found.GetParentTransformNode() is transform


def test_the_map_has_the_units_of_the_source(an_unsure_result, a_volume_node):
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    a_volume_node.SetVoxelValueUnits(units)
    found = uncertainty_node.map_of(uncertainty_node.write(an_unsure_result, a_volume_node))
    assert found.GetVoxelValueUnits().GetCodeMeaning() == "Hounsfield unit"


def test_the_map_is_shown_in_colors_from_0_to_nearly_its_largest_value(an_unsure_result, a_volume_node):
    display = uncertainty_node.map_of(uncertainty_node.write(an_unsure_result, a_volume_node)).GetDisplayNode()
    assert not display.GetAutoWindowLevel()
    assert (display.GetWindow(), display.GetLevel()) == (98, 49)
    assert display.GetColorNode().GetName() == "Iron"


def test_values_that_are_not_finite_have_no_part_in_the_scale():
    assert uncertainty_node.limit(np.array([np.nan, -4, 2, np.inf])) == 4


def test_the_map_lies_in_the_same_study(an_unsure_result, a_volume_node):
    hierarchy = hierarchy_of(a_volume_node.GetScene())
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(study, a_volume_node)
    found = uncertainty_node.map_of(uncertainty_node.write(an_unsure_result, a_volume_node))
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(found)) == study


def test_the_map_is_described_and_is_not_exported_as_an_image(an_unsure_result, a_volume_node):
    node = uncertainty_node.write(an_unsure_result, a_volume_node)
    found = uncertainty_node.map_of(node)
    assert found.GetAttribute("MedicalSuperResolution.Uncertainty") == WHAT
    assert found.GetAttribute("MedicalSuperResolution.Model") == "general"
    assert provenance.report_of(node) is not None
    assert provenance.report_of(found) is None
    assert f"The uncertainty map is {WHAT}." in provenance.note_of(node).GetText()


def test_the_map_survives_saving_the_scene(an_unsure_result, a_volume_node, tmp_path):
    mrml = a_volume_node.GetScene()
    uncertainty_node.write(an_unsure_result, a_volume_node)
    save_bundle(mrml, tmp_path / "scene.mrb")
    load_bundle(mrml, tmp_path / "scene.mrb")
    found = uncertainty_node.map_of(mrml.GetFirstNodeByName("Chest x3"))
    assert slicer.util.arrayFromVolume(found).max() == 98
    assert found.GetDisplayNode().GetColorNode().GetName() == "Iron"


def test_without_a_map_there_is_none(an_enhanced, a_volume_node):
    assert uncertainty_node.map_of(uncertainty_node.write(an_enhanced, a_volume_node)) is None
    assert uncertainty_node.map_of(a_volume_node) is None


def test_the_map_of_an_earlier_run_goes_with_what_it_described(an_unsure_result, an_enhanced, a_volume_node):
    node = uncertainty_node.write(an_unsure_result, a_volume_node)
    first = uncertainty_node.map_of(node)
    uncertainty_node.write(an_unsure_result, a_volume_node, node)
    second = uncertainty_node.map_of(node)
    assert (first.GetScene(), second.GetName()) == (None, "Chest x3 uncertainty")
    uncertainty_node.write(an_enhanced, a_volume_node, node)
    assert (uncertainty_node.map_of(node), second.GetScene()) == (None, None)


def test_a_run_that_fails_leaves_neither(an_unsure_result, a_volume_node, monkeypatch):
    before = node_ids(a_volume_node.GetScene())
    monkeypatch.setattr(scene, "copy_display", lambda *nodes: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        uncertainty_node.write(an_unsure_result, a_volume_node)
    assert node_ids(a_volume_node.GetScene()) == before


def test_the_child_hands_the_map_over(an_engine, a_volume, temporary_folder):
    enhanced = an_engine("finish()").run(a_volume, EnhanceSettings(uncertainty=True))
    np.testing.assert_array_equal(enhanced.uncertainty.array, a_volume.array)
    assert an_engine("finish()").run(a_volume, EnhanceSettings()).uncertainty is None


def test_of_a_sequence_no_map_is_made(a_scene, a_volume):
    sequence = a_scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Beats")
    frame = slicer.util.addVolumeFromArray(a_volume.array, a_volume.grid.ijk_to_ras, "Frame")
    sequence.SetDataNodeAtValue(frame, "0")
    browser = a_scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.AddProxyNode(frame, sequence, False)
    with pytest.raises(SettingsError, match="single volume only"):
        tasks.run(tasks.task_of(frame), EnhanceSettings(uncertainty=True), lambda *_: None)
