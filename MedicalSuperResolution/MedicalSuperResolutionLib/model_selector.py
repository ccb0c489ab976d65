"""The list of installed models in the panel."""

from pathlib import Path

import qt
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import GuiConnector

from medical_super_resolution import model_folders
from medical_super_resolution.errors import ModelError
from medical_super_resolution.model_header import read_header, twin_of

SHIPPED_FOLDER = model_folders.SHIPPED_FOLDER

_LONGEST_LINE = 160  # of a tool tip


def installed_models(folder: Path = SHIPPED_FOLDER) -> list[str]:
    """Names of the models that are shipped in a folder or were imported, the general one first. No torch is needed."""
    names = [path.stem for path in model_folders.installed(folder)]
    return sorted(names, key=lambda name: name != "general")


def check_installed(model: str) -> None:
    """Refuse the name of a model that is not here; any file may be named as well.

    Raises
    ------
    ModelError : see above.
    """
    if model not in installed_models() and not Path(model).is_file():
        raise ModelError(_("The model {model} is not installed; choose another one.").format(model=model))


def why_not_sharper(model: str) -> str:
    """Why a model, given by its name or path, knows no sharpness but 0; empty where it has a sharp twin."""
    path = Path(model) if Path(model).is_file() else model_folders.path_of(model, SHIPPED_FOLDER)
    try:
        twin = twin_of(path)
    except ModelError as problem:
        return str(problem)
    if twin is None:
        return _("The model {model} has no sharp twin, so it knows fidelity only.").format(model=path.stem)
    if not twin.is_file():
        return _("The file of its sharp twin {twin} is missing beside the model {model}.").format(
            twin=twin.stem, model=path.stem
        )
    return ""


def card_of(path: Path) -> str:
    """What a model says of itself, one line for each thing, or why it cannot be used."""
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


class ModelSelector(GuiConnector):
    """Ties a QComboBox to the parameter ``model``; parameterNodeWrapper itself ties text only to a fixed choice."""

    def __init__(self, box: qt.QComboBox) -> None:
        """``box`` is filled with the installed models."""
        super().__init__()
        self._box = box
        box.clear()
        for name in installed_models():
            box.addItem(name, name)
            box.setItemData(box.count - 1, card_of(model_folders.path_of(name, SHIPPED_FOLDER)), qt.Qt.ToolTipRole)

    @staticmethod
    def canRepresent(widget: qt.QWidget, datatype: type) -> bool:
        return type(widget) is qt.QComboBox and datatype is str

    @staticmethod
    def create(widget: qt.QWidget, datatype: type) -> "ModelSelector | None":
        return ModelSelector(widget) if ModelSelector.canRepresent(widget, datatype) else None

    def widget(self) -> qt.QComboBox:
        return self._box

    def read(self) -> str:
        return self._box.currentData or ""

    def write(self, value: str) -> None:
        """Choose a model. One that a scene names but that is not here is listed as such, so that nothing is hidden."""
        index = self._box.findData(value)
        if index < 0:
            index, file = self._box.count, Path(value)
            is_file = bool(value) and file.is_file()  # a model file may be named as well
            label = file.name if is_file else _("{model} (not installed)").format(model=value)
            self._box.addItem(label, value)
            if is_file:
                self._box.setItemData(index, card_of(file), qt.Qt.ToolTipRole)
        self._box.currentIndex = index
        self._show_card()

    def _show_card(self, index: int = 0) -> None:
        card = self._box.itemData(self._box.currentIndex, qt.Qt.ToolTipRole)
        self._box.toolTip = "\n\n".join(filter(None, [_("The network that refines the volume."), card]))

    def _connect(self) -> None:
        self._box.currentIndexChanged.connect(self.changed)
        self._box.connect("currentIndexChanged(int)", self._show_card)

    def _disconnect(self) -> None:
        self._box.currentIndexChanged.disconnect(self.changed)
        self._box.disconnect("currentIndexChanged(int)", self._show_card)
