"""The patient's position as PET states it: by codes, in place of the letters of CT and MR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..images.header import text

if TYPE_CHECKING:
    from pydicom import Dataset

_SCHEME = "SCT"
_RECUMBENT = ("102538003", "recumbent")
_FIRST = {"HF": ("102540008", "headfirst"), "FF": ("102541007", "feet-first")}
_LYING = {
    "S": ("40199007", "supine"),
    "P": ("1240000", "prone"),
    "DR": ("102535000", "right lateral decubitus"),
    "DL": ("102536004", "left lateral decubitus"),
}


def state_by_codes(header: Dataset) -> None:
    """Replace ``PatientPosition``, which the standard forbids beside the codes, by those that the header lacks."""
    position = text(header, "PatientPosition")
    del header.PatientPosition
    first, lying = _FIRST.get(position[:2]), _LYING.get(position[2:])
    if not (first and lying):
        return
    if not header.PatientOrientationCodeSequence:
        recumbent = _code(*_RECUMBENT)
        recumbent.PatientOrientationModifierCodeSequence = [_code(*lying)]
        header.PatientOrientationCodeSequence = [recumbent]
    if not header.PatientGantryRelationshipCodeSequence:
        header.PatientGantryRelationshipCodeSequence = [_code(*first)]


def _code(value: str, meaning: str) -> Dataset:
    from pydicom import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, _SCHEME, meaning
    return code
