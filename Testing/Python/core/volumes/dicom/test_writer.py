"""A derived DICOM series reads back as the volume that it was written from, or is not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from derived_series import FACTOR, assert_same_place, prepared
from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.dicom.derived import writer as dicom_output
from medical_super_resolution.volumes.dicom.derived.writer import check_output
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume


@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("axis", ["k", "j"])
@pytest.mark.parametrize("kind", ["CT", "MR"])
def test_whole_numbers_read_back_the_same(tmp_path: Path, kind: str, axis: str, oblique: bool):
    derived = prepared(tmp_path, kind, axis=axis, oblique=oblique).write()
    again = files.read(derived.folder)
    np.testing.assert_array_equal(again.array, derived.volume.array)
    assert_same_place(again, derived.volume)
    assert again.modality == kind.lower()
    assert again.slice_thickness_mm == pytest.approx(5 / FACTOR if axis == "k" else 4)
    assert derived.report.warnings == ("look at it with care",)


@pytest.mark.parametrize("kind", ["CT", "MR", "PT"])
def test_real_numbers_are_rounded_by_at_most_the_stated_error(tmp_path: Path, kind: str):
    derived = prepared(tmp_path, kind, real=True, oblique=True).write()
    again = files.read(derived.folder)
    said = float(derived.report.warnings[-1].rpartition("at most ")[2])
    assert 0 < np.abs(again.array - derived.volume.array).max() <= said * 1.01
    assert said < np.ptp(derived.volume.array) / 130_000
    assert_same_place(again, derived.volume)
    header = derived.headers[0]
    assert derived.report.warnings[-1] in header.ImageComments
    assert header.get("RescaleType") == {"CT": "HU", "MR": "US", "PT": None}[kind]
    assert kind != "PT" or header.RescaleIntercept == 0  # as the standard wants it


def test_a_left_handed_volume_lies_where_it_lay(tmp_path: Path):
    derived = prepared(tmp_path, oblique=True)
    right = derived.volume
    to_last, flip = np.eye(4), np.diag([1.0, 1.0, -1.0, 1.0])
    to_last[2, 3] = len(right.array) - 1
    left_grid = replace(right.grid, ijk_to_ras=right.grid.ijk_to_ras @ to_last @ flip)
    derived.volume = replace(right, array=right.array[::-1], grid=left_grid)
    again = files.read(derived.write().folder)
    np.testing.assert_array_equal(again.array, right.array)
    assert_same_place(again, right)


def test_a_tilted_source_gives_a_straight_series(tmp_path: Path):
    def tilted(header: pydicom.Dataset, k: int) -> None:
        header.ImagePositionPatient[1] += 5 * k * np.tan(np.radians(15))
        header.GantryDetectorTilt = 15

    derived = prepared(tmp_path, change=tilted).write()
    assert_same_place(files.read(derived.folder), derived.volume)
    assert "GantryDetectorTilt" not in derived.headers[0]
    assert derived.headers[0].ImagePositionPatient[:2] == derived.headers[-1].ImagePositionPatient[:2]


def test_slices_are_numbered_in_the_direction_of_the_source(tmp_path: Path):
    headers = prepared(tmp_path, head_first=True).write().headers
    assert [header.InstanceNumber for header in headers] == list(range(1, 16))
    assert headers[0].ImagePositionPatient[2] > headers[-1].ImagePositionPatient[2]


def test_the_source_stays_as_it_was(tmp_path: Path):
    derived = prepared(tmp_path)
    before = {file: file.read_bytes() for file in (tmp_path / "source").iterdir()}
    derived.write()
    assert {file: file.read_bytes() for file in (tmp_path / "source").iterdir()} == before


def test_an_empty_folder_is_filled(tmp_path: Path):
    derived = prepared(tmp_path)
    derived.folder.mkdir()
    assert len(derived.write().headers) == 15
    assert sorted(path.name for path in tmp_path.iterdir()) == ["derived", "source"]


def test_of_several_echoes_the_first_names_the_sources_of_each_slice(tmp_path: Path):
    derived, echoes = prepared(tmp_path, "MR"), []
    for echo in (2, 3):
        for k, file in enumerate(derived.source_files):
            header = pydicom.dcmread(file)
            header.SOPInstanceUID, header.EchoTime = f"1.2.{echo}.{k + 1}", 100 * echo
            echoes.append(file.with_name(f"echo{echo}-{file.name}"))
            header.save_as(echoes[-1])
    alone = derived.write().headers
    derived.source_files, derived.folder = derived.source_files + echoes, tmp_path / "echoes"
    for one, other in zip(alone, derived.write().headers, strict=True):
        assert one.SourceImageSequence == other.SourceImageSequence
        assert one.EchoTime == other.EchoTime


def taken(folder: Path) -> None:
    folder.mkdir()
    (folder / "mine.txt").write_text("keep")


@pytest.mark.parametrize(
    ("occupy", "sentence"),
    [
        (taken, "is not empty; name a new or an empty one"),
        (lambda folder: folder.write_text("keep"), "is a file; name a folder"),
    ],
)
def test_what_is_there_is_not_touched(tmp_path: Path, occupy, sentence: str):
    derived = prepared(tmp_path)
    occupy(derived.folder)
    with pytest.raises(VolumeError, match=sentence):
        derived.write()
    kept = derived.folder if derived.folder.is_file() else derived.folder / "mine.txt"
    assert kept.read_text() == "keep"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["derived", "source"]


def moved(volume: Volume) -> Volume:
    matrix = volume.grid.ijk_to_ras.copy()
    matrix[0, 3] += 0.01
    return replace(volume, grid=replace(volume.grid, ijk_to_ras=matrix))


def changed(volume: Volume) -> Volume:
    array = volume.array.copy()
    array[3, 2, 1] += 1
    return replace(volume, array=array)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (moved, "displaced by 0.01 mm"),
        (changed, "slice 3 differs by 1;"),
        (lambda volume: replace(volume, array=volume.array[1:], grid=volume.grid.refined("k", 14 / 15)), "10x12x14"),
    ],
)
def test_files_that_read_back_differently_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault, sentence: str
):
    derived = prepared(tmp_path)
    monkeypatch.setattr(files, "read", lambda path, read=files.read: fault(read(path)))
    with pytest.raises(VolumeError, match=f"does not read back as it was written: {sentence}"):
        derived.write()
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    derived = prepared(tmp_path)
    written = []

    def full(dataset: pydicom.Dataset, path: object, *others: object, save=pydicom.Dataset.save_as) -> None:
        written.append(path)
        if len(written) > 7:
            raise OSError(28, "No space left on device")
        save(dataset, path, *others)

    monkeypatch.setattr(pydicom.dataset.FileDataset, "save_as", full)
    with pytest.raises(VolumeError, match="could not be written: No space left on device; .* MB are free on its disk"):
        derived.write()
    assert len(written) == 8
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(
    ("uid", "named"),
    [
        ("1.2.840.10008.5.1.4.1.1.7", "Secondary Capture Image Storage"),
        ("1.2.840.10008.5.1.4.1.1.6.1", "Ultrasound"),
        ("1.2.840.10008.5.1.4.1.1.2.1", "Enhanced CT Image Storage"),
    ],
)
def test_other_kinds_of_images_are_refused(tmp_path: Path, uid: str, named: str):
    def other(header: pydicom.Dataset, k: int) -> None:
        header.SOPClassUID = uid

    derived = prepared(tmp_path, change=other)
    with pytest.raises(VolumeError, match=f"is stored as {named}.*CT, MR and PET images with a file for each slice"):
        dicom_output.check_output(derived.source_files, derived.folder)
    with pytest.raises(VolumeError, match="only CT, MR and PET"):
        derived.write()


@pytest.mark.parametrize(("keyword", "named"), [("PatientID", "patients"), ("StudyInstanceUID", "studies")])
def test_slices_of_several_patients_or_studies_are_refused(tmp_path: Path, keyword: str, named: str):
    derived = prepared(tmp_path, change=lambda header, k: setattr(header, keyword, f"1.2.{k // 3}"))
    for attempt in (derived.write, lambda: check_output(derived.source_files, derived.folder)):
        with pytest.raises(VolumeError, match=f"are of several {named}, so no DICOM"):
            attempt()
    assert not derived.folder.exists()
