"""The section Compare of the panel: what it offers, says and does."""

from collections.abc import Callable
from types import SimpleNamespace

import qt
import slicer
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _

from MedicalSuperResolutionLib import feedback
from MedicalSuperResolutionLib.compare import CompareViews
from MedicalSuperResolutionLib.comparison import Comparison, Shown
from MedicalSuperResolutionLib.parameter_node import MedicalSuperResolutionParameterNode


class CompareSection:
    """Stands behind the button Compare and the slider below it. ``comparison`` is what they open and fade."""

    def __init__(self, ui: SimpleNamespace, choices: Callable[[], MedicalSuperResolutionParameterNode]) -> None:
        """``choices`` gives the parameter node of the scene; its changes are told by `show`."""
        self.comparison = Comparison(CompareViews(slicer.app.applicationLogic()))
        self._ui, self._choices = ui, choices
        ui.compareButton.connect("clicked(bool)", self._click)

    def show(self) -> None:
        """Offer to compare where there is something to compare, and the way back while comparing."""
        ui, chosen, shown, active = self._ui, self._choices(), self.comparison.shown, self.comparison.is_active
        pair = chosen.pair_to_compare()
        self.comparison.fade(chosen.fade / 100)
        ui.fadeSlider.enabled = shown is not None
        ui.comparisonLabel.text = _sentence(shown) if shown else ""
        button = ui.compareButton
        button.checked, button.enabled = active, active or pair is not None
        button.text = _("Close comparison") if active else _("Compare")
        button.toolTip = _("Go back to the previous layout.") if active else _offer(pair)

    def renew(self, before: vtkMRMLScalarVolumeNode, after: vtkMRMLScalarVolumeNode) -> None:
        """Compare these from now on, if a comparison is on the screen."""
        if self.comparison.is_active:
            self._enter(before, after)
            self.show()

    def exit(self) -> None:
        """End the comparison."""
        self.comparison.exit()

    def _click(self, checked: bool) -> None:
        with feedback.shown_errors(_("The volumes could not be compared.")):
            if checked:
                self._enter(*self._choices().pair_to_compare())
                qt.QTimer.singleShot(0, self.comparison.fit)  # once the views have their size on the screen
            else:
                self.comparison.exit()
        self.show()

    def _enter(self, before: vtkMRMLScalarVolumeNode, after: vtkMRMLScalarVolumeNode) -> None:
        with slicer.util.WaitCursor():
            self.comparison.enter(before, after)
        self._choices().fade = 0


def _offer(pair: tuple[vtkMRMLScalarVolumeNode, vtkMRMLScalarVolumeNode] | None) -> str:
    if pair is None:
        return _("Nothing to compare yet: enhance the input volume, or choose a volume to compare it with.")
    before, after = (volume.GetName() for volume in pair)
    return _("Show {before}, {after} and their difference side by side, linked.").format(before=before, after=after)


def _sentence(shown: Shown) -> str:
    before = _("Before is {before}.").format(before=shown.before)
    if shown.resampled:
        before = _("Before is {before}, resampled by cubic B-spline onto the grid of {after}.").format(
            before=shown.before, after=shown.after
        )
    difference = _("Difference is after minus before: red is higher, blue lower, strongest at {limit:g} {units}.")
    units = shown.units or _("units of the volume")
    return before + " " + difference.format(limit=shown.limit, units=units)
