"""Each study of a cohort is done once, and verified when the cohort goes on."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import dicom_files
from cohort_runs import run, table_of
from medical_super_resolution.cohort import batch, study
from medical_super_resolution.cohort import run as cohort_run
from medical_super_resolution.cohort.discovery import items_in
from medical_super_resolution.cohort.distribution.scheduling import rows_from
from medical_super_resolution.cohort.task import Batch
from medical_super_resolution.errors import ModelError, VolumeError
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

pytest.importorskip("distributed")


def test_going_on_verifies_what_is_done_and_does_the_rest(a_batch: Batch, a_client):
    run(a_batch, a_client)
    (a_batch.output / "two.nrrd").write_bytes(b"half of a volu")
    (a_batch.output / "three.nii").unlink()
    before = (a_batch.output / "a" / "one.nii.gz").stat().st_mtime_ns
    status = run(a_batch, a_client)
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
    cohort_run.open_output(batch)
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
    cohort_run.open_output(batch)
    assert [study.run_study(batch, item).status for item in items] == ["done", "done"]
    os.utime(folder / "1_0.dcm", (2e9, 2e9))
    assert [study.run_study(batch, item).status for item in items] == ["done", "kept"]


def test_the_result_of_another_series_is_not_kept_for_one_that_gets_its_name(
    tmp_path: Path, a_volume: Volume, a_model_file: Path
):
    folder, stored = tmp_path / "in", a_volume.array.clip(0)
    for number in (1, 2):
        names = [f"{number}_{k}.dcm" for k in range(len(stored))]
        for path in dicom_files.write_series(folder, stored + number, names=names, series=number):
            os.utime(path, (1e9, 1e9))
    batch = Batch(folder, tmp_path / "out", EnhanceSettings(factor=2, model=str(a_model_file), threads=1))
    first, second = items_in(folder)
    cohort_run.open_output(batch)
    assert study.run_study(batch, first).status == "done"
    for path in folder.glob("1_*"):
        path.unlink()
    (left,) = items_in(folder)
    assert (left.name, left.selection) == (first.name, second.selection)
    assert study.run_study(batch, left).status == "done"


def test_another_wish_does_what_is_done_again(a_batch: Batch, a_client):
    run(a_batch, a_client)
    asked = EnhanceSettings(factor=3, model=a_batch.settings.model, threads=1)
    again = Batch(a_batch.folder, a_batch.output, asked)
    assert run(again, a_client)["two.nrrd"] == "done"
    assert files.read(a_batch.output / "two.nrrd").array.shape == (27, 18, 20)


def test_another_modality_or_other_software_does_what_is_done_again(a_batch: Batch, monkeypatch: pytest.MonkeyPatch):
    item = next(item for item in cohort_run.studies_in(a_batch) if item.name == "two.nrrd")
    cohort_run.open_output(a_batch)
    other = replace(a_batch, modality="mr")
    assert [study.run_study(one, item).status for one in (a_batch, other, other)] == ["done", "done", "kept"]
    monkeypatch.setattr(study, "__version__", "0.0.1")
    assert study.run_study(other, item).status == "done"


def test_an_interrupted_cohort_goes_on(a_batch: Batch, a_client):
    (a_batch.folder / "broken.nii.gz").unlink()
    with pytest.raises(KeyboardInterrupt):
        run(a_batch, a_client, stop_after=1)
    (first,) = table_of(a_batch.output)
    status = run(a_batch, a_client)
    assert status[first["input"]] == "kept"
    assert set(status.values()) <= {"kept", "done"}


def test_attempts_of_a_study_are_counted_until_it_has_a_row(a_batch: Batch, monkeypatch: pytest.MonkeyPatch):
    item = next(item for item in cohort_run.studies_in(a_batch) if item.name == "two.nrrd")
    cohort_run.open_output(a_batch)
    monkeypatch.setattr(batch, "enhance_item", lambda *_, **__: sys.exit(9))
    for _ in range(2):
        with pytest.raises(SystemExit):
            study.run_study(a_batch, item)
    assert study.attempts_of(a_batch, item) == 2
    monkeypatch.undo()
    assert study.run_study(a_batch, item).status == "done"
    assert study.attempts_of(a_batch, item) == 0


def test_a_study_succeeds_though_a_resumed_cohort_forgot_its_attempt(a_batch: Batch, monkeypatch: pytest.MonkeyPatch):
    item = next(item for item in cohort_run.studies_in(a_batch) if item.name == "two.nrrd")
    cohort_run.open_output(a_batch)
    enhance_item = batch.enhance_item

    def enhance_and_forget(*arguments, **options):
        cohort_run.open_output(a_batch)
        return enhance_item(*arguments, **options)

    monkeypatch.setattr(batch, "enhance_item", enhance_and_forget)
    assert study.run_study(a_batch, item).status == "done"


def test_a_worker_that_has_other_folders_under_the_names_of_the_cohort_ends_it_and_writes_nothing(
    a_batch: Batch, a_client, tmp_path: Path
):
    items = cohort_run.studies_in(a_batch)
    a_batch.output.mkdir()  # of this computer alone: that of the cohort holds its state
    with pytest.raises(VolumeError, match=r"the worker on \S+ does not see what is in the folder .*out; mount it"):
        list(rows_from(a_client, a_batch, items))
    assert not list(a_batch.output.iterdir())
    cohort_run.open_output(a_batch)
    (tmp_path / "not_mounted").mkdir()
    with pytest.raises(VolumeError, match=r"does not see what is in the folder .*not_mounted; mount it"):
        study.run_study(replace(a_batch, folder=tmp_path / "not_mounted"), items[0])


def test_a_missing_model_ends_the_cohort_at_once(a_batch: Batch, a_client):
    batch = replace(a_batch, settings=replace(a_batch.settings, model="none"))
    with pytest.raises(ModelError, match="there is no model 'none'"):
        run(batch, a_client)
