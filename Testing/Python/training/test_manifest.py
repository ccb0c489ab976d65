from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medical_super_resolution.errors import VolumeError
from medical_super_resolution_training.data.manifest import Entry, read_manifest, sources, write_manifest
from medical_super_resolution_training.data.preparation.prepare import prepare
from medical_super_resolution_training.evaluation.dataset import volumes_of


def test_a_manifest_is_read_as_it_was_written(a_dataset: Path, tmp_path: Path):
    written = prepare(a_dataset, tmp_path / "data.json")
    assert read_manifest(tmp_path / "data.json") == written


def test_every_volume_becomes_an_array_of_the_same_values(a_dataset: Path, entries: list[Entry]):
    assert [entry.source for entry in entries] == ["ct_1.nii.gz", "mr_1.nii.gz"]
    for entry in entries:
        image = sitk.ReadImage(str(a_dataset / entry.source))
        expected = sitk.GetArrayFromImage(image)
        np.testing.assert_array_equal(
            np.load(entry.array), expected.clip(-1024) if entry.modality == "ct" else expected
        )


def test_entries_say_modality_spacing_and_range(entries: list[Entry]):
    ct, mr = entries
    assert (ct.modality, mr.modality) == ("ct", "mr")
    assert ct.spacing_kji_mm == pytest.approx((1.5, 0.8, 0.7))
    assert (ct.low, ct.high) == (-1000, 1000)
    assert 0 <= mr.low < 900 < mr.high


def test_a_copy_elsewhere_names_the_same_arrays(entries: list[Entry], tmp_path: Path):
    (tmp_path / "run").mkdir()
    write_manifest(entries, tmp_path / "run" / "manifest.json")
    assert read_manifest(tmp_path / "run" / "manifest.json") == entries


def test_a_manifest_of_earlier_versions_is_read_and_trains_on_all(tmp_path: Path):
    entry = {
        "source": "one.nii.gz",
        "array": "/data/one.npy",
        "modality": "mr",
        "spacing_kji_mm": [1.0, 0.8, 0.8],
        "low": 0.0,
        "high": 200.0,
    }
    (tmp_path / "data.json").write_text(json.dumps([entry]))
    (read,) = read_manifest(tmp_path / "data.json")
    assert (read.split, read.patient, read.licence, read.spacing_kji_mm) == ("train", "", "", (1.0, 0.8, 0.8))
    assert sources(tmp_path / "data.json") == {"one.nii.gz"}


def test_the_sources_of_a_manifest_are_all_scans_that_were_found(entries: list[Entry], tmp_path: Path):
    refused = [{"source": "flat.nii.gz", "why": "it is constant"}]
    write_manifest(entries, tmp_path / "data.json", refused)
    assert sources(tmp_path / "data.json") == {"ct_1.nii.gz", "mr_1.nii.gz", "flat.nii.gz"}
    assert read_manifest(tmp_path / "data.json") == entries


@pytest.mark.parametrize(
    "text",
    ["", "no manifest", "{}", "1", "[1]", '{"volumes": [{"array": "a"}]}', '{"volumes": [], "refused": [1]}'],
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str):
    (tmp_path / "data.json").write_text(text)
    for read in (read_manifest, sources):
        with pytest.raises(VolumeError, match="data.json is damaged; run medsr-train prepare again"):
            read(tmp_path / "data.json")


def test_a_missing_manifest_is_refused_with_how_to_make_one(tmp_path: Path):
    with pytest.raises(VolumeError, match="medsr-train prepare FOLDER"):
        read_manifest(tmp_path / "data.json")


def test_a_volume_of_a_manifest_is_evaluated_with_its_spacing(data: Path, entries: list[Entry]):
    volume = volumes_of(data, entries[0].split)[0].read()
    assert volume.grid.spacing_ijk_mm == pytest.approx((0.7, 0.8, 1.5))
