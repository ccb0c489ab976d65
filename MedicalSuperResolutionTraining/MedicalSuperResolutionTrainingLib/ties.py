"""Ties between widgets and text parameters that parameterNodeWrapper itself does not make."""

from collections.abc import Sequence

import ctk
import qt
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import GuiConnector


class PathTie(GuiConnector):
    """Ties a ctkPathLineEdit to a text parameter: a ``pathlib.Path`` could not be empty."""

    def __init__(self, edit: ctk.ctkPathLineEdit) -> None:
        super().__init__()
        self._edit = edit

    @staticmethod
    def canRepresent(widget: qt.QWidget, datatype: type) -> bool:
        return type(widget) is ctk.ctkPathLineEdit and datatype is str

    @staticmethod
    def create(widget: qt.QWidget, datatype: type) -> "PathTie | None":
        return PathTie(widget) if PathTie.canRepresent(widget, datatype) else None

    def widget(self) -> ctk.ctkPathLineEdit:
        return self._edit

    def read(self) -> str:
        return self._edit.currentPath

    def write(self, value: str) -> None:
        if self._edit.currentPath != value:  # setting it moves the cursor of somebody who types
            self._edit.currentPath = value

    def _connect(self) -> None:
        self._edit.currentPathChanged.connect(self.changed)  # not said of an empty path
        self._edit.validInputChanged.connect(self.changed)

    def _disconnect(self) -> None:
        self._edit.currentPathChanged.disconnect(self.changed)
        self._edit.validInputChanged.disconnect(self.changed)


class ChoiceTie(GuiConnector):
    """Ties a QComboBox to a text parameter; what can be chosen is known only when the program runs."""

    def __init__(self, box: qt.QComboBox) -> None:
        super().__init__()
        self._box = box

    def offer(self, names: Sequence[str], other: str = "") -> None:
        """List these. ``other`` is the text of a last entry, for which the parameter is empty."""
        listed = [self._box.itemData(index) for index in range(self._box.count)]
        if listed == [*names, *([""] if other else [])]:
            return
        wasBlocked, chosen = self._box.blockSignals(True), self.read()
        self._box.clear()
        for name in names:
            self._box.addItem(name, name)
        if other:
            self._box.addItem(other, "")
        self.write(chosen)
        self._box.blockSignals(wasBlocked)

    @staticmethod
    def canRepresent(widget: qt.QWidget, datatype: type) -> bool:
        return type(widget) is qt.QComboBox and datatype is str

    @staticmethod
    def create(widget: qt.QWidget, datatype: type) -> "ChoiceTie | None":
        return ChoiceTie(widget) if ChoiceTie.canRepresent(widget, datatype) else None

    def widget(self) -> qt.QComboBox:
        return self._box

    def read(self) -> str:
        return self._box.currentData or ""

    def write(self, value: str) -> None:
        """Choose one. What a scene names but is not here is listed as such, so that nothing is hidden."""
        index = self._box.findData(value)
        if index < 0:
            index = self._box.count
            self._box.addItem(_("{name} (not there)").format(name=value), value)
        self._box.currentIndex = index

    def _connect(self) -> None:
        self._box.currentIndexChanged.connect(self.changed)

    def _disconnect(self) -> None:
        self._box.currentIndexChanged.disconnect(self.changed)
