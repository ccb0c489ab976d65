"""The headers of a derived DICOM series, from those of its source."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ....errors import VolumeError
from ....report import Report
from ..images.header import UNREADABLE, numbers, text
from ..images.mosaic import is_mosaic
from . import attributes, derivation
from .codes import state_position

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

_LARGEST_SERIES_NUMBER = 2**31 - 1
_ONE_OF_A_SERIES = {"PatientID": "patients", "StudyInstanceUID": "studies"}
_UNNUMBERED = 9001  # the derived series of one that has no number
_OF_PROCESSING = {"MPR", "MIP", "MINIP"}  # words in values of ImageType


def storage_class_of(files: Sequence[Path]) -> str:
    """The SOP class of a source series.

    Raises
    ------
    VolumeError
        It is no CT, MR or PET series, or lacks the identifiers that a derived series must name.
    """
    first = _read(files[0], ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "ImageType"])
    storage_class = str(first.get("SOPClassUID", ""))
    if storage_class not in attributes.STORAGE_CLASSES:
        raise VolumeError(
            f"the series in {files[0].parent} is stored as {_class_name(storage_class)}; only CT, MR and PET images"
            " with a file for each slice can be written as DICOM: write .nii.gz or .nrrd instead"
        )
    if is_mosaic(first):
        raise VolumeError(
            f"the series in {files[0].parent} is a mosaic, from which no DICOM can be derived: write .nii.gz or"
            " .nrrd instead"
        )
    if not (first.get("SOPInstanceUID") and first.get("StudyInstanceUID")):
        raise VolumeError(
            f"the series in {files[0].parent} does not name its study, so no DICOM can be derived from"
            " it: write .nii.gz or .nrrd instead"
        )
    return storage_class


def read_headers(files: Sequence[Path]) -> list[Dataset]:
    """The headers of a source series, in the order of its files.

    Raises
    ------
    VolumeError
        See `storage_class_of`; a slice has no position or identity; or the slices are of several patients or studies.
    """
    keywords = attributes.to_read(storage_class_of(files))
    headers = [_read(file, keywords) for file in files]
    for file, header in zip(files, headers, strict=True):
        identity = header.get("SOPInstanceUID")
        if len(numbers(header, "ImagePositionPatient")) != 3 or not (identity and isinstance(identity, str)):
            raise VolumeError(f"{file} names no position or no identity of its slice; no DICOM can be derived")
    for keyword, what in _ONE_OF_A_SERIES.items():
        if len({text(header, keyword) for header in headers} - {""}) > 1:
            raise VolumeError(
                f"the slices in {files[0].parent} are of several {what}, so no DICOM can be derived from them; get the"
                " series again, or split it"
            )
    return headers


def height(header: Dataset, normal: np.ndarray) -> float:
    """Place of a slice along the normal of its series (unit vector, LPS), in mm."""
    return float(np.dot(np.array(header.ImagePositionPatient, dtype=float), normal))


def series_header(
    headers: list[Dataset],
    storage_class: str,
    report: Report,
    further: Sequence[list[Dataset]],
    phase: int | None = None,
) -> Dataset:
    """The header that all slices of the derived series share, without geometry and pixels.

    Parameters
    ----------
    headers
        Headers of the source, in the order of the slices.
    further
        Those of the other series that the volume was fused from.
    phase
        Which of several volumes of the source this one was made from, from 1.
    """
    from pydicom import Dataset
    from pydicom.uid import generate_uid

    first, middle = headers[0], headers[len(headers) // 2]
    header = Dataset()
    copy_values(first, header, attributes.of_series(storage_class))
    _copy_flags([header for one in (headers, *further) for header in one], header)
    copy_values(middle, header, attributes.WINDOW)
    for keyword in attributes.wanted(storage_class):
        if keyword not in header:
            setattr(header, keyword, None)
    if "Laterality" not in header and attributes.may_have_sides(header.get("BodyPartExamined", "")):
        header.Laterality = None
    if storage_class == attributes.PET:
        state_position(header)
    now = datetime.now(_time_zone(header))
    header.SOPClassUID = storage_class
    if "Modality" not in header:
        header.Modality = attributes.STORAGE_CLASSES[storage_class]
    header.SeriesInstanceUID = generate_uid(prefix=None)
    if not header.get("FrameOfReferenceUID"):
        header.FrameOfReferenceUID = generate_uid(prefix=None)
    header.SeriesNumber = _series_number(first, phase or 1)
    header.ImageType = _image_type(first, storage_class)
    for moment in ("InstanceCreation", "Content", "Series"):
        if f"{moment}Date" not in header:  # PET counts its decay from the source's series date
            setattr(header, f"{moment}Date", now.strftime("%Y%m%d"))
            setattr(header, f"{moment}Time", now.strftime("%H%M%S.%f"))
    derivation.describe(header, first, report, now, fused_from=1 + len(further) if further else 0, phase=phase)
    return header


def _copy_flags(sources: list[Dataset], header: Dataset) -> None:
    for (keyword, value), more in attributes.FLAGS.items():
        if flagged := next((source for source in sources if text(source, keyword) == value), None):
            copy_values(flagged, header, (keyword, *more))


def copy_values(source: Dataset, target: Dataset, keywords: Iterable[str]) -> None:
    """Copy the attributes that have a value or may be empty; what cannot be understood is left out."""
    from pydicom.datadict import dictionary_VR

    for keyword in keywords:
        with suppress(*UNREADABLE):
            if keyword in source and (keyword in attributes.MAY_BE_EMPTY or not source[keyword].is_empty):
                element = copy.deepcopy(source[keyword])
                if element.VR != "SQ" and dictionary_VR(element.tag) == "SQ":
                    continue
                for item in element.value if element.VR == "SQ" else ():
                    item.walk(_remove_people)
                target.add(element)


def _remove_people(item: Dataset, element: DataElement) -> None:
    """Remove an element that is private or names a person, such as who operated a device."""
    if element.tag.is_private or element.VR == "PN" or element.keyword in attributes.PEOPLE:
        del item[element.tag]


def missing(header: Dataset, storage_class: str) -> list[str]:
    """A sentence where the source lacks an attribute that its kind of file must have."""
    lacking = [keyword for keyword in attributes.needed(storage_class) if header.get(keyword) in (None, "")]
    if not lacking:
        return []
    return [f"the source lacks the DICOM attributes {', '.join(lacking)}, so the derived series lacks them too"]


def lost_factors(source: Dataset) -> list[str]:
    """A sentence where the source is a PET in counts, whose factors to other units are private."""
    if text(source, "Units") != "CNTS":
        return []
    return [
        "the PET is in counts (CNTS); factors to Bq/ml and SUV, which Philips keeps in private attributes, are not in"
        " the derived series: take them from the source"
    ]


def turned_shades(source: Dataset) -> list[str]:
    """A sentence where the source is shown with its lowest value white, because the derived series is not."""
    if text(source, "PhotometricInterpretation") != "MONOCHROME1":
        return []
    return [
        "the source is MONOCHROME1 and the derived series MONOCHROME2, so viewers show as bright what was dark; the"
        " values are the same"
    ]


def _read(file: Path, keywords: list[str]) -> Dataset:
    from pydicom import dcmread

    try:
        return dcmread(file, force=True, stop_before_pixels=True, specific_tags=keywords)
    except UNREADABLE:  # not chained: its text may quote the patient's name
        raise VolumeError(f"the DICOM header of {file} cannot be read; the file is damaged or gone") from None


def _class_name(uid: str) -> str:
    from pydicom.uid import UID

    return UID(uid).name if uid else "an unnamed kind of image"


def _time_zone(header: Dataset) -> tzinfo | None:
    """Time zone of the source's times; None stands for that of the computer."""
    with suppress(ValueError):
        return datetime.strptime(str(header.get("TimezoneOffsetFromUTC") or ""), "%z").tzinfo
    return None


def _series_number(source: Dataset, phase: int) -> int:
    with suppress(*UNREADABLE):
        apart = 100 if phase < 100 else 100_000  # else it would be a number of the next series
        number = int(source.SeriesNumber) * apart + phase
        if 0 < number <= _LARGEST_SERIES_NUMBER:
            return number
    return _UNNUMBERED + phase - 1


def _image_type(source: Dataset, storage_class: str) -> list[str]:
    """Values 1 to 3 as the kinds of images want them; the third, and those after it, say what the source's pixels mean.

    Those after it that say how the source was cut out of a volume stay behind.
    """
    third, *others = (text(source, "ImageType").split("\\") + [""] * 3)[2:]
    others = [value for value in others if value and _OF_PROCESSING.isdisjoint(value.split())]
    if storage_class == attributes.CT:
        return ["DERIVED", "SECONDARY", "AXIAL", *others]
    if storage_class == attributes.PET:  # the standard allows no other second value in PET
        return ["DERIVED", "PRIMARY", *([third, *others] if third else [])]
    return ["DERIVED", "SECONDARY", third or "OTHER", *others]
