"""Compare: offered when there is something to compare, and a way back."""

from __future__ import annotations

from typing import Any

from medical_super_resolution.errors import VolumeError
from widget.helpers import enhance


def test_compare_waits_for_a_result(a_panel: Any, a_thick_volume: Any):
    assert not a_panel.ui.compareButton.enabled
    assert "Nothing to compare" in a_panel.ui.compareButton.toolTip


def test_compare_opens_and_closes(a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any):
    layout = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutOneUpRedSliceView)
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    assert a_panel._compare.is_active
    assert (a_panel.ui.compareButton.checked, a_panel.ui.compareButton.text) == (True, "Close comparison")
    a_panel.ui.compareButton.click()
    assert layout.GetViewArrangement() == layout.SlicerLayoutOneUpRedSliceView
    assert (a_panel.ui.compareButton.checked, a_panel.ui.compareButton.text) == (False, "Compare")


def test_compare_that_fails_says_why_once(a_panel: Any, a_thick_volume: Any, a_runner: Any, errors_shown: Any):
    enhance(a_panel, a_runner)
    a_panel._compare.enter = lambda *pair: (_ for _ in ()).throw(VolumeError("there are no slice views"))
    a_panel.ui.compareButton.click()
    assert errors_shown == ["There are no slice views."]
    assert not a_panel.ui.compareButton.checked


def test_a_result_is_compared_with_its_own_source_only(a_panel: Any, a_thick_volume: Any, a_runner: Any):
    enhance(a_panel, a_runner)
    result = a_panel._parameterNode.resultVolume
    assert a_panel._parameterNode.pair_to_compare() == (a_thick_volume, result)
    a_panel._parameterNode.inputVolume = result
    assert a_panel._parameterNode.pair_to_compare() is None


def test_removing_the_result_leaves_nothing_to_compare(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    enhance(a_panel, a_runner)
    slicer_python.mrmlScene.RemoveNode(a_panel._parameterNode.resultVolume)
    assert a_panel._parameterNode.pair_to_compare() is None
