from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.dataset import Dataset

from command_line import Medsr
from dicom_kinds import ROOT, enhanced, save, write_images
from medical_super_resolution.cohort.discovery import items_in
from medical_super_resolution.volumes.dicom import sorter
from medical_super_resolution.volumes.io import files

STORED = np.random.default_rng(0).integers(0, 900, (5, 12, 10)).astype(np.int16)


@pytest.fixture
def a_study(folder: Path) -> Path:
    """A CT of 5 mm, and an MR of 3 mm with two echoes."""
    write_images(folder / "study" / "ct", STORED, SeriesNumber=3, SeriesDescription="Thorax", StudyID="1")
    for echo in (1, 2):

        def change(made: Dataset, k: int, echo: int = echo) -> None:
            made.EchoNumbers = echo

        said = {"SeriesInstanceUID": f"{ROOT}.6", "SeriesNumber": 7, "SeriesDescription": "Brain", "modality": "MR"}
        write_images(folder / "study" / f"mr{echo}", STORED + echo, (0, 0, 3), change, **said)
    return folder / "study"


def test_info_lists_the_series_of_a_folder_in_a_table(medsr: Medsr, a_study: Path):
    status, out, _ = medsr("info", a_study)
    head, ct, mr, *phases = out.splitlines()
    assert status == 0
    assert head.split()[:4] == ["number", "description", "modality", "slices"]
    assert ct.split()[:9] == ["3", "Thorax", "CT", "5", "1", "x", "1", "x", "5"]
    assert mr.split()[:10] == ["7", "Brain", "MR", "5", "1", "x", "1", "x", "3", "2"]
    assert mr.endswith(f"{ROOT}.6")
    assert phases == ["series 7, --phase 1: echo 1, 5 slices", "series 7, --phase 2: echo 2, 5 slices"]


@pytest.mark.skipif(os.name == "nt", reason="names have no control characters there")
def test_a_description_cannot_steer_a_terminal_or_feign_lines(medsr: Medsr, folder: Path):
    for series in (1, 2):
        said = {"SeriesInstanceUID": f"{ROOT}.{series}", "SeriesDescription": "\x1b[2Ja\x07\rerror: b"}
        write_images(folder / "study" / str(series), STORED, SeriesNumber=series, **said)
    (folder / "study" / "a\nb.dcm").write_text("no image")
    table = medsr("info", folder / "study")[1]
    refusal = medsr("enhance", folder / "study", folder / "out.nrrd")[2]
    for line in [*table.split("\n"), *refusal.split("\n")]:
        assert line.isprintable()
    assert r"\x1b[2Ja\x07 error: b" in table
    assert refusal.count("\nerror: ") == 1


def test_what_is_said_of_the_series_beside_a_volume_cannot_steer_a_terminal(
    medsr: Medsr, folder: Path, a_model_file: Path
):
    write_images(folder / "study" / "1", STORED, SeriesNumber=1, SeriesInstanceUID=f"{ROOT}.1")
    said = {"SeriesInstanceUID": f"{ROOT}.2", "SeriesDescription": "\x1b[2Ja\x07"}
    write_images(folder / "study" / "2", STORED[:1], SeriesNumber=2, **said)
    described = medsr("info", folder / "study")[1]
    warned = medsr("enhance", folder / "study", folder / "out.nrrd", "--model", a_model_file)[2]
    for text in (described, warned):
        assert r"\x1b[2Ja\x07 (1 image)" in text
        assert "\x1b" not in text


def test_info_lists_the_series_of_a_dicomdir_as_those_of_its_folder(medsr: Medsr, a_study: Path):
    (a_study / "DICOMDIR").write_bytes(b"lists files")
    table = medsr("info", a_study)[1]
    assert medsr("info", a_study / "DICOMDIR")[1] == table


def test_one_series_and_one_volume_of_it_are_enhanced_by_name(
    medsr: Medsr, a_study: Path, folder: Path, a_model_file: Path
):
    chosen = ("--factor", 2, "--model", a_model_file)
    assert medsr("enhance", a_study, folder / "ct.nrrd", "--series", 3, *chosen)[0] == 0
    assert medsr("enhance", a_study, folder / "mr.nrrd", "--series", f"{ROOT}.6", "--phase", 2, *chosen)[0] == 0
    assert files.read(folder / "ct.nrrd").grid.spacing_ijk_mm[2] == pytest.approx(2.5)
    assert files.read(folder / "mr.nrrd").grid.spacing_ijk_mm[2] == pytest.approx(1.5)
    again = medsr("info", a_study, "--series", 7, "--phase", 2)[1]
    assert "10x12x5 at 1.00x1.00x3.00 mm" in again


def test_info_offers_one_volume_of_a_series_and_enhance_all(medsr: Medsr):
    for command, offered in (("info", "[--phase N]"), ("enhance", "[--phase N|all]")):
        assert offered in medsr(command, "--help")[1]


@pytest.mark.parametrize("chosen", [("--skip-existing",), ("--jobs", 2)])
def test_options_of_a_batch_are_refused_for_the_folder_of_one_series(
    medsr: Medsr, a_study: Path, folder: Path, chosen: tuple[str | int, ...]
):
    for given in ((a_study / "ct",), (a_study, "--series", 3)):
        status, _, err = medsr("enhance", given[0], folder / "fine", *given[1:], "--factor", 2, *chosen)
        assert status == 1
        assert err.startswith("error: --jobs and --skip-existing are for a folder of several volumes")
        assert not (folder / "fine").exists()


@pytest.mark.parametrize("name", ["fine.mha", "fine.mhd", "fine.nii", "fine.nrrd"])
@pytest.mark.parametrize("source", ["thick.mha", "thick.nii", "thick.nrrd"])
def test_a_series_keeps_the_times_of_its_volumes(
    medsr: Medsr, folder: Path, a_model_file: Path, source: str, name: str
):
    image = sitk.GetImageFromArray(np.stack([STORED, STORED + 1]), isVector=False)
    image.SetSpacing([1, 1, 5, 2.5])
    image.SetOrigin([3, -4, 6, 1.5])
    sitk.WriteImage(image, str(folder / source))
    status, _, err = medsr("enhance", folder / source, folder / name, "--factor", 2, "--model", a_model_file)
    assert status == 0, err
    if name.endswith(".nrrd"):  # of which ITK reads a series as vectors, without times
        files.write_series(list(files.read_all(folder / name)), folder / (name := "again.mha"))
    fine = sitk.ReadImage(str(folder / name))
    assert (fine.GetSpacing()[3], fine.GetOrigin()[3]) == (2.5, 1.5)


def by_the_clock(made: Dataset, k: int, milliseconds: int) -> None:
    moment = datetime(2026, 1, 1, 23, 59, 58) + timedelta(milliseconds=milliseconds + 90 * k)
    made.AcquisitionDate, made.AcquisitionTime = f"{moment:%Y%m%d}", f"{moment:%H%M%S.%f}"


def by_the_clock_without_dates(made: Dataset, k: int, milliseconds: int) -> None:
    made.AcquisitionTime = f"1015{milliseconds / 1000:09.6f}"


def after_the_heart_beat(made: Dataset, k: int, milliseconds: int) -> None:
    made.AcquisitionTime, made.TriggerTime = "101500", milliseconds


def by_a_reference(made: Dataset, k: int, milliseconds: int) -> None:
    made.FrameReferenceTime, made.AcquisitionTime = milliseconds, ""


@pytest.mark.parametrize(
    ("timed", "milliseconds", "seconds"),
    [
        (by_the_clock, (0, 1500, 3002), 1.501),
        (by_the_clock_without_dates, (0, 2000, 4000), 2),
        (after_the_heart_beat, (0, 30, 60), 0.03),
        (by_a_reference, (5000, 15000, 25000), 10),
        (by_a_reference, (5000, 15000, 35000), 1),  # uneven
        (by_a_reference, (15000, 5000, 10000), 1),
    ],
)
@pytest.mark.parametrize("name", ["all.nii", "all.mha"])
def test_the_volumes_of_a_dicom_series_keep_their_distance_in_time(
    medsr: Medsr, folder: Path, a_model_file: Path, timed, milliseconds: tuple[int, ...], seconds: float, name: str
):
    for number, moment in enumerate(milliseconds):

        def change(made: Dataset, k: int, number: int = number, moment: int = moment) -> None:
            made.EchoNumbers = number + 1
            timed(made, k, moment)

        write_images(folder / "series" / f"{number}", STORED + number, modality="MR", change=change)
    chosen = ("--phase", "all", "--factor", 2, "--model", a_model_file)
    status, _, err = medsr("enhance", folder / "series", folder / name, *chosen)
    assert status == 0, err
    assert sitk.ReadImage(str(folder / name)).GetSpacing()[3] == pytest.approx(seconds)


@pytest.mark.parametrize("spacing", [b"0", b"-2.5"])
def test_a_spacing_of_times_that_is_none_becomes_1(folder: Path, spacing: bytes):
    image = sitk.GetImageFromArray(np.stack([STORED, STORED + 1]), isVector=False)
    image.SetSpacing([1, 1, 5, 2.5])
    sitk.WriteImage(image, str(folder / "thick.mha"))
    written = (folder / "thick.mha").read_bytes()
    assert b" 1 1 5 2.5" in written
    (folder / "thick.mha").write_bytes(written.replace(b" 1 1 5 2.5", b" 1 1 5 " + spacing))
    files.write_series(list(files.read_all(folder / "thick.mha")), folder / "again.mha")
    assert sitk.ReadImage(str(folder / "again.mha")).GetSpacing() == (1, 1, 5, 1)


def test_all_volumes_of_a_series_go_into_one_file(medsr: Medsr, a_study: Path, folder: Path, a_model_file: Path):
    chosen = ("--factor", 2, "--model", a_model_file, "--series", 7, "--slice-profile", "gaussian")
    assert medsr("enhance", a_study, folder / "all.nii.gz", "--phase", "all", *chosen)[0] == 0
    assert nibabel.load(folder / "all.nii.gz").shape == (10, 12, 10, 2)
    for number in (1, 2):
        assert medsr("enhance", a_study, folder / f"{number}.nrrd", "--phase", number, *chosen)[0] == 0
        one, together = files.read(folder / f"{number}.nrrd"), files.read(folder / "all.nii.gz", number=number - 1)
        np.testing.assert_array_equal(together.array, one.array)
        np.testing.assert_allclose(together.grid.ijk_to_ras, one.grid.ijk_to_ras, atol=1e-6)


@pytest.mark.parametrize("first", ["empty", "mask"])
def test_a_first_volume_that_shows_nothing_has_no_say_in_profile_and_report(
    medsr: Medsr, tmp_path: Path, a_model_file: Path, first: str
):
    steps = np.random.default_rng(1).normal(size=(24, 24, 12)).cumsum(axis=0).cumsum(axis=1).cumsum(axis=2)
    values = (steps - steps.min()).astype(np.float32)
    nothing = np.zeros_like(values) if first == "empty" else (values > values.mean()).astype(np.float32)
    together = np.stack([nothing, values / 2, values], axis=-1)
    for name, array in {"one": values, "all": together}.items():
        nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 1.0, 4.0, 1.0])), tmp_path / f"{name}.nii")
        asked = ("--factor", 2, "--model", a_model_file, "--report", tmp_path / f"{name}.json")
        assert medsr("enhance", tmp_path / f"{name}.nii", tmp_path / f"{name}_fine.nii", *asked)[0] == 0
    one, joined = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "all"))
    assert joined["slice_profile_source"] == "estimated"
    for name in ("model", "modality", "slice_width_mm", "other_profile"):
        assert joined[name] == (pytest.approx(one[name]) if name == "slice_width_mm" else one[name])
    for name in ("consistency_error_rms", "other_consistency_error_rms"):
        assert joined[name] == pytest.approx(one[name], rel=1e-3)


def test_all_volumes_of_a_file_are_normalized_as_one_modality(medsr: Medsr, tmp_path: Path, a_model_file: Path):
    tissue = np.random.default_rng(1).normal(0, 200, (16, 16, 8)).clip(-700, 700).astype(np.int16)
    with_air = tissue.copy()
    with_air[:, :4] = -1000
    together = np.stack([np.zeros_like(tissue), with_air, tissue], axis=-1)
    nibabel.save(nibabel.Nifti1Image(together, np.diag([1.0, 1.0, 4.0, 1.0])), tmp_path / "all.nii")
    asked = ("--factor", 2, "--model", a_model_file, "--slice-profile", "gaussian", "--overwrite")
    assert medsr("enhance", tmp_path / "all.nii", tmp_path / "all_fine.nii", *asked)[0] == 0
    for number in (1, 2):
        one = ("--volume", number, "--modality", "ct")
        assert medsr("enhance", tmp_path / "all.nii", tmp_path / "one.nii", *asked, *one)[0] == 0
        found = files.read(tmp_path / "all_fine.nii", number=number).array
        np.testing.assert_array_equal(found, files.read(tmp_path / "one.nii").array)


def test_an_empty_volume_has_no_uncertain_slice_profile(medsr: Medsr, tmp_path: Path, a_model_file: Path):
    empty = nibabel.Nifti1Image(np.zeros((16, 16, 8), np.int16), np.diag([1.0, 1.0, 4.0, 1.0]))
    nibabel.save(empty, tmp_path / "empty.nii")
    status, _, err = medsr("enhance", tmp_path / "empty.nii", tmp_path / "fine.nii", "--model", a_model_file)
    assert status == 0
    assert "uncertain" not in err


def test_all_volumes_of_a_series_are_no_dicom_series(medsr: Medsr, a_study: Path, folder: Path):
    status, _, err = medsr("enhance", a_study, folder / "new", "--series", 7, "--phase", "all")
    assert status == 1
    assert "name a file for all, as .nii.gz" in err


def test_a_volume_of_a_file_is_not_named_where_there_is_a_dicom_series(medsr: Medsr, a_study: Path, folder: Path):
    status, _, err = medsr("enhance", a_study, folder / "new.nii", "--series", 7, "--phase", 1, "--volume", 0)
    assert status == 1
    assert "--volume names one volume of a file that holds a series; this is none" in err


@pytest.mark.parametrize(("stated", "said"), [("OT", "MR (from the values)"), ("CT", "CT")])
def test_a_modality_that_dicom_does_not_know_is_said_to_be_from_the_values(
    medsr: Medsr, folder: Path, a_model_file: Path, stated: str, said: str
):
    write_images(folder / "scan", STORED, modality=stated)
    status, _, err = medsr("enhance", folder / "scan", folder / "fine.nii", "--factor", 2, "--model", a_model_file)
    assert (status, f"modality: {said}\n" in err) == (0, True)


def test_a_batch_takes_each_volume_of_a_series_by_itself(a_study: Path):
    assert [item.name for item in items_in(a_study)] == ["ct", "7_Brain_1", "7_Brain_2"]


def test_a_batch_writes_files_where_no_dicom_can_be_derived(tmp_path: Path):
    save(enhanced(STORED.astype(np.uint16), [(0, 0, 3.0 * k) for k in range(5)]), tmp_path / "mr" / "all.dcm")
    assert [item.name for item in items_in(tmp_path)] == ["mr.nii.gz"]


def test_a_series_that_is_not_named_is_refused(medsr: Medsr, a_study: Path, folder: Path):
    status, _, err = medsr("enhance", a_study, folder / "out.nrrd", "--factor", 2)
    assert status == 1
    assert "3: Thorax (5 images, 000.dcm); 7: Brain (10 images in 2 volumes, 000.dcm)" in err
    assert "--series N" in err


def test_the_results_of_a_folder_and_of_a_file_of_its_name_are_told_apart(folder: Path):
    """As dcm2niix leaves them: scan.nii.gz beside the folder scan with a multi-frame file."""
    save(enhanced(STORED, [(0, 0, 3 * k) for k in range(5)]), folder / "study" / "scan" / "1.dcm")
    nibabel.save(nibabel.Nifti1Image(STORED.T, np.eye(4)), folder / "study" / "scan.nii.gz")
    assert [item.name for item in items_in(folder / "study")] == ["scan.nii.gz", "scan_2.nii.gz"]


def test_series_derived_from_the_volumes_of_a_series_without_a_number_differ_in_theirs(
    medsr: Medsr, a_study: Path, folder: Path, a_model_file: Path
):
    for path in a_study.glob("mr*/*"):
        source = dcmread(path)
        del source.SeriesNumber
        source.save_as(path)
    assert medsr("enhance", a_study, folder / "new", "--factor", 2, "--model", a_model_file)[0] == 0
    assert {one.number for one in sorter.contents_of(folder / "new").series} == {301, 9001, 9002}


def test_series_derived_from_the_volumes_of_one_series_differ_in_number_and_description(
    medsr: Medsr, a_study: Path, folder: Path, a_model_file: Path
):
    assert medsr("enhance", a_study, folder / "new", "--factor", 2, "--model", a_model_file)[0] == 0
    found = {(one.number, one.description) for one in sorter.contents_of(folder / "new").series}
    assert found == {
        (301, "Thorax (super-resolution 1x1x2)"),
        (701, "Brain (super-resolution 1x1x2, volume 1)"),
        (702, "Brain (super-resolution 1x1x2, volume 2)"),
    }
