"""Results in an existing node, and runs that fail: nothing incomplete is left."""

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the scene needs slicer-core")

from medical_super_resolution.errors import Cancelled, VolumeError  # noqa: E402
from medical_super_resolution.settings import EnhanceSettings  # noqa: E402
from MedicalSuperResolutionLib.engine import tasks  # noqa: E402
from MedicalSuperResolutionLib.scene import dicom_source, provenance  # noqa: E402
from MedicalSuperResolutionLib.scene import nodes as scene_module  # noqa: E402
from MedicalSuperResolutionLib.scene.nodes import write_to_node  # noqa: E402
from slicer_host import hierarchy_of, ijk_to_ras, node_ids  # noqa: E402


@pytest.fixture
def an_output_node(a_volume_node):
    """A node with another image, which an earlier run has made."""
    node = slicer.util.addVolumeFromArray(np.full((2, 2, 2), 7, np.uint8), name="Mine")
    node.SetAttribute("MedicalSuperResolution.Old", "yes")
    node.SetAttribute("Other", "kept")
    return node


def test_a_given_output_node_is_filled(an_enhanced, a_volume_node, an_output_node):
    scene = a_volume_node.GetScene()
    before = node_ids(scene)
    assert write_to_node(an_enhanced, a_volume_node, an_output_node) is an_output_node
    note = an_output_node.GetNodeReference("MedicalSuperResolution.WhatWasDone")
    assert node_ids(scene) == before | {note.GetID()}
    assert an_output_node.GetName() == "Mine"
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(an_output_node), an_enhanced.volume.array)
    np.testing.assert_allclose(ijk_to_ras(an_output_node), an_enhanced.volume.grid.ijk_to_ras, atol=1e-12)
    assert an_output_node.GetDisplayNode().GetWindow() == a_volume_node.GetDisplayNode().GetWindow()


def test_a_given_output_node_forgets_the_place_and_units_of_the_earlier_run(an_enhanced, a_volume_node, an_output_node):
    transform = a_volume_node.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode")
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("g/ml", "UCUM", "gram per milliliter")
    an_output_node.SetAndObserveTransformNodeID(transform.GetID())
    an_output_node.SetVoxelValueUnits(units)
    an_output_node.SetVoxelValueQuantity(units)
    write_to_node(an_enhanced, a_volume_node, an_output_node)
    assert an_output_node.GetParentTransformNode() is None
    assert an_output_node.GetVoxelValueUnits() is None
    assert an_output_node.GetVoxelValueQuantity() is None


@pytest.mark.parametrize("has_item", [True, False])
def test_an_output_node_is_of_the_modality_of_its_latest_source(an_enhanced, a_volume_node, an_output_node, has_item):
    dicom_source.state_modality(an_output_node, "ct")
    if has_item:
        dicom_source.state_modality(a_volume_node, None)
    write_to_node(an_enhanced, a_volume_node, an_output_node)
    assert dicom_source.modality(an_output_node) is None


def test_an_output_node_describes_the_latest_run_only(an_enhanced, a_volume_node, an_output_node):
    write_to_node(an_enhanced, a_volume_node, an_output_node)
    assert an_output_node.GetAttribute("MedicalSuperResolution.Old") is None
    assert an_output_node.GetAttribute("MedicalSuperResolution.Model") == "general"
    assert an_output_node.GetAttribute("Other") == "kept"


def test_an_output_node_that_held_a_fused_volume_is_no_longer_one_of_its_stacks(
    an_enhanced, a_volume_node, an_output_node
):
    stack = slicer.util.addVolumeFromArray(np.zeros((2, 2, 2)), name="Stack")
    provenance.name_sources(an_output_node, [stack])
    write_to_node(an_enhanced, a_volume_node, an_output_node)
    assert provenance.sources_of(an_output_node) == [a_volume_node]


def test_a_given_output_node_wants_to_be_saved(an_enhanced, a_volume_node, an_output_node, tmp_path):
    an_output_node.AddDefaultStorageNode()
    storage = an_output_node.GetStorageNode()
    storage.SetFileName(str(tmp_path / "mine.nrrd"))
    assert storage.WriteData(an_output_node)
    assert not an_output_node.GetModifiedSinceRead()
    write_to_node(an_enhanced, a_volume_node, an_output_node)
    assert an_output_node.GetModifiedSinceRead()


def test_a_given_output_node_stays_in_the_folder_where_the_user_put_it(an_enhanced, a_volume_node, an_output_node):
    hierarchy = hierarchy_of(a_volume_node.GetScene())
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Results")
    hierarchy.CreateItem(folder, an_output_node)
    write_to_node(an_enhanced, a_volume_node, an_output_node)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(an_output_node)) == folder


def test_what_the_user_has_put_below_a_result_stays_when_it_is_removed(an_enhanced, a_volume_node):
    node = write_to_node(an_enhanced, a_volume_node)
    drawn = a_volume_node.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", "Drawn")
    hierarchy = hierarchy_of(a_volume_node.GetScene())
    item = hierarchy.CreateItem(hierarchy.GetItemByDataNode(node), drawn)
    scene_module.remove(node)
    assert (hierarchy.GetItemDataNode(item), drawn.GetScene()) == (drawn, a_volume_node.GetScene())


def test_a_volume_is_not_overwritten_by_its_own_result(an_enhanced, a_volume_node):
    with pytest.raises(VolumeError, match="Chest is chosen as input and as output"):
        write_to_node(an_enhanced, a_volume_node, a_volume_node)


def test_an_output_node_that_was_removed_meanwhile_is_refused(an_enhanced, a_volume_node, an_output_node):
    a_volume_node.GetScene().RemoveNode(an_output_node)
    with pytest.raises(VolumeError, match="output volume Mine was removed meanwhile"):
        write_to_node(an_enhanced, a_volume_node, an_output_node)


def test_a_label_map_cannot_take_a_result(an_enhanced, a_volume_node):
    labels = a_volume_node.GetScene().AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Bones")
    with pytest.raises(VolumeError, match="Bones is a label map"):
        tasks.task_of(a_volume_node, labels)


def test_a_volume_that_was_loaded_from_dicom_cannot_take_a_result(an_enhanced, a_volume_node, an_output_node):
    an_output_node.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    with pytest.raises(VolumeError, match="Mine was loaded from DICOM"):
        tasks.task_of(a_volume_node, an_output_node)
    with pytest.raises(VolumeError, match="Mine was loaded from DICOM"):
        write_to_node(an_enhanced, a_volume_node, an_output_node)


def test_a_volume_that_shows_a_sequence_cannot_take_a_result(an_enhanced, a_volume_node, an_output_node):
    scene = a_volume_node.GetScene()
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode")
    sequence.SetDataNodeAtValue(an_output_node, "0")
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.AddSynchronizedSequenceNode(sequence)
    browser.AddProxyNode(an_output_node, sequence, False)
    with pytest.raises(VolumeError, match="Mine shows a sequence, whose next item would replace the result"):
        tasks.task_of(a_volume_node, an_output_node)


def test_the_engine_gets_the_volume_and_the_settings(an_enhanced, a_volume_node, a_volume):
    def enhance(volume, settings, **_):
        np.testing.assert_array_equal(volume.array, a_volume.array)
        assert settings.factor == 3
        return an_enhanced

    assert tasks.run(tasks.task_of(a_volume_node), EnhanceSettings(factor=3), enhance).GetName() == "Chest x3"


@pytest.mark.parametrize("failure", [Cancelled, VolumeError, MemoryError])
def test_a_run_that_does_not_end_well_leaves_no_trace(a_volume_node, an_output_node, failure):
    def enhance(volume, settings, **_):
        raise failure

    scene = a_volume_node.GetScene()
    nodes, changed = node_ids(scene), an_output_node.GetMTime()
    for output_node in (None, an_output_node):
        with pytest.raises(failure):
            tasks.run(tasks.task_of(a_volume_node, output_node), EnhanceSettings(), enhance)
    assert node_ids(scene) == nodes
    assert an_output_node.GetMTime() == changed


@pytest.mark.parametrize("kind", ["vtkMRMLScalarVolumeNode", "vtkMRMLTextNode"])
def test_a_failure_while_the_node_or_its_note_is_added_leaves_no_trace(an_enhanced, a_volume_node, monkeypatch, kind):
    place_beside = scene_module.dicom_source.place_beside

    def fail_late(source, node):
        place_beside(source, node)
        if node.IsA(kind):
            raise RuntimeError

    monkeypatch.setattr(scene_module.dicom_source, "place_beside", fail_late)
    scene = a_volume_node.GetScene()
    hierarchy = hierarchy_of(scene)
    nodes, items = node_ids(scene), hierarchy.GetNumberOfItems()
    with pytest.raises(RuntimeError):
        write_to_node(an_enhanced, a_volume_node)
    assert node_ids(scene) == nodes
    assert hierarchy.GetNumberOfItems() == items


def test_a_result_whose_source_was_removed_meanwhile_is_refused(an_enhanced, a_volume_node):
    a_volume_node.GetScene().RemoveNode(a_volume_node)
    with pytest.raises(VolumeError, match="Chest was removed meanwhile"):
        write_to_node(an_enhanced, a_volume_node)
