from __future__ import annotations

import json
import shutil

import numpy as np
import pydicom
import pytest

from command_line import refused
from dicom_sources import ROOT, write_source
from medical_super_resolution.volumes.io import files

SHAPE = (5, 16, 14)


@pytest.fixture
def two_series(tmp_path):
    """Two series of one frame of reference, the second 2.5 mm further along its slices."""
    random = np.random.default_rng(2)

    def further(header, k):
        header.SeriesInstanceUID, header.SOPInstanceUID = f"{ROOT}.22", f"{ROOT}.33.{k + 1}"
        header.ImagePositionPatient = [*header.ImagePositionPatient[:2], header.ImagePositionPatient[2] + 2.5]

    folders = [tmp_path / name for name in ("first", "second")]
    for folder, change in zip(folders, (lambda header, k: None, further), strict=True):
        write_source(folder, random.integers(400, 900, SHAPE).astype(np.uint16), "MR", change=change)
    return folders


def test_a_fused_dicom_series_names_every_source(medsr, tmp_path, two_series, a_model_file):
    output = tmp_path / "fused"
    options = ("--model", a_model_file, "--register", "none", "--spacing", 2.0, "--progress", "none")
    status, _, err = medsr("fuse", *two_series, output, *options)
    assert status == 0, err
    written = [pydicom.dcmread(file) for file in sorted(output.iterdir())]
    sources = {pydicom.dcmread(file).SOPInstanceUID for folder in two_series for file in folder.iterdir()}
    assert len(sources) == 10
    for header in written:
        assert {item.ReferencedSOPInstanceUID for item in header.SourceImageSequence} == sources
    assert written[0].SeriesDescription.endswith("(fused from 2 series)")
    assert written[0].DerivationDescription.startswith("Fusion of 2 series by MedicalSuperResolution")
    assert written[0].StudyInstanceUID == f"{ROOT}.1"
    assert written[0].SeriesInstanceUID not in (f"{ROOT}.2", f"{ROOT}.22")
    assert files.read(output).grid.spacing_ijk_mm == pytest.approx((2.0, 2.0, 2.0))
    assert {header.SliceThickness for header in written} == {2}  # not that of the stacks


@pytest.mark.parametrize("name", ["fused", "fused.nii"])
def test_what_was_changed_in_a_stack_is_told(medsr, tmp_path, two_series, a_model_file, name: str):
    sorted(two_series[1].iterdir())[2].unlink()
    options = ("--model", a_model_file, "--register", "none", "--spacing", 3.0, "--report", tmp_path / "done.json")
    status, _, err = medsr("fuse", *two_series, tmp_path / name, *options)
    assert status == 0, err
    told = "stack 2: slice 3 of 5 is missing and was interpolated from the neighbors"
    assert err.count(f"warning: {told}") == 1
    assert told in json.loads((tmp_path / "done.json").read_text())["warnings"][0]


def test_the_report_has_the_warnings_about_writing_a_series_too(medsr, tmp_path, two_series, a_model_file):
    for file in two_series[0].iterdir():
        header = pydicom.dcmread(file)
        del header.ScanningSequence
        header.save_as(file)
    options = ("--model", a_model_file, "--register", "none", "--spacing", 3.0, "--report", tmp_path / "done.json")
    status, _, err = medsr("fuse", *two_series, tmp_path / "fused", *options)
    assert status == 0, err
    warnings = json.loads((tmp_path / "done.json").read_text())["warnings"]
    assert any("ScanningSequence" in warning for warning in warnings)
    assert [line for line in err.splitlines() if line.startswith("warning: ")] == [f"warning: {w}" for w in warnings]


def test_series_of_other_patients_or_frames_are_refused_unless_forced(medsr, tmp_path, two_series, a_model_file):
    results = tmp_path / "results"
    results.mkdir()
    for keyword, sentence in (("PatientID", "different patients"), ("FrameOfReferenceUID", "different frames")):
        changed = tmp_path / keyword
        changed.mkdir()
        for file in two_series[1].iterdir():
            header = pydicom.dcmread(file)
            setattr(header, keyword, "1.2.3")
            header.save_as(changed / file.name)
        assert sentence in refused(medsr, results, "fuse", two_series[0], changed, results / "no.nii.gz")
    others = tmp_path / "PatientID"
    said = refused(medsr, results, "fuse", two_series[0], others, results / "fused", "--force-frame")
    assert "different patients; a DICOM series is of one patient: end OUTPUT in .nii.gz" in said
    options = ("--model", a_model_file, "--register", "none", "--spacing", 3.0, "--force-frame")
    for stack, name in ((others, "forced.nii.gz"), (changed, "series")):
        status, _, err = medsr("fuse", two_series[0], stack, tmp_path / name, *options)
        assert status == 0, err


def test_series_that_are_named_by_a_file_or_zipped_are_checked_as_those_in_folders(medsr, tmp_path, two_series):
    def of_another_patient(header, k):
        header.PatientID = "1234"

    other = write_source(tmp_path / "other", np.zeros(SHAPE, np.uint16), "MR", change=of_another_patient)
    for file in other:
        file.write_bytes(file.read_bytes()[132:])  # without the magic word
    results = tmp_path / "results"
    results.mkdir()
    shutil.make_archive(str(tmp_path / "other"), "zip", tmp_path / "other")
    for stack in (other[0], tmp_path / "other", tmp_path / "other.zip"):
        said = refused(medsr, results, "fuse", two_series[0], stack, results / "fused.nii.gz")
        assert "different patients" in said


def test_a_series_that_is_named_by_a_file_is_a_source_of_a_dicom_series(medsr, tmp_path, two_series, a_model_file):
    output = tmp_path / "fused"
    options = ("--model", a_model_file, "--register", "none", "--spacing", 3.0, "--progress", "none")
    status, _, err = medsr("fuse", two_series[0], min(two_series[1].iterdir()), output, *options)
    assert status == 0, err
    assert len(pydicom.dcmread(min(output.iterdir())).SourceImageSequence) == 10


def test_a_dicom_series_cannot_name_a_volume_file_as_its_source(medsr, tmp_path, two_series):
    files.write(files.read(two_series[1]), tmp_path / "second.nii.gz")
    results = tmp_path / "results"
    results.mkdir()
    told = refused(medsr, results, "fuse", two_series[0], tmp_path / "second.nii.gz", results / "fused")
    assert "is no DICOM series" in told


@pytest.mark.parametrize("thickness", ["0", "-1", "nan"])
def test_a_slice_thickness_without_a_meaning_is_refused_before_the_stacks_are_read(
    medsr, tmp_path, two_series, thickness
):
    status, _, err = medsr("fuse", *two_series, tmp_path / "fused.nii.gz", "--slice-thickness", thickness)
    assert (status, err) == (1, f"error: the slice thickness must be above 0 mm, got {thickness}\n")
