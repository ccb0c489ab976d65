"""Contents of the panel's widgets. ``ui`` has them as attributes, by the names in the .ui file."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import qt
import slicer
from slicer import vtkMRMLScalarVolumeNode

from medical_super_resolution.errors import Cancelled, SuperResolutionError
from MedicalSuperResolutionLib.compare import layouts
from MedicalSuperResolutionLib.messages import sentence
from MedicalSuperResolutionLib.panel.choices import Goal
from MedicalSuperResolutionLib.panel.settings_line import automatic_thickness, settings_line
from MedicalSuperResolutionLib.scene import region
from MedicalSuperResolutionLib.setup.models import why_no_detail
from MedicalSuperResolutionLib.translation import tr as _

if TYPE_CHECKING:  # imports this file
    from MedicalSuperResolutionLib.panel.parameter_node import MedicalSuperResolutionParameterNode

_STEPS = 1000  # the engine counts voxels, more than a progress bar can
_LAYOUT_AT_START = "MainWindow/layout"  # in the settings of the application


def register_layouts() -> None:
    """Tell the application the compare layouts: a scene that was saved while comparing asks for one on loading."""
    manager = slicer.app.layoutManager()
    if manager:  # not without a main window
        layouts.register(manager.layoutLogic().GetLayoutNode())


def leave_layout_for_next_start(layout_node: slicer.vtkMRMLLayoutNode | None) -> None:
    """Let Slicer start with the layout on the screen in place of one of ours, which it knows too late.

    It writes its layout into the settings before the modules are told that it closes.
    """
    settings = qt.QSettings()
    numbers = [str(one.number) for one in layouts.ARRANGEMENTS]
    if layout_node is not None and str(settings.value(_LAYOUT_AT_START)) in numbers:
        settings.setValue(_LAYOUT_AT_START, layout_node.GetViewArrangement())


def show_choices(ui: SimpleNamespace, chosen: MedicalSuperResolutionParameterNode) -> None:
    """Show the boxes that a goal needs, what is taken where nothing is set, and the settings in one line."""
    for widget in (ui.factorLabel, ui.factorSpinBox):
        widget.visible = chosen.goal is Goal.CUSTOM_FACTOR
    for widget in (ui.spacingLabel, ui.spacingWidget):
        widget.visible = chosen.goal is Goal.CUSTOM_SPACING
    volume = chosen.inputVolume
    letters = region.anatomical_axes(volume) if volume is not None else "RAS"
    ui.spacingLabel.text = _("Spacing ({axes}):").format(axes=", ".join(letters))
    for box, letter in zip((ui.spacingISpinBox, ui.spacingJSpinBox, ui.spacingKSpinBox), letters, strict=True):
        box.accessibleName = _("Target spacing along {axis}").format(axis=letter)
    automatic = automatic_thickness(volume)
    if ui.sliceThicknessSpinBox.specialValueText != automatic:  # setting it would write anew what the user types
        ui.sliceThicknessSpinBox.specialValueText = automatic
    obstacle = why_no_detail(chosen.model)
    ui.detailSlider.enabled = not obstacle
    ui.detailSlider.toolTip = (
        sentence(SuperResolutionError(obstacle))
        if obstacle
        else _("0 is closest to the truth on average; 1 shows crisp edges and texture, of which some are guessed.")
    )
    ui.settingsLabel.text = settings_line(chosen, 0.0 if obstacle else chosen.detail)


def show_progress(ui: SimpleNamespace, done: int, total: int, status: str) -> None:
    """Move the bar, and show how long it will take."""
    ui.progressBar.maximum = _STEPS
    ui.progressBar.value = _STEPS * done // max(total, 1)
    show_status(ui, status)


def show_end(ui: SimpleNamespace, node: vtkMRMLScalarVolumeNode | None, problem: Exception | None) -> None:
    """Say how it ended."""
    if problem is None:
        show_status(ui, _("Done: {name}").format(name=node.GetName()))
    elif isinstance(problem, Cancelled):
        show_status(ui, _("Stopped. Nothing was changed."))
    else:
        show_status(ui, sentence(problem))


def show_status(ui: SimpleNamespace, status: str) -> None:
    """Show a line below the bar; an empty one hides it."""
    ui.statusLabel.text, ui.statusLabel.visible = status, bool(status)


def show_volume(volume: vtkMRMLScalarVolumeNode, in_place_of: slicer.vtkMRMLNode | None = None) -> None:
    """Show a volume in the slice views, at the same place as before; where its source is the foreground, as that."""
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode") if in_place_of is not None else []
    over = [one for one in composites if one.GetForegroundVolumeID() == in_place_of.GetID()]
    for composite in over:
        composite.SetForegroundVolumeID(volume.GetID())
    if not over:
        logic = slicer.app.applicationLogic()
        logic.GetSelectionNode().SetActiveVolumeID(volume.GetID())
        logic.PropagateBackgroundVolumeSelection(0)
