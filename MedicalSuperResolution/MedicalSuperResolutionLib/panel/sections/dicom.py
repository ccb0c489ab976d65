"""The section DICOM of the panel: what it offers, says and does."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import ctk
import slicer
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _

from medical_super_resolution.errors import SuperResolutionError
from MedicalSuperResolutionLib.panel import messages as feedback
from MedicalSuperResolutionLib.panel.parameter_node import MedicalSuperResolutionParameterNode
from MedicalSuperResolutionLib.scene import dicom_export


class DicomSection:
    """Stands behind the button Export to DICOM. The folder is not kept with the scene: it may name a person."""

    def __init__(self, ui: SimpleNamespace, choices: Callable[[], MedicalSuperResolutionParameterNode]) -> None:
        """``choices`` gives the parameter node of the scene; its changes are told by `show`."""
        self._ui, self._choices = ui, choices
        ui.exportPathLineEdit.filters = ctk.ctkPathLineEdit.Dirs
        ui.exportPathLineEdit.connect("currentPathChanged(QString)", self._path_changed)  # said of folders only
        ui.exportPathLineEdit.connect("validInputChanged(bool)", self._path_changed)
        ui.exportButton.connect("clicked(bool)", self._click)

    def show(self) -> None:
        """Offer to export where there is something to export and a folder to put it into."""
        button, obstacle = self._ui.exportButton, self._obstacle()
        button.enabled = not obstacle
        button.toolTip = obstacle or _("Write the volume as a new series of its patient's study, and read it again.")

    def _path_changed(self, path_or_validity: str | bool = "") -> None:
        self.show()

    def _node(self) -> vtkMRMLScalarVolumeNode | None:
        chosen = self._choices()
        return chosen.exportVolume or chosen.resultVolume

    def _obstacle(self) -> str:
        try:
            dicom_export.check_exportable(self._node())
        except SuperResolutionError as problem:
            return feedback.sentence(problem)
        path = self._ui.exportPathLineEdit.currentPath
        return "" if path and Path(path).is_dir() else _("Choose a folder for the DICOM files.")

    def _click(self, checked: bool = False) -> None:
        label = self._ui.exportLabel
        label.text = ""
        with feedback.shown_errors(_("The volume could not be exported.")), slicer.util.WaitCursor():
            node, folder = self._node(), dicom_export.new_folder(Path(self._ui.exportPathLineEdit.currentPath))
            known = len(dicom_export.provenance.report_of(node).warnings)
            report = dicom_export.export(node, folder)
            said = [_("{count} files are in {folder}.").format(count=len(list(folder.iterdir())), folder=folder)]
            label.text = " ".join([*said, *(feedback.sentence(warning) for warning in report.warnings[known:])])
            if self._choices().addToDatabase:
                dicom_export.add_to_database(folder)
                label.text += " " + _("They are in the DICOM database, too.")
