"""The scripts of the documentation for Slicer's Python console run, with a runner that ends at once."""

from __future__ import annotations

from typing import Any

import pytest

import documentation
from widget.helpers import volume_names


@pytest.fixture
def a_scene_for_scripts(a_thick_volume: Any, slicer_python: Any) -> None:
    """The nodes that the scripts take."""
    a_thick_volume.SetName("CTChest")
    region = slicer_python.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    region.SetSize(6, 6, 9)
    region.SetCenter(9.5, 8.5, 12)


@pytest.mark.parametrize("code", documentation.scripts("the module"))
def test_scripts_run_in_slicer(
    code: str, the_module: Any, a_scene_for_scripts: None, a_runner: Any, slicer_python: Any
):
    names = {"slicer": slicer_python}
    exec(compile(code, "documentation", "exec"), names)
    if "thin" in names:
        assert len(volume_names()) == 1 + code.count(".enhance(")
        assert names["thin"].GetImageData().GetDimensions() == (20, 18, 32)
    else:
        assert volume_names() == ["CTChest"]
        assert a_runner.was_cancelled
