"""What sets images apart: their content where they share an identity, any attribute where they share a place."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ...system.checksum import digest_of
from .images.frames import Frame, flat
from .images.header import UNREADABLE, DicomFile, text

if TYPE_CHECKING:
    from pydicom import Dataset

_DIMENSIONS = 0x00209157  # DimensionIndexValues: the place of a frame along each dimension of its file
_NO_DIFFERENCE = ("UI", "SQ", "OB", "OW", "OF", "OD", "OL", "OV", "UN", "AT")  # kinds of values
_LONGEST = 40  # characters of a value in a label
_TEXTS = ("PN", "LO", "SH", "LT", "ST", "UC", "UR", "UT")  # kinds of values that people write, and may name a patient
_PATIENT, _ACQUISITION = 0x0010, 0x0018  # groups: of the first all values may, of the second none
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)")


class Copies:
    """The files so far. Some programs give one UID to several images, so a copy is of one identity and one content."""

    def __init__(self) -> None:
        self._firsts: dict[str, Path] = {}
        self._digests: dict[str, set[str]] = {}  # of identities that several files have

    def include(self, file: DicomFile) -> bool:
        """Whether a file is a copy of one that was included before; it is read where it could be."""
        identity = text(file.header, "SOPInstanceUID") + text(file.header, "ImagePositionPatient")
        first = self._firsts.setdefault(identity, file.path)
        if not identity or first == file.path:
            return False
        if identity not in self._digests:
            self._digests[identity] = {digest_of(first)}
        known, digest = self._digests[identity], digest_of(file.path)
        is_copy = digest in known
        known.add(digest)
        return is_copy


def groups_by_any(
    frames: list[Frame], place_of: dict[tuple[str, int], int], most: int
) -> tuple[str, dict[str, list[Frame]]]:
    """The first attribute that has ``most`` values, each for at most one image of a place, and the images of each.

    Parameters
    ----------
    frames : list of Frame
        Images of which some lie at one place.
    place_of : dict
        The number of the place of each image.
    most : int
        How many images there are at the place with most of them.

    Returns
    -------
    tuple
        The name, and the images by value, empty for those that lack the attribute; both empty if there is none. Values
        that may name a patient are replaced by their number.
    """
    whole = {path: _header_of(path) for path in {frame.file.path for frame in frames}}
    by_attribute: dict[tuple[str, str, bool], dict[str, list[Frame]]] = defaultdict(lambda: defaultdict(list))
    for frame in frames:
        for attribute, value in (whole[frame.file.path] | _values(frame.header)).items():
            by_attribute[attribute][value].append(frame)
    for (_, label, is_private), groups in sorted(by_attribute.items()):
        there = {frame.instance for group in groups.values() for frame in group}
        rest = [frame for frame in frames if frame.instance not in there]
        found = groups | ({"": rest} if rest else {})
        if len(found) == most and all(_is_single(group, place_of) for group in found.values()):
            return label, _numbered(found) if is_private else found
    return "", {}


def _numbered(groups: dict[str, list[Frame]]) -> dict[str, list[Frame]]:
    return {f"number {place}": groups[value] for place, value in enumerate(sorted(groups, key=natural), 1)}


def natural(value: str) -> tuple[float, tuple[str | float, ...], str]:
    """Sort key: numbers by size, then texts, in which numbers count by size, too; nothing comes before all."""
    if not value:
        return -math.inf, (), value
    with suppress(ValueError):
        return float(value), (), value
    parts = enumerate(_NUMBER.split(value))
    return math.inf, tuple(float(part) if place % 2 else part for place, part in parts), value


def _is_single(group: list[Frame], place_of: dict[tuple[str, int], int]) -> bool:
    return len({place_of[frame.instance] for frame in group}) == len(group)


def _header_of(path: Path) -> dict[tuple[str, str, bool], str]:
    from pydicom import dcmread

    with suppress(*UNREADABLE):
        return _values(flat([dcmread(path, stop_before_pixels=True, force=True)], 0))
    return {}


def _values(header: Dataset) -> dict[tuple[str, str, bool], str]:
    """Values by sort key, readable name and whether they may name a patient; the dimensions one by one."""
    found: dict[tuple[str, str, bool], str] = {}
    with suppress(*UNREADABLE):  # damaged values are ignored
        for element in header:
            if element.tag == _DIMENSIONS and element.value:
                for number, value in enumerate(element.value, 1):
                    found[f"{element.tag:08x}.{number}", f"dimension {number}", False] = str(value)
            elif not element.tag.is_private and element.VR not in _NO_DIFFERENCE:
                group = element.tag.group
                is_private = group == _PATIENT or (element.VR in _TEXTS and group != _ACQUISITION)
                found[f"{element.tag:08x}", element.name.lower(), is_private] = str(element.value)[:_LONGEST]
    return found
