"""Ties between widgets and parameters that parameterNodeWrapper itself does not make."""

from collections.abc import Sequence
from types import SimpleNamespace

import qt
from slicer.parameterNodeWrapper import GuiConnector

from MedicalSuperResolutionLib.translation import tr as _


class _Connector(GuiConnector):
    """Ties one widget. A panel makes it itself, so Slicer never asks its class what it can tie."""

    canRepresent = create = None

    def __init__(self, widget: qt.QWidget) -> None:
        super().__init__()
        self._widget = widget

    def widget(self) -> qt.QWidget:
        return self._widget


class PathConnector(_Connector):
    """Ties a ctkPathLineEdit to a text parameter: a ``pathlib.Path`` could not be empty."""

    def read(self) -> str:
        return self._widget.currentPath

    def write(self, value: str) -> None:
        if self._widget.currentPath != value:  # setting it would move the cursor while the user types
            self._widget.currentPath = value

    def _connect(self) -> None:
        self._widget.currentPathChanged.connect(self.changed)  # not emitted for an empty path
        self._widget.validInputChanged.connect(self.changed)

    def _disconnect(self) -> None:
        self._widget.currentPathChanged.disconnect(self.changed)
        self._widget.validInputChanged.disconnect(self.changed)


class NumberConnector(_Connector):
    """Ties a QDoubleSpinBox or a ctkSliderWidget to a number; its range is that in the .ui file.

    Slicer's own connector sets the number again after each digit, and the box then writes all its decimals: after the 1
    of 1.5 it holds 1.000 and takes neither point nor 5. The number is what the box shows: a slider adds up its steps,
    and may end at 9e-18 in place of 0.
    """

    def read(self) -> float:
        return round(self._widget.value, self._widget.decimals)

    def write(self, value: float) -> None:
        if self._widget.value != value:
            self._widget.value = value

    def _connect(self) -> None:
        self._widget.valueChanged.connect(self.changed)

    def _disconnect(self) -> None:
        self._widget.valueChanged.disconnect(self.changed)


def number_connectors(ui: SimpleNamespace) -> dict[str, NumberConnector]:
    """Those of the panel's numbers that are not whole, by the names of the parameters."""
    names = ("factor", "spacingI", "spacingJ", "spacingK", "sliceThickness")
    boxes = {name: NumberConnector(getattr(ui, f"{name}SpinBox")) for name in names}
    return {**boxes, "detail": NumberConnector(ui.detailSlider)}


class ChoiceConnector(_Connector):
    """Ties a QComboBox to a text parameter; the choices are listed at run time."""

    def offer(self, names: Sequence[str], other: str = "") -> None:
        """List these. ``other`` is the text of a last entry, for which the parameter is empty."""
        box = self._widget
        listed = [box.itemData(index) for index in range(box.count)]
        if listed == [*names, *([""] if other else [])]:
            return
        wasBlocked, chosen = box.blockSignals(True), self.read()
        box.clear()
        for name in names:
            box.addItem(name, name)
        if other:
            box.addItem(other, "")
        if chosen or other:  # else the first
            self.write(chosen)
        box.blockSignals(wasBlocked)

    def read(self) -> str:
        return self._widget.currentData or ""

    def write(self, value: str) -> None:
        """Choose one. An unknown name, from a saved scene, is listed as missing."""
        index = self._widget.findData(value)
        if index < 0:
            index = self._widget.count
            self._list_missing(value)
        self._widget.currentIndex = index

    def _list_missing(self, value: str) -> None:
        self._widget.addItem(_("{name} (not there)").format(name=value), value)

    def _connect(self) -> None:
        self._widget.currentIndexChanged.connect(self.changed)

    def _disconnect(self) -> None:
        self._widget.currentIndexChanged.disconnect(self.changed)
