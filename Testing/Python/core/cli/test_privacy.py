"""Outputs and logs do not identify the patient."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from command_line import Medsr
from dicom_files import write_series
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

PATIENT = "Doe_Jane_19700101"


@pytest.fixture
def a_named_scan(tmp_path: Path, a_volume: Volume) -> Path:
    path = tmp_path / PATIENT / f"{PATIENT}.nii.gz"
    path.parent.mkdir()
    files.write(replace(a_volume, array=a_volume.array.clip(-100)), path)
    return path


def enhanced(medsr: Medsr, scan: Path, model: Path, *more: object) -> tuple[int, str, str]:
    report = scan.parent.parent / "report.json"
    return medsr("enhance", scan, scan.parent / "fine.nrrd", "--factor", 2, "--model", model, "--report", report, *more)


def test_the_report_names_neither_the_input_nor_the_output(
    medsr: Medsr, tmp_path: Path, a_named_scan: Path, a_model_file: Path
):
    assert enhanced(medsr, a_named_scan, a_model_file)[0] == 0
    assert PATIENT not in (tmp_path / "report.json").read_text()
    assert str(a_named_scan.parent) not in (tmp_path / "report.json").read_text()


def test_progress_for_programs_names_nothing(medsr: Medsr, a_named_scan: Path, a_model_file: Path):
    _, out, _ = enhanced(medsr, a_named_scan, a_model_file, "--progress", "json")
    assert "done" in out
    assert PATIENT not in out


def test_a_silent_run_says_nothing(medsr: Medsr, a_named_scan: Path, a_model_file: Path):
    options = ("--slice-profile", "gaussian", "--progress", "none")
    assert enhanced(medsr, a_named_scan, a_model_file, *options) == (0, "", "")


def test_warnings_name_nothing(medsr: Medsr, a_named_scan: Path, a_volume: Volume, a_model_file: Path):
    files.write(a_volume, a_named_scan, overwrite=True)  # bone beside air, which is not reproduced
    _, _, err = enhanced(medsr, a_named_scan, a_model_file, "--progress", "none")
    assert "warning: " in err
    assert PATIENT not in err


def test_a_failing_run_names_what_was_typed_once_and_leaves_no_report(
    medsr: Medsr, tmp_path: Path, a_named_scan: Path, a_model_file: Path
):
    a_named_scan.write_bytes(a_named_scan.read_bytes()[:-400])
    status, out, err = enhanced(medsr, a_named_scan, a_model_file)
    assert (status, out) == (1, "")
    assert err.count(str(a_named_scan)) <= 1
    assert "Traceback" not in err
    assert not (tmp_path / "report.json").exists()


def test_the_patient_of_a_dicom_series_is_not_carried_into_a_volume_file(
    medsr: Medsr, tmp_path: Path, a_model_file: Path
):
    stored = np.random.default_rng(0).integers(0, 2000, (4, 9, 8)).astype(np.int16)
    write_series(tmp_path / "series", stored, description=PATIENT)
    for suffix in (".nrrd", ".mha", ".nii"):
        fine = tmp_path / f"fine{suffix}"
        report = tmp_path / f"report{suffix}.json"
        arguments = ("--factor", 2, "--model", a_model_file, "--report", report)
        status, out, err = medsr("enhance", tmp_path / "series", fine, *arguments)
        assert status == 0
        assert PATIENT not in out + err + report.read_text()
        assert PATIENT.encode() not in fine.read_bytes()
        assert not [key for key in sitk.ReadImage(str(fine)).GetMetaDataKeys() if "|" in key]  # DICOM attributes


def test_a_model_given_by_its_path_leaves_only_its_name_in_the_report(a_volume, a_model_file):
    from medical_super_resolution.inference.enhance import enhance
    from medical_super_resolution.models import file as models
    from medical_super_resolution.settings import EnhanceSettings

    settings = EnhanceSettings(factor=2, model=str(a_model_file))
    report = enhance(a_volume, models.load(a_model_file), settings).report

    assert str(a_model_file.parent) not in str(report.as_dict())
    assert report.settings["model"] == "tiny"
