"""What the panel shows of DICOM, and its export of a result."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer")

import dicom_database
from dicom_sources import ROOT, write_source
from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.volumes.io import files
from widget.helpers import enhance


@pytest.fixture
def a_dicom_volume(a_slicer: Any, slicer_python: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """10 x 12 x 5 voxels of 0.7 x 0.8 x 5 mm, 4 mm thick, as Slicer loads them from DICOM; named "Head"."""
    stored = np.random.default_rng(0).integers(0, 4096, (5, 12, 10)).astype(np.uint16)
    database = dicom_database.DicomDatabase(write_source(tmp_path / "source", stored))
    dicom_database.use(database, slicer_python, monkeypatch)
    measured = files.read(tmp_path / "source")
    node = slicer_python.util.addVolumeFromArray(measured.array, measured.grid.ijk_to_ras, "Head")
    node.SetAttribute("DICOM.instanceUIDs", " ".join(f"{ROOT}.3.{k + 1}" for k in range(5)))
    return node


@pytest.fixture
def a_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "exported"
    folder.mkdir()
    return folder


def test_the_modality_that_the_files_state_is_shown_and_stays(a_panel: Any, a_dicom_volume: Any):
    assert a_panel.ui.modalityComboBox.currentText == "CT"
    assert not a_panel.ui.modalityComboBox.enabled
    assert a_panel.ui.modalityComboBox.toolTip == "Stated by the DICOM files."


def test_what_a_script_states_against_the_files_can_be_taken_back_in_the_panel(
    a_panel: Any, a_dicom_volume: Any, a_runner: Any
):
    from MedicalSuperResolutionLib.scene import dicom_source

    box = a_panel.ui.modalityComboBox
    dicom_source.state_modality(a_dicom_volume, "mr")
    assert (box.currentText, box.enabled) == ("MR", True)
    assert box.toolTip != "Stated by the DICOM files."
    box.currentIndex = box.findText("By the values")
    box.activated.emit(box.currentIndex)
    assert (box.currentText, box.enabled) == ("CT", False)
    enhance(a_panel, a_runner)
    assert dicom_source.modality(a_panel._parameterNode.resultVolume) == "ct"


def test_the_slice_thickness_is_shown_with_its_source(a_panel: Any, a_dicom_volume: Any, slicer_python: Any):
    box = a_panel.ui.sliceThicknessSpinBox
    assert (box.specialValueText, box.value) == ("auto, 4 mm", 0)
    a_dicom_volume.SetAttribute("DICOM.instanceUIDs", None)
    a_dicom_volume.Modified()
    assert box.specialValueText == "auto, 5 mm"
    slicer_python.mrmlScene.Clear(False)
    assert box.specialValueText == "auto"


def test_a_click_writes_the_series_and_leaves_the_database_alone(
    a_panel: Any, a_dicom_volume: Any, a_runner: Any, a_folder: Path, slicer_python: Any
):
    button = a_panel.ui.exportButton
    assert (button.enabled, "enhance a volume" in button.toolTip) == (False, True)
    enhance(a_panel, a_runner)
    assert (button.enabled, button.toolTip) == (False, "Choose a folder for the DICOM files.")
    a_panel.ui.exportPathLineEdit.currentPath = str(a_folder)
    assert button.enabled
    button.click()
    written = list((a_folder / "super-resolution-1").iterdir())
    assert a_panel.ui.exportLabel.text == f"{len(written)} files are in {a_folder / 'super-resolution-1'}."
    assert len(slicer_python.dicomDatabase._files) == 5
    slicer_python.mrmlScene.Clear(False)
    assert a_panel.ui.exportLabel.text == ""


def test_what_was_said_of_the_result_is_not_said_again_of_its_export(
    a_panel: Any, a_dicom_volume: Any, a_runner: Any, a_folder: Path
):
    a_runner.also_reported = {"warnings": ("the slices are very thick",)}
    enhance(a_panel, a_runner)
    a_panel.ui.exportPathLineEdit.currentPath = str(a_folder)
    a_panel.ui.exportButton.click()
    assert a_panel.ui.exportLabel.text.endswith(f" files are in {a_folder / 'super-resolution-1'}.")


def test_a_chosen_volume_is_exported_in_place_of_the_latest_result(a_panel: Any, a_dicom_volume: Any, a_runner: Any):
    enhance(a_panel, a_runner)
    assert a_panel.ui.databaseButton.enabled
    a_panel._parameterNode.exportVolume = a_dicom_volume  # which is no result
    assert not a_panel.ui.databaseButton.enabled


def test_where_no_database_is_open_nothing_is_written(
    a_panel: Any, a_dicom_volume: Any, a_runner: Any, slicer_python: Any, monkeypatch: pytest.MonkeyPatch
):
    from MedicalSuperResolutionLib.scene import dicom_export

    shown: list[str] = []
    monkeypatch.setattr(slicer_python.util, "errorDisplay", shown.append)
    monkeypatch.setattr(dicom_export, "export", lambda *_: shown.append("written"))
    slicer_python.dicomDatabase.isOpen = False
    enhance(a_panel, a_runner)
    a_panel.ui.databaseButton.click()
    assert shown == [
        "Slicer's DICOM database is not open; open or create it in the module Add DICOM Data, and try again."
    ]


def test_no_file_is_left_beside_the_database(
    a_panel: Any, a_dicom_volume: Any, a_runner: Any, a_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    from MedicalSuperResolutionLib.process import subprocess

    monkeypatch.setattr(subprocess, "private_folder", lambda: a_folder)
    enhance(a_panel, a_runner)
    a_panel.ui.databaseButton.click()
    assert a_panel.ui.exportLabel.text == "The new series is in the DICOM database."
    assert not a_folder.exists()


def test_a_result_is_sent_to_the_database_and_selected_there(
    a_panel: Any, a_dicom_volume: Any, a_runner: Any, slicer_python: Any, monkeypatch: pytest.MonkeyPatch
):
    import types

    opened, selected = [], []
    browser = types.SimpleNamespace(setSelectedItems=lambda kind, series: selected.extend(series))
    widget = types.SimpleNamespace(browserWidget=types.SimpleNamespace(dicomBrowser=browser))
    monkeypatch.setattr(slicer_python.util, "mainWindow", object)
    monkeypatch.setattr(slicer_python.util, "selectModule", opened.append)
    monkeypatch.setattr(slicer_python.util, "getModuleWidget", lambda name: widget)
    sys.modules["ctk"].ctkDICOMModel = types.SimpleNamespace(SeriesType=3)
    assert not a_panel.ui.databaseButton.enabled
    enhance(a_panel, a_runner)
    a_panel.ui.databaseButton.click()
    assert a_panel.ui.exportLabel.text == "The new series is in the DICOM database."
    assert (opened, len(selected)) == (["DICOM"], 1)
    assert len(slicer_python.dicomDatabase._files) > 10


class PatientView:
    """Of Slicer's visual DICOM browser: it knows the series of the shown patient alone."""

    def __init__(self) -> None:
        self.shown, self.selected = ["another"], []

    def selectPatientUIDs(self, patients: list[str]) -> None:  # CTK's names
        self.shown = patients

    def selectSeriesInstanceUIDs(self, series: list[str]) -> None:
        self.selected = [one for one in series if one.startswith(f"of {self.shown[0]}")]


def test_the_visual_dicom_browser_shows_the_patient_of_the_series(
    a_panel: Any, slicer_python: Any, monkeypatch: pytest.MonkeyPatch
):
    import types

    from MedicalSuperResolutionLib.panel.sections import dicom

    view = PatientView()
    visual = types.SimpleNamespace(patientView=lambda: view)
    browser = types.SimpleNamespace(useVisualDICOMBrowser=True, dicomVisualBrowser=visual)
    database = types.SimpleNamespace(studyForSeries=lambda series: series.removesuffix(" 7"))
    database.patientForStudy = lambda study: study.removeprefix("of ")
    monkeypatch.setattr(slicer_python, "dicomDatabase", database, raising=False)
    monkeypatch.setattr(slicer_python.util, "mainWindow", object)
    monkeypatch.setattr(slicer_python.util, "selectModule", lambda name: None)
    monkeypatch.setattr(
        slicer_python.util, "getModuleWidget", lambda name: types.SimpleNamespace(browserWidget=browser)
    )
    dicom._select("of patient 7")
    assert view.selected == ["of patient 7"]


def test_what_keeps_it_from_being_written_is_shown(
    a_panel: Any, a_dicom_volume: Any, a_runner: Any, a_folder: Path, errors_shown: list[str], tmp_path: Path
):
    enhance(a_panel, a_runner)
    a_panel.ui.exportPathLineEdit.currentPath = str(a_folder)
    next((tmp_path / "source").iterdir()).unlink()
    a_panel.ui.exportButton.click()
    assert errors_shown == [
        "1 of the DICOM files that Head 0.7 mm comes from are not in Slicer's DICOM database; import them again in"
        " the DICOM module, then export again."
    ]
    assert (list(a_folder.iterdir()), a_panel.ui.exportLabel.text) == ([], "")


def test_any_result_of_the_scene_can_be_exported(
    a_panel: Any, a_dicom_volume: Any, a_folder: Path, a_thick_volume: Any
):
    a_panel.ui.exportPathLineEdit.currentPath = str(a_folder)
    a_panel.ui.exportSelector.setCurrentNode(a_thick_volume)
    assert "Thick was not made here from a volume" in a_panel.ui.exportButton.toolTip
    assert not a_panel.ui.exportButton.enabled


def test_the_folder_is_not_kept_with_the_scene(a_panel: Any, a_folder: Path):
    a_panel.ui.exportPathLineEdit.currentPath = str(a_folder)
    node = a_panel._parameterNode.parameterNode
    assert str(a_folder) not in [node.GetParameter(name) for name in node.GetParameterNames()]


def test_a_path_that_is_no_folder_disables_the_button(a_panel: Any, a_dicom_volume: Any, a_runner: Any, a_folder: Path):
    enhance(a_panel, a_runner)
    for path, enabled in ((str(a_folder), True), (str(a_folder / "none"), False), ("", False)):
        a_panel.ui.exportPathLineEdit.currentPath = path
        assert a_panel.ui.exportButton.enabled == enabled


def test_a_script_exports_and_hears_the_warnings(
    the_module: Any, a_dicom_volume: Any, a_folder: Path, slicer_python: Any
):
    logic = the_module.MedicalSuperResolutionLogic()
    node = logic.enhance(a_dicom_volume, factor=2)
    assert logic.export_dicom(node, a_folder / "new", addToDatabase=True) == ()
    assert len(slicer_python.dicomDatabase._files) == 5 + 10
    slicer_python.dicomDatabase.isOpen = False
    with pytest.raises(SuperResolutionError, match="DICOM database is not open"):
        logic.export_dicom(node, a_folder / "newer", addToDatabase=True)
    assert not (a_folder / "newer").exists()
