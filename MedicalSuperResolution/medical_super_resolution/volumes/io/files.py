"""Volumes in files: NIfTI, NRRD, MetaImage and DICOM, through SimpleITK. The only place where LPS becomes RAS."""

from __future__ import annotations

import shutil
import tempfile
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ...errors import VolumeError
from ...system.temp_dirs import WORK_FOLDER_PREFIX, one_at_a_time, work_folder
from ..dicom.reader import Selection, read_series
from ..grid import LPS_TO_RAS, Grid
from ..memmap import Allocator, is_on_disk
from ..volume import Volume
from . import chunked as streaming
from .file_validation import check_complete, check_size, claimed_bytes, silent
from .header_validation import check_plain, data_files

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_DATA_SUFFIXES = {".mhd": (".raw", ".zraw"), ".nhdr": (".raw", ".raw.gz")}  # where detached headers keep the voxels
_READERS = dict.fromkeys((".nii", ".gz"), "NiftiImageIO")
_READERS |= dict.fromkeys((".nrrd", ".nhdr"), "NrrdImageIO") | dict.fromkeys((".mha", ".mhd"), "MetaImageIO")


def read(path: Path | str, selection: Selection | None = None) -> Volume:
    """Read a volume file, or a DICOM series named by its folder, its zipped folder or any file in it.

    Parameters
    ----------
    path : pathlib.Path or str
        File or folder.
    selection : Selection or None
        Which volume, where a DICOM folder holds several.

    Returns
    -------
    Volume with the values as stored (after the file's own rescaling), finite, and its geometry in RAS.

    Raises
    ------
    VolumeError : the file is missing, damaged, cut short, not a volume, 4-D, coloured, or holds values that are not
        finite; or a folder holds no DICOM series or several.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise VolumeError(f"there is no file {path}")
        volume = _read_file(path) if path.is_file() and suffix_of(path) else _read_series(path, selection)
    except (OSError, EOFError, zlib.error) as problem:
        raise _unreadable(path, problem) from problem
    volume.check_finite()
    return volume


def _unreadable(path: Path, problem: Exception) -> VolumeError:
    why = problem.strerror if isinstance(problem, OSError) and problem.strerror else "it is damaged or cut short"
    return VolumeError(f"{path} cannot be read as a volume: {why}")


def _read_series(path: Path, selection: Selection | None) -> Volume:
    if not path.is_dir():
        check_plain(path)
    return read_series(path, selection or Selection())


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
    taken = _taken(path)
    if taken and not overwrite:
        raise VolumeError(f"{taken} exists already; add --overwrite to replace it, or choose another name")
    check_writable(path.parent)


def check_writable(folder: Path) -> None:
    """Refuse a folder that is not there or in which nothing can be written."""
    if not folder.is_dir():
        raise VolumeError(f"the folder {folder} does not exist; make it first")
    try:
        Path(tempfile.mkdtemp(prefix=WORK_FOLDER_PREFIX, dir=folder)).rmdir()
    except OSError as problem:
        raise VolumeError(f"cannot write in the folder {folder}: {problem.strerror}") from problem


def write(volume: Volume, path: Path | str, *, overwrite: bool = False, compress: bool = True) -> None:
    """Write a volume; the file appears only when it is complete and was checked, or not at all.

    Raises
    ------
    VolumeError : see `check_output`; or the disk is full.
    """
    path = Path(path)
    check_output(path, overwrite=overwrite)
    try:
        with work_folder(path.parent) as folder:
            part = folder / path.name
            check_complete(part, _written(volume, part, compress=compress))
            taken = _put(folder, path, overwrite)
    except (RuntimeError, OSError, VolumeError) as problem:
        free = shutil.disk_usage(path.parent).free / 1e6
        raise VolumeError(
            f"{path} could not be written; {free:.0f} MB are free on its disk, and up to"
            f" {volume.array.nbytes / 1e6:.0f} MB are needed; free some space or choose another folder"
        ) from problem
    if taken:
        raise VolumeError(f"{taken} was written by another program in the meantime; choose another name")


def _written(volume: Volume, part: Path, *, compress: bool) -> sitk.Image | sitk.ImageFileReader:
    """Write a file and give what describes it. Voxels on the disk go there without coming into memory at once."""
    on_disk = is_on_disk(volume.array)
    array = np.zeros(streaming.OUTLINE_SHAPE, volume.array.dtype) if on_disk else volume.array
    image = to_image(Volume(array, Grid(array.shape, volume.grid.ijk_to_ras)))
    with silent():
        sitk.WriteImage(image, str(part), useCompression=compress and not on_disk)
    if not on_disk:
        return image
    streaming.complete(part, volume.array)
    return _opened(part)


def _put(folder: Path, path: Path, overwrite: bool) -> Path | None:
    """Move the files of ``folder`` to ``path`` and beside it, or say which file is there already."""
    with one_at_a_time(path.parent):
        taken = None if overwrite else _taken(path)
        if taken is None:
            for file in sorted(folder.iterdir(), key=lambda file: file.name == path.name):  # the header last
                file.replace(path.parent / file.name)
    return taken


def _taken(path: Path) -> Path | None:
    beside = (path.with_suffix(suffix) for suffix in _DATA_SUFFIXES.get(path.suffix.lower(), ()))
    return next((file for file in (path, *beside) if file.exists()), None)


def header(path: Path) -> tuple[Grid, np.dtype] | None:
    """Grid and type of a volume file, without its voxels; None where it is none, which reading it will explain."""
    try:
        reader = _opened(path) if path.is_file() and suffix_of(path) and data_files(path) is not None else None
        return (grid_of(reader), streaming.type_of(reader)) if reader and reader.GetDimension() == 3 else None
    except (VolumeError, KeyError, OSError, EOFError, zlib.error):
        return None


def read_large(path: Path, allocator: Allocator) -> Volume:
    """As `read`, for a volume file: plane by plane, into ``allocator`` on the disk, where the file allows it."""
    try:
        named = data_files(path)
        state = _state(path, *named)
        reader = _checked(path, named)
        storage = streaming.storage_of(path, reader, named)
        if storage is None:
            return read(path)
        check_complete(path, reader)
        array = allocator(reader.GetSize()[::-1], streaming.type_of(reader))
        streaming.fill(array, storage)
    except (OSError, EOFError, zlib.error) as problem:
        raise _unreadable(path, problem) from problem
    _check_unchanged(state, path, *named)
    return Volume(array, grid_of(reader))


def _read_file(path: Path) -> Volume:
    named = data_files(path)
    state = _state(path, *named)
    reader = _checked(path, named)
    try:
        check_complete(path, reader)
        with silent():
            image = reader.Execute()
    except RuntimeError as problem:
        raise VolumeError(f"{path} cannot be read to its end; the file is damaged or cut short") from problem
    _check_unchanged(state, path, *named)
    return Volume(sitk.GetArrayFromImage(image), grid_of(image))


def _opened(path: Path) -> sitk.ImageFileReader:
    """A reader that has read the header."""
    try:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.SetImageIO(_READERS[path.suffix.lower()])  # no other of ITK's readers gets to see a stranger's file
        with silent():
            reader.ReadImageInformation()
    except RuntimeError as problem:
        if "orthonormal" in str(problem):
            raise VolumeError(
                f"the axes of {path} are not at right angles (a scan with tilted gantry?);"
                " resample it to a straight grid first"
            ) from problem
        raise VolumeError(f"{path} cannot be read as a volume; it may be damaged or of another format") from problem
    return reader


def grid_of(described: sitk.Image | sitk.ImageFileReader) -> Grid:
    """The grid of an image, or of a reader that has read the header."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(described.GetDirection(), (3, 3)) * described.GetSpacing()
    matrix[:3, 3] = described.GetOrigin()
    return Grid(described.GetSize()[::-1], LPS_TO_RAS @ matrix)


def _check_unchanged(state: list[tuple[int, int]], *paths: Path) -> None:
    if _state(*paths) != state:  # ITK fills with zeros what is missing at the end of a NIfTI file
        raise VolumeError(f"{paths[0]} changed while it was read; wait until it is complete and try again")


def _state(*paths: Path) -> list[tuple[int, int]]:
    return [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


def _checked(path: Path, named: list[Path]) -> sitk.ImageFileReader:
    """A header, read; what is no scalar 3-D volume, and sizes that cannot be true, are refused."""
    reader = _opened(path)
    size, components = reader.GetSize(), reader.GetNumberOfComponents()
    if reader.GetDimension() != 3:
        shape = "x".join(map(str, size))
        raise VolumeError(f"{path} has {reader.GetDimension()} dimensions ({shape}); pick one 3-D volume of it first")
    if components != 1:
        raise VolumeError(
            f"{path} has {components} values in each voxel (a colour or vector volume); pick one component first"
        )
    check_size(str(path), claimed_bytes(reader), sum(file.stat().st_size for file in (path, *named)))
    return reader


def to_image(volume: Volume) -> sitk.Image:
    """The SimpleITK image of a volume, in LPS."""
    image = sitk.GetImageFromArray(volume.array)
    to_lps = ijk_to_lps(volume.grid)
    image.SetSpacing(volume.grid.spacing_ijk_mm)
    image.SetOrigin(to_lps[:3, 3].tolist())
    image.SetDirection((LPS_TO_RAS[:3, :3] @ volume.grid.direction).ravel().tolist())
    return image


def ijk_to_lps(grid: Grid) -> np.ndarray:
    """(4, 4) voxel-centre index to millimetres in LPS, as DICOM and ITK count."""
    return LPS_TO_RAS @ grid.ijk_to_ras
