"""What the header of a derived DICOM series says about its making."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from ....report import NOTICE, Report
from .codes import coded

if TYPE_CHECKING:
    from pydicom import Dataset

_LONGEST = {"LO": 64, "ST": 1024, "LT": 10240}  # characters that a value may have
_NAME = "MedicalSuperResolution"
_SLICES_AROUND = 4  # those that cubic interpolation reads
_CLEARLY = 1.2  # ratio of distances, of which those in a header may be rounded


def describe(
    header: Dataset, source: Dataset, report: Report, now: datetime, fused_from: int = 0, phase: int | None = None
) -> None:
    """Write into a header what was done, by what, and when.

    Parameters
    ----------
    header
        Header of the derived series, changed in place.
    source
        A header of the source.
    fused_from
        Number of series that the volume was fused from; 0 where it was refined from one.
    phase
        Which of several volumes of the source it was refined from, from 1.
    """
    done = described(report, fused_from)
    header.SeriesDescription = _series_description(source, report, fused_from, phase)
    header.DerivationDescription = _text(done, "ST")
    header.ImageComments = _text(" ".join((done, *(f"Warning: {one}." for one in report.warnings))), "LT")
    header.DerivationCodeSequence = [coded("113085", "Spatial resampling")]
    header.ContributingEquipmentSequence = [*header.get("ContributingEquipmentSequence", []), _equipment(report, now)]


def described(report: Report, fused_from: int = 0) -> str:
    """Description of the derivation, in a few sentences."""
    factor, before, after = (
        "x".join(f"{value:.{digits}g}" for value in values_ijk)
        for digits, values_ijk in (
            (4, report.factor_ijk),
            (5, report.spacing_before_ijk_mm),
            (5, report.spacing_after_ijk_mm),
        )
    )
    detail_model = (
        f", detail {report.detail:g} (detail model sha256 {report.detail_sha256[:12]})" if report.detail else ""
    )
    if fused_from:
        return (
            f"Fusion of {fused_from} series by {report.software}, model {report.model[:64]}"
            f" (sha256 {report.model_sha256[:12]}), to {after} mm along columns, rows, slices. Measured again as the"
            f" scanner would, the result differs from the sources by {report.consistency_error_rms:.3g} (root mean"
            f" square). {NOTICE}"
        )
    return (
        f"Super-resolution by {report.software}, model {report.model[:64]} (sha256 {report.model_sha256[:12]})"
        f"{detail_model}: factor {factor}, spacing {before} mm to {after} mm along columns, rows, slices."
        f" Measured again as the scanner would, the result differs from the source by"
        f" {report.consistency_error_rms:.3g} (root mean square). {NOTICE}"
    )


def are_averaged(heights: np.ndarray, spacing_mm: float) -> bool:
    """Whether slices ``spacing_mm`` apart were averaged from those of the source, which lie clearly nearer together."""
    return len(heights) > 1 and spacing_mm > _CLEARLY * float(np.median(np.diff(heights)))


def made_from(sources: Sequence[Dataset], away: np.ndarray, spacing_mm: float, *, refined: bool) -> list[Dataset]:
    """The source slices of a derived slice, the nearest first.

    Parameters
    ----------
    away
        Height of each above the derived slice, in mm, ascending.
    spacing_mm
        Distance of the derived slices.
    refined
        Slices were made between the measured ones.
    """
    count = _SLICES_AROUND if refined else 1
    if are_averaged(away, spacing_mm):
        count = max(1, int((np.abs(away) < spacing_mm / 2).sum()))
    return [sources[index] for index in np.argsort(np.abs(away), kind="stable")[:count]]


def references(sources: Sequence[Dataset], storage_class: str) -> list[Dataset]:
    """The value of SourceImageSequence for a slice that was made from some slices of the source."""
    return [_reference(source, storage_class) for source in sources]


def _reference(source: Dataset, storage_class: str) -> Dataset:
    from pydicom import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID = storage_class
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [coded("121322", "Source image for image processing operation")]
    return item


def _series_description(source: Dataset, report: Report, fused_from: int, phase: int | None) -> str:
    volume = f", volume {phase}" if phase else ""
    suffix = f"(super-resolution {'x'.join(f'{factor:.3g}' for factor in report.factor_ijk)}{volume})"
    if fused_from:
        suffix = f"(fused from {fused_from} series)"
    room = _LONGEST["LO"] - len(suffix) - 1
    return f"{str(source.get('SeriesDescription') or '')[:room].strip()} {suffix}".strip()


def _text(text: str, kind: str) -> str:
    """ASCII, because the source's character set is not known to hold more, and no longer than DICOM allows."""
    return text.encode("ascii", "replace").decode()[: _LONGEST[kind]]


def _equipment(report: Report, now: datetime) -> Dataset:
    from pydicom import Dataset

    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [coded("109103", "Modifying Equipment")]
    item.Manufacturer = f"{_NAME} project"
    item.ManufacturerModelName = _NAME
    item.SoftwareVersions = report.software.removeprefix(_NAME).strip()
    item.ContributionDateTime = now.strftime("%Y%m%d%H%M%S.%f")
    item.ContributionDescription = "Super-resolution of the source images"
    return item
