"""Volumes in files: NIfTI, NRRD, MetaImage and DICOM, through SimpleITK. The only place where LPS becomes RAS."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import VolumeError
from . import dicom
from .grid import Grid
from .integrity import check_complete, claimed_bytes, silent
from .volume import Volume

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_DATA_SUFFIXES = {".mhd": (".raw", ".zraw"), ".nhdr": (".raw", ".raw.gz")}  # where detached headers keep the voxels
_LARGEST_COMPRESSION = 1100  # deflate cannot do better than 1032 to 1
_WORK_FOLDER_PREFIX = ".medsr-"


def read(path: Path | str) -> Volume:
    """Read a volume file, or a DICOM series named by its folder or by any file in it.

    Returns
    -------
    Volume with the values as stored (after the file's own rescaling), finite, and its geometry in RAS.

    Raises
    ------
    VolumeError : the file is missing, damaged, cut short, not a volume, 4-D, coloured, or holds values that are not
        finite; or a folder holds no DICOM series or several.
    """
    path = Path(path)
    if not path.exists():
        raise VolumeError(f"there is no file {path}")
    if path.is_dir() or suffix_of(path) is None:
        series = dicom.read_series(path)
        grid = Grid(series.shape_kji, _LPS_TO_RAS @ series.ijk_to_lps)
        volume = Volume(series.array, grid, series.slice_thickness_mm, series.modality)
    else:
        volume = _read_file(path)
    volume.check_finite()
    return volume


def suffix_of(path: Path) -> str | None:
    """The volume suffix of a file name, such as ".nii.gz"; None where it has none of ours."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def check_output(path: Path | str, *, overwrite: bool = False) -> None:
    """Refuse, before any work is done, an output that could not be written."""
    path = Path(path)
    if suffix_of(path) is None:
        raise VolumeError(f"cannot tell the format of {path.name}; end the name in one of: {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise VolumeError(f"{path} is a folder; name a file")
    beside = (path.with_suffix(suffix) for suffix in _DATA_SUFFIXES.get(path.suffix.lower(), ()))
    taken = next((file for file in (path, *beside) if file.exists()), None)
    if taken and not overwrite:
        raise VolumeError(f"{taken} exists already; add --overwrite to replace it, or choose another name")
    if not path.parent.is_dir():
        raise VolumeError(f"the folder {path.parent} does not exist; make it first")
    try:
        Path(tempfile.mkdtemp(prefix=_WORK_FOLDER_PREFIX, dir=path.parent)).rmdir()
    except OSError as problem:
        raise VolumeError(f"cannot write in the folder {path.parent}: {problem.strerror}") from problem


def write(volume: Volume, path: Path | str, *, overwrite: bool = False, compress: bool = True) -> None:
    """Write a volume; the file appears only when it is complete and was checked, or not at all.

    Raises
    ------
    VolumeError : see `check_output`; or the disk is full.
    """
    path = Path(path)
    check_output(path, overwrite=overwrite)
    image = to_image(volume)
    folder = Path(tempfile.mkdtemp(prefix=_WORK_FOLDER_PREFIX, dir=path.parent))
    try:
        part = folder / path.name
        with silent():
            sitk.WriteImage(image, str(part), useCompression=compress)
        check_complete(part, image)
        files = sorted(folder.iterdir(), key=lambda file: file.name == path.name)  # the header last
        for file in files:
            file.replace(path.parent / file.name)
    except (RuntimeError, OSError, VolumeError) as problem:
        free = shutil.disk_usage(path.parent).free / 1e6
        raise VolumeError(
            f"{path} could not be written; {free:.0f} MB are free on its disk, and up to"
            f" {volume.array.nbytes / 1e6:.0f} MB are needed; free some space or choose another folder"
        ) from problem
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read_file(path: Path) -> Volume:
    try:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        with silent():
            reader.ReadImageInformation()
    except RuntimeError as problem:
        if "orthonormal" in str(problem):
            raise VolumeError(
                f"the axes of {path} are not at right angles (a scan with tilted gantry?);"
                " resample it to a straight grid first"
            ) from problem
        raise VolumeError(f"{path} cannot be read as a volume; it may be damaged or of another format") from problem
    _check_header(path, reader)
    try:
        check_complete(path, reader)
        with silent():
            image = reader.Execute()
    except RuntimeError as problem:
        raise VolumeError(f"{path} cannot be read to its end; the file is damaged or cut short") from problem
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    array = sitk.GetArrayFromImage(image)
    return Volume(array, Grid(array.shape, _LPS_TO_RAS @ matrix))


def _check_header(path: Path, reader: sitk.ImageFileReader) -> None:
    """Refuse what is no scalar 3-D volume, and sizes that cannot be true, before any memory is taken."""
    size, components = reader.GetSize(), reader.GetNumberOfComponents()
    if reader.GetDimension() != 3:
        shape = "x".join(map(str, size))
        raise VolumeError(f"{path} has {reader.GetDimension()} dimensions ({shape}); pick one 3-D volume of it first")
    if components != 1:
        raise VolumeError(
            f"{path} has {components} values in each voxel (a colour or vector volume); pick one component first"
        )
    claimed = claimed_bytes(reader)
    held = sum(file.stat().st_size for file in _data_files(path))
    if claimed > held * _LARGEST_COMPRESSION:
        raise VolumeError(f"{path} claims {claimed / 1e9:.1f} GB of voxels but holds {held} bytes; the file is damaged")
    memory = _physical_memory()
    if memory is not None and claimed > memory:
        raise VolumeError(
            f"{path} needs {claimed / 1e9:.1f} GB, this computer has {memory / 1e9:.1f} GB; crop it first"
        )


def _data_files(path: Path) -> list[Path]:
    """The file, and the data files that may lie beside a detached header."""
    if suffix_of(path) in (".mhd", ".nhdr"):
        return [file for file in path.parent.glob(glob_safe(path.stem) + ".*") if file.is_file()]
    return [path]


def glob_safe(name: str) -> str:
    """A file name as a glob pattern that matches nothing but itself."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _physical_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def to_image(volume: Volume) -> sitk.Image:
    """The SimpleITK image of a volume, in LPS."""
    image = sitk.GetImageFromArray(volume.array)
    to_lps = _LPS_TO_RAS @ volume.grid.ijk_to_ras
    image.SetSpacing(volume.grid.spacing_ijk_mm)
    image.SetOrigin(to_lps[:3, 3].tolist())
    image.SetDirection((_LPS_TO_RAS[:3, :3] @ volume.grid.direction).ravel().tolist())
    return image
