"""A cohort: which studies it has, where its results go, and its command."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

import dicom_files
from cohort_runs import run, table_of
from command_line import Medsr
from medical_super_resolution.cohort import bids
from medical_super_resolution.cohort import run as cohort_run
from medical_super_resolution.cohort.distribution import workers
from medical_super_resolution.cohort.study import thumbnail_of
from medical_super_resolution.cohort.table import TABLE, Row, write_table
from medical_super_resolution.cohort.task import Batch
from medical_super_resolution.errors import VolumeError
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

pytest.importorskip("distributed")


@pytest.fixture
def a_bids_data_set(tmp_path: Path, a_volume: Volume) -> Path:
    root = tmp_path / "bids"
    for label in ("01", "02"):
        anat = root / f"sub-{label}" / "anat"
        anat.mkdir(parents=True)
        files.write(a_volume, anat / f"sub-{label}_T1w.nii.gz")
    (root / "derivatives").mkdir()
    files.write(a_volume, root / "derivatives" / "old.nii.gz")
    (root / "dataset_description.json").write_text('{"Name": "Scans", "BIDSVersion": "1.8.0"}')
    (root / "T1w.json").write_text('{"EchoTime": 0.003, "SliceThickness": 3}')
    (root / ".bidsignore").write_text("extra/")
    (root / "participants.tsv").write_text("participant_id\nsub-01\nsub-02\n")
    return root


def test_each_study_is_done_and_described_in_table_and_report(a_batch: Batch, a_client):
    status = run(a_batch, a_client)
    assert status == {"a/one.nii.gz": "done", "two.nrrd": "done", "three.nii": "done", "broken.nii.gz": "failed"}
    assert files.read(a_batch.output / "a" / "one.nii.gz").array.shape == (18, 18, 20)
    rows = {row["input"]: row for row in table_of(a_batch.output)}
    assert rows["two.nrrd"]["model"] == "tiny"
    assert "factor=2" in rows["two.nrrd"]["settings"]
    assert float(rows["two.nrrd"]["slice_width_mm"]) > 0
    assert "not a format" in rows["broken.nii.gz"]["error"]
    page = (a_batch.output / "medsr.html").read_text()
    assert page.index("broken.nii.gz") < page.index("a/one.nii.gz")
    assert thumbnail_of(a_batch.output, "two.nrrd").relative_to(a_batch.output).as_posix() in page
    assert not list(a_batch.output.rglob(".medsr-*"))


def test_dicom_series_become_derived_series_also_over_a_half_written_one(
    tmp_path: Path, a_volume: Volume, a_model_file: Path, a_client
):
    (tmp_path / "in").mkdir()
    for number in (1, 2):
        dicom_files.write_series(tmp_path / "in" / f"s{number}", a_volume.array.clip(0), series=number)
    batch = Batch(tmp_path / "in", tmp_path / "out", EnhanceSettings(factor=2, model=str(a_model_file), threads=1))
    cohort_run.open_output(batch)
    (batch.output / "s2").mkdir()
    (batch.output / "s2" / "slice.dcm").write_bytes(b"half")
    assert run(batch, a_client) == {"s1": "done", "s2": "done"}
    assert files.read(batch.output / "s2").array.shape[0] == 18


def test_a_data_set_of_bids_becomes_a_derived_one(a_bids_data_set: Path, tmp_path: Path, a_model_file: Path, a_client):
    (a_bids_data_set / "sub-02" / "anat" / "sub-02_T1w.json").write_text('{"SkullStripped": true}')
    settings = EnhanceSettings(factor=2, model=str(a_model_file), threads=1)
    batch = Batch(a_bids_data_set, tmp_path / "out", settings)
    assert set(run(batch, a_client).values()) == {"done"}
    described = json.loads((batch.output / "dataset_description.json").read_text())
    assert (described["DatasetType"], described["DatasetLinks"]) == ("derivative", {"raw": "../bids"})
    assert (batch.output / ".bidsignore").read_text().split() == ["extra/", "medsr*"]
    beside = json.loads((batch.output / "sub-01" / "anat" / "sub-01_rec-medsr_T1w.json").read_text())
    assert beside["Sources"] == ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz"]
    assert (beside["SkullStripped"], beside["EchoTime"], "SliceThickness" in beside) == (False, 0.003, False)
    assert (
        json.loads((batch.output / "sub-02" / "anat" / "sub-02_rec-medsr_T1w.json").read_text())["SkullStripped"]
        is True
    )
    participants = batch.output / "participants.tsv"
    assert participants.read_text() == "participant_id\nsub-01\nsub-02\n"
    participants.write_text("participant_id\n")
    bids.describe(batch.folder, batch.output)  # as a second run does
    assert participants.read_text() == "participant_id\n"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["sub-01", "sub-02"]),
        ({"participants": ["02"]}, ["sub-02"]),
        ({"patterns": ["*sub-01_T1w*"]}, ["sub-01"]),
    ],
)
def test_studies_are_chosen_by_pattern_and_participant(a_bids_data_set: Path, asked: dict, found: list[str]):
    batch = Batch(a_bids_data_set, a_bids_data_set / "derivatives" / "medsr", EnhanceSettings())
    assert [item.source.name[:6] for item in cohort_run.studies_in(batch, **asked)] == found


def test_table_and_report_keep_the_participants_of_an_earlier_run(
    a_bids_data_set: Path, tmp_path: Path, a_model_file: Path, a_client
):
    batch = Batch(a_bids_data_set, tmp_path / "out", EnhanceSettings(factor=2, model=str(a_model_file), threads=1))
    for label in ("01", "02", "02"):
        items = cohort_run.studies_in(batch, participants=[label])
        cohort_run.open_output(batch)
        (row,) = cohort_run.run_cohort(batch, items, a_client, lambda row: None)
        assert row.input == f"sub-{label}/anat/sub-{label}_T1w.nii.gz"
    assert [(row["input"][:6], row["status"]) for row in table_of(batch.output)] == [
        ("sub-01", "done"),
        ("sub-02", "kept"),
    ]
    assert "sub-01_T1w" in (batch.output / "medsr.html").read_text()
    (a_bids_data_set / "sub-01" / "anat" / "sub-01_T1w.nii.gz").unlink()
    run(batch, a_client)
    assert [row["input"][:6] for row in table_of(batch.output)] == ["sub-02"]


def test_jobs_of_other_studies_at_the_same_time_keep_the_rows_of_each_other(
    a_bids_data_set: Path, tmp_path: Path, a_model_file: Path, a_client
):
    batch = Batch(a_bids_data_set, tmp_path / "out", EnhanceSettings(factor=2, model=str(a_model_file), threads=1))
    first, second = (cohort_run.studies_in(batch, participants=[label]) for label in ("01", "02"))
    cohort_run.open_output(batch)
    cohort_run.run_cohort(
        batch, first, a_client, lambda row: cohort_run.run_cohort(batch, second, a_client, lambda row: None)
    )
    assert [row["input"][:6] for row in table_of(batch.output)] == ["sub-01", "sub-02"]


def test_rows_of_an_earlier_run_stay_where_its_folder_was_closed_since(
    a_bids_data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    batch = Batch(a_bids_data_set, tmp_path / "out", EnhanceSettings())
    batch.output.mkdir()
    write_table([Row(input="sub-01/T1w.nii.gz", output="one.nii.gz", status="done")], batch.output / TABLE)
    stat = Path.stat

    def closed(path: Path, **options: bool) -> os.stat_result:
        if "sub-01" in path.parts:
            raise PermissionError(13, "Permission denied")  # chmod would not stop a test that runs as root
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", closed)
    items = cohort_run.studies_in(batch, participants=["02"])
    assert [row.output for row in cohort_run._rows_of_others(batch, items)] == ["one.nii.gz"]


def test_starting_a_cohort_again_empties_its_table(a_bids_data_set: Path, tmp_path: Path, a_model_file: Path, a_client):
    settings = EnhanceSettings(factor=2, model=str(a_model_file), threads=1)
    batch = Batch(a_bids_data_set, tmp_path / "out", settings, overwrite=True)
    run(batch, a_client)
    cohort_run.open_output(batch)
    cohort_run.run_cohort(batch, cohort_run.studies_in(batch, participants=["02"]), a_client, lambda row: None)
    assert [row["input"][:6] for row in table_of(batch.output)] == ["sub-02"]


def test_a_participant_without_volumes_is_named(a_bids_data_set: Path, tmp_path: Path):
    batch = Batch(a_bids_data_set, tmp_path / "out", EnhanceSettings())
    with pytest.raises(VolumeError, match="there is no volume of sub-03, sub-1 in the folder"):
        cohort_run.studies_in(batch, participants=["01", "1", "sub-03"])


def test_the_command_connects_to_a_scheduler(medsr: Medsr, a_batch: Batch, a_client):
    arguments = ("cohort", a_batch.folder, a_batch.output, "--factor", 2, "--model", a_batch.settings.model)
    options = ("--threads", 1, "--scheduler", a_client.scheduler.address)
    status, out, err = medsr(*arguments, *options, "--pattern", "t*")
    assert (status, out.startswith("2 done: ")) == (0, True)
    assert "2/2 done" in err
    status, _, err = medsr(*arguments, *options)
    assert (status, "holds an earlier run" in err) == (1, True)


def test_without_a_scheduler_nothing_is_left_behind(medsr: Medsr, a_batch: Batch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "_CONNECT_SECONDS", 0.1)
    status, _, err = medsr("cohort", a_batch.folder, a_batch.output, "--scheduler", "tcp://127.0.0.1:1")
    assert (status, "no Dask scheduler answers at tcp://127.0.0.1:1" in err) == (1, True)
    assert not a_batch.output.exists()


def test_a_scheduler_that_asks_for_a_certificate_is_told_from_none(medsr: Medsr, a_batch: Batch):
    status, _, err = medsr("cohort", a_batch.folder, a_batch.output, "--scheduler", "tls://127.0.0.1:1")
    assert (status, "reached by TLS, and Dask's configuration names no certificate" in err) == (1, True)


def test_a_wrong_name_of_a_model_is_told_before_a_folder_is_made(medsr: Medsr, a_batch: Batch):
    status, _, err = medsr(
        "cohort", a_batch.folder, a_batch.output, "--model", "none", "--scheduler", "tcp://127.0.0.1:1"
    )
    assert (status, "there is no model 'none'" in err) == (1, True)
    assert not a_batch.output.exists()


def test_a_folder_without_studies_is_named(medsr: Medsr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "load_ahead", lambda: None)
    (tmp_path / "empty").mkdir()
    for name, reason in (("absent", "there is no folder"), ("empty", "there is no volume in the folder")):
        status, _, err = medsr("cohort", tmp_path / name, tmp_path / "out")
        assert (status, err) == (1, f"error: {reason} {tmp_path / name}; name the one that holds the studies\n")


def test_a_file_in_place_of_the_output_folder_is_refused(medsr: Medsr, a_batch: Batch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "load_ahead", lambda: None)
    status, _, err = medsr("cohort", a_batch.folder, a_batch.folder / "two.nrrd")
    assert (status, "two.nrrd is a file; name a new or an empty folder" in err) == (1, True)


def test_a_folder_with_other_things_is_refused(medsr: Medsr, a_batch: Batch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "load_ahead", lambda: None)
    status, _, err = medsr("cohort", a_batch.folder / "a", a_batch.folder)
    assert (status, "is not empty" in err) == (1, True)
    assert not (a_batch.folder / "medsr-cohort").exists()


def test_to_continue_and_to_start_again_at_once_is_refused(medsr: Medsr, a_batch: Batch, monkeypatch):
    monkeypatch.setattr(workers, "_CONNECT_SECONDS", 0.1)
    address = ("--scheduler", "tcp://127.0.0.1:1")  # there is none
    status, _, err = medsr("cohort", a_batch.folder, a_batch.output, "--resume", "--overwrite", *address)
    assert (status, "--resume keeps what an earlier run has done" in err) == (1, True)


def test_without_dask_the_command_says_how_to_get_it(medsr: Medsr, a_batch: Batch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    status, _, err = medsr("cohort", a_batch.folder, a_batch.output)
    assert (status, "[cohort]" in err) == (1, True)
