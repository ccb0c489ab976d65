"""The real medsr-train from the panel: from a folder of volumes to a model file, which the engine takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from tiny_recipe import TINY


@pytest.fixture
def a_folder_of_volumes(tmp_path: Path) -> Path:
    """Three smooth volumes of 36 x 36 x 36 voxels."""
    folder = tmp_path / "volumes"
    folder.mkdir()
    axes = np.meshgrid(*[np.arange(36)] * 3, indexing="ij")
    for number in range(3):
        array = sum(np.sin((axis + number) / (3 + number)) for axis in axes) * 200 + 700
        sitk.WriteImage(sitk.GetImageFromArray(array.astype(np.int16)), str(folder / f"mr_{number}.nii.gz"))
    return folder


@pytest.mark.slow
def test_a_folder_of_volumes_becomes_a_model(
    the_training_module: Any,
    a_folder_of_volumes: Path,
    tmp_path: Path,
    errors_shown: list[str],
    monkeypatch: pytest.MonkeyPatch,
):
    logic = the_training_module.MedicalSuperResolutionTrainingLogic()
    recipe, run, model = tmp_path / "mine.toml", tmp_path / "run", tmp_path / "mine.safetensors"
    recipe.write_text("\n".join(["steps = 2", "sample_every = 0", *TINY]))
    logic.train(recipe, a_folder_of_volumes, run, layout="volumes", device="cpu")
    chart = logic.showCurve(run)
    steps = chart.GetPlotSeriesNode().GetTableNode().GetTable().GetColumnByName("step")
    assert steps.GetValue(steps.GetNumberOfValues() - 1) == 2
    logic.export(run, model)
    monkeypatch.undo()  # torch can be imported again
    from medical_super_resolution import enhance

    fine = enhance(next(a_folder_of_volumes.iterdir()), model=str(model), factor=2)
    assert fine.array.shape == (72, 36, 36)
