"""Folders of volumes, and files that hold several volumes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

import deadly_study
from command_line import Medsr, nearly_full_disk, refused
from dicom_files import write_series
from medical_super_resolution.cohort import batch, bids
from medical_super_resolution.cohort.discovery import Item, items_in, result_stem
from medical_super_resolution.cohort.table import Row
from medical_super_resolution.errors import VolumeError
from medical_super_resolution.models import file as models
from medical_super_resolution.networks.generators.through_plane import ThroughPlaneGenerator
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume
from warm_process import CONTEXT


def a_folder_of_scans(folder: Path, volume: Volume) -> Path:
    """A BIDS-like folder: two images with sidecars, a broken one, and a text file."""
    source = folder / "in" / "sub-01" / "anat"
    source.mkdir(parents=True)
    files.write(volume, source / "sub-01_acq-t_T1w.nii.gz")
    described = {
        "RepetitionTime": 2.0, "SliceTiming": [0, 1], "SliceThickness": 3, "SpacingBetweenSlices": 3.3,
        "AnatomicalLandmarkCoordinates": {"AC": [4, 5, 3]},
    }  # fmt: skip
    (source / "sub-01_acq-t_T1w.json").write_text(json.dumps(described))
    files.write(volume, folder / "in" / "plain.nrrd")
    (folder / "in" / "broken.nii.gz").write_bytes(b"no volume")
    (folder / "in" / "README").write_text("scans")
    return folder / "in"


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "medsr.csv").open(newline="") as file:
        return {row["input"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_folder_goes_into_a_folder_and_one_bad_file_does_not_stop_the_others(
    medsr: Medsr, folder: Path, a_volume: Volume, a_model_file: Path, jobs: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(batch, "get_context", lambda method: CONTEXT)
    source, results = a_folder_of_scans(folder, a_volume), folder / "out"
    arguments = ("enhance", source, results, "--factor", 2, "--model", a_model_file)
    status, out, _ = medsr(*arguments, "--jobs", jobs)
    assert status == 1
    rows = rows_of(results)
    assert {name: row["status"] for name, row in rows.items()} == {
        "broken.nii.gz": "failed", "plain.nrrd": "done", "sub-01/anat/sub-01_acq-t_T1w.nii.gz": "done",
    }  # fmt: skip
    assert "not a format that this program reads" in rows["broken.nii.gz"]["error"]
    assert "2 done, 0 skipped, 1 failed" in out
    home = results / "sub-01" / "anat"
    assert files.read(home / "sub-01_acq-t_rec-medsr_T1w.nii.gz").array.shape == (18, 18, 20)
    assert json.loads((home / "sub-01_acq-t_rec-medsr_T1w.json").read_text()) == {
        "RepetitionTime": 2.0, "Sources": ["sub-01_acq-t_T1w.nii.gz"],
    }  # fmt: skip
    (source / "broken.nii.gz").unlink()
    described = home / "sub-01_acq-t_rec-medsr_T1w.json"
    described.write_text('{"Checked": true}')
    for _ in range(2):  # what is skipped, also repeatedly, keeps its details
        status, out, _ = medsr(*arguments, "--skip-existing")
        assert (status, "0 done, 2 skipped, 0 failed" in out) == (0, True)
        rows.pop("broken.nii.gz", None)
        assert rows_of(results) == {name: row | {"status": "skipped"} for name, row in rows.items()}
    assert described.read_text() == '{"Checked": true}'


def test_to_skip_and_to_replace_results_at_once_is_refused(medsr: Medsr, folder: Path, a_volume: Volume):
    source = a_folder_of_scans(folder, a_volume)
    status, _, err = medsr("enhance", source, folder / "out", "--skip-existing", "--overwrite")
    assert (status, err) == (1, "error: --skip-existing keeps results, and --overwrite replaces them; give one\n")
    assert not (folder / "out").exists()


@pytest.mark.parametrize("held", [b"", b"input;output;status\r\na;b;done\r\n", b"input,output\r\na,b,c\r\n", b"\xff\0"])
def test_a_table_that_another_program_changed_does_not_stop_the_next_run(
    medsr: Medsr, folder: Path, a_volume: Volume, a_model_file: Path, held: bytes
):
    (folder / "in").mkdir()
    for name in ("one.nii", "two.nii"):
        files.write(a_volume, folder / "in" / name)
    arguments = ("enhance", folder / "in", folder / "out", "--factor", 2, "--model", a_model_file)
    assert medsr(*arguments)[0] == 0
    (folder / "out" / "medsr.csv").write_bytes(held)
    assert medsr(*arguments, "--skip-existing")[0] == 0
    assert {row["warnings"] for row in rows_of(folder / "out").values()} == {"the result exists"}


def test_what_lies_beside_a_result_is_made_up_for_where_a_run_was_killed_before(
    medsr: Medsr, folder: Path, a_volume: Volume, a_model_file: Path
):
    source, results = a_folder_of_scans(folder, a_volume), folder / "out"
    (source / "plain.bval").write_text("0\n")
    arguments = ("enhance", source, results, "--factor", 2, "--model", a_model_file)
    medsr(*arguments)
    sidecar = results / "sub-01" / "anat" / "sub-01_acq-t_rec-medsr_T1w.json"
    expected = sidecar.read_text()
    sidecar.unlink()
    (results / "plain.bval").unlink()
    medsr(*arguments, "--skip-existing")
    assert (sidecar.read_text(), (results / "plain.bval").read_text()) == (expected, "0\n")


def test_a_full_disk_leaves_no_part_of_a_sidecar(folder: Path):
    """It would be taken for a whole one by the next run."""
    (folder / "dwi.bval").write_text("0 1000 " * 1000)
    with nearly_full_disk(), pytest.raises(OSError, match="File too large"):
        bids.copy_sidecars(folder / "dwi.nii", folder / "fine.nii", folder, overwrite=False)
    assert [path.name for path in folder.iterdir()] == ["dwi.bval"]


def test_a_data_set_on_another_drive_of_windows_is_named_by_its_whole_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def relpath(path: Path, start: Path) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", relpath)
    for name in ("raw", "out"):
        (folder / name).mkdir()
    (folder / "raw" / bids.DESCRIPTION).write_text('{"Name": "brains"}')
    bids.describe(folder / "raw", folder / "out")
    links = json.loads((folder / "out" / bids.DESCRIPTION).read_text())["DatasetLinks"]
    assert links == {"raw": (folder / "raw").resolve().as_uri()}


def test_a_sidecar_that_was_edited_by_notepad_of_windows_is_kept(folder: Path):
    (folder / "scan.json").write_text('{"EchoTime": 0.003, "SliceThickness": 3}', encoding="utf-8-sig")
    bids.copy_sidecars(folder / "scan.nii", folder / "fine.nii", folder, overwrite=False)
    assert json.loads((folder / "fine.json").read_text()) == {"EchoTime": 0.003, "Sources": ["scan.nii"]}


def test_of_a_data_set_only_raw_images_are_refined(folder: Path, a_volume: Volume):
    source = a_folder_of_scans(folder, a_volume)
    shutil.copytree(source / "sub-01", source / "derivatives" / "sub-01")
    assert len(batch.batch_in(source, folder / "out")) == 4
    (source / "dataset_description.json").write_text("{}")
    found = [item.source.relative_to(source).parts[0] for item in batch.batch_in(source, folder / "out")]
    assert found == ["broken.nii.gz", "plain.nrrd", "sub-01"]
    assert len(batch.batch_in(source / "derivatives", folder / "out")) == 1


def test_metadata_that_an_image_inherits_in_a_data_set_are_those_of_its_result(folder: Path):
    (folder / "dataset_description.json").write_text("{}")
    for name, text in {
        "dwi.bval": "0 1000\n",
        "sub-1/dwi/sub-1_dwi.bval": "0 2000\n",
        "dwi.bvec": "0 1\n0 0\n0 0\n",
        "task-rest_dwi.bvec": "of another image\n",
        "dwi.json": '{"EchoTime": 0.1, "Manufacturer": "M", "SliceThickness": 3}',
        "sub-1/dwi/sub-1_dwi.json": '{"EchoTime": 0.2, "SkullStripped": true}',
        "sub-1/dwi/sub-1_run-2_dwi.json": '{"EchoTime": 0.3}',
        "sub-1/perf/sub-1_aslcontext.tsv": "volume_type\nlabel\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "out").mkdir()
    for name in ("dwi/sub-1_run-1_dwi", "perf/sub-1_run-1_asl"):
        source, output = folder / "sub-1" / f"{name}.nii.gz", folder / "out" / f"{name[-3:]}.nii.gz"
        bids.copy_sidecars(source, output, folder, overwrite=False)
    assert (folder / "out" / "dwi.bval").read_text() == "0 2000\n"
    assert (folder / "out" / "dwi.bvec").read_text() == "0 1\n0 0\n0 0\n"
    assert (folder / "out" / "aslcontext.tsv").read_text() == "volume_type\nlabel\n"
    assert json.loads((folder / "out" / "dwi.json").read_text()) == {
        "Description": "Refined by MedicalSuperResolution", "EchoTime": 0.2, "Manufacturer": "M",
        "SkullStripped": True, "Sources": ["bids:raw:sub-1/dwi/sub-1_run-1_dwi.nii.gz"],
    }  # fmt: skip


def test_metadata_that_datalad_did_not_fetch_and_those_of_elsewhere_are_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    for place in ("here", "there"):
        (folder / place).mkdir()
        (folder / place / "dataset_description.json").write_text("{}")
    (folder / "here" / "T1w.json").write_text('{"EchoTime": 0.1}')
    for ending in ("json", "bval"):
        (folder / "there" / f"T1w.{ending}").symlink_to("annex")
    monkeypatch.chdir(folder / "here")
    bids.copy_sidecars(Path("../there/sub-1_T1w.nii"), folder / "fine.nii", Path("../there"), overwrite=False)
    assert set(json.loads((folder / "fine.json").read_text())) == {"Description", "SkullStripped", "Sources"}
    (folder / "there" / "dataset_description.json").unlink()
    bids.copy_sidecars(Path("../there/sub-1_T1w.nii"), folder / "other.nii", Path("../there"), overwrite=False)
    assert not (folder / "other.json").exists()


def test_a_refined_field_map_is_intended_for_the_refined_images(folder: Path):
    (folder / "dataset_description.json").write_text("{}")
    images = ["bids::sub-1/func/sub-1_task-rest_bold.nii.gz", "ses-2/dwi/sub-1_dwi.nii.gz", "bids:raw:x/sub-1_T1w.nii"]
    for number, asked in enumerate((images, images[1])):
        (folder / f"sub-1_run-{number}_epi.json").write_text(json.dumps({"IntendedFor": asked}))
        bids.copy_sidecars(folder / f"sub-1_run-{number}_epi.nii", folder / f"{number}.nii", folder, overwrite=False)
    made = ["bids::sub-1/func/sub-1_task-rest_rec-medsr_bold.nii.gz", "ses-2/dwi/sub-1_rec-medsr_dwi.nii.gz", images[2]]
    assert json.loads((folder / "0.json").read_text())["IntendedFor"] == made
    assert json.loads((folder / "1.json").read_text())["IntendedFor"] == made[1]
    bids.copy_sidecars(folder / "sub-1_run-1_epi.nii", folder / "part.nii", folder / "of_data_set", overwrite=False)
    assert json.loads((folder / "part.json").read_text())["IntendedFor"] == made[1]


@pytest.mark.parametrize(("refined", "factor"), [("i", 1), ("j", 2), ("k", 1)])
@pytest.mark.parametrize("encoded", [{"PhaseEncodingDirection": "j-"}, {"PhaseEncodingAxis": "j"}])
def test_distortion_is_described_for_the_voxels_of_the_result(
    folder: Path, a_volume: Volume, refined: str, factor: float, encoded: dict[str, str]
):
    fine = Volume(np.repeat(a_volume.array, 2, axis=2 - "ijk".index(refined)), a_volume.grid.refined(refined, 2))
    files.write(a_volume, folder / "epi.nii")
    files.write(fine, folder / "fine.nii")
    described = {"TotalReadoutTime": 0.03, "EstimatedTotalReadoutTime": 0.02}
    described |= {"ReconMatrixPE": 18, "BandwidthPerPixelPhaseEncode": 20.5}
    others = encoded | {"EffectiveEchoSpacing": 0.0005}
    (folder / "epi.json").write_text(json.dumps(described | others))
    bids.copy_sidecars(folder / "epi.nii", folder / "fine.nii", folder, overwrite=False)
    made = json.loads((folder / "fine.json").read_text())
    assert made == others | {
        "TotalReadoutTime": 0.03 * factor, "EstimatedTotalReadoutTime": 0.02 * factor, "ReconMatrixPE": 18 * factor,
        "BandwidthPerPixelPhaseEncode": 20.5 / factor, "Sources": ["epi.nii"],
    }  # fmt: skip
    assert isinstance(made["ReconMatrixPE"], int)


@pytest.mark.parametrize(("system", "most"), [("nt", 61), ("posix", 100)])
def test_on_windows_no_more_processes_are_started_than_a_pool_there_takes(
    medsr: Medsr, folder: Path, a_volume: Volume, a_model_file: Path, monkeypatch: pytest.MonkeyPatch,
    system: str, most: int,
):  # fmt: skip
    def pool(jobs: int, *others: object) -> None:
        raise VolumeError(f"a pool of {jobs}")

    monkeypatch.setattr(batch, "os", SimpleNamespace(name=system))
    monkeypatch.setattr(batch, "ProcessPoolExecutor", pool)
    source = a_folder_of_scans(folder, a_volume)
    _, _, err = medsr("enhance", source, folder / "out", "--model", a_model_file, "--factor", 2, "--jobs", 100)
    assert f"error: a pool of {most}\n" in err


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes of any encoding there")
def test_a_name_in_the_encoding_of_an_old_archive_is_told_by_escapes(
    medsr: Medsr, folder: Path, a_volume: Volume, a_model_file: Path
):
    source, results = folder / "in", folder / "out"
    source.mkdir()
    files.write(a_volume, source / os.fsdecode(b"M\xfcller.nii.gz"))
    status, out, _ = medsr("enhance", source, results, "--factor", 2, "--model", a_model_file)
    assert (status, "1 done" in out) == (0, True)
    assert [path.name for path in results.glob("*.nii.gz")] == [os.fsdecode(b"M\xfcller.nii.gz")]
    assert rows_of(results)[r"M\udcfcller.nii.gz"]["status"] == "done"


def test_a_batch_that_is_stopped_says_what_is_done_and_leaves_no_empty_folder(
    medsr: Medsr, folder: Path, a_volume: Volume, a_model_file: Path, monkeypatch: pytest.MonkeyPatch
):
    source = a_folder_of_scans(folder, a_volume)
    enhance_one = batch.enhance_item

    def stopped(asked: batch.Batch, item: Item, *more: object) -> Row:
        if item.name.startswith("sub-01"):
            (asked.output / item.name).parent.mkdir(parents=True)
            raise KeyboardInterrupt
        return enhance_one(asked, item, *more)

    monkeypatch.setattr(batch, "enhance_item", stopped)
    status, _, err = medsr("enhance", source, folder / "out", "--model", a_model_file, "--factor", 2)
    assert status == 130
    assert "medsr.csv lists what is done; --skip-existing continues from there" in err
    assert set(rows_of(folder / "out")) == {"broken.nii.gz", "plain.nrrd"}
    assert not (folder / "out" / "sub-01").exists()


def test_a_process_that_the_system_stopped_ends_the_batch_with_a_sentence(
    medsr: Medsr, folder: Path, a_volume: Volume, a_model_file: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(batch, "get_context", lambda method: CONTEXT)
    monkeypatch.setattr(batch, "_enhance_in_child", deadly_study.die)
    source = a_folder_of_scans(folder, a_volume)
    status, _, err = medsr("enhance", source, folder / "out", "--model", a_model_file, "--factor", 2, "--jobs", 2)
    assert status == 1
    assert "one of 2 processes was stopped from outside, most often for lack of memory; lower --jobs" in err


def test_results_inside_the_input_folder_are_no_input(folder: Path, a_volume: Volume):
    source = a_folder_of_scans(folder, a_volume)
    (source / "results").mkdir()
    files.write(a_volume, source / "results" / "plain.nrrd")
    write_series(source / "results" / "series", a_volume.array.clip(0))
    (source / "not_a_volume.dcm").touch()
    (folder / "link").symlink_to(source)
    names = [item.name for item in items_in(folder / "link", (source / "results").resolve())]
    assert names == ["broken.nii.gz", "plain.nrrd", "sub-01/anat/sub-01_acq-t_rec-medsr_T1w.nii.gz"]


def test_results_of_an_earlier_cohort_inside_the_input_folder_are_no_input(
    folder: Path, a_volume: Volume, caplog: pytest.LogCaptureFixture
):
    source = a_folder_of_scans(folder, a_volume)
    (source / "earlier" / "medsr-cohort").mkdir(parents=True)
    files.write(a_volume, source / "earlier" / "plain.nrrd")
    write_series(source / "earlier" / "series", a_volume.array.clip(0))
    (source / "not_a_volume.dcm").touch()
    names = [item.name for item in items_in(source, folder / "out")]
    assert names == ["broken.nii.gz", "plain.nrrd", "sub-01/anat/sub-01_acq-t_rec-medsr_T1w.nii.gz"]
    assert caplog.messages == [f"{source / 'earlier'} is left out: it holds the results of a cohort (medsr-cohort)"]
    assert len(items_in(source / "earlier")) == 2  # who names their folder wants them


def test_a_folder_that_is_closed_to_the_user_stops_no_batch(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Such as lost+found on a disk of its own."""
    (folder / "lost+found").mkdir()
    (folder / "scan.nii.gz").touch()
    look = Path.is_dir

    def is_dir(path: Path) -> bool:
        if path.parent.name == "lost+found":
            raise PermissionError(13, "Permission denied")  # chmod would not stop a test that runs as root
        return look(path)

    monkeypatch.setattr(Path, "is_dir", is_dir)
    assert [item.name for item in items_in(folder)] == ["scan.nii.gz"]


def test_hidden_files_are_no_input(folder: Path):
    for name in ("scan.nii.gz", "._scan.nii.gz"):  # what macOS notes about it, on disks of other systems
        (folder / name).touch()
    assert [item.name for item in items_in(folder)] == ["scan.nii.gz"]


def test_two_files_never_have_one_result(folder: Path):
    for name in ("scan.mgz", "scan.nii.gz", "scan.hdr", "scan.img"):
        (folder / name).touch()
    assert [item.name for item in items_in(folder)] == ["scan.nii.gz", "scan_mgz.nii.gz", "scan_nii_gz.nii.gz"]


def test_names_of_results_differ_by_more_than_upper_and_lower_case(folder: Path):
    """On the disks of Windows and macOS, they would be one file."""
    for name in ("Scan.mgz", "scan.nii.gz"):
        (folder / name).touch()
    assert [item.name for item in items_in(folder)] == ["Scan.nii.gz", "scan_nii_gz.nii.gz"]


def test_series_whose_descriptions_differ_in_upper_and_lower_case_are_numbered(folder: Path):
    for number, description in enumerate(("Thorax", "THORAX"), 1):
        write_series(folder / "all", np.zeros((3, 4, 4), np.int16), series=number, description=description,
                     names=[f"{number}{place}" for place in "abc"])  # fmt: skip
    assert [item.name for item in items_in(folder)] == ["all/Thorax", "all/THORAX_2"]


def test_several_dicom_series_are_a_batch_and_one_is_a_series(
    medsr: Medsr, folder: Path, a_volume: Volume, a_model_file: Path
):
    (folder / "in").mkdir()
    for number in (1, 2):
        write_series(folder / "in" / f"s{number}", a_volume.array.clip(0), series=number)
    arguments = ("--factor", 2, "--model", a_model_file, "--progress", "none")
    assert medsr("enhance", folder / "in", folder / "out", *arguments)[0] == 0
    assert [row["status"] for row in rows_of(folder / "out").values()] == ["done", "done"]
    assert files.read(folder / "out" / "s1").array.shape[0] == 18
    assert medsr("enhance", folder / "in" / "s1", folder / "one", *arguments)[0] == 0
    assert not (folder / "one" / "medsr.csv").exists()


def test_a_damaged_dicom_file_stops_only_the_series_beside_it(medsr: Medsr, folder: Path, a_model_file: Path):
    stored = np.random.default_rng(0).integers(0, 900, (5, 8, 9)).astype(np.int16)
    (folder / "in").mkdir()
    for number, name in enumerate(("a", "b", "c"), 1):
        write_series(folder / "in" / name, stored, series=number)
    for path in (folder / "in" / "b" / "slice003.dcm", *(folder / "in" / "c").iterdir()):
        path.write_bytes(path.read_bytes()[:-100])
    assert medsr("enhance", folder / "in", folder / "out", "--factor", 2, "--model", a_model_file)[0] == 1
    rows = rows_of(folder / "out")
    assert len((folder / "out" / "medsr.csv").read_text().splitlines()) == 4  # each once, and the names of the columns
    assert {name: row["status"] for name, row in rows.items()} == {"a": "done", "b": "failed", "c": "failed"}
    assert "slice003.dcm is damaged" in rows["b"]["error"]
    assert "slice000.dcm is damaged" in rows["c"]["error"]


def test_a_series_with_others_or_files_in_its_folder_gets_a_folder_among_them(folder: Path):
    stored = np.zeros((3, 4, 4), np.int16)
    for number, place in enumerate(("a", "a/b", "c"), 1):
        write_series(folder / place, stored, series=number)
    (folder / "c" / "scan.nii.gz").touch()
    names = [item.name for item in items_in(folder)]
    assert names == ["c/scan.nii.gz", "a/Thorax_5.0", "a/b", "c/Thorax_5.0"]
    assert [item.name for item in items_in(folder / "a" / "b")] == ["Thorax_5.0"]  # not the output folder itself


@pytest.mark.parametrize(("stem", "expected"), [
    ("sub-01_T1w", "sub-01_rec-medsr_T1w"),
    ("sub-01_ses-2_task-rest_run-1_bold", "sub-01_ses-2_task-rest_rec-medsr_run-1_bold"),
    ("sub-01_rec-norm_run-2_T2w", "sub-01_rec-normmedsr_run-2_T2w"),
    ("sub-01_run-2_phasediff", "sub-01_run-2_desc-medsr_phasediff"),
    ("sub-01_desc-smooth_fieldmap", "sub-01_desc-smoothmedsr_fieldmap"),
    ("sub-01_dir-PA_epi", "sub-01_rec-medsr_dir-PA_epi"),
    ("patient7", "patient7"),
])  # fmt: skip
def test_names_of_bids_get_their_entity_at_its_place(stem: str, expected: str):
    assert result_stem(stem) == expected


def test_what_a_modality_of_the_folder_means_for_its_segmentations_is_said(
    medsr: Medsr, folder: Path, a_volume: Volume, a_model_file: Path
):
    (folder / "in").mkdir()
    for name in ("scan.nii.gz", "scan_seg.nii.gz"):
        files.write(a_volume, folder / "in" / name)
    shape = sitk.GetImageFromArray((a_volume.array > a_volume.array.mean()).astype(np.uint8))
    shape.SetSpacing((1.0, 1.0, 4.0))
    sitk.WriteImage(shape, folder / "in" / "liver.seg.nrrd")
    arguments = ("--factor", 2, "--model", a_model_file, "--slice-profile", "gaussian", "--modality", "ct")
    status, out, err = medsr("enhance", folder / "in", folder / "out", *arguments)
    assert status == 0, err
    assert "--modality is for images, and was left out for this segmentation" in out
    said = {name: row["warnings"].partition("; ")[0] for name, row in rows_of(folder / "out").items()}
    assert "modality" not in said.pop("scan.nii.gz")
    assert said == {
        "scan_seg.nii.gz": "named like a segmentation, but refined as an image, because --modality says so",
        "liver.seg.nrrd": "--modality is for images, and was left out for this segmentation",
    }


def a_time_series(path: Path, volume: Volume, count: int = 3) -> np.ndarray:
    """``count`` volumes that get brighter, (T, K, J, I), as NIfTI with gradients beside it."""
    arrays = np.stack([volume.array + 40 * number for number in range(count)])
    image = nibabel.Nifti1Image(arrays.transpose(3, 2, 1, 0), volume.grid.ijk_to_ras)
    image.header.set_zooms((0.8, 0.8, 3.0, 2.5))
    nibabel.save(image, path)
    path.with_name("dwi.bval").write_text("0 1000 1000\n")
    path.with_name("dwi.bvec").write_text("0 1 0\n0 0 1\n0 0 0\n")
    return arrays


def test_each_volume_of_a_time_series_is_refined_into_one_series(
    medsr: Medsr, folder: Path, a_volume: Volume, a_model_file: Path
):
    arrays = a_time_series(folder / "dwi.nii.gz", a_volume)
    arguments = ("--factor", 2, "--model", a_model_file, "--slice-profile", "gaussian", "--modality", "ct")
    status, _, err = medsr("enhance", folder / "dwi.nii.gz", folder / "fine.nii.gz", *arguments)
    assert status == 0, err
    stages = [line.partition(" ... ")[0] for line in err.splitlines() if " ... " in line]
    assert stages == ["starting", "loading the model", "refining", "writing"]
    image = nibabel.load(folder / "fine.nii.gz")
    assert image.shape == (20, 18, 18, 3)
    assert image.header.get_zooms() == pytest.approx((0.8, 0.8, 1.5, 2.5))
    assert (folder / "fine.bval").read_text() == "0 1000 1000\n"
    assert (folder / "fine.bvec").exists()
    assert medsr("enhance", folder / "dwi.nii.gz", folder / "one.nii.gz", *arguments, "--volume", 2)[0] == 0
    one = files.read(folder / "one.nii.gz").array
    np.testing.assert_array_equal(np.asarray(image.dataobj)[..., 2].transpose(2, 1, 0), one)
    assert abs(float(one.mean()) - arrays[2].mean()) < 40 < abs(float(one.mean()) - arrays[0].mean())


def test_the_profile_of_a_series_is_estimated_once_and_is_no_thickness(
    medsr: Medsr, folder: Path, a_volume: Volume, a_tiny_generator: ThroughPlaneGenerator
):
    noisy = a_volume.array + np.random.default_rng(0).normal(0, 300, a_volume.array.shape).astype(np.int16)
    a_time_series(folder / "dwi.nii.gz", replace(a_volume, array=noisy), 2)
    models.save(folder / "m.safetensors", "through-plane", a_tiny_generator, {"trained_for": {"thickness": [0.7, 1.3]}})
    arguments = ("--model", folder / "m.safetensors", "--report", folder / "report.json", "--factor", 2)
    assert medsr("enhance", folder / "dwi.nii.gz", folder / "fine.nii.gz", *arguments)[0] == 0
    report = json.loads((folder / "report.json").read_text())
    assert report["slice_profile_source"] != "given"
    assert report["slice_width_mm"] < 0.7 * report["slice_thickness_mm"]
    assert not any("times as thick" in warning for warning in report["warnings"])


def test_a_series_of_volumes_is_described(medsr: Medsr, folder: Path, a_volume: Volume):
    a_time_series(folder / "dwi.nii.gz", a_volume)
    status, out, _ = medsr("info", folder / "dwi.nii.gz")
    assert status == 0
    assert "volumes             3; the first is described" in out


def test_a_volume_that_is_not_there_is_refused(medsr: Medsr, folder: Path, a_volume: Volume, a_model_file: Path):
    a_time_series(folder / "dwi.nii.gz", a_volume)
    arguments = ("enhance", folder / "dwi.nii.gz", folder / "one.nii.gz", "--factor", 2, "--model", a_model_file)
    assert "has no volume 3; its volumes are 0 to 2" in refused(medsr, folder, *arguments, "--volume", 3)


@pytest.mark.parametrize("name", ["fine.seq.nrrd", "fine.nrrd", "fine.mha", "fine.nii"])
def test_a_series_is_written_and_read_in_every_format(folder: Path, a_volume: Volume, name: str):
    volumes = [Volume(a_volume.array + number, a_volume.grid) for number in range(3)]
    files.write_series(volumes, folder / name)
    again = list(files.read_all(folder / name))
    for number, volume in enumerate(again):
        np.testing.assert_array_equal(volume.array, volumes[number].array)
        np.testing.assert_allclose(volume.grid.ijk_to_ras, a_volume.grid.ijk_to_ras, atol=1e-4)
        np.testing.assert_array_equal(files.read(folder / name, number=number).array, volume.array)
    assert len(again) == 3


def test_a_tilted_volume_goes_back_onto_its_tilted_grid_if_asked(medsr: Medsr, folder: Path, a_model_file: Path):
    matrix = np.diag([1, 1, 4, 1.0])
    matrix[1, 1], matrix[2, 1] = np.cos(0.3), -np.sin(0.3)
    k, j, i = np.indices((8, 20, 16))
    image = nibabel.Nifti1Image((100 * np.sin(j / 4) * np.cos(i / 5) + 300 + 0 * k).astype(np.int16).T, matrix)
    nibabel.save(image, folder / "tilted.nii.gz")
    arguments = ("--factor", 2, "--model", a_model_file, "--progress", "none", "--keep-tilt")
    spread = ("--uncertainty", folder / "spread.nii.gz")
    assert medsr("enhance", folder / "tilted.nii.gz", folder / "fine.nii.gz", *spread, *arguments)[0] == 0
    for result in (nibabel.load(folder / name) for name in ("fine.nii.gz", "spread.nii.gz")):
        assert result.shape == (16, 20, 16)
        np.testing.assert_allclose(result.affine[:3, :3], matrix[:3, :3] @ np.diag([1, 1, 0.5]), atol=1e-5)


def test_a_result_of_straight_slices_was_not_brought_back_onto_a_tilted_grid(
    medsr: Medsr, scan: Path, folder: Path, a_model_file: Path
):
    arguments = ("--factor", 2, "--model", a_model_file, "--keep-tilt")
    status, _, err = medsr("enhance", scan, folder / "fine.nii.gz", *arguments)
    assert (status, "tilted" in err) == (0, False)
