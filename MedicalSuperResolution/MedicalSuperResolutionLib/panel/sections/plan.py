"""The forecast of an enhancement, its cautions, and the button Enhance."""

from types import SimpleNamespace

import slicer

from medical_super_resolution.errors import SuperResolutionError
from MedicalSuperResolutionLib import messages
from MedicalSuperResolutionLib.engine import enhancement
from MedicalSuperResolutionLib.engine.enhancement import Outlook
from MedicalSuperResolutionLib.panel import behavior
from MedicalSuperResolutionLib.panel.parameter_node import MedicalSuperResolutionParameterNode
from MedicalSuperResolutionLib.translation import tr as _


def show(ui: SimpleNamespace, chosen: MedicalSuperResolutionParameterNode, busy_with: str, *, is_running: bool) -> None:
    """Show what Enhance will do with these choices, or why it cannot.

    Parameters
    ----------
    busy_with
        What else has to end first, as a sentence; empty where nothing has to.
    is_running
        Whether one volume is being made; then the button cancels it.
    """
    outlook, obstacle = None, ""
    try:
        if chosen.inputVolume is None:
            obstacle = _how_to_begin()
        else:
            outlook = enhancement.outlook(chosen.inputVolume, chosen.settings(), chosen.outputVolume, chosen.region)
            obstacle = busy_with
    except SuperResolutionError as problem:
        obstacle = messages.sentence(problem)
    _show(ui, outlook, obstacle, running=is_running)


def _show(ui: SimpleNamespace, outlook: Outlook | None, obstacle: str, *, running: bool) -> None:
    """Show the outlook, or what stands in its way; without an outlook, there is such an obstacle."""
    ui.descriptionLabel.text = obstacle or outlook.description
    ui.warningLabel.text = " ".join(outlook.cautions) if outlook else ""
    ui.warningLabel.visible = bool(ui.warningLabel.text)
    for widget in (ui.inputsWidget, ui.advancedCollapsibleButton, ui.queueSelector):
        widget.enabled = not running
    button = ui.enhanceButton
    behavior.enable(button, enabled=running or not obstacle)
    if running:
        button.text, button.toolTip = _("Cancel"), _("Stop; nothing in the scene changes.")
    else:
        button.text, button.toolTip = _("Enhance"), obstacle or _("Make the finer volume; Slicer stays free meanwhile.")
    ui.progressBar.visible = running


def _how_to_begin() -> str:
    """The hint where no volume is chosen."""
    kinds = {node.GetClassName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")}
    if "vtkMRMLScalarVolumeNode" in kinds:
        return _("Choose a volume.")
    if kinds:  # the selector does not list them
        return _("Load a CT or MR volume; the scene holds only label maps, colors or vectors, which are not enhanced.")
    return _("Load a volume first (try ThickMRHead in Sample Data).")
