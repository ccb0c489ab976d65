"""What a segment is, as codes: in a DICOM SEG, and as 3D Slicer writes them into the tags of a .seg.nrrd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept
    from pydicom import Dataset

_TAG = "TerminologyEntry:"
_CONTEXT = "Segmentation category and type - DICOM master list"  # a list of terms that Slicer has
_REGIONS = "Anatomic codes - DICOM master list"  # another
_ANATOMY = ("91723000", "SCT", "Anatomical Structure")
_PREFIX = "DICOM."  # of tags that Slicer names by the attributes
_DRAWN_BY, _TRACKED_BY = ("SegmentAlgorithmType", "SegmentAlgorithmName"), ("TrackingID", "TrackingUID")
_BY_ALGORITHM = ("AUTOMATIC", "SEMIAUTOMATIC")
_MARKS = str.maketrans("~^|", "   ")


def tags_of(segment: SegmentDescription) -> str:
    """What a segment is, such as anatomical structure, kidney, left; what drew it; and by what it is tracked."""
    kept = {name: str(segment.get(name, "")).translate(_MARKS) for name in (*_DRAWN_BY, *_TRACKED_BY)}
    return "".join(f"{_PREFIX}{name}:{value}|" for name, value in kept.items() if value) + _term_of(segment)


def _term_of(segment: SegmentDescription) -> str:
    """The category, type and region of a segment, with their modifiers."""
    modified = segment.SegmentedPropertyTypeCodeSequence[0].get("SegmentedPropertyTypeModifierCodeSequence", ())
    regions = segment.get("AnatomicRegionSequence", ())[:1]
    modified_region = regions[0].get("AnatomicRegionModifierSequence", ()) if regions else ()
    parts = [_CONTEXT, _written(segment.SegmentedPropertyCategoryCodeSequence)]
    parts += [_written(segment.SegmentedPropertyTypeCodeSequence), _written(modified)]
    parts += [_REGIONS if regions else "", _written(regions), _written(modified_region)]
    return f"{_TAG}{'~'.join(parts)}|"


def _written(codes: Sequence[Dataset]) -> str:
    """The first of some codes."""
    from highdicom.sr import CodedConcept

    if not codes:
        return "^^"
    code = CodedConcept.from_dataset(codes[0])
    return "^".join(part.translate(_MARKS) for part in (code.scheme_designator, code.value, code.meaning))


def codes_in(tags: str) -> tuple[CodedConcept, CodedConcept]:
    """Category and type in the tags of a segment; an anatomical structure where they name none."""
    from highdicom.sr import CodedConcept

    category, kind, *_ = _codes(tags)
    if category is None or kind is None:
        return CodedConcept(*_ANATOMY), CodedConcept(*_ANATOMY)
    return category, kind


def add_from_tags(segment: SegmentDescription, tags: str) -> None:
    """Give a segment what else its tags say: modifiers, region, the algorithm that drew it, what it is tracked by."""
    from pydicom.config import IGNORE
    from pydicom.uid import UID

    parts = [tag.partition(":") for tag in tags.split("|") if tag.startswith(_PREFIX)]
    named = {key.removeprefix(_PREFIX): value for key, _, value in parts if value}
    drawn_by, tracked_by = ([named.get(name, "") for name in names] for names in (_DRAWN_BY, _TRACKED_BY))
    if all(drawn_by) and drawn_by[0] in _BY_ALGORITHM:
        segment.SegmentAlgorithmType, name = drawn_by
        segment.SegmentAlgorithmName = name.replace("\\", "/")[:64]  # a backslash would make it several names
    if all(tracked_by) and UID(tracked_by[1], IGNORE).is_valid:
        segment.TrackingID, segment.TrackingUID = tracked_by
    category, kind, modifier, region, region_modifier = _codes(tags)
    if category and kind and modifier:
        segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [modifier]
    if region:
        segment.AnatomicRegionSequence = [region]
    if region and region_modifier:
        region.AnatomicRegionModifierSequence = [region_modifier]


def _codes(tags: str) -> list[CodedConcept | None]:
    """Category, type, its modifier, region and its modifier."""
    entry = next((tag for tag in tags.split("|") if tag.startswith(_TAG)), "")
    parts = [*entry.split("~"), *[""] * 7]
    return [_code(parts[place]) for place in (1, 2, 3, 5, 6)]


def _code(text: str) -> CodedConcept | None:
    from highdicom.sr import CodedConcept

    scheme, value, meaning = [*text.split("^"), "", "", ""][:3]
    return CodedConcept(value, scheme, meaning[:64]) if value and 0 < len(scheme) <= 16 and meaning else None
