"""From a volume that was loaded from DICOM to a derived series of the same study, by way of the scene."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

slicer = pytest.importorskip("slicer", reason="the scene needs slicer-core")

import dicom_database  # noqa: E402
from dicom_sources import ROOT, write_source  # noqa: E402
from medical_super_resolution.errors import SuperResolutionError, VolumeError  # noqa: E402
from medical_super_resolution.inference.planning import plan  # noqa: E402
from medical_super_resolution.settings import EnhanceSettings  # noqa: E402
from medical_super_resolution.volumes.io import files  # noqa: E402
from medical_super_resolution.volumes.volume import Enhanced, Volume  # noqa: E402
from MedicalSuperResolutionLib.scene import dicom_export, dicom_source, provenance  # noqa: E402
from MedicalSuperResolutionLib.scene import nodes as scene  # noqa: E402
from MedicalSuperResolutionLib.scene.cautions import cautions  # noqa: E402
from slicer_host import hierarchy_of, load_bundle, save_bundle  # noqa: E402


@dataclass
class Loaded:
    """A volume as Slicer loads it from DICOM, the result made of it, and the database that knows the files."""

    files: list[Path]
    source: slicer.vtkMRMLScalarVolumeNode
    result: slicer.vtkMRMLScalarVolumeNode
    database: dicom_database.DicomDatabase
    enhanced: Enhanced


@pytest.fixture
def loaded(tmp_path, a_scene, an_enhanced, monkeypatch) -> Loaded:
    stored = np.random.default_rng(0).integers(0, 4096, (5, 12, 10)).astype(np.uint16)
    source_files = write_source(tmp_path / "source", stored, oblique=True)
    measured = files.read(tmp_path / "source")
    database = dicom_database.use(dicom_database.DicomDatabase(source_files), slicer, monkeypatch)
    source = slicer.util.addVolumeFromArray(measured.array, measured.grid.ijk_to_ras, "Head")
    source.SetAttribute("DICOM.instanceUIDs", " ".join(f"{ROOT}.3.{k + 1}" for k in range(5)))
    hierarchy = hierarchy_of(a_scene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Patient")
    item = hierarchy.CreateItem(hierarchy.CreateStudyItem(patient, "Study"), source)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "CT")
    hierarchy.SetItemAttribute(item, "DICOM.FrameOfReferenceUID", f"{ROOT}.4")
    grid = measured.grid.refined("k", 3)
    report = replace(
        an_enhanced.report,
        spacing_before_ijk_mm=measured.grid.spacing_ijk_mm,
        spacing_after_ijk_mm=grid.spacing_ijk_mm,
        size_after_ijk=grid.shape_kji[::-1],
    )
    enhanced = Enhanced(Volume(np.repeat(measured.array, 3, axis=0), grid), report)
    return Loaded(source_files, source, scene.write_to_node(enhanced, source), database, enhanced)


def headers(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(file) for file in sorted(folder.iterdir())]


# ---- a result that becomes DICOM


def test_the_series_is_fully_described(loaded, tmp_path):
    dicom_export.export(loaded.result, tmp_path / "out")
    first, *others = made = headers(tmp_path / "out")
    source = pydicom.dcmread(loaded.files[0])
    assert len(made) == 15
    assert list(first.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
    assert (first.PatientID, first.StudyInstanceUID) == (source.PatientID, source.StudyInstanceUID)
    assert first.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert first.SeriesInstanceUID != source.SeriesInstanceUID
    assert len({header.SOPInstanceUID for header in made}) == 15
    assert {one.ReferencedSOPInstanceUID for one in first.SourceImageSequence} == {
        f"{ROOT}.3.{k + 1}" for k in range(4)
    }
    assert first.DerivationCodeSequence[0].CodeMeaning == "Spatial resampling"
    assert "model general" in first.DerivationDescription
    assert (float(first.SliceThickness), float(first.SpacingBetweenSlices)) == pytest.approx((5 / 3, 5 / 3))
    assert first.SeriesDescription == "Source 5.0 (super-resolution 1x1x3)"
    assert first.ContributingEquipmentSequence[-1].ManufacturerModelName == "MedicalSuperResolution"
    assert {header.SeriesInstanceUID for header in others} == {first.SeriesInstanceUID}


def test_hounsfield_units_and_places_survive(loaded, tmp_path):
    dicom_export.export(loaded.result, tmp_path / "out")
    again = files.read(tmp_path / "out")
    np.testing.assert_array_equal(again.array, slicer.util.arrayFromVolume(loaded.result))
    np.testing.assert_allclose(again.grid.ijk_to_ras, loaded.enhanced.volume.grid.ijk_to_ras, atol=1e-4)
    assert headers(tmp_path / "out")[0].RescaleType == "HU"


def test_a_result_of_a_saved_scene_can_be_exported_without_its_source(loaded, tmp_path):
    mrml = loaded.source.GetScene()
    save_bundle(mrml, tmp_path / "scene.mrb")
    mrml.Clear(False)
    load_bundle(mrml, tmp_path / "scene.mrb")
    mrml.RemoveNode(mrml.GetFirstNodeByName("Head"))
    report = dicom_export.export(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", mrml)[0], tmp_path / "out")
    assert report.warnings == loaded.enhanced.report.warnings
    assert len(headers(tmp_path / "out")) == 15


def test_the_series_can_be_put_into_the_database(loaded, tmp_path):
    dicom_export.export(loaded.result, tmp_path / "out")
    dicom_export.add_to_database(tmp_path / "out")
    first = headers(tmp_path / "out")[0]
    assert len(loaded.database.instancesForSeries(first.SeriesInstanceUID)) == 15


def test_a_series_gets_a_number_that_no_other_in_the_database_has(loaded, tmp_path):
    for name in ("first", "second"):
        dicom_export.export(loaded.result, tmp_path / name)
        dicom_export.add_to_database(tmp_path / name)
    assert [headers(tmp_path / name)[0].SeriesNumber for name in ("first", "second")] == [301, 302]


def test_every_export_gets_a_new_folder_that_names_nobody(tmp_path):
    folders = []
    for _ in range(2):
        folders.append(dicom_export.new_folder(tmp_path))
        folders[-1].mkdir()
    assert [folder.name for folder in folders] == ["super-resolution-1", "super-resolution-2"]


# ---- patient and study in the scene


def test_the_result_is_of_the_patient_and_study_of_its_source(loaded):
    hierarchy = hierarchy_of(loaded.source.GetScene())
    item = hierarchy.GetItemByDataNode(loaded.result)
    study = hierarchy.GetItemParent(item)
    assert hierarchy.GetItemName(study) == "Study"
    assert hierarchy.GetItemName(hierarchy.GetItemParent(study)) == "Patient"
    # Slicer's own export, which knows nothing of this module, takes these from the item:
    assert hierarchy.GetItemAttribute(item, "DICOM.Modality") == "CT"
    assert hierarchy.GetItemAttribute(item, "DICOM.FrameOfReferenceUID") == f"{ROOT}.4"
    assert dicom_source.modality(loaded.result) == "ct"


def test_the_result_does_not_pass_for_what_the_scanner_made(loaded):
    assert loaded.result.GetAttribute("DICOM.instanceUIDs") is None
    assert [len(one.split()) for one in provenance.source_instances(loaded.result)] == [5]


# ---- what cannot become DICOM


def refused(loaded, tmp_path, match, node=None):
    with pytest.raises(SuperResolutionError, match=match):
        dicom_export.export(node or loaded.result, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_refused(a_scene):
    with pytest.raises(VolumeError, match="there is no result to export yet"):
        dicom_export.check_exportable(None)


def test_a_volume_that_is_no_result_is_refused(loaded, tmp_path):
    refused(loaded, tmp_path, "Head was not made here from a volume that was loaded from DICOM", loaded.source)


def test_a_result_of_a_volume_that_was_not_loaded_from_dicom_is_refused(loaded, tmp_path):
    loaded.source.RemoveAttribute("DICOM.instanceUIDs")
    node = scene.write_to_node(loaded.enhanced, loaded.source)
    refused(loaded, tmp_path, "so its patient and study are not known", node)


def test_a_result_of_version_0_1_0_is_called_that(loaded, tmp_path):
    name = provenance.ATTRIBUTE_PREFIX + "Report"
    former = json.loads(loaded.result.GetAttribute(name))
    former["residual_rms"] = former.pop("consistency_error_rms")
    loaded.result.SetAttribute(name, json.dumps(former))
    refused(loaded, tmp_path, "was made by another version of this extension; enhance its source again")


def test_missing_source_files_are_refused(loaded, tmp_path):
    loaded.files[2].unlink()
    refused(loaded, tmp_path, "^1 of the DICOM files that Head .* comes from are not in Slicer's DICOM database")
    loaded.database.isOpen = False
    refused(loaded, tmp_path, "^all of the DICOM files")


def test_a_result_under_a_transform_is_refused(loaded, tmp_path):
    transform = loaded.source.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode", "Registration")
    loaded.result.SetAndObserveTransformNodeID(transform.GetID())
    refused(loaded, tmp_path, "lies under the transform Registration")


def move_upper_slices(loaded, distance_mm):
    """The last two of the five slices; Slicer shows this by a transform, under which the result is, too."""
    for file in loaded.files[3:]:
        header = pydicom.dcmread(file)
        row, column = np.array(header.ImageOrientationPatient, float).reshape(2, 3)
        moved = np.array(header.ImagePositionPatient, float) + distance_mm * np.cross(row, column)
        header.ImagePositionPatient = [f"{value:.10g}" for value in moved]
        header.save_as(file)


def test_a_result_of_uneven_slices_is_refused_under_their_transform_and_taken_out_of_it(loaded, tmp_path):
    move_upper_slices(loaded, 5)
    transform = loaded.source.GetScene().AddNewNodeByClass("vtkMRMLGridTransformNode", "Head acquisition transform")
    transform.SetAndObserveTransformToParent(slicer.vtkOrientedGridTransform())
    loaded.result.SetAndObserveTransformNodeID(transform.GetID())
    refused(loaded, tmp_path, "comes from slices at uneven distances.*enhance the folder of their series by medsr")
    loaded.result.SetAndObserveTransformNodeID(None)
    refused(loaded, tmp_path, "comes from slices at uneven distances")
    with pytest.raises(VolumeError, match="comes from slices at uneven distances"):
        dicom_export.check_exportable(loaded.result)  # as the panel asks before the click


def test_a_result_as_a_source_is_a_caution_also_when_it_comes_from_dicom(loaded, tmp_path):
    volume = scene.volume_from_node(loaded.result)
    planned = plan(volume.grid, EnhanceSettings(factor=2))
    assert "counts as measured" not in " ".join(cautions(loaded.source, volume, planned))
    assert "a result itself; what was guessed in it counts as measured" in cautions(loaded.result, volume, planned)[0]
    dicom_export.export(loaded.result, tmp_path / "out")
    dicom_export.add_to_database(tmp_path / "out")
    again = slicer.util.addVolumeFromArray(volume.array, volume.grid.ijk_to_ras)
    again.SetAttribute("DICOM.instanceUIDs", " ".join(str(one.SOPInstanceUID) for one in headers(tmp_path / "out")))
    assert "a result itself; what was guessed in it counts as measured" in cautions(again, volume, planned)[0]


def test_uneven_slices_are_a_caution_whatever_slicer_made_of_them(loaded):
    volume = scene.volume_from_node(loaded.source)
    planned = plan(volume.grid, EnhanceSettings(factor=2))
    move_upper_slices(loaded, 5)
    first, *others = cautions(loaded.source, volume, planned)
    assert first.startswith("The slices lie at uneven distances")
    assert "medsr enhance, on the folder of their series, takes them where they were measured" in first
    loaded.source.RemoveAttribute("DICOM.instanceUIDs")
    assert others == cautions(loaded.source, volume, planned)


def test_images_of_several_phases_in_one_stack_are_a_caution_and_become_no_dicom(loaded, tmp_path):
    first = pydicom.dcmread(loaded.files[0])
    row, column = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    for k, file in enumerate(loaded.files):
        header = pydicom.dcmread(file)
        place = np.array(first.ImagePositionPatient, float) + 10 * (k // 2) * np.cross(row, column)
        header.ImagePositionPatient = [f"{value:.10g}" for value in place]
        header.save_as(file)
    volume = scene.volume_from_node(loaded.source)  # with slices 5 mm apart
    said = cautions(loaded.source, volume, plan(volume.grid, EnhanceSettings(factor=2)))
    assert said[0].startswith("Several images lie at each place (phases, b-values or echoes)")
    refused(loaded, tmp_path, "several images at each place.*which Slicer has put into one stack")
    loaded.source.SetSpacing(0.7, 0.8, 10)  # where Slicer has loaded one of the phases
    said = cautions(loaded.source, volume, plan(volume.grid, EnhanceSettings(factor=2)))
    assert "Several images" not in " ".join(said)


def test_the_places_of_a_series_are_read_once(loaded, monkeypatch):
    """A thousand images take a while, and each update of the panel asks."""
    read = []
    database, real = slicer.dicomDatabase, slicer.dicomDatabase.instanceValue
    monkeypatch.setattr(database, "instanceValue", lambda uid, tag: read.append(uid) or real(uid, tag))
    instances = loaded.source.GetAttribute("DICOM.instanceUIDs")
    assert [dicom_source.are_uneven(instances) for _ in range(3)] == [False] * 3
    assert len(read) == len(instances.split())


def test_a_series_that_the_database_does_not_know_is_asked_for_one_image(loaded, monkeypatch):
    """As in a scene of another computer, where the answer cannot be kept: the series may be imported."""
    asked = []
    monkeypatch.setattr(slicer.dicomDatabase, "instanceValue", lambda uid, tag: asked.append(uid) or "")
    assert not dicom_source.are_uneven(loaded.source.GetAttribute("DICOM.instanceUIDs"))
    assert len(asked) == 1


@pytest.mark.parametrize("place", ["0\\0", "0\\0\\0,5"])
def test_a_damaged_place_in_the_database_does_not_stop_the_panel(loaded, monkeypatch, place):
    places = iter(["0\\0\\0", "0\\0\\4", place, "0\\0\\12", "0\\0\\16"])
    monkeypatch.setattr(slicer.dicomDatabase, "instanceValue", lambda uid, tag: next(places))
    assert not dicom_source.are_uneven(loaded.source.GetAttribute("DICOM.instanceUIDs"))


def test_slices_at_rounded_places_are_even(loaded, tmp_path):
    move_upper_slices(loaded, 0.08)
    dicom_export.export(loaded.result, tmp_path / "out")
    assert len(headers(tmp_path / "out")) == 15


def test_two_images_at_each_place_are_even(loaded):
    (instances,) = provenance.source_instances(loaded.result)
    assert not dicom_source.are_uneven(f"{instances} {instances}")


def test_monochrome1_whose_values_slicer_turns_over_is_a_caution_and_refused(loaded, tmp_path):
    volume = scene.volume_from_node(loaded.source)
    planned = plan(volume.grid, EnhanceSettings(factor=2))
    before = cautions(loaded.source, volume, planned)
    header = pydicom.dcmread(loaded.files[0])
    header.PhotometricInterpretation = "MONOCHROME1"
    header.save_as(loaded.files[0])
    first, *others = cautions(loaded.source, volume, planned)
    assert ("Slicer turns their values over" in first, others) == (True, before)
    refused(loaded, tmp_path, "comes from MONOCHROME1 images, whose values Slicer may have turned over")


def test_a_result_of_a_multi_frame_file_is_refused_before_the_export(loaded):
    header = pydicom.dcmread(loaded.files[0])
    header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"  # enhanced CT
    header.save_as(loaded.files[0])
    with pytest.raises(VolumeError, match="only from CT, MR and PET with a file for each slice; save it as .nrrd"):
        dicom_export.check_exportable(loaded.result)


def test_a_result_under_a_warp_is_to_be_taken_out_of_it(loaded, tmp_path):
    warp = loaded.source.GetScene().AddNewNodeByClass("vtkMRMLBSplineTransformNode", "Warp")
    warp.SetAndObserveTransformToParent(slicer.vtkOrientedBSplineTransform())
    loaded.result.SetAndObserveTransformNodeID(warp.GetID())
    refused(loaded, tmp_path, "lies under the transform Warp.*take it out of the transform")


def test_a_result_that_was_moved_is_refused(loaded, tmp_path):
    x, y, z = loaded.result.GetOrigin()
    loaded.result.SetOrigin(x + 30, y, z)
    refused(loaded, tmp_path, "mm out of the DICOM series that it comes from; it was moved since")


def test_a_result_that_was_cropped_is_refused(loaded, tmp_path):
    slicer.util.updateVolumeFromArray(loaded.result, np.zeros((3, 4, 5), np.int16))
    refused(loaded, tmp_path, "was cropped or resampled since it was made")


def test_a_folder_with_something_in_it_is_refused(loaded, tmp_path):
    with pytest.raises(VolumeError, match="is not empty"):
        dicom_export.export(loaded.result, tmp_path)


def test_without_an_open_database_nothing_is_put_into_it(loaded, monkeypatch):
    loaded.database.isOpen = False
    with pytest.raises(SuperResolutionError, match="is not open; open or create it in the module Add DICOM Data"):
        dicom_export.check_database()
    monkeypatch.delattr(slicer, "dicomDatabase")
    with pytest.raises(SuperResolutionError, match="this Slicer has no DICOM database"):
        dicom_export.check_database()


def test_a_database_that_does_not_take_the_series_is_an_error(loaded, tmp_path, monkeypatch):
    dicom_export.export(loaded.result, tmp_path / "out")
    monkeypatch.setattr(sys.modules["DICOMLib"].DICOMUtils, "importDicom", lambda *_, **__: True)
    with pytest.raises(SuperResolutionError, match="did not take the series"):
        dicom_export.add_to_database(tmp_path / "out")


def test_nothing_of_a_series_that_the_database_took_in_part_stays_in_it(loaded, tmp_path, monkeypatch):
    dicom_export.export(loaded.result, tmp_path / "out")
    series = headers(tmp_path / "out")[0].SeriesInstanceUID

    def import_all_but_one(folder, database, *, copyFiles) -> None:
        database.add(Path(folder))
        del database._files[database.instancesForSeries(series)[-1]]

    monkeypatch.setattr(sys.modules["DICOMLib"].DICOMUtils, "importDicom", import_all_but_one)
    with pytest.raises(SuperResolutionError, match="did not take the series"):
        dicom_export.add_to_database(tmp_path / "out")
    assert loaded.database.instancesForSeries(series) == []
