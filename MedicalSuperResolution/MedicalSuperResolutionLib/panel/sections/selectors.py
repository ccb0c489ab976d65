"""The lists of installed models and of modalities in the panel."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import qt

from medical_super_resolution.errors import ModelError
from medical_super_resolution.models import store
from medical_super_resolution.models.store import read_header
from medical_super_resolution.system.paths import is_file
from MedicalSuperResolutionLib import messages
from MedicalSuperResolutionLib.panel.connectors import ChoiceConnector
from MedicalSuperResolutionLib.panel.parameter_node import MedicalSuperResolutionParameterNode
from MedicalSuperResolutionLib.scene import dicom_source
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
            self._list(name, name, store.path_of(name))

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


class ModalitySelector:
    """Shows the modality that is known of the input volume, and takes that of a volume of which DICOM states none."""

    def __init__(self, ui: SimpleNamespace, choices: Callable[[], MedicalSuperResolutionParameterNode]) -> None:
        """``choices`` gives the parameter node of the scene; `show` is to be called when its volume changes."""
        self._box, self._choices = ui.modalityComboBox, choices
        names = {"": _("By the values"), "ct": _("CT"), "mr": _("MR"), "pet": _("PET"), "us": _("Ultrasound")}
        for modality, name in names.items():
            self._box.addItem(name, modality)
        self._box.connect("activated(int)", self._state)  # by the user

    def show(self) -> None:
        """Show what is known of the input volume."""
        box, volume = self._box, self._choices().inputVolume
        known = None if volume is None else dicom_source.modality(volume)
        is_from_dicom = known is not None and dicom_source.is_modality_from_dicom(volume)
        box.currentIndex = box.findData(known or "")
        box.enabled = volume is not None and not is_from_dicom
        box.toolTip = (
            _("Stated by the DICOM files.")
            if is_from_dicom
            else _("By the values, a volume with air near -1000 is CT, any other MR; state it where that is wrong.")
        )

    def _state(self, index: int) -> None:
        dicom_source.state_modality(self._choices().inputVolume, self._box.itemData(index) or None)
