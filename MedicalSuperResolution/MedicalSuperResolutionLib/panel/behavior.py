"""Corrections of Qt's behavior: keys, clicks, texts, focus and scroll position of the panel; the width of views."""

from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace

import qt
import slicer

_SLIDER_WIDTH = 40  # pixels: narrower than the default of Slicer's slider, so that the title beside it is not cut


def reach_selectors(ui: SimpleNamespace) -> None:
    """Let Tab stop at the lists of nodes, too.

    The box inside a list of nodes hands its focus to the list (qMRMLNodeComboBox::setComboBox), which accepts none, so
    Tab would pass over both. Here the list hands it to the box, which also takes the keys.
    """
    for selector in vars(ui).values():
        if selector.inherits("qMRMLNodeComboBox"):
            box = next(child for child in selector.children() if child.inherits("QComboBox"))
            box.setFocusProxy(None)
            selector.setFocusProxy(box)
            _ActionKeys(box)


def make_room_for_none(ui: SimpleNamespace) -> None:
    """Let a list of nodes ask for the width of its entry for none; longer names of nodes would widen the panel."""
    for selector in vars(ui).values():
        if selector.inherits("qMRMLNodeComboBox") and selector.noneEnabled:
            box = next(child for child in selector.children() if child.inherits("QComboBox"))
            box.minimumContentsLength = len(selector.noneDisplay) + 1  # a letter takes what an x takes, on average


class _ActionKeys(qt.QObject):
    """Lets Enter carry out "Create new..." and "Rename..." in an open list of nodes, as a click does.

    Slicer carries them out by the mouse alone. A key that reaches one in the closed list leaves what was chosen: the
    list would show the action as if it was chosen, and no node.
    """

    def __init__(self, box: qt.QComboBox) -> None:
        super().__init__(box)
        self._box, self._chosen = box, 0
        for watched in (box, box.view()):
            watched.installEventFilter(self)
        box.connect("activated(int)", self._keep)

    def eventFilter(self, watched: qt.QObject, event: qt.QEvent) -> bool:  # Qt's name
        """Before each event; lets every other pass."""
        if event.type() == qt.QEvent.KeyPress and event.key() in (qt.Qt.Key_Return, qt.Qt.Key_Enter):
            view = self._box.view()
            if watched.inherits("QAbstractItemView") and self._is_action(view.currentIndex().row()):
                view.clicked(view.currentIndex())  # emits the signal
                return True
        if event.type() in (qt.QEvent.KeyPress, qt.QEvent.MouseButtonPress):
            self._chosen = self._box.currentIndex
        return False

    def _keep(self, index: int) -> None:
        if self._is_action(index):
            self._box.currentIndex = self._chosen

    def _is_action(self, index: int) -> bool:
        return self._box.itemData(index, qt.Qt.UserRole + 1) == "postItem"  # qMRMLSceneModel::UIDRole


def name_inner_boxes(ui: SimpleNamespace) -> None:
    """Let screen readers say the name of a list of nodes, a path or a slider at the boxes inside, where Tab stops."""
    for widget in vars(ui).values():
        if any(widget.inherits(name) for name in ("qMRMLNodeComboBox", "ctkPathLineEdit", "ctkSliderWidget")):
            for child in _descendants(widget):
                if any(child.inherits(name) for name in ("QComboBox", "QAbstractSlider", "QAbstractSpinBox")):
                    child.setProperty("accessibleName", widget.accessibleName)


def _descendants(parent: qt.QObject) -> Iterator[qt.QObject]:
    for child in parent.children():
        yield child
        yield from _descendants(child)


def show_texts_as_they_are(ui: SimpleNamespace) -> None:
    """Let no label take what is in angle brackets, as in the name of a volume, for formatting."""
    for label in vars(ui).values():
        if label.inherits("QLabel"):
            label.textFormat = qt.Qt.PlainText


def scroll_to_top(panel: qt.QWidget) -> None:
    """Show the beginning of the panel: Slicer's module panel stays where the module before was scrolled to."""
    area = panel
    while area is not None and not area.inherits("QScrollArea"):
        area = area.parentWidget()
    if area is not None:
        area.verticalScrollBar().setValue(0)


def enable(button: qt.QPushButton, *, enabled: bool) -> None:
    """Enable a button or not; the panel holds its focus meanwhile, instead of scrolling to the next."""
    panel = button.parentWidget()
    if button.focus and not enabled:
        panel.setFocus()
    button.enabled = enabled
    if panel.focus and enabled:
        button.setFocus()


def share_width(tags: Iterable[str], titles: Sequence[str]) -> None:
    """Let slice views share the width equally, whatever their title bars hold; Slicer's window must not grow.

    A view whose horizontal size policy is "ignored" asks for no width at all. A title gets the room that the longest of
    ``titles`` needs, as any of them may take its place.
    """
    manager = slicer.app.layoutManager()
    for widget in filter(None, (manager.sliceWidget(tag) for tag in tags) if manager else ()):
        widget.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Preferred)
        widget.sliceController().sliceOffsetSlider().setMinimumWidth(_SLIDER_WIDTH)
        for label in slicer.util.findChildren(widget, name="ViewLabel"):
            label.setMinimumWidth(_widest(label, titles))


def _widest(label: qt.QLabel, titles: Sequence[str]) -> int:
    """The largest width of a label in pixels, with its present text or one of these."""
    shown, widths = label.text, []
    for text in (*titles, shown):
        label.text = text
        widths.append(label.sizeHint.width())
    return max(widths)


class TypedNumbers(qt.QObject):
    """Lets a number be typed into a number box as into others.

    A comma is taken for the decimal point: Slicer has the point in every language, and its boxes drop a comma, so that
    2,5 would become 25. A number takes the place of words such as "auto": Qt drops what is typed between them.
    """

    def __init__(self, ui: SimpleNamespace) -> None:
        super().__init__()
        for widget in vars(ui).values():
            for box in (widget, *_descendants(widget)):  # a slider has its box inside
                if box.inherits("QAbstractSpinBox"):
                    box.installEventFilter(self)

    def eventFilter(self, box: qt.QObject, event: qt.QEvent) -> bool:  # Qt's name
        """Before each event; lets every other pass."""
        if event.type() != qt.QEvent.KeyPress or event.text() not in tuple("0123456789.,"):
            return False
        if box.text == box.specialValueText:
            box.selectAll()
        if event.text() != ",":
            return False
        point = qt.QKeyEvent(qt.QEvent.KeyPress, qt.Qt.Key_Period, qt.Qt.NoModifier, ".")
        qt.QApplication.sendEvent(box, point)
        return True


class SingleClick(qt.QObject):
    """Takes a double-click on a button for one click: the second would end what the first began, or delete more."""

    def __init__(self, ui: SimpleNamespace) -> None:
        super().__init__()
        for name, button in vars(ui).items():
            if button.inherits("QPushButton") and name != "beforeButton":  # which is clicked quickly, again and again
                button.installEventFilter(self)

    def eventFilter(self, button: qt.QObject, event: qt.QEvent) -> bool:  # Qt's name
        """Before each event; lets every other pass. Without a second press, a button is not clicked again."""
        return event.type() == qt.QEvent.MouseButtonDblClick


class FullHeight(qt.QObject):
    """Keeps a widget at least as tall as the texts that are wrapped in it need.

    Slicer's module panel asks each module once for the height that it needs at a width. In a module that is left and
    opened again, Qt then answers from memory for good (qSlicerModulePanel takes the QLayoutItem of the module out
    without deleting it), and texts that have grown since would be cut.
    """

    def __init__(self, widget: qt.QWidget) -> None:
        super().__init__(widget)
        widget.installEventFilter(self)

    def eventFilter(self, widget: qt.QWidget, event: qt.QEvent) -> bool:  # Qt's name
        """After each change of the width or of what is in the widget; lets every event pass."""
        if event.type() in (qt.QEvent.Resize, qt.QEvent.LayoutRequest):
            needed = widget.heightForWidth(widget.width)
            if needed != widget.minimumHeight:
                widget.minimumHeight = needed
        return False
