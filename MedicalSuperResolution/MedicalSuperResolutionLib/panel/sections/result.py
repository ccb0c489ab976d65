"""Below the button Compare: the note of the latest result, and its deletion."""

from collections.abc import Callable
from types import SimpleNamespace

import slicer
from slicer import vtkMRMLScalarVolumeNode

from MedicalSuperResolutionLib.panel.parameter_node import MedicalSuperResolutionParameterNode
from MedicalSuperResolutionLib.scene import nodes as scene
from MedicalSuperResolutionLib.scene import provenance, uncertainty_node
from MedicalSuperResolutionLib.translation import tr as _


class ResultSection:
    """Controls the buttons Note and Delete result, which are there when there is a result."""

    def __init__(
        self,
        ui: SimpleNamespace,
        choices: Callable[[], MedicalSuperResolutionParameterNode],
        on_delete: Callable[[vtkMRMLScalarVolumeNode | None], None],
    ) -> None:
        """``choices`` gives the parameter node of the scene. ``on_delete`` is called with the source of a result."""
        self._ui, self._choices, self._on_delete = ui, choices, on_delete
        ui.noteButton.connect("clicked(bool)", self._read)
        ui.deleteButton.connect("clicked(bool)", self._delete)

    def show(self) -> None:
        """Offer the buttons where they have something to work on."""
        result = self._result()
        self._ui.resultWidget.visible = result is not None
        self._ui.noteButton.enabled = result is not None and provenance.note_of(result) is not None

    def _result(self) -> vtkMRMLScalarVolumeNode | None:
        result = self._choices().resultVolume
        return result if result is not None and result.GetScene() is not None else None

    def _read(self, checked: bool = False) -> None:
        result = self._result()
        title = _("What was done: {name}").format(name=result.GetName())
        slicer.util.infoDisplay(provenance.note_of(result).GetText(), windowTitle=title)

    def _delete(self, checked: bool = False) -> None:
        result, source = self._result(), self._choices().resultSource
        for belonging in (uncertainty_node.map_of(result), provenance.note_of(result), result):
            if belonging is not None:
                scene.remove(belonging)
        self._ui.resultWidget.parentWidget().setFocus()  # the hidden button would hand it on, and the panel scroll
        self._choices().resultVolume = None
        self._on_delete(source)
