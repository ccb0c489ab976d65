from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.models.file import Model
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.label_maps.detection import is_image, is_label_map, named_like_labels
from medical_super_resolution.volumes.volume import Volume


def labels(dtype: str = "uint8") -> Volume:
    """A ball inside a ball, values 0, 5, 17 and 42."""
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, count) for count in (10, 24, 20)), indexing="ij")
    radius = np.sqrt(k**2 + j**2 + i**2)
    array = np.select([radius < 0.3, radius < 0.6, radius < 0.9], [42, 17, 5], 0).astype(dtype)
    return Volume(array, Grid(array.shape, np.diag([1, 1, 4, 1.0])))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
def test_labels_in_the_same_labels_out(a_model: Model, dtype: str):
    enhanced = enhance(labels(dtype), a_model, EnhanceSettings())
    assert enhanced.volume.array.shape == (40, 24, 20)
    assert enhanced.volume.array.dtype == dtype
    assert set(np.unique(enhanced.volume.array)) == {0, 5, 17, 42}
    assert "the volume is a label map" in enhanced.report.warnings[0]


def test_an_image_is_no_label_map(a_volume: Volume):
    noise = np.random.default_rng(0).integers(0, 30, (10, 24, 20)).astype(np.uint8)
    assert not is_label_map(replace(labels(), array=noise))
    assert not is_label_map(replace(a_volume, modality=None))
    assert not is_label_map(replace(labels(), array=np.full((10, 24, 20), 7, np.uint8)))
    assert not is_label_map(replace(labels(), array=labels("float32").array + 40))


def test_a_parcellation_of_many_labels_is_known_by_its_patches_and_jumps():
    k, j, i = np.indices((8, 48, 40)) // 4
    names = np.random.default_rng(0).permutation(np.arange(1000, 1240))
    assert is_label_map(replace(labels(), array=names[k * 120 + j * 10 + i].astype(np.int16), grid=a_grid((8, 48, 40))))
    smooth = np.rint(20 + 15 * np.sin(j / 3) + 15 * np.cos(i / 3)).astype(np.int16)  # few grays, neighbors alike
    assert not is_label_map(replace(labels(), array=smooth, grid=a_grid((8, 48, 40))))
    slope = (20 * k + j + i).astype(np.int16)  # many grays in patches, each beside the next one
    assert not is_label_map(replace(labels(), array=slope, grid=a_grid((8, 48, 40))))
    noise = np.where(i < 2, np.random.default_rng(0).integers(0, 200, k.shape), 0).astype(np.int16)  # much background
    assert not is_label_map(replace(labels(), array=noise, grid=a_grid((8, 48, 40))))


def test_gray_values_are_those_of_an_image_but_thin_and_many_labels_are_none():
    shape = (8, 48, 40)
    gray = np.random.default_rng(0).integers(-1000, 2000, shape).astype(np.int16)
    bordered = np.where(np.indices(shape)[2] < 30, 0, gray).astype(np.int16)
    assert is_image(replace(labels(), array=gray, grid=a_grid(shape)))
    assert is_image(replace(labels(), array=bordered, grid=a_grid(shape)))
    k, j, i = np.indices(shape)
    lines = np.where(j % 3 == 0, 1 + j + 50 * (i // 8), 0).astype(np.int16)
    assert not is_image(replace(labels(), array=lines, grid=a_grid(shape)))
    points = np.where((j % 4 == 0) & (i % 10 < 2), 1 + i + 40 * j, 0).astype(np.int16)  # 48 pairs a slice
    assert not is_image(replace(labels(), array=points, grid=a_grid(shape)))
    assert not is_image(labels())


def a_grid(shape: tuple[int, int, int]) -> Grid:
    return Grid(shape, np.diag([1, 1, 4, 1.0]))


def test_a_volume_of_a_known_modality_is_no_label_map():
    assert not is_label_map(replace(labels(), modality="mr"))


@pytest.mark.parametrize("name", ["sub-01_dseg.nii.gz", "liver_mask.nrrd", "labels.nii", "scan.seg.nrrd", "aseg.mgz",
                                  "T1-label.nii.gz", "Segmentation 3.nrrd", "SCAN.SEG.NRRD"])  # fmt: skip
def test_names_of_segmentations(name: str):
    assert named_like_labels(name)


@pytest.mark.parametrize("name", ["sub-01_T1w.nii.gz", "unmasked.nii", "segovia_ct.nii.gz", "scan.nrrd", "croi.nii"])
def test_names_of_images(name: str):
    assert not named_like_labels(name)


def test_floating_labels_in_a_file_that_is_named_so_stay_labels(tmp_path: Path, a_model: Model):
    volume = replace(labels(), array=labels().array.astype(np.float32))
    files.write(volume, tmp_path / "scan_mask.nii.gz")
    fine = enhance(files.read(tmp_path / "scan_mask.nii.gz"), a_model, EnhanceSettings()).volume
    assert set(np.unique(fine.array)) == {0, 5, 17, 42}


def test_a_nifti_file_whose_intent_is_labels_holds_labels(tmp_path: Path):
    image = nibabel.Nifti1Image(labels("float32").array.transpose(2, 1, 0), np.diag([1, 1, 4, 1.0]))
    image.header.set_intent(1002)
    nibabel.save(image, tmp_path / "x.nii.gz")
    assert is_label_map(files.read(tmp_path / "x.nii.gz"))


def test_gray_values_in_a_file_that_is_named_like_labels_are_an_image(tmp_path: Path):
    shape = (8, 48, 40)
    gray = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)  # of 8 bits, cut to a region
    files.write(replace(labels(), array=gray, grid=a_grid(shape)), tmp_path / "t2_roi.nii.gz")
    assert not is_label_map(files.read(tmp_path / "t2_roi.nii.gz"))
