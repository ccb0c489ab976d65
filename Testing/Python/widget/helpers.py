"""A panel as Slicer opens it, waiting for it, and looking at the scene."""

from __future__ import annotations

import importlib.util
import sys
import time
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

TESTS_OF_SLICER = Path(__file__).parents[2] / "Slicer"


@contextmanager
def made(widget_class: Callable[[Any], Any]) -> Iterator[Any]:
    """A module's widget as Slicer makes it, cleaned up in the end."""
    import qt
    import slicer

    parent = slicer.qMRMLWidget()
    qt.QVBoxLayout(parent)
    parent.isEntered = True
    panel = widget_class(parent)
    yield panel
    panel.cleanup()
    parent.setMRMLScene(None)


@contextmanager
def entered(widget_class: Callable[[Any], Any]) -> Iterator[Any]:
    """A module's widget, set up and entered, and cleaned up in the end."""
    with made(widget_class) as panel:
        panel.setup()
        panel.enter()
        yield panel


def packages_left_by_reload(panel: Any, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The packages in sys.modules at the moment when Slicer reloads the module."""
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget

    before, reloaded = dict(sys.modules), []
    monkeypatch.setattr(ScriptedLoadableModuleWidget, "onReload", reloaded.append)
    try:
        panel.onReload()
        left = {name.partition(".")[0] for name in sys.modules}
    finally:
        sys.modules.update(before)
    assert reloaded == [panel]
    return left


def run_tests_of_slicer(name: str) -> None:
    """Those that ctest runs inside Slicer, of a file of Testing/Slicer."""
    specification = importlib.util.spec_from_file_location(name, TESTS_OF_SLICER / f"{name}.py")
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    check_passing(unittest.defaultTestLoader.loadTestsFromModule(script))


def check_passing(tests: unittest.TestSuite) -> None:
    """There are several, and each passes."""
    result = unittest.TestResult()
    tests.run(result)
    assert result.testsRun > 1
    assert [text for _, text in result.errors + result.failures] == []


def take_torch_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nothing starts, as where PyTorch is not installed."""
    from MedicalSuperResolutionLib.setup import torch as torch_setup

    missing = torch_setup.RequirementsMissing("PyTorch is not installed.")
    monkeypatch.setattr(torch_setup, "ensure_engine", mock.Mock(side_effect=missing))


def process_events(seconds: float, until: Callable[[], Any]) -> None:
    """Run Qt's event loop until something holds, at most for some seconds."""
    from PySide6 import QtCore, QtWidgets

    end = QtCore.QDeadlineTimer(int(1000 * seconds))
    while not until() and not end.hasExpired():
        QtWidgets.QApplication.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 20)
        time.sleep(0.005)  # Qt returns at once where nothing happens; a child that is waited for needs the processor


def settle() -> None:
    """Let Qt lay out and draw, with the timers that only wait for their turn."""
    from PySide6 import QtWidgets

    for _ in range(20):
        QtWidgets.QApplication.processEvents()
        time.sleep(0.002)


def wait(until: Callable[[], Any], seconds: float = 60) -> None:
    """Let Qt work until something holds; it must within so many seconds."""
    process_events(seconds, until)
    assert until()


def enhance(panel: Any, runner: Any) -> None:
    """Click Enhance and let the run end well."""
    panel.ui.enhanceButton.click()
    runner.finish()
    wait(lambda: panel._run.current is None)


def volume_names() -> list[str]:
    """The volumes in the scene."""
    import slicer

    return [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]


def texts_cut_in(box: Any) -> list[str]:
    """The entries of a list that are wider than it is, without its arrow and its frame."""
    from PySide6 import QtWidgets

    drawn, part = QtWidgets.QStyleOptionComboBox(), QtWidgets.QStyle.SubControl.SC_ComboBoxEditField
    box.initStyleOption(drawn)
    width = box.style().subControlRect(QtWidgets.QStyle.ComplexControl.CC_ComboBox, drawn, part, box).width()
    texts = [box.itemText(index) for index in range(box.property("count"))]
    return [text for text in texts if box.fontMetrics().horizontalAdvance(text) > width]


def double_click(button: Any) -> None:
    """What Qt sends to a button that is double-clicked."""
    from PySide6 import QtCore, QtGui, QtWidgets

    kinds, left = QtCore.QEvent.Type, QtCore.Qt.MouseButton.LeftButton
    place = QtCore.QPointF(3, 3)
    for kind in (kinds.MouseButtonPress, kinds.MouseButtonRelease, kinds.MouseButtonDblClick, kinds.MouseButtonRelease):
        event = QtGui.QMouseEvent(kind, place, place, left, left, QtCore.Qt.KeyboardModifier.NoModifier)
        QtWidgets.QApplication.sendEvent(button, event)
