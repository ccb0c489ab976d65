"""Codes in derived series, and the patient's position, for which PET has codes in place of the letters of CT and MR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..images.header import text

if TYPE_CHECKING:
    from pydicom import Dataset

_RECUMBENT = ("102538003", "recumbent", "SCT")
_FIRST = {"HF": ("102540008", "headfirst", "SCT"), "FF": ("102541007", "feet-first", "SCT")}
_LYING = {
    "S": ("40199007", "supine", "SCT"),
    "P": ("1240000", "prone", "SCT"),
    "DR": ("102535000", "right lateral decubitus", "SCT"),
    "DL": ("102536004", "left lateral decubitus", "SCT"),
}


def coded(value: str, meaning: str, scheme: str = "DCM") -> Dataset:
    """An item of a sequence of codes; SCT is SNOMED CT."""
    from pydicom import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def state_position(header: Dataset) -> None:
    """Replace ``PatientPosition``, which the standard forbids beside the codes, by those that the header lacks."""
    position = text(header, "PatientPosition")
    del header.PatientPosition
    first, lying = _FIRST.get(position[:2]), _LYING.get(position[2:])
    if not (first and lying):
        return
    if not header.PatientOrientationCodeSequence:
        recumbent = coded(*_RECUMBENT)
        recumbent.PatientOrientationModifierCodeSequence = [coded(*lying)]
        header.PatientOrientationCodeSequence = [recumbent]
    if not header.PatientGantryRelationshipCodeSequence:
        header.PatientGantryRelationshipCodeSequence = [coded(*first)]
