"""The list of installed models in the panel."""

from pathlib import Path

import qt

from medical_super_resolution.errors import ModelError
from medical_super_resolution.models import store
from medical_super_resolution.models.store import detail_model_of, read_header
from MedicalSuperResolutionLib.panel.connectors import ChoiceConnector
from MedicalSuperResolutionLib.translation import tr as _

SHIPPED_FOLDER = store.SHIPPED_FOLDER

_LONGEST_LINE = 160  # of a tool tip


def installed_models(folder: Path = SHIPPED_FOLDER) -> list[str]:
    """Names of the models that are shipped in a folder or were imported, the general one first. No torch is needed."""
    names = [path.stem for path in store.installed(folder)]
    return sorted(names, key=lambda name: name != "general")


def check_installed(model: str) -> None:
    """Refuse the name of a model that is not here; any file may be named as well.

    Raises
    ------
    ModelError
        See above.
    """
    if model not in installed_models() and not Path(model).is_file():
        raise ModelError(_("The model {model} is not installed; choose another one.").format(model=model))


def why_no_detail(model: str) -> str:
    """Why a model, given by its name or path, knows no detail but 0; empty where it has a detail model."""
    path = Path(model) if Path(model).is_file() else store.path_of(model, SHIPPED_FOLDER)
    try:
        detail_model = detail_model_of(path)
    except ModelError as problem:
        return str(problem)
    if detail_model is None:
        return _("The model {model} has no detail model, so it knows fidelity only.").format(model=path.stem)
    if not detail_model.is_file():
        return _("The file of its detail model {detail_model} is missing beside the model {model}.").format(
            detail_model=detail_model.stem, model=path.stem
        )
    return ""


def card_of(path: Path) -> str:
    """The card of a model, one line for each entry, or why it cannot be used."""
    try:
        card = read_header(path)["card"]
    except ModelError as problem:
        return str(problem)
    return "\n".join([path.stem, *(_entry(name, value) for name, value in card.items())])


def _entry(name: str, value: object) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{key} {one}" for key, one in value.items())
    elif isinstance(value, list):
        value = ", ".join(map(str, value))
    line = f"{name.replace('_', ' ')}: {value}"
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 3] + "..."


class ModelSelector(ChoiceConnector):
    """Ties a QComboBox to the parameter ``model``, with the card of each model as tool tip."""

    def __init__(self, box: qt.QComboBox) -> None:
        """``box`` is filled with the installed models."""
        super().__init__(box)
        box.clear()
        for name in installed_models():
            self._list(name, name, store.path_of(name, SHIPPED_FOLDER))

    def write(self, value: str) -> None:
        super().write(value)
        self._show_card()

    def _list(self, label: str, value: str, file: Path | None) -> None:
        self._widget.addItem(label, value)
        if file:
            self._widget.setItemData(self._widget.count - 1, card_of(file), qt.Qt.ToolTipRole)

    def _list_missing(self, value: str) -> None:
        file = Path(value)
        if value and file.is_file():  # a model file may be named as well
            self._list(file.name, value, file)
        else:
            self._list(_("{model} (not installed)").format(model=value), value, None)

    def _show_card(self, index: int = 0) -> None:
        card = self._widget.itemData(self._widget.currentIndex, qt.Qt.ToolTipRole)
        self._widget.toolTip = "\n\n".join(filter(None, [_("The network that refines the volume."), card]))

    def _connect(self) -> None:
        super()._connect()
        self._widget.connect("currentIndexChanged(int)", self._show_card)

    def _disconnect(self) -> None:
        super()._disconnect()
        self._widget.disconnect("currentIndexChanged(int)", self._show_card)
