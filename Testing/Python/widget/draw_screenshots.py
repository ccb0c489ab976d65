"""Draws Resources/Screenshots/slicer.png: the panel, and the views of a comparison, outside Slicer.

    MEDSR_BEFORE=thick.nii.gz MEDSR_AFTER=fine.nii.gz MEDSR_REPORT=fine.json \
        python -m pytest -n0 Testing/Python/widget/draw_screenshots.py

The files are input, output and report of `medsr enhance`. The panel is the module's own over Qt, with stand-ins for
the widgets of CTK and MRML; the slices are made by the module's comparison and by the slice logics of slicer-core.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vtk.util.numpy_support import vtk_to_numpy

from medical_super_resolution.report import Enhanced, Report
from medical_super_resolution.volumes.io import files
from widget.helpers import process_events, wait

SCREENSHOTS = Path(__file__).parents[3] / "Resources" / "Screenshots"
PANEL, HEIGHT, VIEW = 380, 760, (330, 760)
FILES = [os.environ.get(f"MEDSR_{name}", "") for name in ("BEFORE", "AFTER", "REPORT")]

pytestmark = pytest.mark.skipif(not all(FILES), reason="see the head of this file")


@pytest.fixture
def an_enhanced_scan(a_panel: Any, a_runner: Any) -> Any:
    """The panel after a run on the scan: its result is what `medsr enhance` has written."""
    import slicer

    before, after = files.read(FILES[0]), files.read(FILES[1])
    node = slicer.util.addVolumeFromArray(before.array, before.grid.ijk_to_ras, "FLAIR")
    node.CreateDefaultDisplayNodes()
    a_panel._parameterNode.inputVolume = node
    a_panel.ui.enhanceButton.click()
    a_runner.give(Enhanced(after, Report.from_dict(json.loads(Path(FILES[2]).read_text()))))
    wait(lambda: a_panel._run.current is None, seconds=60)
    return a_panel


def picture(widget: Any, width: int, height: int) -> Any:
    from PySide6 import QtGui

    widget.resize(width, height)
    widget.show()
    process_events(0.3, lambda: False)
    return widget.grab().toImage().convertToFormat(QtGui.QImage.Format.Format_RGB888)


def slice_picture(logic: Any) -> Any:
    """What a slice logic makes for its view."""
    from PySide6 import QtGui

    producer = logic.GetImageDataConnection().GetProducer()
    producer.Update()
    image = producer.GetOutputDataObject(0)
    width, height, _ = image.GetDimensions()
    colors = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3]
    colors = np.ascontiguousarray(colors)
    return QtGui.QImage(colors.data, width, height, 3 * width, QtGui.QImage.Format.Format_RGB888).copy()


def test_draw_the_comparison(an_enhanced_scan: Any, a_slicer: Any):
    from PySide6 import QtCore, QtGui

    from MedicalSuperResolutionLib.compare.layouts import COLUMNS

    panel = an_enhanced_scan
    panel.ui.compareButton.click()
    logics = [a_slicer.applicationLogic().GetSliceLogicByLayoutName(column.tag) for column in COLUMNS]
    for logic in logics:
        logic.ResizeSliceNode(*VIEW)
    panel._compare.comparison.fit()
    whole = QtGui.QImage(PANEL + len(logics) * (VIEW[0] + 2), HEIGHT, QtGui.QImage.Format.Format_RGB888)
    whole.fill(QtGui.QColor("white"))
    painter = QtGui.QPainter(whole)
    painter.drawImage(0, 0, picture(panel.parent, PANEL, HEIGHT))
    for number, (logic, column) in enumerate(zip(logics, COLUMNS, strict=True)):
        left, bar = PANEL + 2 + number * (VIEW[0] + 2), 24
        painter.drawImage(left, 0, slice_picture(logic))
        painter.fillRect(left, 0, VIEW[0], bar, QtGui.QColor(column.color))
        painter.drawText(QtCore.QRect(left, 0, VIEW[0], bar), QtCore.Qt.AlignmentFlag.AlignCenter, column.label)
    painter.end()
    assert whole.save(str(SCREENSHOTS / "slicer.png"))
