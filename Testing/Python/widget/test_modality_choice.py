"""The modality in the panel, of a volume of which DICOM states none."""

from __future__ import annotations

from typing import Any

import pytest

from widget.helpers import enhance, settle


def choose(panel: Any, name: str) -> None:
    """As a user does."""
    box = panel.ui.modalityComboBox
    box.currentIndex = box.findText(name)
    box.activated.emit(box.currentIndex)


def test_a_volume_is_enhanced_as_the_modality_that_the_user_states(a_panel: Any, a_thick_volume: Any, a_runner: Any):
    assert a_panel.ui.modalityComboBox.currentText == "By the values"
    assert ", CT or MR by the values, " in a_panel.ui.settingsLabel.text
    choose(a_panel, "CT")
    assert ", CT, " in a_panel.ui.settingsLabel.text
    a_panel.ui.enhanceButton.click()
    assert a_runner.volume.modality == "ct"


def test_a_statement_can_be_taken_back(a_panel: Any, a_thick_volume: Any):
    choose(a_panel, "PET")
    assert a_panel.ui.warningLabel.text == "The model was trained on CT and MR, not on PET."
    choose(a_panel, "By the values")
    assert a_panel.ui.warningLabel.text == ""
    assert a_panel.ui.modalityComboBox.currentText == "By the values"


def test_a_result_is_of_the_modality_that_was_stated_of_its_source(a_panel: Any, a_thick_volume: Any, a_runner: Any):
    choose(a_panel, "CT")
    enhance(a_panel, a_runner)
    a_panel._parameterNode.inputVolume = a_panel._parameterNode.resultVolume
    assert a_panel.ui.modalityComboBox.currentText == "CT"


def test_a_clone_is_of_the_modality_that_was_stated_and_so_is_its_result(
    a_panel: Any, a_thick_volume: Any, a_runner: Any, slicer_python: Any
):
    choose(a_panel, "Ultrasound")
    clone = slicer_python.mrmlScene.AddNewNodeByClass(a_thick_volume.GetClassName(), "Thick Copy")
    clone.CopyContent(a_thick_volume)  # as vtkSlicerSubjectHierarchyModuleLogic::CloneSubjectHierarchyItem does
    a_panel._parameterNode.inputVolume = clone
    assert a_panel.ui.modalityComboBox.currentText == "Ultrasound"
    enhance(a_panel, a_runner)
    assert a_runner.volume.modality == "us"
    a_panel._parameterNode.inputVolume = a_panel._parameterNode.resultVolume
    assert a_panel.ui.modalityComboBox.currentText == "Ultrasound"
    a_panel._parameterNode.inputVolume = clone
    choose(a_panel, "By the values")
    assert a_panel.ui.modalityComboBox.currentText == "By the values"


def test_a_statement_is_of_one_volume(a_panel: Any, a_thick_volume: Any, slicer_python: Any):
    choose(a_panel, "Ultrasound")
    other = slicer_python.util.addVolumeFromArray(slicer_python.util.arrayFromVolume(a_thick_volume), name="Other")
    a_panel._parameterNode.inputVolume = other
    assert a_panel.ui.modalityComboBox.currentText == "By the values"
    a_panel._parameterNode.inputVolume = a_thick_volume
    assert a_panel.ui.modalityComboBox.currentText == "Ultrasound"


def test_without_a_volume_there_is_nothing_to_state(a_panel: Any, a_thick_volume: Any):
    assert a_panel.ui.modalityComboBox.enabled
    a_panel._parameterNode.inputVolume = None
    assert not a_panel.ui.modalityComboBox.enabled


def test_a_script_states_it_too(the_module: Any, a_thick_volume: Any, a_runner: Any):
    the_module.MedicalSuperResolutionLogic().enhance(a_thick_volume, factor=2, modality="ct")
    assert a_runner.volume.modality == "ct"


def test_a_modality_that_does_not_exist_is_refused(the_module: Any, a_thick_volume: Any):
    from medical_super_resolution.errors import SettingsError

    with pytest.raises(SettingsError, match="unknown modality 'CT'; use one of: ct, mr, pet, us"):
        the_module.MedicalSuperResolutionLogic().enhance(a_thick_volume, modality="CT")


def test_the_panel_shows_the_modality_that_a_script_has_stated(a_panel: Any, the_module: Any, a_thick_volume: Any):
    the_module.MedicalSuperResolutionLogic().enhance(a_thick_volume, factor=2, modality="pet")
    assert a_panel.ui.modalityComboBox.currentText == "PET"
    assert ", PET, " in a_panel.ui.settingsLabel.text


def test_an_open_comparison_takes_the_unit_of_the_modality_that_is_stated(
    a_panel: Any, a_thick_volume: Any, a_runner: Any
):
    enhance(a_panel, a_runner)
    a_panel.ui.compareButton.click()
    assert not a_panel.ui.comparisonLabel.text.endswith(" HU.")
    choose(a_panel, "CT")
    settle()
    assert a_panel.ui.comparisonLabel.text.endswith(" HU.")
    assert a_panel.ui.windowComboBox.enabled


def test_an_estimated_profile_is_shown_only_for_the_modality_that_it_was_estimated_of(
    a_panel: Any, a_thick_volume: Any, a_runner: Any
):
    a_runner.also_reported = {
        "modality": "mr",
        "slice_profile": "gaussian",
        "slice_profile_source": "estimated",
        "slice_thickness_mm": 3.0,
        "slice_width_mm": 2.7,
        "slice_width_error_mm": 0.12,
    }
    enhance(a_panel, a_runner)
    assert a_panel.ui.settingsLabel.text.endswith("2.70 ± 0.12 mm (estimated)")
    choose(a_panel, "CT")
    assert a_panel.ui.settingsLabel.text.endswith("(expected)")
    for again in ("MR", "By the values"):
        choose(a_panel, again)
        assert a_panel.ui.settingsLabel.text.endswith("(estimated)")
