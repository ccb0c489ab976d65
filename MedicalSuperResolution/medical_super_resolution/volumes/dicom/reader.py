"""DICOM series: one volume from many files, or a sentence that says why not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ...errors import VolumeError
from ..io.file_validation import check_size, claimed_bytes, silent
from .sorter import series_of

_POSITION, _ORIENTATION, _PIXEL_SPACING = "0020|0032", "0020|0037", "0028|0030"
_SERIES, _DESCRIPTION, _MODALITY, _THICKNESS = "0020|000e", "0008|103e", "0008|0060", "0018|0050"
_MODALITIES = {"CT": "ct", "MR": "mr", "PT": "pet", "US": "us"}
_UNEVEN = 0.02  # of the slice distance: more than this is a missing or displaced slice
_TILT = 1e-3  # sideways shift over the slice distance: 0.06 degrees


@dataclass(frozen=True, eq=False)
class DicomSeries:
    """What a series of files holds.

    array : (K, J, I) after the rescaling that the files ask for. ijk_to_lps : (4, 4) float64, index to mm, LPS.
    modality : "ct", "mr", "pet", "us" or None.
    """

    array: np.ndarray
    ijk_to_lps: np.ndarray
    slice_thickness_mm: float | None
    modality: str | None

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        k, j, i = self.array.shape
        return k, j, i


def read_series(path: Path) -> DicomSeries:
    """Read the series in a folder, or the series that a file belongs to.

    Raises
    ------
    VolumeError : no DICOM at ``path``; several series in the folder; slices that are missing, uneven, doubled or
        sheared by a tilted gantry.
    """
    names = files_of_series(path)
    headers = [_header(name) for name in names]
    ijk_to_lps, order = _geometry(headers, path)
    held = sum(Path(name).stat().st_size for name in names)
    check_size(f"the DICOM series in {path}", sum(map(claimed_bytes, headers)), held)
    try:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames([names[index] for index in order])
        with silent():
            image = reader.Execute()
    except RuntimeError as problem:
        raise VolumeError(f"the DICOM series in {path} cannot be read; one of its files is damaged") from problem
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise VolumeError(f"the DICOM series in {path} is coloured or not three-dimensional; pick a plain series")
    thickness = _number(headers[0], _THICKNESS)
    modality = _MODALITIES.get(_text(headers[0], _MODALITY))
    return DicomSeries(sitk.GetArrayFromImage(image), ijk_to_lps, thickness, modality)


def files_of_series(path: Path) -> list[str]:
    """The files of the series in a folder, or of the series that a file belongs to; see `read_series`."""
    folder = path if path.is_dir() else path.parent
    odd = next((file for file in folder.iterdir() if file.exists() and not (file.is_file() or file.is_dir())), None)
    if odd:  # reading it may never come to an end
        raise VolumeError(f"the folder {folder} holds something that is no plain file, {odd.name}; move it elsewhere")
    files: dict[str, list[str]] = {}
    for file in sorted(file for file in folder.iterdir() if file.is_file()):
        if series := series_of(file):
            files.setdefault(series, []).append(str(file))
    if path.is_file():
        wanted = series_of(path)
        if wanted is None:
            raise VolumeError(
                f"{path} cannot be read as a volume or DICOM file; it may be damaged or of another format"
            )
        if not wanted:
            raise VolumeError(f"{path} is neither a volume file nor part of a DICOM series")
        return files[wanted]
    if not files:
        raise VolumeError(f"there is no DICOM series in the folder {path}")
    if len(files) > 1:
        found = "; ".join(
            f"{_text(_header(names[0]), _DESCRIPTION) or 'no description'} ({len(names)} images, {Path(names[0]).name})"
            for names in files.values()
        )
        raise VolumeError(
            f"the folder {folder} holds {len(files)} series: {found}; name any one file of the one you want"
        )
    return next(iter(files.values()))


def _header(name: str) -> sitk.ImageFileReader:
    try:
        reader = sitk.ImageFileReader()
        reader.SetFileName(name)
        reader.SetImageIO("GDCMImageIO")
        with silent():
            reader.ReadImageInformation()
    except RuntimeError as problem:
        raise VolumeError(
            f"{name} cannot be read as a volume or DICOM file; it may be damaged or of another format"
        ) from problem
    return reader


def _geometry(headers: list[sitk.ImageFileReader], path: Path) -> tuple[np.ndarray, list[int]]:
    """(4, 4) index to LPS, and the order of the files along the normal of the slices."""
    if len(headers) == 1:
        raise VolumeError(f"the DICOM series in {path} has a single file; at least two slices are needed")
    for tag, what in ((_POSITION, "position"), (_ORIENTATION, "orientation"), (_PIXEL_SPACING, "pixel spacing")):
        if not all(header.HasMetaDataKey(tag) for header in headers):
            raise VolumeError(
                f"the DICOM series in {path} has slices without a {what}; it cannot be placed in the patient"
            )
    orientations = np.array([_numbers(header, _ORIENTATION, 6) for header in headers])
    sizes = {header.GetSize()[:2] for header in headers}
    if np.abs(orientations - orientations[0]).max() > _TILT or len(sizes) > 1:
        raise VolumeError(
            f"the slices of the DICOM series in {path} differ in orientation or size; split the series first"
        )
    along_i, along_j = orientations[0, :3], orientations[0, 3:]
    normal = np.cross(along_i, along_j)
    positions = np.array([_numbers(header, _POSITION, 3) for header in headers])
    heights = positions @ normal
    order = np.argsort(heights)
    steps = np.diff(heights[order])
    distance = float(heights[order[-1]] - heights[order[0]]) / (len(headers) - 1)
    if steps.min() < _UNEVEN * max(distance, 1e-6):
        raise VolumeError(
            f"the DICOM series in {path} has several images at one place (phases, echoes?); split it first"
        )
    if np.abs(steps - distance).max() > _UNEVEN * distance:
        raise VolumeError(
            f"the slices of the DICOM series in {path} are {steps.min():.2f} to {steps.max():.2f} mm apart;"
            " some are missing, or it must be resampled to even spacing first"
        )
    step = (positions[order[-1]] - positions[order[0]]) / (len(headers) - 1)
    sideways = float(np.linalg.norm(step - normal * distance))
    if sideways > _TILT * distance:
        raise VolumeError(
            f"the slices of the DICOM series in {path} are sheared by a gantry tilt of"
            f" {math.degrees(math.atan2(sideways, distance)):.1f} degrees; resample it to a straight grid first"
        )
    row_distance, column_distance = _numbers(headers[0], _PIXEL_SPACING, 2)
    matrix = np.eye(4)
    matrix[:3, 0] = along_i * column_distance
    matrix[:3, 1] = along_j * row_distance
    matrix[:3, 2] = normal * distance
    matrix[:3, 3] = positions[order[0]]
    return matrix, [int(index) for index in order]


def _text(header: sitk.ImageFileReader, tag: str) -> str:
    return header.GetMetaData(tag).strip().rstrip("\0") if header.HasMetaDataKey(tag) else ""


def _numbers(header: sitk.ImageFileReader, tag: str, count: int) -> list[float]:
    values = [_float(part) for part in _text(header, tag).split("\\")]
    if len(values) != count or not all(map(math.isfinite, values)):
        raise VolumeError(
            "a slice of the DICOM series has a damaged position, orientation or pixel spacing; it cannot be placed in"
            " the patient: get the series again"
        )
    return values


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _number(header: sitk.ImageFileReader, tag: str) -> float | None:
    value = _float(_text(header, tag))
    return value if math.isfinite(value) and value > 0 else None
