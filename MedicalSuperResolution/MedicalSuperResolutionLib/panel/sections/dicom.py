"""The section DICOM of the panel."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import ctk
import slicer
from slicer import vtkMRMLScalarVolumeNode

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.system import temp_dirs
from medical_super_resolution.system.paths import is_folder
from MedicalSuperResolutionLib import messages
from MedicalSuperResolutionLib.panel.parameter_node import MedicalSuperResolutionParameterNode
from MedicalSuperResolutionLib.process import subprocess
from MedicalSuperResolutionLib.scene import dicom_export, provenance
from MedicalSuperResolutionLib.translation import tr as _


class DicomSection:
    """Controls the buttons of the section. The folder is not kept with the scene: it may name a person."""

    def __init__(self, ui: SimpleNamespace, choices: Callable[[], MedicalSuperResolutionParameterNode]) -> None:
        """``choices`` gives the parameter node of the scene; `show` announces its changes."""
        self._ui, self._choices = ui, choices
        ui.exportPathLineEdit.filters = ctk.ctkPathLineEdit.Dirs
        ui.exportPathLineEdit.connect("currentPathChanged(QString)", self._path_changed)  # emitted for folders only
        ui.exportPathLineEdit.connect("validInputChanged(bool)", self._path_changed)
        ui.exportButton.connect("clicked(bool)", self._export)
        ui.databaseButton.connect("clicked(bool)", self._send)

    def show(self) -> None:
        """Offer to export where there is something to export, and a folder to put it into."""
        ui, obstacle = self._ui, self._obstacle()
        if self._node() is None:
            ui.exportLabel.text = ""  # of a result that has left
        ui.databaseButton.enabled = not obstacle
        ui.databaseButton.toolTip = obstacle or _("Put the result into Slicer's DICOM database, and select it there.")
        path = ui.exportPathLineEdit.currentPath
        obstacle = obstacle or ("" if path and is_folder(Path(path)) else _("Choose a folder for the DICOM files."))
        ui.exportButton.enabled = not obstacle
        ui.exportButton.toolTip = obstacle or _("Write the result as a new series of its patient's study.")

    def _path_changed(self, path_or_validity: str | bool = "") -> None:
        self.show()

    def _node(self) -> vtkMRMLScalarVolumeNode | None:
        chosen = self._choices()
        return chosen.exportVolume or chosen.present_result()

    def _obstacle(self) -> str:
        try:
            dicom_export.check_exportable(self._node())
        except SuperResolutionError as problem:
            return messages.sentence(problem)
        return ""

    def _export(self, checked: bool = False) -> None:
        with messages.shown_errors(_("The volume could not be exported.")), slicer.util.WaitCursor():
            folder = dicom_export.new_folder(Path(self._ui.exportPathLineEdit.currentPath))
            self._ui.exportLabel.text = ""
            warnings = self._write(folder)
            count = len(list(folder.iterdir()))
            done = _("{count} files are in {folder}.").format(count=count, folder=folder)
            self._ui.exportLabel.text = " ".join([done, *warnings])

    def _send(self, checked: bool = False) -> None:
        with messages.shown_errors(_("The volume could not be sent to the DICOM database.")):
            self._ui.exportLabel.text = ""
            dicom_export.check_database()
            temporary = subprocess.private_folder()
            try:
                with slicer.util.WaitCursor():
                    folder = dicom_export.new_folder(temporary)
                    warnings = self._write(folder)
                    series = dicom_export.add_to_database(folder)
            finally:
                temp_dirs.remove(temporary)
            done = _("The new series is in the DICOM database.")
            self._ui.exportLabel.text = " ".join([done, *warnings])
            _select(series)

    def _write(self, folder: Path) -> list[str]:
        """Write the series; gives what there is to be warned of, one sentence each."""
        node = self._node()
        known = len(provenance.report_of(node).warnings)
        return [messages.sentence(one) for one in dicom_export.export(node, folder).warnings[known:]]


def _select(series: str) -> None:
    """Open Slicer's DICOM browser with a series, given by its UID, selected."""
    if slicer.util.mainWindow() is None:
        return
    slicer.util.selectModule("DICOM")
    browser = slicer.util.getModuleWidget("DICOM").browserWidget
    if getattr(browser, "useVisualDICOMBrowser", False):  # which of the two is shown is a setting of Slicer
        patients, study = browser.dicomVisualBrowser.patientView(), slicer.dicomDatabase.studyForSeries(series)
        patients.selectPatientUIDs([slicer.dicomDatabase.patientForStudy(study)])  # it has the series of no other
        patients.selectSeriesInstanceUIDs([series])
    else:
        browser.dicomBrowser.setSelectedItems(ctk.ctkDICOMModel.SeriesType, [series])
