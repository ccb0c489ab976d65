"""A result as a derived DICOM series of the study that its source was loaded from."""

from __future__ import annotations

from pathlib import Path

import slicer

from medical_super_resolution.errors import SuperResolutionError, VolumeError
from medical_super_resolution.report import Report
from MedicalSuperResolutionLib.scene import dicom_source, kinds, provenance
from MedicalSuperResolutionLib.scene import nodes as scene
from MedicalSuperResolutionLib.translation import tr as _

_FOLDER_NAME = "super-resolution"
_SERIES_INSTANCE_UID = "0020,000E"  # the tag, as Slicer's database takes it


def check_exportable(node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    """Refuse results that cannot be exported to DICOM, as far as the scene shows it.

    Raises
    ------
    VolumeError
        The node is no result, or one of a volume that was not loaded from DICOM, or whose images allow none; or it was
        changed since.
    """
    from medical_super_resolution.volumes.dicom.derived.attributes import STORAGE_CLASSES

    if node is None or node.GetScene() is None or node.GetImageData() is None:
        raise VolumeError(_("there is no result to export yet; enhance a volume, or choose one"))
    name, report, sources = node.GetName(), provenance.report_of(node), provenance.source_instances(node)
    if not provenance.has_report(node) or not sources:
        raise VolumeError(
            _(
                "{name} was not made here from a volume that was loaded from DICOM, so its"
                " patient and study are not known; save it as .nrrd or .nii.gz instead"
            ).format(name=name)
        )
    if report is None:
        raise VolumeError(
            _("{name} was made by another version of this extension; enhance its source again to export it").format(
                name=name
            )
        )
    if not set(map(dicom_source.storage_class, sources)) <= {"", *STORAGE_CLASSES}:
        raise VolumeError(
            _(
                "{name} comes from a kind of images that no DICOM can be derived from, only from CT, MR and PET with a"
                " file for each slice; save it as .nrrd or .nii.gz instead"
            ).format(name=name)
        )
    if any(map(dicom_source.are_turned_over, sources)):
        raise VolumeError(
            _(
                "{name} comes from MONOCHROME1 images, whose values Slicer may have turned over; enhance the folder of"
                " their series by medsr enhance instead"
            ).format(name=name)
        )
    if any(map(dicom_source.are_uneven, sources)):
        raise VolumeError(
            _(
                "{name} comes from slices at uneven distances, which Slicer has interpolated, misplaced or brought into"
                " place by a transform that DICOM has no room for; enhance the folder of their series by medsr enhance"
                " instead"
            ).format(name=name)
        )
    if not provenance.is_fused(node) and dicom_source.are_stacked(sources[0], report.spacing_before_ijk_mm[2]):
        raise VolumeError(
            _(
                "{name} comes from a series with several images at each place (phases, b-values or echoes), which"
                " Slicer has put into one stack; enhance the folder of the series by medsr enhance instead"
            ).format(name=name)
        )
    if kinds.browser_of(node) is not None:
        raise VolumeError(
            _("{name} is of a sequence, which cannot be exported; save the sequence as .seq.nrrd instead").format(
                name=name
            )
        )
    transform = node.GetParentTransformNode()
    if transform is not None:
        raise VolumeError(
            _(
                "{name} lies under the transform {transform}, which moves it out of its place in"
                " the DICOM study; take it out of the transform, or save it as .nrrd or .nii.gz"
                " instead"
            ).format(name=name, transform=transform.GetName())
        )
    if node.GetImageData().GetDimensions() != tuple(report.size_after_ijk):
        raise VolumeError(
            _("{name} was cropped or resampled since it was made; enhance its source again, then export").format(
                name=name
            )
        )


def export(node: slicer.vtkMRMLScalarVolumeNode, folder: Path) -> Report:
    """Write a result as a DICOM series: one file for each slice, complete and read again, or nothing.

    Parameters
    ----------
    folder
        New or empty; its parent exists.

    Returns
    -------
    Report : of the run that made the result, with warnings about the writing.

    Raises
    ------
    VolumeError
        See `check_exportable` and `derived.writer.write_series`; or the source's files are gone.
    SuperResolutionError
        This Slicer has no SimpleITK.
    """
    check_exportable(node)
    try:
        from medical_super_resolution.volumes.dicom.derived.writer import write_series
    except ImportError as problem:
        raise SuperResolutionError(_("this Slicer was built without SimpleITK, which writing DICOM needs")) from problem
    sources = provenance.source_instances(node)
    first, *further = (dicom_source.files_of_instances(node.GetName(), series) for series in sources)
    return write_series(
        scene.volume_from_node(node),
        provenance.report_of(node),
        first,
        folder,
        further_sources=further,
        taken_numbers=dicom_source.series_numbers(sources[0]),
    )


def new_folder(parent: Path) -> Path:
    """A folder in ``parent`` that is not there yet. Its name holds nothing about the patient."""
    number = 1
    while (folder := parent / f"{_FOLDER_NAME}-{number}").exists():
        number += 1
    return folder


def check_database() -> None:
    """Refuse where there is no open DICOM database to put a series into.

    Raises
    ------
    SuperResolutionError
        Slicer has none, or it is not open.
    """
    database = getattr(slicer, "dicomDatabase", None)
    if database is None:  # Slicer can be built without DICOM
        raise SuperResolutionError(_("this Slicer has no DICOM database; write the series into a folder"))
    if not database.isOpen:
        raise SuperResolutionError(
            _("Slicer's DICOM database is not open; open or create it in the module Add DICOM Data, and try again")
        )


def add_to_database(folder: Path) -> str:
    """Copy a series into Slicer's DICOM database; returns its UID.

    Raises
    ------
    SuperResolutionError
        There is no open database, or it did not take the whole series; then nothing of it stays there.
    """
    check_database()
    from DICOMLib import DICOMUtils

    database = slicer.dicomDatabase
    DICOMUtils.importDicom(str(folder), database, copyFiles=True)
    files = sorted(folder.iterdir())
    series = database.fileValue(str(files[0]), _SERIES_INSTANCE_UID)
    taken = len(database.instancesForSeries(series))
    if taken < len(files):
        if taken:  # a part would pass for the whole
            database.removeSeries(series)
        raise SuperResolutionError(_("Slicer's DICOM database did not take the series; write it into a folder"))
    return series
