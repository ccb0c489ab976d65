"""The panel of the training, with a script that plays medsr-train."""

from __future__ import annotations

import importlib
import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume
from training_double import training_program
from widget.helpers import entered

MODULE_FILE = Path(__file__).parents[4] / "MedicalSuperResolutionTraining" / "MedicalSuperResolutionTraining.py"


@pytest.fixture
def the_training_module(
    a_slicer: Any, slicer_python: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> types.ModuleType:
    """MedicalSuperResolutionTraining.py, with an engine that is ready. Torch cannot be imported meanwhile."""
    for name in ("torch", "safetensors"):
        monkeypatch.setitem(sys.modules, name, None)
    slicer_python.modules.medicalsuperresolutiontraining = types.SimpleNamespace(path=str(MODULE_FILE))
    a_slicer._add_module("Plots", slicer_python.vtkSlicerPlotsLogic())
    module = importlib.import_module("MedicalSuperResolutionTraining")
    monkeypatch.setattr("MedicalSuperResolutionLib.setup.torch.ensure_engine", lambda: None)
    monkeypatch.setattr("MedicalSuperResolutionTrainingLib.background._INTERVAL_MS", 20)
    return module


@pytest.fixture
def train_as(
    the_training_module: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Have medsr-train end in this way from now on: see training_double."""
    process = the_training_module.TrainingProcess

    def end_with(ending: str) -> None:
        program = training_program(tmp_path, ending)
        monkeypatch.setattr(the_training_module, "TrainingProcess", lambda: process(program))

    end_with("")
    return end_with


@pytest.fixture
def given(tmp_path: Path) -> Callable[[], list[list[str]]]:
    """The arguments that medsr-train was given, call by call."""
    written = tmp_path / "arguments.jsonl"
    return lambda: [json.loads(line) for line in written.read_text().splitlines()] if written.is_file() else []


@pytest.fixture
def a_training_panel(
    the_training_module: types.ModuleType,
    errors_shown: list[str],
    raised_in_slots: list[BaseException],
    train_as: Callable[[str], None],
) -> Iterator[Any]:
    """The module's widget, set up and entered."""
    with entered(the_training_module.MedicalSuperResolutionTrainingWidget) as panel:
        yield panel


@pytest.fixture
def ready(a_training_panel: Any, tmp_path: Path) -> Path:
    """The panel has all it needs: a manifest, and a folder for the run. Gives the folder."""
    manifest, run = tmp_path / "volumes.json", tmp_path / "my run"
    manifest.write_text("[]")
    ui = a_training_panel.ui
    ui.dataComboBox.currentIndex = ui.dataComboBox.findText("Manifest")
    ui.manifestPathLineEdit.currentPath = str(manifest)
    ui.runPathLineEdit.currentPath = str(run)
    return run


@pytest.fixture
def a_folder_of_two(tmp_path: Path) -> Path:
    """A folder with a volume that a patch of the recipe fits into, and with one that is too flat for it."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name, slices in (("large", 50), ("flat", 4)):
        array = np.zeros((slices, 50, 50), np.int16)
        files.write(Volume(array, Grid(array.shape, np.eye(4))), folder / f"{name}.nii.gz")
    return folder
