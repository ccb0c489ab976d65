"""Nodes to volumes and back, on real MRML nodes."""

from __future__ import annotations

import json
import types
from dataclasses import asdict, replace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the scene needs slicer-core")

from medical_super_resolution.errors import VolumeError  # noqa: E402
from medical_super_resolution.inference.planning import plan  # noqa: E402
from medical_super_resolution.settings import EnhanceSettings  # noqa: E402
from MedicalSuperResolutionLib.engine import tasks  # noqa: E402
from MedicalSuperResolutionLib.scene import dicom_source  # noqa: E402
from MedicalSuperResolutionLib.scene.cautions import cautions  # noqa: E402
from MedicalSuperResolutionLib.scene.dicom_source import state_modality  # noqa: E402
from MedicalSuperResolutionLib.scene.nodes import result_name, volume_from_node, write_to_node  # noqa: E402
from slicer_host import hierarchy_of, ijk_to_ras, load_bundle, save_bundle  # noqa: E402


def attribute(node, name):
    return node.GetAttribute(f"MedicalSuperResolution.{name}")


@pytest.fixture
def a_dicom_database(monkeypatch, a_volume_node):
    """Contains the one file that the volume refers to. Its values may be changed."""
    values = {"0018,0050": "2.5", "0008,0060": "MR"}
    a_volume_node.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")

    def instance_value(uid, tag):
        return values.get(tag, "") if uid == "1.2.3" else ""

    database = types.SimpleNamespace(isOpen=True, instanceValue=instance_value, values=values)
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    return database


# ---- node to volume


def test_a_node_gives_its_voxels_and_their_place(a_volume_node, a_volume):
    volume = volume_from_node(a_volume_node)
    np.testing.assert_array_equal(volume.array, a_volume.array)
    assert volume.array.dtype == np.int16
    np.testing.assert_allclose(volume.grid.ijk_to_ras, a_volume.grid.ijk_to_ras, atol=1e-12)


def test_the_voxels_of_a_node_cannot_be_changed_through_its_volume(a_volume_node):
    with pytest.raises(ValueError, match="read-only"):
        volume_from_node(a_volume_node).array[0, 0, 0] = 7


def test_no_node_is_refused(a_scene):
    with pytest.raises(VolumeError, match="there is no volume to work on"):
        volume_from_node(None)


def test_a_node_without_voxels_is_refused(a_scene):
    node = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Hollow")
    with pytest.raises(VolumeError, match="Hollow has no voxels"):
        volume_from_node(node)


def test_a_label_map_is_refused(a_volume):
    node = slicer.util.addVolumeFromArray(a_volume.array, name="Bones", nodeClassName="vtkMRMLLabelMapVolumeNode")
    with pytest.raises(VolumeError, match="Bones is a label map"):
        volume_from_node(node)


def test_a_color_volume_is_refused(a_scene):
    colors = np.zeros((2, 3, 4, 3), np.uint8)
    node = slicer.util.addVolumeFromArray(colors, name="Photo", nodeClassName="vtkMRMLVectorVolumeNode")
    with pytest.raises(VolumeError, match=r"Photo holds colors or vectors \(3 values a voxel\)"):
        volume_from_node(node)


def test_slices_without_right_angles_are_refused(a_volume_node):
    skewed = np.diag([1.0, 1.0, 3.0, 1.0])
    skewed[0, 1] = 0.5
    a_volume_node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(skewed))
    with pytest.raises(VolumeError, match="not at right angles"):
        volume_from_node(a_volume_node)


def test_what_nobody_knows_of_a_volume_stays_unknown(a_volume_node):
    volume = volume_from_node(a_volume_node)
    assert (volume.slice_thickness_mm, volume.modality) == (None, None)


def test_thickness_and_modality_come_from_dicom(a_volume_node, a_dicom_database):
    volume = volume_from_node(a_volume_node)
    assert (volume.slice_thickness_mm, volume.modality) == (2.5, "mr")


def test_an_item_of_a_sequence_has_them_from_the_volume_that_shows_it(a_volume_node, a_volume, a_dicom_database):
    item = slicer.util.addVolumeFromArray(a_volume.array, a_volume.grid.ijk_to_ras, "Item")
    volume = volume_from_node(item, shown_by=a_volume_node)
    assert (volume.slice_thickness_mm, volume.modality) == (2.5, "mr")


@pytest.mark.parametrize("written", ["", "0", "-1", "nan", "inf", "thin"])
def test_a_slice_thickness_that_means_nothing_is_not_taken(a_volume_node, a_dicom_database, written):
    a_dicom_database.values["0018,0050"] = written
    assert volume_from_node(a_volume_node).slice_thickness_mm is None


def test_a_closed_dicom_database_is_not_asked(a_volume_node, a_dicom_database):
    a_dicom_database.isOpen = False
    assert volume_from_node(a_volume_node).slice_thickness_mm is None


def test_the_modality_in_the_subject_hierarchy_comes_first(a_volume_node, a_dicom_database):
    hierarchy = hierarchy_of(a_volume_node.GetScene())
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), a_volume_node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "PT")
    assert volume_from_node(a_volume_node).modality == "pet"


@pytest.mark.parametrize(("unit", "modality"), [("MGML", None), ("HU", "ct"), ("", "ct")])
def test_a_ct_that_dicom_states_in_another_unit_is_no_ct_as_hounsfield_units(
    an_enhanced, a_volume_node, a_dicom_database, unit, modality
):
    a_dicom_database.values |= {"0008,0060": "CT", "0028,1054": unit}
    hierarchy = hierarchy_of(a_volume_node.GetScene())
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), a_volume_node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "CT")  # as Slicer's reader does
    assert volume_from_node(a_volume_node).modality == modality
    assert volume_from_node(write_to_node(an_enhanced, a_volume_node)).modality == modality


def test_hounsfield_units_that_slicer_names_of_every_ct_are_not_those_of_one_in_another_unit(
    an_enhanced, a_volume_node, a_dicom_database
):
    a_dicom_database.values |= {"0008,0060": "CT", "0028,1054": "MGML"}
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    a_volume_node.SetVoxelValueUnits(units)
    assert dicom_source.units_of(a_volume_node) == ""
    assert dicom_source.units_of(write_to_node(an_enhanced, a_volume_node)) == ""


def test_a_modality_that_is_stated_of_a_ct_in_another_unit_counts(an_enhanced, a_volume_node, a_dicom_database):
    a_dicom_database.values |= {"0008,0060": "CT", "0028,1054": "MGML"}
    dicom_source.state_modality(a_volume_node, "ct")
    assert volume_from_node(a_volume_node).modality == "ct"
    assert volume_from_node(write_to_node(an_enhanced, a_volume_node)).modality == "ct"
    dicom_source.state_modality(a_volume_node, None)
    assert volume_from_node(a_volume_node).modality is None


def test_another_modality_in_the_subject_hierarchy_counts_for_a_ct_in_another_unit(a_volume_node, a_dicom_database):
    a_dicom_database.values |= {"0008,0060": "CT", "0028,1054": "MGML"}
    hierarchy = hierarchy_of(a_volume_node.GetScene())
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), a_volume_node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "PT")
    assert volume_from_node(a_volume_node).modality == "pet"


# ---- result to node


def test_a_result_becomes_a_node_with_its_voxels_and_their_place(an_enhanced, a_volume_node):
    node = write_to_node(an_enhanced, a_volume_node)
    assert node.GetScene() is a_volume_node.GetScene()
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), an_enhanced.volume.array)
    assert slicer.util.arrayFromVolume(node).dtype == np.int16
    np.testing.assert_allclose(ijk_to_ras(node), an_enhanced.volume.grid.ijk_to_ras, atol=1e-12)


def test_every_result_has_a_name_of_its_own(an_enhanced, a_volume_node):
    names = [write_to_node(an_enhanced, a_volume_node).GetName() for _ in range(2)]
    assert names == ["Chest x3", "Chest x3_1"]


@pytest.mark.parametrize(("spacing", "name"), [(0.703125, "Chest 0.7 mm"), (120.0, "Chest 120 mm")])
def test_a_result_is_named_after_its_finest_new_spacing(an_enhanced, spacing, name):
    report = replace(an_enhanced.report, settings={}, spacing_after_ijk_mm=(0.5, 0.5, spacing))
    assert result_name("Chest", report) == name


@pytest.mark.parametrize(
    ("settings", "factors", "name"),
    [
        (EnhanceSettings(factor=2.5), (1, 1, 2.5), "Chest x2.5"),
        (EnhanceSettings(factor=2, axes="in-plane"), (2, 2, 1), "Chest in-plane x2"),
        (EnhanceSettings(spacing_ijk_mm=(1, 1, 1)), (1, 1, 3), "Chest 1 mm"),
        (EnhanceSettings(spacing_ijk_mm=(1, 1, 3)), (1, 1, 1), "Chest 0.8 mm"),
    ],
)
def test_a_result_is_named_by_its_goal(an_enhanced, settings: EnhanceSettings, factors, name: str):
    report = replace(an_enhanced.report, settings=asdict(settings), factor_ijk=factors)
    assert result_name("Chest", report) == name


def test_padding_of_a_ct_and_a_modality_that_no_model_has_seen_are_cautions(a_volume_node, a_volume):
    planned, padded = plan(a_volume.grid, EnhanceSettings(factor=2)), a_volume.array.copy()
    padded[len(padded) // 2, 0] = -2000  # slices at the ends may be filled otherwise
    (caution,) = cautions(a_volume_node, replace(a_volume, array=padded, modality="ct"), planned)
    assert caution.startswith("Values below -1500 HU fill what was not measured")
    assert cautions(a_volume_node, replace(a_volume, array=padded, modality="mr"), planned) == []
    (caution,) = cautions(a_volume_node, replace(a_volume, modality="pet"), planned)
    assert caution == "The model was trained on CT and MR, not on PET."


def test_a_modality_of_dicom_that_no_model_has_seen_is_a_caution_until_another_is_stated(a_volume_node):
    """Breast tomosynthesis and tomography of the eye, which are refined by their values."""
    hierarchy = hierarchy_of(a_volume_node.GetScene())
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), a_volume_node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MG")

    def said() -> list[str]:
        volume = volume_from_node(a_volume_node)
        return cautions(a_volume_node, volume, plan(volume.grid, EnhanceSettings(factor=2)))

    assert said() == ["The model was trained on CT and MR, not on MG."]
    state_modality(a_volume_node, "mr")
    assert said() == []


def test_a_result_is_shown_as_its_source_is(an_enhanced, a_volume_node):
    shown = a_volume_node.GetDisplayNode()
    assert shown.GetAutoWindowLevel()
    shown.SetAndObserveColorNodeID("vtkMRMLColorTableNodeInvertedGrey")
    shown.SetInterpolate(False)
    shown.SetInvertDisplayScalarRange(True)
    shown.SetThreshold(-500, 400)
    shown.SetApplyThreshold(True)
    shown.AddWindowLevelPreset(1500, -600)
    node = write_to_node(an_enhanced, a_volume_node)
    display = write_to_node(an_enhanced, a_volume_node, node).GetDisplayNode()  # again, which adds no second preset
    assert display is not shown
    assert (display.GetWindow(), display.GetLevel()) == (shown.GetWindow(), shown.GetLevel())
    assert not display.GetAutoWindowLevel()
    assert display.GetColorNodeID() == "vtkMRMLColorTableNodeInvertedGrey"
    assert not display.GetInterpolate()
    assert display.GetInvertDisplayScalarRange()
    assert (display.GetLowerThreshold(), display.GetUpperThreshold()) == (-500, 400)
    assert display.GetApplyThreshold()
    presets = range(display.GetNumberOfWindowLevelPresets())
    assert [(display.GetWindowPreset(one), display.GetLevelPreset(one)) for one in presets] == [(1500, -600)]


def test_a_source_that_was_never_shown_gives_a_result_that_can_be(an_enhanced, a_volume_node):
    a_volume_node.GetScene().RemoveNode(a_volume_node.GetDisplayNode())
    node = write_to_node(an_enhanced, a_volume_node)
    assert node.GetDisplayNode().GetAutoWindowLevel()


def test_a_result_moves_with_its_source(an_enhanced, a_volume_node):
    transform = a_volume_node.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode")
    a_volume_node.SetAndObserveTransformNodeID(transform.GetID())
    assert write_to_node(an_enhanced, a_volume_node).GetParentTransformNode() is transform


def test_a_result_has_the_quantity_and_units_of_its_source(an_enhanced, a_volume_node):
    quantity, units = slicer.vtkCodedEntry(), slicer.vtkCodedEntry()
    quantity.SetValueSchemeMeaning("112031", "DCM", "Attenuation Coefficient")
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    a_volume_node.SetVoxelValueQuantity(quantity)
    a_volume_node.SetVoxelValueUnits(units)
    node = write_to_node(an_enhanced, a_volume_node)
    assert node.GetVoxelValueQuantity().GetCodeMeaning() == "Attenuation Coefficient"
    assert node.GetVoxelValueUnits().GetCodeMeaning() == "Hounsfield unit"


def test_a_result_lies_in_the_folder_of_its_source(an_enhanced, a_volume_node):
    hierarchy = hierarchy_of(a_volume_node.GetScene())
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(study, a_volume_node)
    node = write_to_node(an_enhanced, a_volume_node)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study


def test_a_result_lies_at_the_top_where_its_source_lies_nowhere(an_enhanced, a_volume_node):
    hierarchy = hierarchy_of(a_volume_node.GetScene())
    node = write_to_node(an_enhanced, a_volume_node)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == hierarchy.GetSceneItemID()


def test_the_source_stays_untouched(an_enhanced, a_volume_node):
    watched = [a_volume_node, a_volume_node.GetDisplayNode(), a_volume_node.GetImageData()]
    before = [one.GetMTime() for one in watched]
    tasks.run(tasks.task_of(a_volume_node), EnhanceSettings(), lambda volume, settings, **_: an_enhanced)
    assert [one.GetMTime() for one in watched] == before


def test_what_was_done_survives_saving_the_scene(an_enhanced, a_volume_node, tmp_path):
    node = write_to_node(an_enhanced, a_volume_node)
    scene, source_id = a_volume_node.GetScene(), a_volume_node.GetID()
    save_bundle(scene, tmp_path / "scene.mrb")
    scene.Clear(False)
    load_bundle(scene, tmp_path / "scene.mrb")
    node = scene.GetFirstNodeByName("Chest x3")
    assert attribute(node, "SourceName") == "Chest"
    assert attribute(node, "SourceNodeID") == source_id
    assert attribute(node, "Model") == "general"
    assert attribute(node, "ModelSha256") == "0123abcd"
    assert attribute(node, "Factor") == "1 1 3"
    assert attribute(node, "SpacingBefore") == "0.8 0.8 3"
    assert attribute(node, "SpacingAfter") == "0.8 0.8 1"
    assert attribute(node, "SliceThickness") == "box 3 mm (given)"
    assert attribute(node, "Residual") == "0.25"
    assert EnhanceSettings(**json.loads(attribute(node, "Settings"))) == EnhanceSettings(factor=3)
    assert attribute(node, "SoftwareVersion") == "MedicalSuperResolution 0.1.0"
    assert attribute(node, "Warnings").splitlines() == list(an_enhanced.report.warnings)
    assert attribute(node, "Notice") == "Not for diagnostic use"


@pytest.mark.parametrize(
    ("given", "stored"),
    [(np.float16, np.float32), (np.int64, np.int32), (np.uint64, np.int32), (np.uint32, np.uint32)],
)
def test_values_in_a_type_that_slicer_cannot_show_stay_the_same(an_enhanced, a_volume_node, given, stored):
    array = np.abs(an_enhanced.volume.array).astype(given)
    enhanced = replace(an_enhanced, volume=replace(an_enhanced.volume, array=array))
    voxels = slicer.util.arrayFromVolume(write_to_node(enhanced, a_volume_node))
    assert voxels.dtype == stored
    np.testing.assert_array_equal(voxels, array)


@pytest.mark.parametrize("value", [-(2**31) - 1, 2**31])
def test_values_beyond_32_bits_stay_the_same(an_enhanced, a_volume_node, value: int):
    array = an_enhanced.volume.array.astype(np.int64)
    array[0, 0, 0] = value
    enhanced = replace(an_enhanced, volume=replace(an_enhanced.volume, array=array))
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(write_to_node(enhanced, a_volume_node)), array)
