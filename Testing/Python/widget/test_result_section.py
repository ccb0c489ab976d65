"""The buttons below Compare: the note of the latest result, and its deletion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from widget.helpers import double_click, enhance, settle, volume_names, wait


def test_the_note_opens_and_names_the_direction_of_the_patient(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any, monkeypatch: pytest.MonkeyPatch
):
    shown = []
    monkeypatch.setattr(slicer_python.util, "infoDisplay", lambda text, **options: shown.append((text, options)))
    assert a_panel.ui.resultWidget.isHidden()
    enhance(a_panel, a_runner)
    assert not a_panel.ui.resultWidget.isHidden()
    a_panel.ui.noteButton.click()
    ((text, options),) = shown
    assert "3 times finer along S" in text
    assert options["windowTitle"] == "What was done: Thick 1 mm"


def test_delete_result_leaves_nothing_of_it(a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any):
    import slicer_host

    nodes = slicer_host.node_ids(slicer_python.mrmlScene)
    a_panel.ui.uncertaintyCheckBox.checked = True
    enhance(a_panel, a_runner)
    a_panel.ui.deleteButton.click()
    assert slicer_host.node_ids(slicer_python.mrmlScene) == nodes
    assert volume_names() == ["Thick"]
    assert (a_panel.ui.resultWidget.isHidden(), a_panel.ui.compareButton.enabled) == (True, False)


def test_delete_result_leaves_nothing_of_a_sequence(a_panel: Any, a_runner: Any, slicer_python: Any):
    import slicer_host

    proxy = slicer_host.add_sequence([np.zeros((8, 18, 20), np.int16)], np.diag([1.0, 1.0, 3.0, 1.0]))
    nodes = slicer_host.node_ids(slicer_python.mrmlScene)
    enhance(a_panel, a_runner)
    a_panel.ui.deleteButton.click()
    assert slicer_host.node_ids(slicer_python.mrmlScene) == nodes
    assert slicer_python.util.getNodesByClass("vtkMRMLSequenceBrowserNode")[0].GetSequenceNode(proxy) is not None


def test_what_is_below_the_button_belongs_to_the_input_also_where_that_was_changed_during_the_run(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    ui = a_panel.ui
    other = slicer_python.util.addVolumeFromArray(np.zeros((8, 18, 20), np.int16), name="Other")
    ui.enhanceButton.click()
    ui.inputSelector.setCurrentNode(other)
    a_runner.finish()
    wait(lambda: a_panel._run.current is None)
    assert (ui.resultWidget.isHidden(), ui.compareButton.enabled) == (True, False)
    assert ui.statusLabel.text == "Done: Thick 1 mm"
    ui.inputSelector.setCurrentNode(a_thick_volume)
    assert (ui.resultWidget.isHidden(), ui.compareButton.enabled) == (False, True)
    assert ui.noteButton.toolTip == "Read what was done to make Thick 1 mm."


def test_a_double_click_on_delete_deletes_one_result(a_panel: Any, a_thick_volume: Any, a_runner: Any):
    for _ in range(2):
        enhance(a_panel, a_runner)
    double_click(a_panel.ui.deleteButton)
    assert volume_names() == ["Thick", "Thick 1 mm"]
    a_panel.ui.deleteButton.click()
    assert volume_names() == ["Thick"]


def test_the_result_before_is_offered_where_the_latest_was_removed(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    for _ in range(2):
        enhance(a_panel, a_runner)
    assert a_panel.ui.deleteButton.toolTip.startswith("Remove Thick 1 mm_1 from")
    a_panel.ui.deleteButton.click()
    assert a_panel.ui.deleteButton.toolTip.startswith("Remove Thick 1 mm from")
    slicer_python.mrmlScene.RemoveNode(slicer_python.util.getNode("Thick 1 mm"))
    settle()
    assert a_panel.ui.resultWidget.isHidden()


def test_a_copy_of_a_result_is_no_result(a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any):
    enhance(a_panel, a_runner)
    chosen = a_panel._parameterNode
    result, copy = chosen.resultVolume, slicer_python.vtkMRMLScalarVolumeNode()
    copy.Copy(result)  # as Clone in the module Data
    slicer_python.mrmlScene.AddNode(copy)
    chosen.resultVolume = None
    assert chosen.present_result() is result
    slicer_python.mrmlScene.RemoveNode(result)
    assert chosen.present_result() is copy


def test_a_result_does_not_take_the_place_of_an_input_that_was_removed(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    enhance(a_panel, a_runner)
    other = slicer_python.util.addVolumeFromArray(np.zeros((8, 18, 20), np.int16), name="Other")
    slicer_python.mrmlScene.RemoveNode(a_thick_volume)
    settle()
    assert a_panel.ui.inputSelector.currentNode() is other


def test_a_removed_input_is_noticed_while_it_runs(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any, errors_shown: list[str]
):
    a_panel.ui.enhanceButton.click()
    slicer_python.mrmlScene.RemoveNode(a_thick_volume)  # the engine is still at work
    wait(lambda: a_panel._run.current is None, seconds=2)
    assert a_runner.was_cancelled
    assert errors_shown == ["The volume Thick was removed meanwhile; nothing was made."]


def test_after_delete_result_the_next_one_has_the_plain_name(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    for _ in range(2):
        enhance(a_panel, a_runner)
    assert volume_names() == ["Thick", "Thick 1 mm", "Thick 1 mm_1"]
    for name in ("Thick 1 mm_1", "Thick 1 mm"):
        a_panel._parameterNode.resultVolume = slicer_python.util.getNode(name)
        a_panel.ui.deleteButton.click()
    enhance(a_panel, a_runner)
    assert volume_names() == ["Thick", "Thick 1 mm"]


class Focusable:
    """A widget as Qt moves the focus: from a button that is disabled to what comes next, far below."""

    def __init__(self, panel: Focusable | None = None):
        self._panel, self._enabled, self.has, self.scrolled = panel, True, panel is not None, False

    focus = property(lambda self: self.has)

    @property
    def enabled(self) -> bool:
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self.scrolled = self.scrolled or (self.has and not value)
        self._enabled = value

    def parentWidget(self) -> Focusable | None:  # Qt's name
        return self._panel

    def setFocus(self) -> None:  # Qt's name
        self.has = True


def test_enhance_gives_no_focus_away_while_it_is_disabled(a_panel: Any):
    from MedicalSuperResolutionLib.panel import behavior

    panel = Focusable()
    button = Focusable(panel)
    panel.setFocus = lambda: (setattr(panel, "has", True), setattr(button, "has", False))
    button.setFocus = lambda: (setattr(button, "has", True), setattr(panel, "has", False))
    behavior.enable(button, enabled=False)
    assert (button.enabled, panel.focus, button.scrolled) == (False, True, False)
    behavior.enable(button, enabled=True)
    assert (button.enabled, button.focus) == (True, True)
