"""The rules of a station: how they are read, and which series they fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.station.rules import Rule, first_that_fits, read_rules
from station_doubles import rules_file

pydicom = pytest.importorskip("pydicom")


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ({}, True),
        ({"Modality": "MR"}, False),
        ({"SeriesDescription": "Topogram"}, False),
        ({"SliceThickness": 2}, False),
        ({"SliceThickness": None}, False),
    ],
)
def test_the_first_rule_that_fits_decides(said: dict, fits: bool):
    header = pydicom.Dataset()
    header.Modality, header.SeriesDescription, header.SliceThickness = "CT", "AXIAL Thorax 5.0", 5
    for name, value in said.items():
        setattr(header, name, value)
    rule = Rule(modality="CT", description="axial*", thicker_than_mm=2.0)
    assert (first_that_fits((rule,), header) is rule) == fits


def test_brackets_in_the_description_of_a_rule_stand_for_themselves():
    rule = Rule(modality="CT", description="*[lung]*")
    assert rule.may_fit("CT", "Thorax [Lung] 5.0")
    assert not rule.may_fit("CT", "Thorax u 5.0")


def test_a_rule_for_any_thickness_fits_slices_whose_thickness_is_not_stated():
    header = pydicom.Dataset()
    header.Modality = "CT"
    assert first_that_fits((Rule(),), header) == Rule()


def test_what_was_derived_here_is_never_enhanced_again():
    header, item = pydicom.Dataset(), pydicom.Dataset()
    item.ManufacturerModelName = "MedicalSuperResolution"
    header.Modality, header.ContributingEquipmentSequence = "CT", [item]
    assert first_that_fits((Rule(modality="CT"),), header) is None


def test_rules_are_read(tmp_path: Path):
    path = rules_file(tmp_path, '[[rule]]\nmodality = "MR"\nthicker_than_mm = 3\nfactor = 4\nsend_to = "A@b:1"\n')
    assert read_rules(path) == (Rule(modality="MR", thicker_than_mm=3, factor=4, send_to="A@b:1"),)


def test_rules_that_the_editor_of_windows_saved_are_read(tmp_path: Path):
    assert read_rules(rules_file(tmp_path, '\ufeff[[rule]]\nmodality = "MR"\n')) == (Rule(modality="MR"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least one"),
        ("[[rule]]\nmodalty = 'CT'\n", "'modalty'"),
        ("[[rule]]\nmodality = 'US'\n", "'US'"),
        ("[[rule]]\nfactor = 'four'\n", "must be a number"),
        ("[[rule]]\nfactor = 40\n", "at most 8"),
        ("[[rule]]\nfactor = true\n", "must be a number"),
        ("send_to = 'A@b:1'\n[[rule]]\n", "must consist of"),
        ("[[rule]\n", "cannot be read"),
    ],
)
def test_rules_without_sense_are_refused(tmp_path: Path, text: str, said: str):
    with pytest.raises(SettingsError, match=said):
        read_rules(rules_file(tmp_path, text))
