"""The list of installed models in the panel."""

from pathlib import Path

import qt
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import GuiConnector

import medical_super_resolution
from medical_super_resolution.errors import ModelError

SHIPPED_FOLDER = Path(medical_super_resolution.__file__).parent / "weights"  # as in its `models`, which needs torch


def installed_models(folder: Path = SHIPPED_FOLDER) -> list[str]:
    """Names of the models in a folder, the general one first. None is opened, so torch is not needed."""
    names = sorted(path.stem for path in folder.glob("*.safetensors"))
    return sorted(names, key=lambda name: name != "general")


def check_installed(model: str) -> None:
    """Refuse the name of a model that is not here; any file may be named as well.

    Raises
    ------
    ModelError : see above.
    """
    if model not in installed_models() and not Path(model).is_file():
        raise ModelError(_("The model {model} is not installed; choose another one.").format(model=model))


class ModelSelector(GuiConnector):
    """Ties a QComboBox to the parameter ``model``; parameterNodeWrapper itself ties text only to a fixed choice."""

    def __init__(self, box: qt.QComboBox) -> None:
        """``box`` is filled with the installed models."""
        super().__init__()
        self._box = box
        box.clear()
        for name in installed_models():
            box.addItem(name, name)

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
            index = self._box.count
            self._box.addItem(_("{model} (not installed)").format(model=value), value)
        self._box.currentIndex = index

    def _connect(self) -> None:
        self._box.currentIndexChanged.connect(self.changed)

    def _disconnect(self) -> None:
        self._box.currentIndexChanged.disconnect(self.changed)
