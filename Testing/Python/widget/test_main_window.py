"""The panel and the compare views in a window of the size of a small screen."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

import pytest

from widget.helpers import enhance, settle, texts_cut_in

WIDTH, HEIGHT = 1366, 768
PANEL = 420  # pixels: about what Slicer gives its module panel


@pytest.fixture
def a_window(
    a_panel: Any, a_slicer: Any, slicer_python: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[types.SimpleNamespace]:
    """Slicer's main window: the panel in a scroll area at the left, the views in the middle."""
    from PySide6 import QtCore, QtWidgets

    from widget import slicer_widgets

    window, dock, scroll = QtWidgets.QMainWindow(), QtWidgets.QDockWidget(), QtWidgets.QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setWidget(a_panel.parent)
    scroll.setMinimumWidth(PANEL)
    dock.setWidget(scroll)
    window.addDockWidget(QtCore.Qt.DockWidgetArea.LeftDockWidgetArea, dock)
    central = QtWidgets.QWidget()
    QtWidgets.QHBoxLayout(central).setContentsMargins(0, 0, 0, 0)
    window.setCentralWidget(central)
    window.resize(WIDTH, HEIGHT)
    window.show()
    manager = slicer_widgets.LayoutManager(a_slicer, central)
    monkeypatch.setattr(a_slicer, "layoutManager", lambda: manager)
    monkeypatch.setattr(slicer_python.util, "mainWindow", lambda: window)
    yield types.SimpleNamespace(window=window, scroll=scroll, view=manager.sliceWidget)
    scroll.takeWidget()
    window.close()


@pytest.fixture
def comparing(a_window: Any, a_panel: Any, a_thick_volume: Any, a_runner: Any) -> Any:
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    settle()
    return a_window


def views(window: Any) -> list[Any]:
    return [window.view(f"MedicalSuperResolution{name}") for name in ("Before", "After", "Difference")]


def test_comparing_does_not_widen_the_window(comparing: Any, a_panel: Any):
    assert (comparing.window.width(), comparing.window.minimumSizeHint().width() <= WIDTH) == (WIDTH, True)
    a_panel.ui.overlayComboBox.currentIndex = a_panel.ui.overlayComboBox.findText("Uncertainty")
    settle()
    assert (comparing.window.width(), comparing.window.minimumSizeHint().width() <= WIDTH) == (WIDTH, True)


@pytest.mark.parametrize("width", [1100, WIDTH, 2560])
def test_the_views_are_equally_wide_at_any_size_and_their_titles_whole(comparing: Any, width: int):
    comparing.window.resize(width, HEIGHT)
    settle()
    widths = [view.width for view in views(comparing)]
    assert max(widths) - min(widths) <= 1
    for view in views(comparing):
        assert view._label.width >= view._label.sizeHint.width()


def test_enhance_and_compare_are_visible_without_scrolling(a_window: Any, a_panel: Any, a_thick_volume: Any):
    settle()
    assert a_window.scroll.verticalScrollBar().value() == 0
    for button in (a_panel.ui.enhanceButton, a_panel.ui.compareButton):
        bottom = button.mapTo(a_panel.parent, button.rect.bottomLeft()).y()
        assert bottom <= a_window.scroll.viewport().height()


def test_the_panel_asks_for_the_height_of_all_lines_of_its_texts(a_window: Any, a_panel: Any):
    settle()
    label = a_panel.ui.noticeLabel
    form, one_line = label.parentWidget(), label.parentWidget().property("minimumHeight")
    label.text = "Slicer remembers how tall a module was. " * 20
    settle()
    needed = form.heightForWidth(form.property("width"))
    assert one_line < needed <= form.property("minimumHeight")
    assert label.height >= label.heightForWidth(label.width)


@pytest.fixture(params=[(9, 300), (9, 340), (12, 320), (18, 440)], ids=lambda size: f"{size[0]} pt")
def a_narrow_width(request: pytest.FixtureRequest) -> Iterator[int]:
    """In pixels, for a size of the font in points that Slicer's settings offer."""
    from PySide6 import QtGui, QtWidgets

    points, width = request.param
    before = QtWidgets.QApplication.font()
    QtWidgets.QApplication.setFont(QtGui.QFont(before.family(), points))
    yield width
    QtWidgets.QApplication.setFont(before)


def test_nothing_is_cut_in_a_narrow_panel(a_narrow_width: int, a_panel: Any, a_thick_volume: Any):
    from PySide6 import QtCore, QtWidgets

    width = a_narrow_width
    a_panel._parameterNode.goal = type(a_panel._parameterNode.goal).CUSTOM_SPACING
    for name in ("compare", "advanced", "queue", "dicom", "setup"):
        getattr(a_panel.ui, f"{name}CollapsibleButton").collapsed = False
    a_panel.parent.resize(width, 1800)
    a_panel.parent.show()
    settle()
    assert a_panel.parent.minimumSizeHint.width() <= width
    shown = [child for child in a_panel.parent.findChildren(QtWidgets.QWidget) if child.isVisible()]
    right_edges = {
        child.property("objectName"): child.mapTo(a_panel.parent, QtCore.QPoint(child.property("width"), 0)).x()
        for child in shown
        if child.parentWidget() is not None
    }
    outside = [name for name, edge in right_edges.items() if edge > width]
    assert [name for name in outside if name and not name.startswith("qt_")] == []
    boxes = [child for child in shown if isinstance(child, QtWidgets.QComboBox) and child.property("count")]
    assert {text for box in boxes for text in texts_cut_in(box)} - {"Thick"} == set()


def test_nothing_is_cut_after_the_user_has_chosen_a_larger_font(a_panel: Any, a_thick_volume: Any):
    from PySide6 import QtGui, QtWidgets

    for name in ("compare", "advanced"):
        getattr(a_panel.ui, f"{name}CollapsibleButton").collapsed = False
    a_panel.parent.resize(436, 1800)
    a_panel.parent.show()
    settle()
    before = QtWidgets.QApplication.font()
    QtWidgets.QApplication.setFont(QtGui.QFont(before.family(), 18))
    settle()
    cut = {name: texts_cut_in(getattr(a_panel.ui, f"{name}ComboBox")) for name in ("overlay", "modality", "profile")}
    QtWidgets.QApplication.setFont(before)
    assert cut == {"overlay": [], "modality": [], "profile": []}


def test_the_key_shows_before_in_place_of_after_and_back(comparing: Any, a_panel: Any, slicer_python: Any):
    composite = slicer_python.mrmlScene.GetSingletonNode("MedicalSuperResolutionAfter", "vtkMRMLSliceCompositeNode")
    node = slicer_python.mrmlScene.GetSingletonNode("MedicalSuperResolutionAfter", "vtkMRMLSliceNode")
    shortcut = a_panel._compare._shortcut
    seen = []
    for _ in range(2):
        shortcut.activated.emit()
        seen.append((composite.GetForegroundOpacity(), node.GetLayoutLabel()))
    assert seen == [(1.0, "Before"), (0.0, "After")]
    a_panel.ui.compareButton.click()
    assert not shortcut.enabled


def test_the_key_is_free_for_other_modules_while_comparing(comparing: Any, a_panel: Any):
    section, enabled = a_panel._compare, []
    a_panel.exit()
    enabled.append(section._shortcut.enabled)
    section._enter_anew()  # as after a change of a volume
    enabled.append(section._shortcut.enabled)
    a_panel.enter()
    enabled.append(section._shortcut.enabled)
    assert (enabled, section.comparison.is_active) == ([False, False, True], True)


def test_the_key_works_after_another_arrangement_was_chosen(comparing: Any, a_panel: Any):
    """Two shortcuts of one key would be ambiguous: Qt calls neither."""
    from PySide6 import QtCore, QtTest

    a_panel.ui.arrangementComboBox.currentIndex = a_panel.ui.arrangementComboBox.findText("All planes")
    comparing.window.activateWindow()
    settle()
    QtTest.QTest.keyClick(comparing.window, QtCore.Qt.Key.Key_X)
    assert a_panel.ui.beforeButton.checked


def test_other_views_are_shown_when_they_are_chosen(comparing: Any, a_panel: Any, slicer_python: Any):
    layout = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    before = layout.GetViewArrangement()
    a_panel.ui.arrangementComboBox.currentIndex = a_panel.ui.arrangementComboBox.findText("All planes")
    assert layout.GetViewArrangement() == before + 2
    assert not a_panel.ui.planeComboBox.enabled
    a_panel.ui.compareButton.click()
    a_panel.ui.compareButton.click()
    assert layout.GetViewArrangement() == before + 2  # remembered


def test_a_window_for_ct_is_offered_for_ct_only(comparing: Any, a_panel: Any, a_thick_volume: Any, slicer_python: Any):
    assert not a_panel.ui.windowComboBox.enabled
    units = slicer_python.vtkCodedEntry()
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    for node in (a_thick_volume, a_panel._parameterNode.resultVolume):
        node.SetVoxelValueUnits(units)
    for _ in range(2):
        a_panel.ui.compareButton.click()
    a_panel.ui.windowComboBox.currentIndex = a_panel.ui.windowComboBox.findText("Lung")
    display = a_thick_volume.GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel()) == (1500, -600)
    assert a_panel.ui.comparisonLabel.text.endswith(" HU.")


def test_an_enlarged_view_does_not_keep_the_comparison_or_the_next_layout_away(
    a_window: Any, a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    enhance(a_panel, a_runner)
    layout = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    for tag in ("Red", "MedicalSuperResolutionAfter"):
        view = slicer_python.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceNode")
        layout.AddMaximizedViewNode(view)
        a_panel.ui.compareButton.click()
        assert layout.GetMaximizedViewNode(0) is None


def test_another_layout_ends_the_comparison(comparing: Any, a_panel: Any, slicer_python: Any):
    layout = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutOneUpRedSliceView)
    assert (a_panel.ui.compareButton.text, a_panel.ui.compareButton.checked) == ("Compare", False)
    assert not a_panel._compare._shortcut.enabled
    assert layout.GetViewArrangement() == layout.SlicerLayoutOneUpRedSliceView
    hidden = [node.GetName() for node in slicer_python.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
    assert hidden == ["Thick", "Thick 1 mm"]
    a_panel.ui.compareButton.click()
    assert a_panel.ui.compareButton.checked


def test_slicer_that_is_closed_while_comparing_starts_with_the_layout_before(
    comparing: Any, a_panel: Any, slicer_python: Any
):
    from PySide6 import QtCore

    layout = slicer_python.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    QtCore.QSettings().setValue("MainWindow/layout", layout.GetViewArrangement())  # as Slicer does first
    a_panel.cleanup()
    assert int(QtCore.QSettings().value("MainWindow/layout")) == layout.GetViewArrangement() < 100


def test_titles_have_room_for_before_in_place_of_after(comparing: Any, a_panel: Any):
    a_panel.ui.beforeButton.click()
    settle()
    for view in views(comparing):
        assert view._label.width >= view._label.sizeHint.width()


def test_tab_stops_at_every_list_of_nodes_in_the_order_of_the_panel(a_window: Any, a_panel: Any):
    """The next widgets by Qt's own rule: those that take focus by Tab and hand it to no other."""
    from PySide6 import QtCore, QtWidgets

    start = widget = a_panel.ui.inputSelector
    names = []
    while (widget := widget.nextInFocusChain()) is not start:
        takes_tab = QtWidgets.QWidget.focusPolicy(widget) & QtCore.Qt.FocusPolicy.TabFocus
        if takes_tab and widget.focusProxy() is None:
            names.append(QtCore.QObject.objectName(widget) or QtCore.QObject.objectName(widget.parent()))
    lists = ["inputSelector", "compareSelector", "regionSelector", "segmentationSelector", "outputSelector"]
    lists += ["queueSelector", "exportSelector"]
    assert [name for name in names if name in lists] == lists
    assert names.index("regionSelector") < names.index("modelComboBox") < names.index("outputSelector")


def test_the_panel_opens_at_its_top_wherever_another_was_scrolled_to(a_window: Any, a_panel: Any):
    a_window.window.resize(WIDTH, HEIGHT // 4)
    settle()
    bar = a_window.scroll.verticalScrollBar()
    bar.setValue(bar.maximum())
    assert bar.value() > 0
    a_panel.exit()
    a_panel.enter()
    assert bar.value() == 0
