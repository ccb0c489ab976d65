from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medical_super_resolution.errors import VolumeError
from medical_super_resolution_training.manifest import Entry, prepare, read_manifest


def test_a_manifest_is_read_as_it_was_written(a_dataset: Path, tmp_path: Path):
    written = prepare(a_dataset, tmp_path / "data.json")
    assert read_manifest(tmp_path / "data.json") == written


def test_every_volume_becomes_an_array_of_the_same_values(a_dataset: Path, entries: list[Entry]):
    assert [entry.source for entry in entries] == ["ct_1.nii.gz", "mr_1.nii.gz"]
    for entry in entries:
        image = sitk.ReadImage(str(a_dataset / entry.source))
        np.testing.assert_array_equal(np.load(entry.array), sitk.GetArrayFromImage(image))


def test_entries_say_modality_spacing_and_range(entries: list[Entry]):
    ct, mr = entries
    assert (ct.modality, mr.modality) == ("ct", "mr")
    assert ct.spacing_kji_mm == pytest.approx((1.5, 0.8, 0.7))
    assert (ct.low, ct.high) == (-1000, 1000)
    assert 0 <= mr.low < 900 < mr.high


def test_names_that_begin_alike_do_not_share_an_array(tmp_path: Path):
    folder = tmp_path / "dataset"
    folder.mkdir()
    for value, name in enumerate(["sub1.t1.nii.gz", "sub1.t2.nii.gz", "sub1.nii"]):
        sitk.WriteImage(sitk.GetImageFromArray(np.full((4, 5, 6), value, np.int16)), str(folder / name))
    entries = prepare(folder, tmp_path / "data.json")
    assert {entry.source: int(np.load(entry.array).max()) for entry in entries} == {
        "sub1.t1.nii.gz": 0,
        "sub1.t2.nii.gz": 1,
        "sub1.nii": 2,
    }


def test_a_folder_without_volumes_is_refused(tmp_path: Path):
    with pytest.raises(VolumeError, match="no NIfTI volumes"):
        prepare(tmp_path, tmp_path / "data.json")


@pytest.mark.parametrize("damage", ["text", "cut short", "not finite"])
def test_a_damaged_volume_is_refused_by_name(a_dataset: Path, tmp_path: Path, damage: str):
    path = a_dataset / "mr_1.nii.gz"
    if damage == "text":
        path.write_text("no volume")
    elif damage == "cut short":
        path.write_bytes(path.read_bytes()[:-500])
    else:
        sitk.WriteImage(sitk.GetImageFromArray(np.full((4, 5, 6), np.nan, np.float32)), str(path))
    with pytest.raises(VolumeError):
        prepare(a_dataset, tmp_path / "data.json")


def test_a_missing_manifest_is_refused_with_how_to_make_one(tmp_path: Path):
    with pytest.raises(VolumeError, match="medsr-train prepare FOLDER"):
        read_manifest(tmp_path / "data.json")
