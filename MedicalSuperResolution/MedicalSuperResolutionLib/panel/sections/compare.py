"""The section Comparison of the panel."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import qt
import slicer
from slicer import vtkMRMLScalarVolumeNode

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.volumes.intensity import CT_WINDOWS
from MedicalSuperResolutionLib import messages, timers
from MedicalSuperResolutionLib.compare.blend import Blend
from MedicalSuperResolutionLib.compare.comparison import Comparison, Shown
from MedicalSuperResolutionLib.compare.layouts import AFTER, BEFORE, COLUMNS
from MedicalSuperResolutionLib.compare.views import CompareViews
from MedicalSuperResolutionLib.panel import behavior
from MedicalSuperResolutionLib.panel.choices import Overlay
from MedicalSuperResolutionLib.panel.module_widget import CHANGES, Observer
from MedicalSuperResolutionLib.panel.parameter_node import MedicalSuperResolutionParameterNode, remember
from MedicalSuperResolutionLib.panel.sections import compare_texts
from MedicalSuperResolutionLib.scene import dicom_source
from MedicalSuperResolutionLib.scene.acquisition_transform import before_transform
from MedicalSuperResolutionLib.translation import tr as _

_KEY = "X"
_CHANGES = (*CHANGES, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent)
_DRAG_MS = 100  # between two looks whether the mouse still drags


class CompareSection:
    """Controls the button Compare and the section Comparison. ``comparison`` is what they open and change."""

    def __init__(self, ui: SimpleNamespace, choices: Callable[[], MedicalSuperResolutionParameterNode]) -> None:
        """``choices`` gives the parameter node of the scene; `show` is to be called when it changes."""
        self.comparison = Comparison(CompareViews(slicer.app.applicationLogic(), timers.soon), self._describe)
        self._ui, self._choices = ui, choices
        self._entered_with: tuple = ()
        self._last_pair: tuple | None = None
        self._shortcut: qt.QShortcut | None = None
        self._is_open = False
        self._watched_layout = Observer(self._layout_changed)
        starts_import = (slicer.vtkMRMLScene.StartImportEvent,)  # of a scene with contents of its own for the views
        self._watched_scene = Observer(lambda *_: self.exit(), starts_import)
        self._watched_pair = [Observer(self._volume_changed, _CHANGES) for _ in range(2)]
        self._states: list[tuple] = []
        self._is_follow_due = False
        names = {"soft": _("Soft tissue"), "lung": _("Lung"), "bone": _("Bone")}
        ui.windowComboBox.addItem(_("As it is"), "")
        for name in CT_WINDOWS:
            ui.windowComboBox.addItem(names[name], name)
        ui.windowComboBox.connect("currentIndexChanged(int)", self._set_window)
        ui.arrangementComboBox.connect("activated(int)", self._remember)  # by the user; not emitted for a loaded scene
        ui.planeComboBox.connect("activated(int)", self._remember)
        ui.crosshairCheckBox.connect("clicked(bool)", self._remember)
        ui.compareButton.connect("clicked(bool)", self._click)
        ui.beforeButton.connect("toggled(bool)", self._toggle)

    def show(self) -> None:
        """Offer to compare where there is something to compare, and the way back while comparing."""
        self.end_without_volumes()
        if self.comparison.shown and self._entered_with != self._arranged():
            self._enter_anew()
        ui, chosen, active = self._ui, self._choices(), self.comparison.is_active
        pair = chosen.pair_to_compare()
        shown, blends = self._describe(), self.comparison.views.blends
        self._draw(blends)
        for widget in (ui.overlayComboBox, ui.beforeButton, ui.crosshairCheckBox):
            widget.enabled = bool(blends)
        ui.planeComboBox.enabled = None in chosen.arrangement.value.planes
        ui.windowComboBox.enabled = bool(blends) and shown is not None and shown.is_ct
        obstacle = compare_texts.why_no_share(blends, chosen.overlay)
        ui.overlaySlider.enabled = not obstacle
        ui.overlaySlider.toolTip = obstacle or compare_texts.how_to_use(chosen.overlay)
        button = ui.compareButton
        button.checked, button.enabled = active, active or pair is not None
        button.text = _("Close comparison") if active else _("Compare")
        button.toolTip = _("Go back to the previous layout.") if active else compare_texts.offer(pair)

    def follow_panel(self, *, is_open: bool) -> None:
        """Listen to the key, which other modules may use otherwise, only while the panel is open, and resume then."""
        self._is_open = is_open
        if is_open and self.comparison.is_active:
            timers.soon(self._resume)  # after a scene was loaded, Slicer makes its views last
        elif is_open:
            self.comparison.exit()  # of a scene that was saved while comparing, after another layout was chosen
        self._listen_to_key()

    def _resume(self) -> None:
        """Fill the views of a scene that was saved while comparing: what was made for them is not saved with it."""
        if self.comparison.shown or not self._is_open:
            return
        pair = self._choices().pair_to_compare() if self.comparison.is_active else None
        if pair is None:
            self.exit()
        else:
            with suppress(SuperResolutionError):
                self._enter(*pair)
        self.show()

    def end_without_volumes(self) -> None:
        """End the comparison where one of its volumes has left the scene."""
        if any(volume.GetScene() is None for volume in self._last_pair or ()):
            self.exit()

    def exit(self) -> None:
        """End the comparison."""
        self._entered_with, self._last_pair = (), None  # they would keep the volumes alive
        for watched in (self._watched_layout, self._watched_scene, *self._watched_pair):
            watched.follow(None)
        self._ui.beforeButton.checked = False
        self._ui.windowComboBox.currentIndex = 0
        self.comparison.exit()
        self._listen_to_key()

    def _click(self, checked: bool) -> None:
        with messages.shown_errors(_("The volumes could not be compared.")):
            if checked:
                self._choices().overlay = Overlay.NOTHING
                self._enter(*self._choices().pair_to_compare())
                self._ui.compareCollapsibleButton.collapsed = False
            else:
                self.exit()
        self.show()

    def _describe(self) -> Shown | None:
        """Say what is shown. Returns the present comparison, by the names that its volumes have now."""
        shown = self.comparison.shown
        if shown is not None and self._last_pair is not None:
            before, after = (volume.GetName() for volume in self._last_pair)
            shown = replace(shown, before=before, after=after)
        chosen = self._choices()
        said = compare_texts.described(shown, chosen.arrangement.value, chosen.overlay) if shown else ""
        self._ui.comparisonLabel.text = said
        return shown

    def _arranged(self) -> tuple:
        """The requested contents of the views."""
        chosen = self._choices()
        return chosen.arrangement, chosen.plane, chosen.pair_to_compare() or self._last_pair

    def _remember(self, choice: object = None) -> None:
        remember(self._choices())

    def _enter(self, before: vtkMRMLScalarVolumeNode, after: vtkMRMLScalarVolumeNode) -> None:
        """Compare two volumes; where that cannot be, end: the views would show what was before."""
        chosen, entered_with = self._choices(), self._entered_with
        self._last_pair = (before, after)
        self._entered_with, self._states = self._arranged(), [_state(volume) for volume in self._last_pair]
        try:
            with slicer.util.WaitCursor():
                self.comparison.enter(
                    before,
                    after,
                    arrangement=chosen.arrangement.value,
                    plane=chosen.plane.value,
                    keeps_place=entered_with == self._entered_with,
                )
        except BaseException:
            self.exit()
            raise
        self._watched_layout.follow(self.comparison.views.layout_node)
        self._watched_scene.follow(slicer.mrmlScene)
        for watched, volume in zip(self._watched_pair, self._last_pair, strict=True):
            watched.follow(volume)
        behavior.share_width(self.comparison.views.tags, [column.label for column in COLUMNS])
        self._listen_to_key()

    def _enter_anew(self) -> None:
        """Compare as is requested now."""
        with messages.shown_errors(_("The volumes could not be compared.")):
            self._enter(*self._arranged()[2])

    def _volume_changed(self, volume: vtkMRMLScalarVolumeNode, event: str) -> None:
        """Compare anew, once for all changes that come together: the steps of two sequences, a transform's drag."""
        if not self._is_follow_due:
            self._is_follow_due = True
            timers.soon(self._follow)

    def _follow(self) -> None:
        if qt.QApplication.mouseButtons() != qt.Qt.NoButton:  # a drag, each step of which would wait for the resampling
            timers.soon(self._follow, _DRAG_MS)
            return
        self._is_follow_due = False
        if self.comparison.shown:
            if self._states != [_state(volume) for volume in self._last_pair]:
                self._enter_anew()
            self.show()

    def _layout_changed(self, layout_node: slicer.vtkMRMLLayoutNode, event: str) -> None:
        """End the comparison where the user has chosen another layout."""
        if not self.comparison.is_active:
            self.exit()
            self.show()

    def _listen_to_key(self) -> None:
        listens = self._is_open and self.comparison.is_active
        if listens and self._shortcut is None and slicer.util.mainWindow() is not None:
            self._shortcut = qt.QShortcut(qt.QKeySequence(_KEY), slicer.util.mainWindow())
            self._shortcut.connect("activated()", self._flicker)
        if self._shortcut is not None:
            self._shortcut.enabled = listens

    def _flicker(self) -> None:
        self._ui.beforeButton.checked = not self._ui.beforeButton.checked

    def _toggle(self, checked: bool) -> None:
        self._draw(self.comparison.views.blends)

    def _draw(self, blends: list[Blend]) -> None:
        """Lay over after what is chosen, or before in its place."""
        if not blends:
            return
        chosen, replaced = self._choices(), self._ui.beforeButton.checked
        for blend in blends:
            if replaced:
                blend.fade(1)
            else:
                _overlay(blend, chosen.overlay, chosen.overlayShare / 100)
        self.comparison.views.set_label(AFTER, COLUMNS[BEFORE if replaced else AFTER].label)
        self.comparison.views.show_crosshair(chosen.crosshair)

    def _set_window(self, index: int) -> None:
        name = self._ui.windowComboBox.itemData(index)
        if name:
            self.comparison.views.set_window(*CT_WINDOWS[name])


def _state(volume: vtkMRMLScalarVolumeNode) -> tuple:
    """What a change of the voxels, of the place or of the modality of a volume changes."""
    image, transform = volume.GetImageData(), volume.GetParentTransformNode()
    return (
        image.GetMTime() if image else 0,
        before_transform(volume).tolist(),
        dicom_source.modality(volume),
        (transform.GetID(), transform.GetTransformToWorldMTime()) if transform else None,
    )


def _overlay(blend: Blend, how: Overlay, share: float) -> None:
    {
        Overlay.NOTHING: blend.clear,
        Overlay.WIPE: lambda: blend.wipe(share),
        Overlay.FADE: lambda: blend.fade(share),
        Overlay.CHECKERBOARD: blend.checkerboard,
        Overlay.UNCERTAINTY: lambda: blend.color(share),
    }[how]()
