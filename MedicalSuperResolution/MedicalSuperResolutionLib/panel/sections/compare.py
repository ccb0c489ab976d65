"""The section Compare of the panel: what it offers, says and does."""

from collections.abc import Callable
from types import SimpleNamespace

import qt
import slicer
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _

from medical_super_resolution.errors import SuperResolutionError
from MedicalSuperResolutionLib.compare.blend import Mixture
from MedicalSuperResolutionLib.compare.comparison import Comparison, Shown
from MedicalSuperResolutionLib.compare.views import PANES, CompareViews
from MedicalSuperResolutionLib.panel import messages as feedback
from MedicalSuperResolutionLib.panel.parameter_node import MedicalSuperResolutionParameterNode, Mix


class CompareSection:
    """Stands behind the button Compare and what lies below it. ``comparison`` is what they open and mix."""

    def __init__(self, ui: SimpleNamespace, choices: Callable[[], MedicalSuperResolutionParameterNode]) -> None:
        """``choices`` gives the parameter node of the scene; its changes are told by `show`."""
        self.comparison = Comparison(CompareViews(slicer.app.applicationLogic()))
        self._ui, self._choices = ui, choices
        ui.compareButton.connect("clicked(bool)", self._click)

    def show(self) -> None:
        """Offer to compare where there is something to compare, and the way back while comparing."""
        ui, chosen, shown, active = self._ui, self._choices(), self.comparison.shown, self.comparison.is_active
        pair = chosen.pair_to_compare()
        mixture = self.comparison.mixture
        if mixture:
            _mix(mixture, chosen.mix, chosen.mixShare / 100)
        ui.mixComboBox.enabled = mixture is not None
        obstacle = _why_no_share(mixture, chosen.mix)
        ui.mixSlider.enabled = not obstacle
        ui.mixSlider.toolTip = obstacle or _how_to_use(chosen.mix)
        ui.comparisonLabel.text = _sentence(shown, chosen.mix) if shown else ""
        button = ui.compareButton
        button.checked, button.enabled = active, active or pair is not None
        button.text = _("Close comparison") if active else _("Compare")
        button.toolTip = _("Go back to the previous layout.") if active else _offer(pair)

    def renew(self, before: vtkMRMLScalarVolumeNode, after: vtkMRMLScalarVolumeNode) -> None:
        """Compare these from now on, if a comparison is on the screen."""
        if self.comparison.is_active:
            self._enter(before, after)
            self.show()

    def resume(self) -> None:
        """Fill the views of a scene that was saved while comparing: what was made for them is not saved with it."""
        if not self.comparison.is_active or self.comparison.shown:
            return
        pair = self._choices().pair_to_compare()
        try:
            if pair is not None:
                self._enter(*pair)
        except SuperResolutionError:
            pair = None
        if pair is None:
            self.comparison.exit()
        else:
            qt.QTimer.singleShot(0, self.comparison.fit)
        self.show()

    def exit(self) -> None:
        """End the comparison."""
        self.comparison.exit()

    def _click(self, checked: bool) -> None:
        with feedback.shown_errors(_("The volumes could not be compared.")):
            if checked:
                self._enter(*self._choices().pair_to_compare())
                self._choices().mix = Mix.NOTHING
                qt.QTimer.singleShot(0, self.comparison.fit)  # once the views have their size on the screen
            else:
                self.comparison.exit()
        self.show()

    def _enter(self, before: vtkMRMLScalarVolumeNode, after: vtkMRMLScalarVolumeNode) -> None:
        with slicer.util.WaitCursor():
            self.comparison.enter(before, after)
        _give_titles_room()


def _give_titles_room() -> None:
    """Slicer's title bars keep room for two letters; ours have a word or two."""
    manager = slicer.app.layoutManager()
    widgets = [manager.sliceWidget(pane.tag) for pane in PANES] if manager else []
    for widget in filter(None, widgets):
        for label in slicer.util.findChildren(widget, name="ViewLabel"):
            label.setMinimumWidth(label.sizeHint.width())


def _mix(mixture: Mixture, how: Mix, share: float) -> None:
    {
        Mix.NOTHING: mixture.clear,
        Mix.WIPE: lambda: mixture.wipe(share),
        Mix.FADE: lambda: mixture.fade(share),
        Mix.CHECKERBOARD: mixture.checkerboard,
        Mix.UNCERTAINTY: lambda: mixture.color(share),
    }[how]()


def _why_no_share(mixture: Mixture | None, how: Mix) -> str:
    """Why the slider is of no use; empty where it is."""
    if mixture is None:
        return _("Nothing is compared.")
    if how is Mix.UNCERTAINTY and not mixture.has_colors:
        return _("There is no uncertainty map of this volume; check Uncertainty map, and enhance again.")
    if how in (Mix.NOTHING, Mix.CHECKERBOARD):
        return _("Choose to wipe, to fade or to color first.")
    return ""


def _how_to_use(how: Mix) -> str:
    return {
        Mix.WIPE: _("Left of the line is before, right of it after."),
        Mix.FADE: _("Left: after alone. Right: before alone."),
        Mix.UNCERTAINTY: _("Left: no colors. Right: strong colors."),
    }[how]


def _offer(pair: tuple[vtkMRMLScalarVolumeNode, vtkMRMLScalarVolumeNode] | None) -> str:
    if pair is None:
        return _("Nothing to compare yet: enhance the input volume, or choose a volume to compare it with.")
    before, after = (volume.GetName() for volume in pair)
    return _("Show {before}, {after} and their difference side by side, linked.").format(before=before, after=after)


def _sentence(shown: Shown, how: Mix) -> str:
    before = _("Before is {before}.").format(before=shown.before)
    if shown.resampled:
        before = _("Before is {before}, resampled by cubic B-spline onto the grid of {after}.").format(
            before=shown.before, after=shown.after
        )
    difference = _("Difference is after minus before: red is higher, blue lower, strongest at {limit:g} {units}.")
    units = shown.units or _("units of the volume")
    sentences = [before, difference.format(limit=shown.limit, units=units)]
    if how is Mix.UNCERTAINTY:
        sentences.append(_uncertainty(shown, units))
    return " ".join(sentences)


def _uncertainty(shown: Shown, units: str) -> str:
    if shown.uncertainty is None:
        return _("There is no uncertainty map of {after}: check Uncertainty map, and enhance again.").format(
            after=shown.after
        )
    first, brightest = shown.uncertainty
    return _("Uncertainty is brightest at {brightest:g} {units}; below {first:g} it is not colored.").format(
        first=first, brightest=brightest, units=units
    )
