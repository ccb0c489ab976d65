"""Many clicks on Enhance: the scene, the panel's observers and the memory stay as they were after the first."""

from __future__ import annotations

import gc
import os
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from widget.helpers import enhance, settle, wait

CLICKS = 12
ALLOWED_MB = 10  # about 0.1 were measured


def memory_mb() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_a_run_that_is_over_is_forgotten_with_its_volume(a_panel: Any, a_runner: Any, slicer_python: Any):
    slicer_python.util.addVolumeFromArray(np.zeros((4, 8, 8), np.int16), np.diag([1.0, 1.0, 4.0, 1.0]), "Small")
    a_panel.enter()
    a_panel.ui.enhanceButton.click()
    run = weakref.ref(a_panel._run.current)
    a_runner.finish()
    wait(lambda: a_panel._run.current is None)
    settle()
    gc.collect()
    assert run() is None


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.slow
def test_many_clicks_leave_nothing_behind(a_panel: Any, a_runner: Any, slicer_python: Any):
    import slicer_host

    scene = slicer_python.mrmlScene
    array = np.zeros((20, 96, 96), np.int16)  # the result holds 1.5 MB: twelve would be seen
    slicer_python.util.addVolumeFromArray(array, np.diag([1.0, 1.0, 4.0, 1.0]), "Medium")
    output = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Output")
    a_panel.enter()
    a_panel.ui.outputSelector.setCurrentNode(output)
    for _ in range(3):
        enhance(a_panel, a_runner)
    nodes, observed, before = slicer_host.node_ids(scene), len(a_panel.Observations), memory_mb()
    for _ in range(CLICKS):
        enhance(a_panel, a_runner)
    assert memory_mb() - before < ALLOWED_MB
    assert slicer_host.node_ids(scene) == nodes
    assert len(a_panel.Observations) == observed
