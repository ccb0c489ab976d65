"""What was done, as a text beside the result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the text needs slicer-core")

from medical_super_resolution.inference.labels import enhance_labels  # noqa: E402
from medical_super_resolution.settings import EnhanceSettings  # noqa: E402
from medical_super_resolution.volumes.grid import Grid  # noqa: E402
from medical_super_resolution.volumes.volume import Volume  # noqa: E402
from MedicalSuperResolutionLib.scene import provenance  # noqa: E402
from MedicalSuperResolutionLib.scene.nodes import write_to_node  # noqa: E402
from slicer_host import hierarchy_of, load_bundle, node_ids, save_bundle  # noqa: E402


def test_the_note_describes_the_run_in_sentences(an_enhanced):
    said = provenance.sentences(an_enhanced.report).splitlines()
    assert said[0] == "For research. Not for diagnostic use."
    assert "MedicalSuperResolution 0.1.0 made this volume from a coarser one." in said
    assert "Before: 20x18x9 voxels of 0.8x0.8x3 mm." in said
    assert "After: 20x18x27 voxels of 0.8x0.8x1 mm, which is 3 times finer along K." in said
    assert "The volume was taken for CT." in said
    assert "The result was corrected to reproduce the measured data." in said
    assert "Warning: look at it with care; 50 % of it." in said
    assert said[-1] == "SHA-256 of the model file: 0123abcd"


def test_the_note_states_an_estimated_profile_with_its_error(an_enhanced):
    estimated = replace(
        an_enhanced.report,
        slice_profile="gaussian",
        slice_width_mm=2.71,
        slice_width_error_mm=0.182,
        slice_profile_source="estimated",
        other_profile="box 3 mm",
        other_consistency_error_rms=12.3,
    )
    said = provenance.sentences(estimated)
    assert "The slice profile was taken as Gaussian 2.71 ± 0.18 mm (estimated; slice thickness 3 mm)." in said
    assert "If the slices were box 3 mm, it would differ by 12.3." in said


def test_the_note_of_a_label_map_tells_of_no_model_and_no_measured_data(a_grid):
    labels = Volume(np.arange(9).reshape(9, 1, 1).repeat(18, axis=1).repeat(20, axis=2).astype(np.uint8), a_grid)
    said = provenance.sentences(enhance_labels(labels, EnhanceSettings(factor=3)).report)
    assert "Warning: the volume is a label map: its shapes were interpolated and its labels kept" in said
    assert not any(word in said for word in ("The model", "measured", "SHA-256"))


def test_the_text_lies_beside_the_result(an_enhanced, a_volume_node):
    hierarchy = hierarchy_of(a_volume_node.GetScene())
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(study, a_volume_node)
    note = provenance.note_of(write_to_node(an_enhanced, a_volume_node))
    assert note.GetName() == "Chest x3 - what was done"
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(note)) == study


@pytest.mark.parametrize("is_given", [False, True])
def test_the_text_names_the_axis_in_the_patient(an_enhanced, a_volume_node, a_grid, is_given: bool):
    sagittal = np.array([[0, 0, -1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])  # k runs to the left
    a_volume_node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(sagittal @ a_grid.ijk_to_ras))
    fine = an_enhanced.volume
    turned = replace(fine, grid=Grid(fine.grid.shape_kji, sagittal @ fine.grid.ijk_to_ras))
    given = slicer.util.addVolumeFromArray(np.zeros((2, 2, 2), np.uint8)) if is_given else None
    result = write_to_node(replace(an_enhanced, volume=turned), a_volume_node, given)
    assert "3 times finer along R." in provenance.note_of(result).GetText()


def test_the_text_names_the_axis_of_a_warning_as_it_names_what_became_finer(an_enhanced):
    warned = replace(an_enhanced.report, warnings=("the factor along k is 7.33; take it with care",))
    assert "Warning: the factor along S is 7.33; take it with care." in provenance.sentences(warned, "RAS")


def test_the_text_names_no_volume_and_no_file(an_enhanced, a_volume_node):
    a_volume_node.SetName("Doe^Jane")
    an_enhanced.report.settings["model"] = "/home/jane/doe.safetensors"
    text = provenance.note_of(write_to_node(an_enhanced, a_volume_node)).GetText()
    assert "jane" not in text.lower()


def test_the_text_survives_saving_the_scene(an_enhanced, a_volume_node, tmp_path):
    scene = a_volume_node.GetScene()
    text = provenance.note_of(write_to_node(an_enhanced, a_volume_node)).GetText()
    save_bundle(scene, tmp_path / "scene.mrb")
    scene.Clear(False)
    load_bundle(scene, tmp_path / "scene.mrb")
    assert provenance.note_of(scene.GetFirstNodeByName("Chest x3")).GetText() == text


def test_removing_the_text_removes_nothing_else(an_enhanced, a_volume_node):
    scene = a_volume_node.GetScene()
    result = write_to_node(an_enhanced, a_volume_node)
    nodes, note = node_ids(scene), provenance.note_of(result)
    identifier = note.GetID()
    hierarchy_of(scene).RemoveItem(hierarchy_of(scene).GetItemByDataNode(note))
    assert node_ids(scene) == nodes - {identifier}
    assert provenance.note_of(result) is None


def test_a_second_run_renews_the_text(an_enhanced, a_volume_node):
    scene = a_volume_node.GetScene()
    output = write_to_node(an_enhanced, a_volume_node)
    provenance.note_of(output).SetText("old")
    write_to_node(an_enhanced, a_volume_node, output)
    assert provenance.note_of(output).GetText() == provenance.sentences(an_enhanced.report, "RAS")
    assert scene.GetNumberOfNodesByClass("vtkMRMLTextNode") == 1


def test_the_note_names_the_files_of_both_models_for_detail(an_enhanced, a_volume_node):
    report = replace(an_enhanced.report, detail=0.5, detail_sha256="4567cdef")
    said = provenance.sentences(report)
    assert "at detail 0.5 of 1" in said
    assert said.splitlines()[-1] == "SHA-256 of the file of its detail model: 4567cdef"
    kept = provenance.attributes(report, a_volume_node)
    names = ("Detail", "ModelSha256", "DetailModelSha256")
    assert [kept[provenance.ATTRIBUTE_PREFIX + name] for name in names] == ["0.5", "0123abcd", "4567cdef"]
    assert "sharp" not in provenance.sentences(an_enhanced.report)
