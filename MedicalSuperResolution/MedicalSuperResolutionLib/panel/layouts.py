"""What the widgets of the panel show. ``ui`` has them as attributes, by the names in the .ui file."""

from types import SimpleNamespace

import slicer
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _

from medical_super_resolution.errors import Cancelled, SuperResolutionError
from MedicalSuperResolutionLib.compare import views as compare
from MedicalSuperResolutionLib.panel.messages import sentence
from MedicalSuperResolutionLib.panel.parameter_node import Goal
from MedicalSuperResolutionLib.panel.sections.model import why_not_sharper
from MedicalSuperResolutionLib.scene import dicom_source

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


def show_slice_thickness(ui: SimpleNamespace, volume: vtkMRMLScalarVolumeNode | None) -> None:
    """Say what the slice thickness is taken for as long as the user does not set it, and who says so."""
    if volume is None or volume.GetImageData() is None:
        text = _("from the volume")
    elif thickness := dicom_source.slice_thickness_mm(volume):
        text = _("{thickness:g} mm, from DICOM").format(thickness=thickness)
    else:
        text = _("{spacing:.4g} mm, the distance between slices").format(spacing=max(volume.GetSpacing()))
    ui.sliceThicknessSpinBox.specialValueText = text


def show_sharpness(ui: SimpleNamespace, model: str) -> None:
    """Offer sharpness where the model has a sharp twin, and else say why not."""
    obstacle = why_not_sharper(model)
    ui.sharpnessSlider.enabled = not obstacle
    ui.sharpnessSlider.toolTip = (
        sentence(SuperResolutionError(obstacle))
        if obstacle
        else _("0: closest to the truth on average, and softer. 1: crisp edges and texture, of which some are guessed.")
    )


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
