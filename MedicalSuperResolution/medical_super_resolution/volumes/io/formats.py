"""The formats of volume files: their suffixes, and the header of a file in any of them."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from ...errors import VolumeError
from ..grid import Grid
from .foreign import not_read
from .header import LARGEST_COMPRESSION, LARGEST_COMPRESSION_OF_BZIP2, Header, check_plain, check_size
from .metaimage import read_meta_header
from .nifti.freesurfer import read_mgh_header
from .nifti.reading import read_nifti_header
from .nrrd import read_nrrd_header

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")  # that can be written
_READ_ONLY = (".hdr.gz", ".hdr", ".img.gz", ".img", ".mgh.gz", ".mgz", ".mgh")
DAMAGES = (OSError, EOFError, zlib.error)  # what reading a damaged file may raise


def readable_suffix_of(path: Path) -> str | None:
    """The suffix of a file name that can be read, such as ".nii.gz" or ".mgz"; None where it has none."""
    name = path.name.lower()
    return next((suffix for suffix in (*SUFFIXES, *_READ_ONLY) if name.endswith(suffix)), None)


def stem_of(path: Path, ending: str = "") -> Path:
    """A path with another ending in place of its volume suffix: scan.nii.gz becomes scan.bval."""
    suffix = readable_suffix_of(path) or ""
    return path.with_name(path.name[: len(path.name) - len(suffix)] + ending)


def is_volume_file(path: Path) -> bool:
    """Whether a name is that of a volume file that can be read; other files may be DICOM."""
    return readable_suffix_of(path) is not None


def is_series(path: Path) -> bool:
    """Whether a path is taken for a DICOM series: its folder, its zipped folder or any file in it."""
    return path.is_dir() or (path.exists() and not is_volume_file(path))


def suffix_of(path: Path) -> str | None:
    """The volume suffix of a file name, such as ".nii.gz"; None where it has none of ours."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def header_of(path: Path) -> Header:
    """The header of a volume file; impossible sizes are refused.

    Raises
    ------
    VolumeError
        See `read`.
    """
    check_plain(path)
    try:
        header = parsed(path)
        held = sum({file: file.stat().st_size for file in (path, header.voxels.file)}.values())
    except gzip.BadGzipFile as problem:
        raise not_read(path) from problem
    except DAMAGES as problem:
        raise unreadable(path, problem) from problem
    most = LARGEST_COMPRESSION_OF_BZIP2 if header.voxels.packing == "bzip2" else LARGEST_COMPRESSION
    check_size(str(path), header.stored_bytes, held, most=most)
    return header


def parsed(path: Path) -> Header:
    """The header of a file by the parser of its suffix; one without a known suffix is taken for NIfTI."""
    name = path.name.lower()
    if name.endswith((".nrrd", ".nhdr")):
        return read_nrrd_header(path)
    if name.endswith((".mha", ".mhd")):
        return read_meta_header(path)
    if name.endswith((".mgz", ".mgh", ".mgh.gz")):
        return read_mgh_header(path)
    return read_nifti_header(path)


def grid_and_type_of(path: Path) -> tuple[Grid, np.dtype] | None:
    """Grid and type of a volume file, without its voxels; None where it is none, which reading it will explain."""
    try:
        found = header_of(path) if path.is_file() and is_volume_file(path) else None
    except VolumeError:
        return None
    return (found.grid, found.dtype) if found else None


def unreadable(path: Path, problem: Exception) -> VolumeError:
    """The error to raise for one of `DAMAGES`."""
    why = problem.strerror if isinstance(problem, OSError) and problem.strerror else "it is damaged or cut short"
    return VolumeError(f"{path} cannot be read as a volume: {why}")
