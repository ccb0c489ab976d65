"""Volumes that exceed the memory limit: the same result, through temporary files, which are removed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from command_line import Medsr, nearly_full_disk, next_step, refused, start
from medical_super_resolution.inference.context import fits_memory
from medical_super_resolution.inference.planning import plan
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes import memmap as mapped
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

LITTLE = ("--max-memory", 0.1, "--progress", "none")


@pytest.mark.parametrize("axes", ["k", "ij"])
@pytest.mark.parametrize("name", ["fine.nii.gz", "fine.nii", "fine.mhd"])
def test_little_memory_gives_the_same_result(
    medsr: Medsr, scan: Path, folder: Path, a_model_file: Path, monkeypatch: pytest.MonkeyPatch, axes: str, name: str
):
    made: list[tuple[int, ...]] = []
    reserve = mapped._reserve
    monkeypatch.setattr(mapped, "_reserve", lambda file, size: made.append(size) or reserve(file, size))
    options = ("--factor", 2.5, "--axes", axes, "--model", a_model_file)
    assert medsr("enhance", scan, folder / "usual.nii.gz", *options, "--progress", "none")[:2] == (0, "")
    assert not made
    assert medsr("enhance", scan, folder / name, *options, *LITTLE)[:2] == (0, "")
    assert len(made) == 1 + len(axes)  # the input, and what each pass gives
    usual, other = files.read(folder / "usual.nii.gz"), files.read(folder / name)
    np.testing.assert_array_equal(other.array, usual.array)
    np.testing.assert_allclose(other.grid.ijk_to_ras, usual.grid.ijk_to_ras, atol=1e-5)
    assert not list(folder.glob(".medsr-*"))


def test_a_large_result_is_not_compressed_and_others_are(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path):
    options = ("--factor", 2, "--model", a_model_file, "--progress", "none")
    for name, more, packing in (("large", LITTLE, b"encoding: raw"), ("usual", (), b"encoding: gzip")):
        assert medsr("enhance", scan, folder / f"{name}.nrrd", *options, *more)[0] == 0
        assert packing in (folder / f"{name}.nrrd").read_bytes()


def test_the_uncertainty_of_a_volume_that_does_not_fit_is_refused(
    medsr: Medsr, scan: Path, folder: Path, a_model_file: Path
):
    arguments = ("enhance", scan, folder / "fine.nii", "--factor", 2, "--model", a_model_file)
    sentence = refused(medsr, folder, *arguments, "--max-memory", 0.1, "--uncertainty", folder / "uncertainty.nii")
    assert "does not fit into memory" in sentence


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_the_room_of_a_killed_run_is_empty_and_gone_at_the_next_run(
    folder: Path,
    a_long_run: tuple[object, ...],
    medsr: Medsr,
    scan: Path,
    a_model_file: Path,
):
    with start(*a_long_run) as process:
        assert next_step(process)["done"] == 0
        process.kill()
    (left,) = folder.glob(".medsr-*")
    assert not list(left.iterdir())  # the voxels went with the process
    arguments = ("enhance", scan, folder / "fine.nii", "--factor", 2, "--model", a_model_file)
    assert medsr(*arguments, "--progress", "none")[0] == 0
    assert not list(folder.glob(".medsr-*"))


def test_a_disk_without_room_gets_one_sentence_before_the_work(
    medsr: Medsr, scan: Path, folder: Path, a_model_file: Path
):
    arguments = ("enhance", scan, folder / "fine.nii", "--factor", 4, "--model", a_model_file, *LITTLE)
    with nearly_full_disk():
        assert "GB are needed temporarily on the disk" in refused(medsr, folder, *arguments)


def test_what_fits_is_decided_before_anything_is_read():
    volume = Volume(np.zeros((4, 5, 6), np.int16), Grid((4, 5, 6), np.diag([1.0, 1.0, 4.0, 1.0])))
    large = Grid((1000, 512, 512), volume.grid.ijk_to_ras)
    settings = EnhanceSettings(factor=4, axes="k", memory_gb=2)
    assert fits_memory(plan(volume.grid, settings), 2, settings)
    assert not fits_memory(plan(large, settings), 2, settings)
