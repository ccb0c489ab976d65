"""A derived DICOM series: one file for each slice, complete and checked by reading it again, or nothing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ....errors import VolumeError
from ....report import Report
from ....system.identity import __version__
from ....system.temp_dirs import folder_lock, put_in_place, work_folder
from ...grid import Grid
from ...io.output_files import check_writable
from ...volume import Volume
from ..images.header import UNREADABLE, quietly, text
from .attributes import COUNTS_OF_PET, PET, of_slice
from .checks import check_files, check_place
from .derivation import are_averaged, made_from, references
from .headers import (
    copy_values,
    height,
    lost_factors,
    missing,
    read_headers,
    series_header,
    storage_class_of,
    turned_shades,
)
from .pixels import Encoding, decimal_string, describe_pixels, encoding_of

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.dataset import FileDataset

_IMPLEMENTATION = "2.25.325500257717889597049869227998455178757"  # of this writer
_NAME = "slice{:04d}.dcm"
_SAME_HEIGHT_MM = 1e-3
_FLIP_K = np.diag([1.0, 1.0, -1.0, 1.0])


def check_output(source_files: Sequence[Path], folder: Path) -> None:
    """Refuse, before any work is done, a series that could not be written.

    Raises
    ------
    VolumeError
        See `headers.read_headers`; or the folder is a file, is not empty, or cannot be made.
    """
    with quietly():
        read_headers(source_files)
    _check_folder(folder)


def write_series(
    volume: Volume,
    report: Report,
    source_files: Sequence[Path],
    folder: Path,
    *,
    further_sources: Sequence[Sequence[Path]] = (),
    taken_numbers: Collection[int] = (),
    phase: int | None = None,
) -> Report:
    """Write an enhanced volume as a new series of the study that it comes from.

    Parameters
    ----------
    volume
        The result.
    report
        How it was made.
    source_files
        Files of the enhanced series; they are only read.
    folder
        Must not exist, or be empty. It appears when all files are written and were checked.
    further_sources
        Files of the other series that the volume was fused from; every slice then names all slices of all sources.
    taken_numbers
        Numbers of series that the study has already; the new series gets the next free one.
    phase
        Which of several volumes of the source this one was made from, from 1; number and description then tell it from
        the others.

    Returns
    -------
    Report
        The same, with a warning where 16 bits cannot hold the values exactly, or where the source's headers lack what
        the standard requires.

    Raises
    ------
    VolumeError
        See `check_output`; the volume was moved; the disk is full; or the files read back differently.
    """
    folder = folder.resolve()
    _check_folder(folder)
    volume.check_finite()
    volume = _right_handed(volume)
    try:
        with work_folder(folder.parent) as work:
            series = work / folder.name
            with quietly():
                report, encoding = _write_files(
                    volume, report, source_files, further_sources, series, taken_numbers, phase
                )
            check_files(series, volume, encoding)
            with folder_lock(folder.parent):
                _check_folder(folder)
                if sys.platform == "win32" and folder.exists():
                    folder.rmdir()
                put_in_place(series, folder)
    except OSError as problem:
        reason = f": {problem.strerror}" if problem.strerror else ""
        free = shutil.disk_usage(folder.parent).free / 1e6
        raise VolumeError(
            f"{folder} could not be written{reason}; {free:.0f} MB are free on its disk, and about"
            f" {volume.array.size * 2.2 / 1e6:.0f} MB are needed; free some space or choose another folder"
        ) from problem
    return report


def _check_folder(folder: Path) -> None:
    if folder.is_dir():
        if any(folder.iterdir()):
            raise VolumeError(f"the folder {folder} is not empty; name a new or an empty one for the DICOM series")
    elif folder.exists():
        raise VolumeError(f"{folder} is a file; name a folder for the DICOM series")
    check_writable(folder.parent, f"{folder.resolve().name}/{_NAME.format(1)}")


def _right_handed(volume: Volume) -> Volume:
    """The volume with its slices in the order in which readers of DICOM sort them: along the normal."""
    if np.linalg.det(volume.grid.ijk_to_ras[:3, :3]) > 0:
        return volume
    to_last = np.eye(4)
    to_last[2, 3] = volume.grid.shape_kji[0] - 1
    grid = Grid(volume.grid.shape_kji, volume.grid.ijk_to_ras @ to_last @ _FLIP_K)
    return replace(volume, array=volume.array[::-1], grid=grid)


def _write_files(
    volume: Volume,
    report: Report,
    source_files: Sequence[Path],
    further_sources: Sequence[Sequence[Path]],
    series: Path,
    taken_numbers: Collection[int],
    phase: int | None,
) -> tuple[Report, Encoding]:
    matrix = volume.grid.ijk_to_lps
    normal = matrix[:3, 2] / np.linalg.norm(matrix[:3, 2])
    storage_class = storage_class_of(source_files)
    first, *further = (read_headers(one) for one in (source_files, *further_sources))
    sources = _one_at_each_height(first, normal)
    if not further:  # a fused volume may reach as far as any of its sources
        check_place(volume.grid, sources)
    encoding = encoding_of(volume.array, may_shift=storage_class != PET)
    about_source = (*missing(sources[0], storage_class), *lost_factors(sources[0]), *turned_shades(sources[0]))
    report = replace(report, warnings=(*report.warnings, *encoding.warnings(), *about_source))
    header = series_header(sources, storage_class, report, further, phase)
    header.SeriesNumber = next(number for number in count(header.SeriesNumber) if number not in taken_numbers)
    heights, spacing_k = np.array([height(source, normal) for source in sources]), volume.grid.spacing_ijk_mm[2]
    _describe_grid(header, volume.grid)
    if report.factor_ijk[2] <= 1 and not are_averaged(heights, spacing_k):  # as thick as they were measured
        header.SliceThickness = None
        copy_values(sources[0], header, ["SliceThickness"])
    describe_pixels(header, encoding, storage_class)
    if storage_class == PET:
        header.NumberOfSlices = len(volume.array)
        for keyword in COUNTS_OF_PET.get(text(header, "SeriesType").partition("\\")[0], ()):
            setattr(header, keyword, 1)
    named = [source for one in (first, *further) for source in _one_at_each_place(one)]
    common = _encoded(header)
    backwards = _number(sources[0]) > _number(sources[-1])
    series.mkdir()
    for k, plane in enumerate(volume.array):
        position = matrix[:3, 3] + k * matrix[:3, 2]
        used = made_from(sources, heights - position @ normal, spacing_k, refined=report.factor_ijk[2] > 1)
        number = len(volume.array) - k if backwards else k + 1
        one = _slice(common, used[0], number)
        one.SourceImageSequence = references(named if further else used, storage_class)
        one.ImagePositionPatient = [decimal_string(value) for value in position]
        one.SliceLocation = decimal_string(float(position @ normal))
        one.add_new("PixelData", "OW", encoding.stored(plane).tobytes())
        _save(one, series / _NAME.format(number))
    return report, encoding


def _one_at_each_height(sources: list[Dataset], normal: np.ndarray) -> list[Dataset]:
    """The slices of a series in their order. Slicer names all echoes of a series, and shows that of the first image."""
    kept: list[Dataset] = []
    for source in sorted(sources, key=lambda header: height(header, normal)):
        if not kept or height(source, normal) - height(kept[-1], normal) > _SAME_HEIGHT_MM:
            kept.append(source)
    return kept


def _one_at_each_place(sources: list[Dataset]) -> list[Dataset]:
    """The slices of a series in any plane, without the further echoes."""
    kept: dict[tuple[float, ...], Dataset] = {}
    for source in sources:
        kept.setdefault(tuple(np.round(np.array(source.ImagePositionPatient, float), 2)), source)
    return list(kept.values())


def _number(source: Dataset) -> int:
    try:
        return int(source.InstanceNumber)
    except UNREADABLE:
        return 0


def _describe_grid(header: Dataset, grid: Grid) -> None:
    matrix = grid.ijk_to_lps
    spacing_i, spacing_j, spacing_k = grid.spacing_ijk_mm
    header.Rows, header.Columns = grid.shape_kji[1:]
    header.PixelSpacing = [decimal_string(spacing_j), decimal_string(spacing_i)]
    header.ImageOrientationPatient = [
        decimal_string(value) for value in (*matrix[:3, 0] / spacing_i, *matrix[:3, 1] / spacing_j)
    ]
    header.SpacingBetweenSlices = header.SliceThickness = f"{spacing_k:.7g}"


def _encoded(header: Dataset) -> bytes:
    """The shared header as a file without pixels, encoded once because encoding takes most of the time."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # counted when it is written
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = header.SOPClassUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(_IMPLEMENTATION)
    meta.ImplementationVersionName = f"MEDSR_{__version__}"[:16]
    common = BytesIO()
    file = FileDataset(common, header, preamble=bytes(128), file_meta=meta, is_implicit_VR=False, is_little_endian=True)
    _save(file, common)
    return common.getvalue()


def _save(file: FileDataset, target: Path | BytesIO) -> None:
    try:
        file.save_as(target)
    except OSError:
        raise
    except UNREADABLE:
        raise VolumeError(
            "the headers of the source hold values that cannot be written again; write .nii.gz or .nrrd instead"
        ) from None  # it may quote the patient's name


def _slice(common: bytes, nearest: Dataset, number: int) -> FileDataset:
    """A slice's own copy of what all have in common, with a new identity."""
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    one = dcmread(BytesIO(common))
    copy_values(nearest, one, of_slice(str(one.SOPClassUID)))
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    one.InstanceNumber = number
    if one.SOPClassUID == PET:
        one.ImageIndex = number
    return one
