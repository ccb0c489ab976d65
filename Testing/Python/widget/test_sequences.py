"""Sequences in the panel: one line, one progress and one result for all items."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from widget.helpers import volume_names, wait


@pytest.fixture
def a_proxy(a_slicer: Any) -> Any:
    """Shows the first of three items of 20 x 18 x 8 voxels."""
    import slicer_host

    arrays = [np.full((8, 18, 20), 100 * number, np.int16) for number in range(3)]
    return slicer_host.add_sequence(arrays, np.diag([1.0, 1.0, 3.0, 1.0]))


def finish_items(panel: Any, runner: Any, count: int) -> None:
    for _ in range(count):
        started = runner.volume
        runner.finish()
        wait(lambda: panel._run.current is None or runner.volume is not started)  # noqa: B023 - waited for here


def test_the_line_before_the_click_counts_the_items(a_panel: Any, a_proxy: Any):
    assert a_panel.ui.descriptionLabel.text.startswith("3 volumes of a sequence, each 20x18x8 at")
    chosen = a_panel._parameterNode
    chosen.goal, chosen.spacingI, chosen.spacingJ, chosen.spacingK = type(chosen.goal).CUSTOM_SPACING, 0.5, 0.5, 1.0
    assert "40x36x24 at 0.50x0.50x1.00 mm, 0.2 MB in all, about " in a_panel.ui.descriptionLabel.text  # 69 kB each


def test_a_click_enhances_all_items(a_panel: Any, a_proxy: Any, a_runner: Any, slicer_python: Any):
    a_panel.ui.enhanceButton.click()
    finish_items(a_panel, a_runner, 2)
    assert volume_names() == ["Phases"]
    wait(lambda: a_panel.ui.progressBar.value in range(660, 670))
    finish_items(a_panel, a_runner, 1)
    assert a_panel._run.current is None
    assert volume_names() == ["Phases", "Phases 1 mm"]
    assert len(slicer_python.util.getNodesByClass("vtkMRMLSequenceNode")) == 2
    assert a_panel.ui.statusLabel.text == "Done: Phases 1 mm"
    assert a_panel._parameterNode.resultVolume.GetImageData().GetDimensions() == (20, 18, 24)


def test_cancelling_between_items_leaves_nothing(a_panel: Any, a_proxy: Any, a_runner: Any, slicer_python: Any):
    a_panel.ui.enhanceButton.click()
    finish_items(a_panel, a_runner, 1)
    a_panel.ui.enhanceButton.click()
    assert a_panel.ui.statusLabel.text == "Stopped. Nothing was changed."
    assert a_runner.was_cancelled
    assert volume_names() == ["Phases"]
    assert len(slicer_python.util.getNodesByClass("vtkMRMLSequenceNode")) == 1


def test_an_output_volume_disables_enhance(a_panel: Any, a_proxy: Any, a_thick_volume: Any):
    a_panel.ui.inputSelector.setCurrentNode(a_proxy)
    a_panel.ui.outputSelector.setCurrentNode(a_thick_volume)
    assert not a_panel.ui.enhanceButton.enabled
    assert "which becomes a new sequence; choose no output volume" in a_panel.ui.enhanceButton.toolTip


def test_a_script_gets_the_volume_that_shows_the_sequence(the_module: Any, a_proxy: Any):
    heard = []
    logic = the_module.MedicalSuperResolutionLogic()
    node = logic.enhance(a_proxy, progress=lambda done, total: heard.append(done / total))
    assert node.GetName() == "Phases 1 mm"
    assert heard == pytest.approx([1 / 6, 3 / 6, 5 / 6])


@pytest.mark.parametrize("kind", ["vtkMRMLSequenceBrowserNode", "vtkMRMLSequenceNode"])
@pytest.mark.parametrize("is_input", [True, False])
def test_without_its_browser_or_its_sequence_the_volume_is_one_alone(
    a_panel: Any, a_proxy: Any, slicer_python: Any, kind: str, is_input: bool
):
    a_panel._parameterNode.inputVolume = a_proxy if is_input else None
    slicer_python.mrmlScene.RemoveNode(slicer_python.mrmlScene.GetFirstNodeByClass(kind))
    wait(lambda: a_panel.ui.descriptionLabel.text.startswith("20x18x8 at"))
