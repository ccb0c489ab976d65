"""Fusing the checked volumes of the section Several volumes into one."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace

from slicer import vtkMRMLScalarVolumeNode

from medical_super_resolution.errors import SuperResolutionError
from MedicalSuperResolutionLib import messages
from MedicalSuperResolutionLib.engine import fusion
from MedicalSuperResolutionLib.panel.parameter_node import MedicalSuperResolutionParameterNode
from MedicalSuperResolutionLib.scene.stacks import FEWEST
from MedicalSuperResolutionLib.translation import tr as _


class FuseSection:
    """Controls the button Fuse and the line above it."""

    def __init__(
        self,
        ui: SimpleNamespace,
        choices: Callable[[], MedicalSuperResolutionParameterNode],
        on_click: Callable[[Sequence[vtkMRMLScalarVolumeNode]], None],
        is_busy: Callable[[], bool],
    ) -> None:
        """``on_click`` is called with the volumes to fuse. ``is_busy`` is whether the engine is at work."""
        self._ui, self._choices, self._on_click, self._is_busy = ui, choices, on_click, is_busy
        ui.queueSelector.connect("checkedNodesChanged()", self.show)
        ui.fuseButton.connect("clicked(bool)", self._click)

    def show(self) -> None:
        """Say what fusing the checked volumes would make, or why they cannot be fused."""
        ui, nodes = self._ui, self._ui.queueSelector.checkedNodes()
        line, obstacle = "", _("Check at least two stacks of one session.")
        if len(nodes) >= FEWEST:
            line, obstacle = self._outlook(nodes)
        ui.fuseLabel.text = line or (obstacle if len(nodes) >= FEWEST else "")
        ui.fuseLabel.visible = bool(ui.fuseLabel.text)
        ui.fuseButton.enabled = bool(line) and not self._is_busy()
        ui.fuseButton.toolTip = obstacle or _(
            "Make one volume with cubic voxels of the checked stacks. Model, slice thickness, finest custom spacing,"
            " uncertainty, device and threads count; all other choices are for Enhance."
        )

    def _outlook(self, nodes: Sequence[vtkMRMLScalarVolumeNode]) -> tuple[str, str]:
        chosen = self._choices()
        try:
            return fusion.outlook(nodes, chosen.fusion_settings(), chosen.fusion_spacing_mm()), ""
        except SuperResolutionError as problem:
            return "", messages.sentence(problem)

    def _click(self, checked: bool = False) -> None:
        self._on_click(list(self._ui.queueSelector.checkedNodes()))
