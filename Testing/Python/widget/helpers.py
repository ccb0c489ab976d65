"""Waiting for the panel, and looking at the scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def process_events(seconds: float, until: Callable[[], Any]) -> None:
    """Run Qt's event loop until something holds, at most for some seconds."""
    from PySide6 import QtCore, QtWidgets

    end = QtCore.QDeadlineTimer(int(1000 * seconds))
    while not until() and not end.hasExpired():
        QtWidgets.QApplication.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 20)


def wait(until: Callable[[], Any], seconds: float = 10) -> None:
    """Let Qt work until something holds; it must within so many seconds."""
    process_events(seconds, until)
    assert until()


def enhance(panel: Any, runner: Any) -> None:
    """Click Enhance and let the run end well."""
    panel.ui.enhanceButton.click()
    runner.finish()
    wait(lambda: panel._enhancement is None)


def volume_names() -> list[str]:
    """The volumes in the scene."""
    import slicer

    return [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
