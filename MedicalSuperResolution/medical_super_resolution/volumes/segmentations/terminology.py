"""What a segment is, as codes: in a DICOM SEG, and as 3D Slicer writes them into the tags of a .seg.nrrd."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept

_TAG = "TerminologyEntry:"
_CONTEXT = "Segmentation category and type - DICOM master list"  # a list of terms that Slicer has
_ANATOMY = ("91723000", "SCT", "Anatomical Structure")
_MARKS = str.maketrans("~^|", "   ")


def tag_of(segment: SegmentDescription) -> str:
    """The category, type and modifier of a segment, such as anatomical structure, kidney, left."""
    from highdicom.sr import CodedConcept

    modifiers = segment.SegmentedPropertyTypeCodeSequence[0].get("SegmentedPropertyTypeModifierCodeSequence", ())
    codes = [segment.segmented_property_category, segment.segmented_property_type]
    codes += [CodedConcept.from_dataset(modifier) for modifier in modifiers[:1]]
    written = [
        "^".join(part.translate(_MARKS) for part in (code.scheme_designator, code.value, code.meaning))
        for code in codes
    ]
    return f"{_TAG}{'~'.join((_CONTEXT, *written, *['^^'] * (3 - len(written)), '', '^^', '^^'))}|"


def codes_in(tags: str) -> tuple[CodedConcept, CodedConcept, CodedConcept | None]:
    """Category, type and modifier in the tags of a segment; an anatomical structure where they name none."""
    from highdicom.sr import CodedConcept

    entry = next((tag for tag in tags.split("|") if tag.startswith(_TAG)), "")
    category, kind, modifier = (_code(text) for text in [*entry.split("~"), "", "", "", ""][1:4])
    if category is None or kind is None:
        return CodedConcept(*_ANATOMY), CodedConcept(*_ANATOMY), None
    return category, kind, modifier


def _code(text: str) -> CodedConcept | None:
    from highdicom.sr import CodedConcept

    scheme, value, meaning = [*text.split("^"), "", "", ""][:3]
    return CodedConcept(value, scheme, meaning[:64]) if value and 0 < len(scheme) <= 16 and meaning else None
