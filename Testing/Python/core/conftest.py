"""Fixtures for the tests of the engine and its command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from command_line import Medsr
from medical_super_resolution.cli.main import main
from medical_super_resolution.models import file as models
from medical_super_resolution.models import store
from medical_super_resolution.models.file import Model
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume


@pytest.fixture
def a_model(a_model_file: Path) -> Model:
    return models.load(a_model_file)


@pytest.fixture(scope="module")
def the_shipped_model() -> Model:
    return models.load(store.find("general"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, to check what a run leaves behind."""
    path = tmp_path / "scans"
    path.mkdir()
    return path


@pytest.fixture
def scan(folder: Path, a_volume: Volume) -> Path:
    path = folder / "scan.nii.gz"
    files.write(a_volume, path)
    return path


@pytest.fixture
def scan_without_air(folder: Path, a_volume: Volume) -> Path:
    """Tissue and bone alone, far above the value of air, so that nothing is raised to it and all is reproduced."""
    path = folder / "scan_without_air.nii.gz"
    files.write(replace(a_volume, array=a_volume.array.clip(-100)), path)
    return path


@pytest.fixture
def medsr(capfd: pytest.CaptureFixture[str]) -> Medsr:
    """Runs the command line in this process: exit status, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse
            status = int(end.code or 0)
        return status, *capfd.readouterr()

    return run


@pytest.fixture
def a_long_run(folder: Path, a_model_file: Path) -> tuple[object, ...]:
    """The arguments of a run that takes many seconds unless it is stopped."""
    array = np.random.default_rng(0).integers(0, 1000, (32, 128, 128)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(folder / "large.nii"))
    options = ("--factor", 8, "--axes", "ijk", "--progress", "json", "--max-memory", 0.1)
    return ("enhance", folder / "large.nii", folder / "fine.nii.gz", "--model", a_model_file, *options)
