"""The list of installed models in the panel."""

from pathlib import Path

import qt

from medical_super_resolution.errors import ModelError
from medical_super_resolution.models import store
from medical_super_resolution.models.store import read_header
from medical_super_resolution.system.paths import is_file
from MedicalSuperResolutionLib import messages
from MedicalSuperResolutionLib.panel.connectors import ChoiceConnector
from MedicalSuperResolutionLib.setup import models
from MedicalSuperResolutionLib.translation import tr as _

_LONGEST_LINE = 160  # of a tool tip


def card_of(path: Path) -> str:
    """The card of a model, one line for each entry, or why it cannot be used."""
    try:
        card = read_header(path)["card"]
    except ModelError as problem:
        return messages.sentence(problem)
    return "\n".join([path.stem, *(_entry(name, value) for name, value in card.items())])


def _entry(name: str, value: object) -> str:
    line = f"{name.replace('_', ' ')}: {_text(value)}"
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 3] + "..."


def _text(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key.replace('_', ' ')} {_text(one)}" for key, one in value.items())
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value)


class ModelSelector(ChoiceConnector):
    """Ties a QComboBox to the parameter ``model``, with the card of each model as tool tip."""

    def __init__(self, box: qt.QComboBox) -> None:
        """``box`` is filled with the installed models."""
        super().__init__(box)
        box.clear()
        for name in models.installed_models():
            self._list(name, name, store.path_of(name, models.SHIPPED_FOLDER))

    def write(self, value: str) -> None:
        super().write(value)
        self._show_card()

    def _list(self, label: str, value: str, file: Path | None) -> None:
        self._widget.addItem(label, value)
        if file:
            self._widget.setItemData(self._widget.count - 1, card_of(file), qt.Qt.ToolTipRole)

    def _list_missing(self, value: str) -> None:
        file = Path(value)
        if value and is_file(file):  # a model file may be named as well
            self._list(file.name, value, file)
        else:
            self._list(_("{model} (not installed)").format(model=value), value, None)

    def _show_card(self) -> None:
        card = self._widget.itemData(self._widget.currentIndex, qt.Qt.ToolTipRole)
        self._widget.toolTip = "\n\n".join(filter(None, [_("The network that refines the volume."), card]))
