"""Below the button Compare: the note of the input's latest result, and its deletion."""

from collections.abc import Callable
from types import SimpleNamespace

import slicer

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
        on_delete: Callable[[], None],
    ) -> None:
        """``choices`` gives the parameter node of the scene. ``on_delete`` is called after a result was deleted."""
        self._ui, self._choices, self._on_delete = ui, choices, on_delete
        ui.noteButton.connect("clicked(bool)", self._read)
        ui.deleteButton.connect("clicked(bool)", self._delete)

    def show(self) -> None:
        """Offer the buttons where they have something to work on."""
        ui, result = self._ui, self._choices().present_result()
        ui.resultWidget.visible = result is not None
        if result is not None:
            name = result.GetName()
            ui.noteButton.enabled = provenance.note_of(result) is not None
            ui.noteButton.toolTip = _("Read what was done to make {name}.").format(name=name)
            ui.deleteButton.toolTip = _("Remove {name} from the scene, with its note and its uncertainty map.").format(
                name=name
            )

    def _read(self, checked: bool = False) -> None:
        result = self._choices().present_result()
        title = _("What was done: {name}").format(name=result.GetName())
        slicer.util.infoDisplay(provenance.note_of(result).GetText(), windowTitle=title)

    def _delete(self, checked: bool = False) -> None:
        result = self._choices().present_result()
        for belonging in (uncertainty_node.map_of(result), provenance.note_of(result), result):
            if belonging is not None:
                scene.remove(belonging)
        self._ui.resultWidget.parentWidget().setFocus()  # the hidden button would hand it on, and the panel scroll
        self._choices().resultVolume = None
        self._on_delete()
