from __future__ import annotations

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from command_line import refused
from medical_super_resolution.models import weight_interpolation
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.segmentations import files as segmentations
from medical_super_resolution.volumes.segmentations.files import Segmentation
from medical_super_resolution.volumes.volume import Volume

FACTS = {
    "Segment0_ID": "Segment_1",
    "Segment0_Name": "left kidney",
    "Segment0_Color": "0.9 0.1 0.1",
    "Segment0_LabelValue": "1",
    "Segment0_Layer": "0",
    "Segment0_Extent": "2 5 2 5 1 4",
}


@pytest.fixture
def folder(tmp_path):
    """A thick scan of 10x10x8 voxels at 1x1x4 mm, and the same anatomy as labels."""
    values = np.zeros((8, 10, 10), np.int16)
    values[1:6, 2:7, 2:7] = 700
    values += np.random.default_rng(0).integers(0, 50, values.shape, dtype=np.int16)
    for name, array in (("scan", values), ("labels", (values > 300).astype(np.uint16) * 17)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1.0, 1.0, 4.0))
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
    return tmp_path


def a_slicer_segmentation(path, layers=1):
    masks = np.zeros((8, 10, 10, layers), np.uint8)
    masks[1:6, 2:6, 2:6, 0] = 1
    masks[2:5, 4:8, 4:8, -1] = layers
    image = sitk.GetImageFromArray(masks, isVector=True) if layers > 1 else sitk.GetImageFromArray(masks[..., 0])
    image.SetSpacing((1.0, 1.0, 4.0))
    for key, value in FACTS.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(path))


def test_enhance_brings_the_labels_onto_the_grid_of_its_result(medsr, folder, a_model_file):
    outputs = folder / "fine.nii.gz", folder / "fine_labels.nii.gz"
    options = ("--factor", 4, "--model", a_model_file, "--labels", folder / "labels.nii.gz", outputs[1])
    status, _, err = medsr("enhance", folder / "scan.nii.gz", outputs[0], *options)
    assert status == 0, err
    fine, labels = map(files.read, outputs)
    assert labels.grid == fine.grid
    assert labels.array.dtype == np.uint16
    assert "x32 at 1.00x1.00x1.00 mm, 1 label: " in err
    assert set(np.unique(labels.array)) == {0, 17}


def test_labels_come_onto_the_grid_of_a_volume_that_was_enhanced_before(medsr, folder):
    image = sitk.GetImageFromArray(np.zeros((32, 10, 10), np.int16))
    image.SetOrigin((0, 0, -1.5))
    sitk.WriteImage(image, str(folder / "fine.nii.gz"))
    status, _, err = medsr(
        "labels", folder / "labels.nii.gz", folder / "out.nrrd", "--like", folder / "fine.nii.gz", "--progress", "none"
    )
    assert status == 0, err
    found = files.read(folder / "out.nrrd")
    assert found.array.shape == (32, 10, 10)
    assert (found.array[:, 4, 4] == np.repeat(files.read(folder / "labels.nii.gz").array[:, 4, 4], 4)).mean() > 0.9


@pytest.mark.parametrize("snap", [(), ("--snap",)])
def test_labels_come_onto_the_grid_of_tilted_slices(medsr, folder, snap):
    given = nibabel.load(folder / "scan.nii.gz")
    tilted = given.affine.copy()
    tilted[1, 2] = 1.5
    nibabel.save(nibabel.Nifti1Image(np.asarray(given.dataobj), tilted), folder / "tilted.nii.gz")
    status, _, err = medsr(
        "labels", folder / "labels.nii.gz", folder / "out.nii.gz", "--like", folder / "tilted.nii.gz", *snap
    )
    assert status == 0, err
    found = nibabel.load(folder / "out.nii.gz")
    assert found.shape == given.shape
    np.testing.assert_allclose(found.affine, tilted, atol=1e-6)


@pytest.mark.parametrize("layers", [1, 2])
def test_segments_keep_their_names_colors_and_layers(medsr, folder, layers):
    a_slicer_segmentation(folder / "in.seg.nrrd", layers)
    status, _, err = medsr("labels", folder / "in.seg.nrrd", folder / "out.seg.nrrd", "--like", folder / "scan.nii.gz")
    assert status == 0, err
    found, given = segmentations.read(folder / "out.seg.nrrd"), segmentations.read(folder / "in.seg.nrrd")
    assert found.facts["Segment0_Name"] == "left kidney"
    assert found.facts["Segment0_Color"] == "0.9 0.1 0.1"
    assert found.facts["Segment0_Extent"] == "0 9 0 9 0 7"
    assert len(found.layers) == layers
    for one, other in zip(found.layers, given.layers, strict=True):
        assert np.array_equal(one.array, other.array)


@pytest.mark.parametrize("layers", [1, 2])
def test_segments_go_through_files_whose_names_simpleitk_cannot_open_on_windows(monkeypatch, folder, layers):
    a_slicer_segmentation(folder / "Müller.seg.nrrd", layers)
    for name in ("ReadImage", "WriteImage"):
        monkeypatch.delattr(sitk, name)
    given = segmentations.read(folder / "Müller.seg.nrrd")
    given = replace(given, facts=given.facts | {"Segment0_Name": "C:\\new\nline", "Segment0_Unknown": " łäß\u2028 "})
    segmentations.write(given, folder / "Łódź.seg.nrrd")
    monkeypatch.undo()
    found, by_simpleitk = segmentations.read(folder / "Łódź.seg.nrrd"), sitk.ReadImage(folder / "Łódź.seg.nrrd")
    facts = given.facts | {"Segment0_Extent": "0 9 0 9 0 7", "Segmentation_ReferenceImageExtentOffset": "0 0 0"}
    assert found.facts == facts == {key: by_simpleitk.GetMetaData(key) for key in facts}
    assert found.layers == given.layers
    voxels = sitk.GetArrayFromImage(by_simpleitk).reshape(8, 10, 10, layers)
    np.testing.assert_array_equal(voxels, np.stack([layer.array for layer in found.layers], axis=-1))


def test_overlapping_segments_are_refused_where_the_file_cannot_hold_them(medsr, folder):
    a_slicer_segmentation(folder / "in.seg.nrrd", 2)
    said = refused(
        medsr, folder, "labels", folder / "in.seg.nrrd", folder / "out.nii.gz", "--like", folder / "scan.nii.gz"
    )
    assert ".seg.nrrd" in said


def test_whole_numbers_of_an_image_in_place_of_a_segmentation_are_refused_unless_named_as_labels(medsr, folder):
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 900, (8, 24, 20)).astype(np.int16))
    for name in ("other.nii.gz", "other_seg.nii.gz"):
        sitk.WriteImage(image, str(folder / name))
    given = ("labels", folder / "other.nii.gz", folder / "out.nii.gz", "--like", folder / "scan.nii.gz")
    assert "other.nii.gz looks like an image" in refused(medsr, folder, *given)
    status, _, err = medsr("labels", folder / "other_seg.nii.gz", *given[2:])
    assert status == 0, err


def test_an_image_in_place_of_a_segmentation_is_refused(medsr, folder):
    image = sitk.Cast(sitk.ReadImage(str(folder / "scan.nii.gz")), sitk.sitkFloat32) * 0.5
    sitk.WriteImage(image, str(folder / "half.nii.gz"))
    said = refused(
        medsr, folder, "labels", folder / "half.nii.gz", folder / "out.nii.gz", "--like", folder / "scan.nii.gz"
    )
    assert "not whole numbers" in said


def test_edges_of_several_volumes_are_refused_before_any_work(medsr, folder):
    sitk.WriteImage(sitk.JoinSeries([sitk.ReadImage(str(folder / "scan.nii.gz"))] * 2), str(folder / "series.nii.gz"))
    given = ("enhance", folder / "series.nii.gz", folder / "fine.nii.gz", "--factor", 2)
    said = refused(medsr, folder, *given, "--labels", folder / "labels.nii.gz", folder / "out.nii.gz", "--snap")
    assert "name it by --volume N" in said


def a_tilted_label_map(path):
    labels = np.zeros((8, 20, 16), np.uint8)
    labels[2:6, 6:14, 4:12], labels[3:5, 8:12, 6:10] = 5, 42
    tilted = np.diag([1, 1, 4, 1.0])
    tilted[1, 2] = 1.5
    nibabel.save(nibabel.Nifti1Image(labels.T, tilted), path)
    return labels


def test_a_tilted_label_map_is_straightened_without_new_labels(medsr, folder):
    labels = a_tilted_label_map(folder / "tilted_seg.nii.gz")
    status, _, err = medsr("enhance", folder / "tilted_seg.nii.gz", folder / "fine.nii.gz", "--factor", 4)
    assert (status, "warning: if it is an image, state its --modality" in err) == (0, True)
    fine = files.read(folder / "fine.nii.gz")
    assert not fine.grid.is_sheared
    assert set(np.unique(fine.array)) == {0, 5, 42}
    volume = float(np.prod(fine.grid.spacing_ijk_mm))
    assert (fine.array > 0).sum() * volume == pytest.approx((labels > 0).sum() * 4, rel=0.15)


def test_a_tilted_label_map_keeps_its_tilt_where_asked(medsr, folder):
    labels = a_tilted_label_map(folder / "tilted_seg.nii.gz")
    given = (folder / "tilted_seg.nii.gz", folder / "fine.nii.gz", "--factor", 4, "--keep-tilt")
    assert medsr("enhance", *given)[0] == 0
    fine = nibabel.load(folder / "fine.nii.gz")
    np.testing.assert_allclose(fine.affine[:, 2], (0, 1.5 / 4, 1, 0), atol=1e-5)
    np.testing.assert_allclose(fine.affine[:3, 3], (0, -1.5 * 3 / 8, -1.5), atol=1e-5)
    voxels = np.asarray(fine.dataobj).T
    assert voxels.shape == (32, 20, 16)
    np.testing.assert_array_equal(np.unique(voxels), [0, 5, 42])
    majority = [(voxels.reshape(8, 4, 20, 16) == label).sum(1) >= 2 for label in (0, 5, 42)]
    assert all(kept[labels == label].all() for kept, label in zip(majority, (0, 5, 42), strict=True))


def test_tilted_segments_keep_their_tilt_where_asked(medsr, folder):
    labels = np.zeros((8, 20, 16), np.uint8)
    labels[2:6, 6:14, 4:12] = 1
    tilted = np.diag([1, 1, 4, 1.0])
    tilted[1, 2] = 1.5
    segmentations.write(Segmentation((Volume(labels, Grid(labels.shape, tilted)),), FACTS), folder / "tilted.seg.nrrd")
    given = (folder / "tilted.seg.nrrd", folder / "fine.seg.nrrd", "--factor", 4, "--keep-tilt")
    assert medsr("enhance", *given)[0] == 0
    fine = segmentations.read(folder / "fine.seg.nrrd")
    np.testing.assert_allclose(fine.grid.ijk_to_ras[:3, 2], (0, 1.5 / 4, 1), atol=1e-5)
    assert fine.grid.shape_kji == (32, 20, 16)
    assert fine.facts["Segment0_Name"] == "left kidney"


def test_a_tilted_image_of_few_values_keeps_its_tilt_where_asked(medsr, folder, a_model_file):
    a_tilted_label_map(folder / "tilted_seg.nii.gz")
    given = (folder / "tilted_seg.nii.gz", folder / "fine.nii.gz", "--factor", 4, "--keep-tilt", "--modality", "mr")
    status, _, err = medsr("enhance", *given, "--model", a_model_file)
    assert (status, err.count("the result was brought back onto the tilted grid")) == (0, 1)
    fine = nibabel.load(folder / "fine.nii.gz")
    np.testing.assert_allclose(fine.affine[:, 2], (0, 1.5 / 4, 1, 0), atol=1e-5)
    assert len(np.unique(np.asarray(fine.dataobj))) > 3


def test_a_label_map_is_refined_without_loading_the_model(medsr, folder, monkeypatch):
    labels = np.zeros((8, 12, 12), np.uint8)
    labels[2:6, 3:9, 3:9] = 4
    files.write(Volume(labels, Grid(labels.shape, np.diag([1.0, 1, 4, 1]))), folder / "aseg.nii")
    loaded = []
    monkeypatch.setattr(weight_interpolation, "load_model", lambda *given: loaded.append(given))
    status, _, err = medsr("enhance", folder / "aseg.nii", folder / "fine.nii")
    assert status == 0, err
    stages = [line.partition(" ... ")[0] for line in err.splitlines() if " ... " in line]
    assert stages == ["starting", "reading", "refining", "writing"]
    assert loaded == []
    assert files.read(folder / "fine.nii").array.shape == (32, 12, 12)


def test_the_report_of_a_label_map_has_its_sizes_and_the_seconds_that_it_took(medsr, folder):
    labels = np.zeros((8, 12, 10), np.uint8)
    labels[2:6, 3:9, 3:7] = 4
    files.write(Volume(labels, Grid(labels.shape, np.diag([1.0, 1, 4, 1]))), folder / "aseg.nii")
    status, _, err = medsr("enhance", folder / "aseg.nii", folder / "fine.nii", "--report", folder / "done.json")
    assert status == 0, err
    report = json.loads((folder / "done.json").read_text())
    assert (report["size_before_ijk"], report["size_after_ijk"]) == ([10, 12, 8], [10, 12, 32])
    assert 0 <= report["seconds"] < 60


def test_a_segmentation_by_itself_is_refined_as_one(medsr, folder):
    a_slicer_segmentation(folder / "in.seg.nrrd")
    status, _, err = medsr("enhance", folder / "in.seg.nrrd", folder / "out.seg.nrrd", "--factor", 4)
    assert status == 0, err
    assert "is a label map" in err
    stages = [line.partition(" ... ")[0] for line in err.splitlines() if " ... " in line]
    assert stages == ["starting", "reading", "refining", "writing"]
    found = segmentations.read(folder / "out.seg.nrrd")
    assert found.layers[0].array.shape == (32, 10, 10)
    assert set(np.unique(found.layers[0].array)) == {0, 1}
    assert found.facts["Segment0_Name"] == "left kidney"


def test_a_file_of_segments_is_not_taken_for_an_image_by_its_modality_nor_is_that_recommended(medsr, folder):
    a_slicer_segmentation(folder / "in.seg.nrrd")
    given = ("enhance", folder / "in.seg.nrrd", folder / "out.seg.nrrd", "--factor", 2)
    for option in (("--modality", "ct"), ("--uncertainty", folder / "uncertainty.nrrd")):
        said = refused(medsr, folder, *given, *option)
        assert "are for images" in said
    status, _, err = medsr(*given)
    assert status == 0, err
    assert "warning: the volume is a label map: its shapes were interpolated and its labels kept" in err
    assert "modality" not in err


def test_info_says_that_a_label_map_is_one(medsr, folder):
    status, out, _ = medsr("info", folder / "labels.nii.gz")
    assert status == 0
    assert "modality            label map\n" in out
    assert out.endswith("(4 times finer), by the shapes of its labels, without the model\n")


def test_info_describes_the_layers_of_overlapping_segments_however_they_are_stored(medsr, folder):
    for name, written in (("vector.seg.nrrd", b"kinds: vector"), ("list.seg.nrrd", b"kinds: list")):
        a_slicer_segmentation(folder / name, layers=2)
        header, blank, voxels = (folder / name).read_bytes().partition(b"\n\n")
        (folder / name).write_bytes(header.replace(b"kinds: vector", written) + blank + voxels)
        status, out, err = medsr("info", folder / name)
        assert status == 0, err
        assert out.startswith("layers              2, as segments may overlap; the first is described\n")
        assert "modality            label map\n" in out


def test_info_refuses_vectors_that_are_named_as_segments_as_enhance_does(medsr, folder):
    field = np.random.default_rng(0).normal(size=(8, 10, 10, 3)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(field, isVector=True), str(folder / "field.seg.nrrd"))
    assert "values that are not whole numbers" in refused(medsr, folder, "info", folder / "field.seg.nrrd")


def test_an_exact_spacing_makes_labels_coarser_as_it_does_images(medsr, folder, a_model_file):
    options = ("--exact-spacing", 2, 2, 2, "--model", a_model_file)
    for name in ("scan", "labels"):
        status, _, err = medsr("enhance", folder / f"{name}.nii.gz", folder / f"fine_{name}.nii.gz", *options)
        assert status == 0, err
    labels = files.read(folder / "fine_labels.nii.gz")
    assert labels.array.shape == (16, 5, 5)
    assert labels.grid == files.read(folder / "fine_scan.nii.gz").grid
    np.testing.assert_array_equal(np.unique(labels.array), [0, 17])


@pytest.mark.parametrize("name", ["out.seg.nrrd", "out.nrrd"])
@pytest.mark.parametrize("is_beside_a_scan", [True, False])
def test_segmentations_are_written_uncompressed_where_asked(medsr, folder, a_model_file, name, is_beside_a_scan):
    a_slicer_segmentation(folder / "in.seg.nrrd")
    given = (folder / "in.seg.nrrd", folder / name)
    if is_beside_a_scan:
        given = (folder / "scan.nii.gz", folder / "fine.nii", "--model", a_model_file, "--labels", *given)
    status, _, err = medsr("enhance", *given, "--factor", 4, "--no-compression")
    assert status == 0, err
    assert b"encoding: raw" in (folder / name).read_bytes()


def test_overlapping_segments_are_refined_together_and_have_no_volumes(medsr, folder):
    a_slicer_segmentation(folder / "in.seg.nrrd", layers=2)
    given = ("enhance", folder / "in.seg.nrrd", folder / "out.seg.nrrd", "--factor", 4)
    assert "--volume names one volume" in refused(medsr, folder, *given, "--volume", 1)
    snap = ("--labels", folder / "labels.nii.gz", folder / "fine.nii.gz", "--snap")
    assert "--snap follows the edges of an image" in refused(medsr, folder, *given, *snap)
    status, _, err = medsr(*given)
    assert status == 0, err
    found = segmentations.read(folder / "out.seg.nrrd")
    assert [layer.array.shape for layer in found.layers] == [(32, 10, 10)] * 2
