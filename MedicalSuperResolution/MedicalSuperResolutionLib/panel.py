"""What the widgets of the panel show. ``ui`` has them as attributes, by the names in the .ui file."""

from types import SimpleNamespace

import slicer
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _

from medical_super_resolution.errors import Cancelled
from MedicalSuperResolutionLib import compare
from MedicalSuperResolutionLib.feedback import sentence
from MedicalSuperResolutionLib.parameter_node import Goal

_STEPS = 1000  # the engine counts voxels, more than a progress bar can


def register_layouts() -> None:
    """Tell the application the compare layouts: a scene that was saved while comparing asks for one on loading."""
    manager = slicer.app.layoutManager()
    if manager:  # not without a main window
        compare.register_layouts(manager.layoutLogic().GetLayoutNode())


def show_goal(ui: SimpleNamespace, goal: Goal) -> None:
    """Show the boxes that a goal needs, and hide the others."""
    for widget in (ui.factorLabel, ui.factorSpinBox):
        widget.visible = goal is Goal.CUSTOM_FACTOR
    for widget in (ui.spacingLabel, ui.spacingWidget):
        widget.visible = goal is Goal.CUSTOM_SPACING


def show_plan(ui: SimpleNamespace, description: str, obstacle: str, *, running: bool) -> None:
    """Show what Enhance will do, or what stands in its way. While it runs, the button cancels it."""
    ui.descriptionLabel.text = description or obstacle
    for section in (ui.inputsCollapsibleButton, ui.outputsCollapsibleButton, ui.advancedCollapsibleButton):
        section.enabled = not running
    button = ui.enhanceButton
    button.enabled = running or not obstacle
    if running:
        button.text, button.toolTip = _("Cancel"), _("Stop. Nothing in the scene changes.")
    else:
        button.text, button.toolTip = _("Enhance"), obstacle or _("Make the finer volume. Slicer stays free meanwhile.")
    ui.progressBar.visible = running


def show_progress(ui: SimpleNamespace, done: int, total: int, status: str) -> None:
    """Move the bar, and say how long it will take."""
    ui.progressBar.maximum = _STEPS
    ui.progressBar.value = _STEPS * done // max(total, 1)
    ui.statusLabel.text = status


def show_end(ui: SimpleNamespace, node: vtkMRMLScalarVolumeNode | None, problem: Exception | None) -> None:
    """Say how it ended."""
    if problem is None:
        ui.statusLabel.text = _("Done: {name}").format(name=node.GetName())
    elif isinstance(problem, Cancelled):
        ui.statusLabel.text = _("Stopped. Nothing was changed.")
    else:
        ui.statusLabel.text = sentence(problem)


def show_volume(volume: vtkMRMLScalarVolumeNode) -> None:
    """Show a volume in the slice views, at the same place as before."""
    logic = slicer.app.applicationLogic()
    logic.GetSelectionNode().SetActiveVolumeID(volume.GetID())
    logic.PropagateBackgroundVolumeSelection(0)
