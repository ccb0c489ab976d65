"""The images in a DICOM file: itself, or the frames of an enhanced multi-frame file, each with its attributes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ....errors import VolumeError
from ...grid import LARGEST_SPACING_MM
from .header import UNREADABLE, DicomFile, number, numbers, whole

if TYPE_CHECKING:
    from pydicom import Dataset

# Sequences of converted files. These and private ones are used for attributes that are found nowhere else: Philips puts
# other positions into a private one.
_UNASSIGNED = (0x00209170, 0x00209171)
# Sequences about images that a frame refers to or was derived from.
_OF_OTHER_IMAGES = (0x00081140, 0x00089124, 0x00082112, 0x00209172)
_DEEPEST = 3  # nesting of sequences in a functional group that is read, as deep as that of diffusion gradients


@dataclass(frozen=True)
class Frame:
    """One image of one place.

    Parameters
    ----------
    file : DicomFile
        The file that holds its pixels.
    index : int
        Which of the file's frames it is, from 0.
    header : pydicom.Dataset
        Its attributes, by the keywords of single-frame files.
    tiles_ji : tuple of int
        How many slices lie below each other, and side by side, in a mosaic; ``index`` counts them row by row.
    """

    file: DicomFile
    index: int
    header: Dataset
    tiles_ji: tuple[int, int] = (1, 1)

    @cached_property
    def position(self) -> np.ndarray | None:
        """(3,) center of the first voxel in mm, LPS; None where it is not known."""
        found = numbers(self.header, "ImagePositionPatient")
        return np.array(found) if len(found) == 3 else None

    @cached_property
    def orientation(self) -> np.ndarray | None:
        """(2, 3) unit vectors along the rows and along the columns, LPS; None where they are not known."""
        found = numbers(self.header, "ImageOrientationPatient")
        if len(found) != 6:
            return None
        axes = np.reshape(found, (2, 3))
        lengths = np.linalg.norm(axes, axis=1)
        is_right = np.abs(lengths - 1).max() < 0.1 and abs(float(axes[0] @ axes[1])) < 1e-2
        return axes / lengths[:, None] if is_right else None

    @cached_property
    def spacing_ji_mm(self) -> tuple[float, float] | None:
        """Distance of the rows and of the columns; None where they are not known."""
        found = numbers(self.header, "PixelSpacing")
        return (found[0], found[1]) if len(found) == 2 and min(found) > 0 else None

    @cached_property
    def shape_ji(self) -> tuple[int, int]:
        """Rows and columns."""
        below, beside = self.tiles_ji
        return whole(self.file.header, "Rows") // below, whole(self.file.header, "Columns") // beside

    @property
    def thickness_mm(self) -> float | None:
        """Tissue in the slice; None where it is not known."""
        found = number(self.header, "SliceThickness")
        return found if found is not None and 0 < found <= LARGEST_SPACING_MM else None

    @property
    def instance(self) -> tuple[str, int]:
        """Unique key of an image; not its UID, which some programs give to several images."""
        return str(self.file.path), self.index

    @property
    def name(self) -> str:
        """For people: its number, with the frame where there are several; a file's name may be a patient's."""
        number = f"number {whole(self.file.header, 'InstanceNumber')}"
        several = whole(self.file.header, "NumberOfFrames", 1) > 1
        return f"{number}, frame {self.index + 1}" if several or self.tiles_ji != (1, 1) else number


def frames_of(file: DicomFile) -> list[Frame]:
    """The images of a file, in the order in which it holds them.

    Raises
    ------
    VolumeError
        The attributes of its frames are damaged, or those of some are missing.
    """
    try:
        return _frames(file)
    except UNREADABLE as problem:
        raise VolumeError(
            f"the attributes of the frames of {file.path} are damaged; get the DICOM series again"
        ) from problem


def _frames(file: DicomFile) -> list[Frame]:
    per_frame = file.header.get("PerFrameFunctionalGroupsSequence")
    if not per_frame:
        return [Frame(file, 0, file.header)]
    count = whole(file.header, "NumberOfFrames", 1)
    if count > len(per_frame):
        raise VolumeError(f"{file.path} holds {count} frames but places {len(per_frame)}; get the DICOM series again")
    shared = file.header.get("SharedFunctionalGroupsSequence") or []
    common = flat([file.header], 0)
    return [Frame(file, index, flat([common, *shared, item])) for index, item in enumerate(per_frame)]


def flat(items: list[Dataset], deepest: int = _DEEPEST) -> Dataset:
    """The values in some data sets and in the sequences inside them, in one data set; those of later ones count."""
    from pydicom import Dataset

    found, elsewhere = Dataset(), Dataset()
    for item in items:
        for element in item:
            if element.VR != "SQ":
                found[element.tag] = element
            elif deepest and element.tag not in _OF_OTHER_IMAGES:
                nested = flat(list(element.value[:1]), deepest - 1)
                (elsewhere if element.tag in _UNASSIGNED or element.tag.is_private else found).update(nested)
    for tag, value in elsewhere.items():
        found.setdefault(tag, value)
    return found
