"""The list of modalities in Advanced: what the values of the input volume are."""

from collections.abc import Callable
from types import SimpleNamespace

from MedicalSuperResolutionLib.panel.parameter_node import MedicalSuperResolutionParameterNode
from MedicalSuperResolutionLib.scene import dicom_source
from MedicalSuperResolutionLib.translation import tr as _


class ModalitySelector:
    """Shows the modality that is known of the input volume, and takes that of a volume of which DICOM states none."""

    def __init__(self, ui: SimpleNamespace, choices: Callable[[], MedicalSuperResolutionParameterNode]) -> None:
        """``choices`` gives the parameter node of the scene; `show` is to be called when its volume changes."""
        self._box, self._choices = ui.modalityComboBox, choices
        names = {"": _("By the values"), "ct": _("CT"), "mr": _("MR"), "pet": _("PET"), "us": _("Ultrasound")}
        for modality, name in names.items():
            self._box.addItem(name, modality)
        self._box.connect("activated(int)", self._state)  # by the user

    def show(self) -> None:
        """Show what is known of the input volume."""
        box, volume = self._box, self._choices().inputVolume
        known = None if volume is None else dicom_source.modality(volume)
        is_from_dicom = known is not None and dicom_source.is_modality_from_dicom(volume)
        box.currentIndex = box.findData(known or "")
        box.enabled = volume is not None and not is_from_dicom
        box.toolTip = (
            _("Stated by the DICOM files.")
            if is_from_dicom
            else _("By the values, a volume with air near -1000 is CT, any other MR; state it where that is wrong.")
        )

    def _state(self, index: int) -> None:
        dicom_source.state_modality(self._choices().inputVolume, self._box.itemData(index) or None)
