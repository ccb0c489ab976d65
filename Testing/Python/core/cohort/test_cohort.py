"""A cohort: each study is done once, whatever happens to its workers, and verified when the cohort goes on."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import deadly_study
import dicom_files
from command_line import Medsr
from medical_super_resolution.cohort import batch, study
from medical_super_resolution.cohort import run as cohort_run
from medical_super_resolution.cohort.discovery import Item, items_in
from medical_super_resolution.cohort.distribution import scheduling, workers
from medical_super_resolution.cohort.distribution.scheduling import rows_from
from medical_super_resolution.cohort.distribution.workers import local_workers, worker_options
from medical_super_resolution.cohort.outliers import outlier_distances
from medical_super_resolution.cohort.page import write_page
from medical_super_resolution.cohort.preview import picture
from medical_super_resolution.cohort.study import thumbnail_of
from medical_super_resolution.cohort.table import Row, write_parquet, write_table
from medical_super_resolution.cohort.task import Batch
from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def a_client() -> Iterator[distributed.Client]:
    """Two workers that are threads of this process."""
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def a_batch(tmp_path: Path, a_volume: Volume, a_model_file: Path) -> Batch:
    """Four volumes, one of them broken."""
    source = tmp_path / "in"
    (source / "a").mkdir(parents=True)
    for name in ("a/one.nii.gz", "two.nrrd", "three.nii"):
        files.write(a_volume, source / name)
    (source / "broken.nii.gz").write_bytes(b"no volume")
    return Batch(source, tmp_path / "out", EnhanceSettings(factor=2, model=str(a_model_file), threads=1))


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
    (root / "participants.tsv").write_text("participant_id\nsub-01\nsub-02\n")
    return root


def run(batch: Batch, client: distributed.Client, *, resume: bool = False, stop_after: int = 99) -> dict[str, str]:
    """Status of each study; interrupted after some."""
    seen: list[Row] = []

    def announce(row: Row) -> None:
        seen.append(row)
        if len(seen) == stop_after:
            raise KeyboardInterrupt

    items = cohort_run.studies_in(batch)
    cohort_run.open_output(batch, resume=resume)
    return {row.input: row.status for row in cohort_run.run_cohort(batch, items, client, announce)}


def table_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "medsr.csv").open(newline="") as file:
        return list(csv.DictReader(file))


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


def test_going_on_verifies_what_is_done_and_does_the_rest(a_batch: Batch, a_client):
    run(a_batch, a_client)
    (a_batch.output / "two.nrrd").write_bytes(b"half of a volu")
    (a_batch.output / "three.nii").unlink()
    before = (a_batch.output / "a" / "one.nii.gz").stat().st_mtime_ns
    status = run(a_batch, a_client, resume=True)
    assert status == {"a/one.nii.gz": "kept", "two.nrrd": "done", "three.nii": "done", "broken.nii.gz": "failed"}
    assert (a_batch.output / "a" / "one.nii.gz").stat().st_mtime_ns == before
    assert files.read(a_batch.output / "two.nrrd").array.shape == (18, 18, 20)


def test_going_on_does_again_what_has_other_data_or_another_sidecar(
    tmp_path: Path, a_volume: Volume, a_model_file: Path
):
    folder, output = tmp_path / "in", tmp_path / "in" / "out"
    dicom_files.write_series(folder.with_name("series"), a_volume.array.clip(0))
    for number, path in enumerate(sorted(folder.with_name("series").iterdir())):
        (folder / "p" / str(number % 2)).mkdir(parents=True, exist_ok=True)
        path.replace(folder / "p" / str(number % 2) / path.name)
    files.write(a_volume, folder / "one.mhd")
    files.write(a_volume, folder / "two.nii.gz")
    batch = Batch(folder, output, EnhanceSettings(factor=2, model=str(a_model_file), threads=1))
    items = items_in(folder, output)
    assert [study.run_study(batch, item).status for item in items] == ["done"] * 3
    assert [study.run_study(batch, item).status for item in items] == ["kept"] * 3
    for changed in (*folder.glob("one.*raw"), next(folder.glob("p/1/*"))):
        os.utime(changed, (2e9, 2e9))
    (folder / "two.json").write_text('{"EchoTime": 0.003}')
    assert [study.run_study(batch, item).status for item in items] == ["done"] * 3


def test_a_changed_series_is_done_again_and_its_neighbor_in_the_folder_is_kept(
    tmp_path: Path, a_volume: Volume, a_model_file: Path
):
    folder, stored = tmp_path / "in", a_volume.array.clip(0)
    for number in (1, 2):
        names = [f"{number}_{k}.dcm" for k in range(len(stored))]
        dicom_files.write_series(folder, stored, names=names, series=number)
    batch = Batch(folder, tmp_path / "out", EnhanceSettings(factor=2, model=str(a_model_file), threads=1))
    items = items_in(folder)
    assert [study.run_study(batch, item).status for item in items] == ["done", "done"]
    os.utime(folder / "1_0.dcm", (2e9, 2e9))
    assert [study.run_study(batch, item).status for item in items] == ["done", "kept"]


def test_another_wish_does_what_is_done_again(a_batch: Batch, a_client):
    run(a_batch, a_client)
    asked = EnhanceSettings(factor=3, model=a_batch.settings.model, threads=1)
    again = Batch(a_batch.folder, a_batch.output, asked)
    assert run(again, a_client, resume=True)["two.nrrd"] == "done"
    assert files.read(a_batch.output / "two.nrrd").array.shape == (27, 18, 20)


def test_an_interrupted_cohort_goes_on(a_batch: Batch, a_client):
    (a_batch.folder / "broken.nii.gz").unlink()
    with pytest.raises(KeyboardInterrupt):
        run(a_batch, a_client, stop_after=1)
    (first,) = table_of(a_batch.output)
    status = run(a_batch, a_client, resume=True)
    assert status[first["input"]] == "kept"
    assert set(status.values()) <= {"kept", "done"}


def test_dicom_series_become_derived_series_also_over_a_half_written_one(
    tmp_path: Path, a_volume: Volume, a_model_file: Path, a_client
):
    (tmp_path / "in").mkdir()
    for number in (1, 2):
        dicom_files.write_series(tmp_path / "in" / f"s{number}", a_volume.array.clip(0), series=number)
    batch = Batch(tmp_path / "in", tmp_path / "out", EnhanceSettings(factor=2, model=str(a_model_file), threads=1))
    cohort_run.open_output(batch, resume=False)
    (batch.output / "s2").mkdir()
    (batch.output / "s2" / "slice.dcm").write_bytes(b"half")
    assert run(batch, a_client, resume=True) == {"s1": "done", "s2": "done"}
    assert files.read(batch.output / "s2").array.shape[0] == 18


def test_no_more_studies_are_handed_out_than_there_are_workers(a_batch: Batch, a_client):
    handed_out = []

    def studies() -> Iterator[Item]:
        for number in range(60):
            handed_out.append(number)
            yield Item(a_batch.folder / "in", str(number))

    ahead = []
    for done, _ in enumerate(rows_from(a_client, a_batch, studies(), deadly_study.work)):
        ahead.append(len(handed_out) - done)
    assert len(ahead) == 60
    assert max(ahead) == 2


def kill_twice(client: distributed.Client, file: Path) -> None:
    """End the worker whose process a file names, twice; not before Dask knows all workers, which it restarts."""

    def all_are_known() -> bool:
        processes = [nanny.process for nanny in client.cluster.workers.values()]
        return all(process and process.status.name == "running" for process in processes)

    for _ in range(2):
        while not (file.exists() and all_are_known()):
            time.sleep(0.02)
        pid = int(file.read_text())
        file.unlink()
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_study_that_kills_workers_is_set_aside_and_the_others_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for module in (workers, scheduling):
        monkeypatch.setattr(module, "RETRIES", 1)
    batch = SimpleNamespace(settings=SimpleNamespace(device="cpu"), folder=tmp_path)
    items = [Item(tmp_path, name) for name in ("one", "deadly", "two", "three")]
    with local_workers(2) as client, ThreadPoolExecutor(1) as killer:
        killing = killer.submit(kill_twice, client, tmp_path / deadly_study.PID)
        rows = list(rows_from(client, batch, items, deadly_study.work, lambda *_: 2))
        killing.result()
    assert sorted(row for row in rows if isinstance(row, str)) == ["one", "three", "two"]
    (row,) = (row for row in rows if isinstance(row, Row))
    assert (row.output, row.status) == ("deadly", "set aside")
    assert "2 workers died" in row.error


@pytest.mark.parametrize(("begun", "handed_out"), [(0, 3), (2, 3), (3, 1)])
def test_a_study_that_only_waited_while_workers_died_is_handed_out_again(
    tmp_path: Path, a_client, begun: int, handed_out: int
):
    batch = SimpleNamespace(settings=SimpleNamespace(device="cpu"), folder=tmp_path)
    times = tmp_path / "times"

    def given_up(batch: object, item: Item) -> str:
        with times.open("a") as file:
            file.write(".")
        raise distributed.scheduler.KilledWorker(item.name, SimpleNamespace(address="one"), 2)

    (row,) = rows_from(a_client, batch, [Item(tmp_path, "one")], given_up, lambda *_: begun)
    assert (row.status, times.stat().st_size) == ("set aside", handed_out)
    assert ("3 workers died while they had" in row.error) == (begun == 3)


def test_a_worker_with_other_software_is_named_and_reads_no_study(
    tmp_path: Path, a_client, monkeypatch: pytest.MonkeyPatch
):
    batch = SimpleNamespace(settings=SimpleNamespace(device="cpu"), folder=tmp_path)
    monkeypatch.setattr(scheduling, "software", lambda: "0.0.1 (code of another time)")
    rows = rows_from(a_client, batch, [Item(tmp_path, "one")], deadly_study.work)
    with pytest.raises(
        SettingsError, match=r"the worker inproc:\S+ has medical-super-resolution \S+ \(code \w+\), and .* 0\.0\.1"
    ):
        next(rows)


def test_a_worker_without_this_package_is_named(tmp_path: Path, a_client, monkeypatch: pytest.MonkeyPatch):
    batch = SimpleNamespace(settings=SimpleNamespace(device="cpu"), folder=tmp_path)
    monkeypatch.setitem(sys.modules, "medical_super_resolution.system.software", None)
    with pytest.raises(SettingsError, match=r"has medical-super-resolution of another version, or none"):
        next(rows_from(a_client, batch, [Item(tmp_path, "one")], deadly_study.work))


def test_attempts_of_a_study_are_counted_until_it_has_a_row(a_batch: Batch, monkeypatch: pytest.MonkeyPatch):
    item = next(item for item in cohort_run.studies_in(a_batch) if item.name == "two.nrrd")
    monkeypatch.setattr(batch, "enhance_item", lambda *_, **__: sys.exit(9))
    for _ in range(2):
        with pytest.raises(SystemExit):
            study.run_study(a_batch, item)
    assert study.attempts_of(a_batch, item) == 2
    monkeypatch.undo()
    assert study.run_study(a_batch, item).status == "done"
    assert study.attempts_of(a_batch, item) == 0


_LOADED_AHEAD = """
import sys
sys.path[:0] = {paths}
from multiprocessing import get_context
from medical_super_resolution.cohort.distribution import workers
workers._PRELOADED = ["deadly_study"]
workers.load_ahead()
context = get_context("forkserver")
here, there = context.Pipe()
import deadly_study
context.Process(target=deadly_study.tell_where_it_was_loaded, args=(there,)).start()
loaded_by, child = here.recv()
assert len({{loaded_by, child, deadly_study.LOADED_BY}}) == 3, (loaded_by, child, deadly_study.LOADED_BY)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each worker loads for itself")
def test_workers_are_forks_of_a_process_that_has_loaded_what_they_need():
    script = _LOADED_AHEAD.format(paths=[path for path in sys.path if path])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are no forks")
def test_the_process_that_workers_are_forked_from_ignores_ctrl_c_from_its_start():
    script = (
        "import signal\n"
        "from multiprocessing.forkserver import _forkserver\n"
        "from medical_super_resolution.cohort.distribution import workers\n"
        "workers._PRELOADED = []\n"
        "workers.load_ahead()\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
        "print(open(f'/proc/{_forkserver._forkserver_pid}/status').read())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("True\n")  # the command itself still ends by Ctrl-C
    ignored = next(line for line in done.stdout.splitlines() if line.startswith("SigIgn:"))
    assert int(ignored.split()[1], 16) & 1 << signal.SIGINT - 1


def test_a_worker_sees_one_gpu_and_offers_it_as_a_resource():
    assert worker_options("2")["env"] == {"CUDA_VISIBLE_DEVICES": "2"}
    assert worker_options("2")["resources"] == {"GPU": 1}
    assert "resources" not in worker_options(None)


def test_a_data_set_of_bids_becomes_a_derived_one(a_bids_data_set: Path, tmp_path: Path, a_model_file: Path, a_client):
    settings = EnhanceSettings(factor=2, model=str(a_model_file), threads=1)
    batch = Batch(a_bids_data_set, tmp_path / "out", settings)
    assert set(run(batch, a_client).values()) == {"done"}
    described = json.loads((batch.output / "dataset_description.json").read_text())
    assert (described["DatasetType"], described["DatasetLinks"]) == ("derivative", {"raw": "../bids"})
    assert json.loads((batch.output / "T1w.json").read_text()) == {"EchoTime": 0.003}
    beside = json.loads((batch.output / "sub-01" / "anat" / "sub-01_rec-medsr_T1w.json").read_text())
    assert beside["Sources"] == ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz"]
    assert beside["SkullStripped"] is False
    assert (batch.output / "participants.tsv").is_file()


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
    assert (status, "there is no Dask scheduler at tcp://127.0.0.1:1" in err) == (1, True)
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


def test_the_line_of_a_study_states_its_result_or_why_there_is_none():
    made = {"size": "4x4x8", "spacing_mm": "1x1x1", "warnings": "noisy"}
    assert a_row(1, **made).line == "done      s1: 4x4x8 at 1x1x1 mm, 0 s"
    assert replace(a_row(1, **made), status="kept").line == "kept      s1: 4x4x8 at 1x1x1 mm"
    assert replace(a_row(1), status="failed", error="no volume").line == "failed    s1: no volume"


def test_a_folder_with_other_things_is_refused(medsr: Medsr, a_batch: Batch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "load_ahead", lambda: None)
    status, _, err = medsr("cohort", a_batch.folder / "a", a_batch.folder)
    assert (status, "is not empty" in err) == (1, True)
    assert not (a_batch.folder / "medsr-cohort").exists()


def test_without_dask_the_command_says_how_to_get_it(medsr: Medsr, a_batch: Batch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    status, _, err = medsr("cohort", a_batch.folder, a_batch.output)
    assert (status, "[cohort]" in err) == (1, True)


def a_row(number: int, **facts: str) -> Row:
    standard = {"modality": "ct", "slice_width_mm": "4", "slice_thickness_mm": "5", "consistency_error": "2"}
    return Row(input=f"s{number}", output=f"s{number}", status="done", **(standard | facts))


def test_what_is_unlike_the_others_of_its_modality_stands_out():
    rows = [a_row(number, consistency_error=f"{2 + 0.1 * (number % 3)}") for number in range(12)]
    rows += [a_row(12, consistency_error="9"), a_row(13, slice_width_mm="9"), a_row(14, modality="mr")]
    distances = outlier_distances(rows)
    assert distances["s12"]["consistency error"] > 10
    assert distances["s13"]["slice profile"] > 10
    assert max(abs(value) for number in range(12) for value in distances[f"s{number}"].values()) < 2
    assert "s14" not in distances


def test_series_of_one_folder_are_told_apart(tmp_path: Path):
    rows = [replace(a_row(number), input="patient", output=f"patient/{number}_CT") for number in range(9)]
    rows.append(replace(rows[0], output="patient/9_CT", consistency_error="50"))
    distances = outlier_distances(rows)
    assert distances["patient/9_CT"]["consistency error"] > 10
    assert distances["patient/0_CT"]["consistency error"] == 0
    write_page(rows, tmp_path)
    page = (tmp_path / "medsr.html").read_text()
    assert page.index("<td>patient/9_CT</td>") < page.index("is above the others") < page.index("<td>patient/0_CT</td>")
    assert rows[0].line == "done      patient/0_CT"
    assert replace(rows[0], input="sub-1/t1.mgz", output="sub-1/t1.nii.gz").name == "sub-1/t1.mgz"


def test_a_name_in_the_encoding_of_an_old_archive_is_in_the_report(tmp_path: Path):
    write_page([Row(input="M\udcfcller.nii", output="M\udcfcller.nii", status="done")], tmp_path)
    assert r"M\udcfcller.nii" in (tmp_path / "medsr.html").read_text(encoding="utf-8")


def test_the_table_in_parquet_holds_what_the_csv_holds(tmp_path: Path):
    pytest.importorskip("pyarrow", reason="pyarrow, 170 MB, is optional and in no extra")
    from pyarrow import parquet

    rows = [a_row(number, seconds=1.5 + number, error='ä, "b"' if number else "") for number in range(3)]
    write_table(rows, tmp_path / "medsr.csv")
    write_parquet(rows, tmp_path / "medsr.parquet")
    found = parquet.read_table(tmp_path / "medsr.parquet").to_pylist()
    assert [{name: str(value) for name, value in row.items()} for row in found] == table_of(tmp_path)
    assert [row["seconds"] for row in found] == [1.5, 2.5, 3.5]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["medsr.csv", "medsr.parquet"]


def test_the_report_names_failures_then_outliers_and_text_of_files_is_no_markup(tmp_path: Path):
    rows = [a_row(number) for number in range(9)] + [a_row(9, consistency_error="50"), a_row(10, error="<b>bad</b>")]
    write_page(rows, tmp_path)
    page = (tmp_path / "medsr.html").read_text()
    assert page.index("<td>s10</td>") < page.index("<td>s9</td>") < page.index("<td>s0</td>")
    assert "&lt;b&gt;bad" in page
    assert "consistency error is above the others" in page


def test_a_thumbnail_shows_the_cut_across_the_slices_before_and_after(a_volume: Volume):
    fine = Volume(np.repeat(a_volume.array, 2, axis=0), a_volume.grid.refined("k", 2))
    gray = picture(a_volume, fine, across=0)
    assert gray.dtype == np.uint8
    rows, columns = gray.shape
    assert rows / (columns / 2) == pytest.approx(27 / 16, rel=0.02)  # 9 slices of 3 mm, 20 columns of 0.8 mm
    np.testing.assert_array_equal(gray[:, : columns // 2], gray[:, columns // 2 :])
