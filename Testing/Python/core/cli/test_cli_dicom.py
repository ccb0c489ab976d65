from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from command_line import Medsr, refused
from dicom_sources import PATIENT_NAME, write_source
from medical_super_resolution.volumes.io import files


@pytest.fixture
def series(folder: Path) -> Path:
    stored = np.random.default_rng(0).integers(0, 4096, (5, 12, 10)).astype(np.uint16)
    write_source(folder / "series", stored, oblique=True)
    return folder / "series"


def test_a_series_becomes_a_series(medsr: Medsr, series: Path, folder: Path, a_model_file: Path):
    arguments = ("--factor", 2, "--model", a_model_file, "--report", folder / "done.json")
    status, out, err = medsr("enhance", series, folder / "thin", *arguments)
    assert (status, out) == (0, "")
    assert PATIENT_NAME not in err
    assert sorted(path.name for path in folder.iterdir()) == ["done.json", "series", "thin"]
    medsr("enhance", series, folder / "thin.nii.gz", *arguments[:4])
    as_series, as_file = files.read(folder / "thin"), files.read(folder / "thin.nii.gz")
    np.testing.assert_array_equal(as_series.array, as_file.array)
    np.testing.assert_allclose(as_series.grid.ijk_to_ras, as_file.grid.ijk_to_ras, atol=1e-4)
    assert as_series.slice_thickness_mm == pytest.approx(2.5)
    told = pydicom.dcmread(next((folder / "thin").iterdir())).DerivationDescription
    assert json.loads((folder / "done.json").read_text())["model_sha256"][:12] in told


def test_one_file_of_a_series_stands_for_it(medsr: Medsr, series: Path, folder: Path, a_model_file: Path):
    one = next(series.iterdir())
    assert medsr("enhance", one, folder / "thin", "--factor", 2, "--model", a_model_file)[0] == 0
    assert files.read(folder / "thin").array.shape == (10, 12, 10)


def test_a_series_is_never_written_over_another(medsr: Medsr, series: Path, folder: Path, a_model_file: Path):
    before = {file: file.read_bytes() for file in series.iterdir()}
    status, _, err = medsr("enhance", series, series, "--factor", 2, "--model", a_model_file, "--overwrite")
    assert status == 1
    assert err == f"error: the folder {series} is not empty; name a new or an empty one for the DICOM series\n"
    assert {file: file.read_bytes() for file in series.iterdir()} == before


def test_a_series_of_several_patients_is_refused_before_any_work_where_it_would_become_a_series(
    medsr: Medsr, series: Path, folder: Path
):
    second = pydicom.dcmread(max(series.iterdir()))
    second.PatientID = "1234"
    second.save_as(second.filename)
    results = folder / "results"
    results.mkdir()
    for command in (("enhance", series), ("fuse", series, series)):
        said = refused(medsr, results, *command, results / "fine", "--model", "absent")
        assert "are of several patients, so no DICOM can be derived from them" in said
        assert "there is no model 'absent'" in refused(medsr, results, *command, results / "a.nii", "--model", "absent")


def test_a_volume_file_does_not_become_a_series(medsr: Medsr, scan: Path, folder: Path):
    status, _, err = medsr("enhance", scan, folder / "thin")
    assert status == 1
    assert "no volume can be written as thin;" in err
    assert not (folder / "thin").exists()


def tilted(header: pydicom.Dataset, k: int) -> None:
    header.ImagePositionPatient = [0, 1.7 * k, 5 * k]


def test_the_edges_of_tilted_slices_keep_their_values_where_they_are_tilted_again(
    medsr: Medsr, folder: Path, a_model_file: Path
):
    write_source(folder / "tilted", np.full((6, 20, 12), 1524, np.uint16), change=tilted)
    arguments = ("--factor", 2, "--model", a_model_file, "--keep-tilt")
    status, _, err = medsr("enhance", folder / "tilted", folder / "thin.nii", *arguments)
    assert status == 0, err
    assert "they were straightened" in err
    assert err.count("warning: the result was brought back onto the tilted grid of the slices\n") == 1
    values = nibabel.load(folder / "thin.nii").get_fdata()  # 500 HU, or -1024 where a row leans out of all slices
    assert set(np.unique(values)) <= {500, -1024}
    assert (values == 500).mean() > 0.95


def test_a_derived_series_with_tilted_slices_is_refused_before_any_work(medsr: Medsr, folder: Path, a_model_file: Path):
    write_source(folder / "tilted", np.full((6, 20, 12), 1524, np.uint16), change=tilted)
    (folder / "results").mkdir()
    arguments = ("--factor", 2, "--model", a_model_file, "--keep-tilt")
    said = refused(medsr, folder / "results", "enhance", folder / "tilted", folder / "results" / "thin", *arguments)
    assert "--keep-tilt is for volume files" in said
