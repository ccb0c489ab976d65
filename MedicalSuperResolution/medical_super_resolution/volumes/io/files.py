"""Reading and writing of volumes: NIfTI, NRRD, MetaImage, FreeSurfer and DICOM, in RAS."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import VolumeError
from ...system.temp_dirs import folder_lock, put_in_place, work_folder
from ..dicom.reader import Selection, read_series
from ..label_maps.detection import has_segments, is_label_map, named_like_labels
from ..memmap import Allocator
from ..tilt import straightened
from ..volume import Volume
from .encode import encode
from .formats import DAMAGES, header_of, is_volume_file, parsed, unreadable
from .header import Header, check_plain
from .output_files import check_output, existing
from .stream import fill, finish, opened, read_volume


def read(
    path: Path | str,
    selection: Selection | None = None,
    *,
    number: int | None = None,
    allocator: Allocator | None = None,
) -> Volume:
    """Read a volume file, or a DICOM series named by its folder, its zipped folder or any file in it.

    Parameters
    ----------
    path : Path or str
        The file or folder.
    selection : Selection or None
        Which volume, where a DICOM folder holds several.
    number : int or None
        Number of the volume, from 0, in a volume file that holds a series of several; None refuses such a file.
    allocator : callable or None
        Makes the array of a volume file: `memmap.disk_allocator` for volumes that do not fit into memory.

    Returns
    -------
    Volume
        The values as stored (after the file's own rescaling), finite, and its geometry in RAS. Tilted slices are
        brought onto a straight grid.

    Raises
    ------
    VolumeError
        The file is missing, damaged, cut short, not a volume, colored, or holds values that are not finite; or a
        folder holds no DICOM series or several.

    Examples
    --------
    >>> volume = read("thick.nii.gz")  # doctest: +SKIP
    >>> volume.grid.spacing_ijk_mm  # doctest: +SKIP
    (0.7, 0.7, 5.0)
    """
    path = Path(path)
    try:
        check_exists(path)
        if path.is_file() and is_volume_file(path):
            return _read_file(path, number, allocator or np.empty)
        if not path.is_dir():
            check_plain(path)
        volume = read_series(path, selection or Selection())
    except DAMAGES as problem:
        raise unreadable(path, problem) from problem
    volume.check_finite()
    return volume


def check_exists(path: Path) -> None:
    """Refuse a file that is not there; a link whose content is missing, as git-annex makes them, is named as one."""
    if path.is_symlink() and not path.exists():
        raise VolumeError(f"{path} is a link to a file that is not there; fetch it first, for example by git annex get")
    if not path.exists():
        raise VolumeError(f"there is no file {path}")


def _read_file(path: Path, number: int | None, allocator: Allocator) -> Volume:
    header = header_of(path)
    state = _state(path, header.voxels.file)
    if number is None and header.count > 1:
        shape = "x".join(map(str, header.sizes))
        raise VolumeError(
            f"{path} has {len(header.sizes)} dimensions ({shape}), a series of {header.count} volumes, and one"
            " is needed; `medsr enhance` takes them all, or one of them by --volume N"
        )
    if number is not None and not 0 <= number < header.count:
        raise VolumeError(f"{path} has no volume {number}; its volumes are 0 to {header.count - 1}")
    array = read_volume(header, number or 0, allocator)
    _check_unchanged(state, path, header.voxels.file)
    return volume_of(header, array)


def read_all(path: Path) -> Iterator[Volume]:
    """The volumes of a file one after the other, its voxels read once; see `read`."""
    header = header_of(path)
    state = _state(path, header.voxels.file)
    try:
        if header.is_interleaved:
            for number in range(header.count):
                yield volume_of(header, read_volume(header, number))
        else:
            with opened(header) as source:
                for number in range(header.count):
                    array = np.empty(header.grid.shape_kji, header.dtype)
                    fill(array, source, header, number)
                    yield volume_of(header, array)
                finish(source, header)
    except DAMAGES as problem:
        raise unreadable(path, problem) from problem
    _check_unchanged(state, path, header.voxels.file)


def volume_of(header: Header, array: np.ndarray) -> Volume:
    """The volume of a header and its voxels; tilted slices are straightened, but for those of a label map."""
    is_labels = header.kept.is_labels or has_segments(header.kept.fields) or named_like_labels(header.path.name)
    kept = replace(header.kept, is_labels=is_labels)
    volume = Volume(array, header.grid, header.slice_thickness_mm, header=kept, notes=header.notes)
    return straightened(volume) if volume.grid.is_sheared and not is_label_map(volume) else volume


def write(volume: Volume, path: Path | str, *, overwrite: bool = False, compress: bool = True) -> None:
    """Write a volume; the file appears only when it is complete and was checked, or not at all.

    Parameters
    ----------
    volume : Volume
        The volume. Further fields of the file that it was read from are written, too, see `volume.FileHeader`; modality
        and slice thickness are not.
    path : Path or str
        The file to write, which ends in .nii.gz, .nii, .nrrd, .nhdr, .mha or .mhd. A DICOM series is derived from its
        source by ``medsr enhance``.
    overwrite : bool
        Replace the file where it exists.
    compress : bool
        Compress the voxels, where the format allows it.

    Raises
    ------
    TypeError
        ``volume`` is no `Volume`.
    VolumeError
        The format is unknown, the file exists, or its folder does not exist or cannot be written to; a value is not
        finite or of half precision; or the disk is full.
    SettingsError
        NIfTI cannot hold so many voxels along an axis.

    Examples
    --------
    >>> write(volume, "thin.nii.gz")  # doctest: +SKIP
    """
    if not isinstance(volume, Volume):
        raise TypeError(f"write takes a Volume, got {type(volume).__name__}; make one by Volume(array, grid)")
    write_series([volume], path, overwrite=overwrite, compress=compress)


def write_series(
    volumes: Sequence[Volume], path: Path | str, *, overwrite: bool = False, compress: bool = True
) -> None:
    """Write volumes on one grid into one file, a single one as a 3-D volume; see `write`."""
    path, first = Path(path), volumes[0]
    arrays = [volume.array for volume in volumes]
    if arrays[0].dtype.kind == "f" and arrays[0].itemsize not in (4, 8):
        raise VolumeError(f"no format holds voxels of type {arrays[0].dtype}; convert them to float32 first")
    check_output(path, overwrite=overwrite)
    try:
        with work_folder(path.parent) as folder:
            part = folder / path.name
            encode(arrays, first.grid, part, kept=first.header, compress=compress)
            _check_complete(part)
            taken = _put(folder, path, overwrite)
    except PermissionError as problem:  # the folder can be written in
        raise VolumeError(f"{path} cannot be replaced; close it in other programs, or choose another name") from problem
    except (RuntimeError, OSError, EOFError, zlib.error, VolumeError) as problem:
        for volume in volumes:
            volume.check_finite()  # else it would pass for a full disk
        reason = f": {problem.strerror}" if isinstance(problem, OSError) and problem.strerror else ""
        free = shutil.disk_usage(path.parent).free / 1e6
        raise VolumeError(
            f"{path} could not be written{reason}; {free:.0f} MB are free on its disk, and up to"
            f" {len(arrays) * arrays[0].nbytes / 1e6:.0f} MB are needed; free some space or choose another folder"
        ) from problem
    if taken:
        raise VolumeError(f"{taken} was written by another program in the meantime; choose another name")


def _check_complete(part: Path) -> None:
    """Read what was written to its end: a full disk may cut it short in silence."""
    header = parsed(part)
    plane = np.empty((1, *header.grid.shape_kji[1:]), header.dtype)
    with opened(header) as source:
        for _ in range(header.grid.shape_kji[0] * (1 if header.is_interleaved else header.count)):
            fill(plane, source, header)
        finish(source, header)


def _put(folder: Path, path: Path, overwrite: bool) -> Path | None:
    """Move the files of ``folder`` to ``path`` and beside it, or name the file that is there already."""
    with folder_lock(path.parent):
        taken = None if overwrite else existing(path)
        if taken is None:
            for file in sorted(folder.iterdir(), key=lambda file: file.name == path.name):  # the header last
                put_in_place(file, path.parent / file.name)
    return taken


def _check_unchanged(state: list[tuple[int, int]], *paths: Path) -> None:
    if _state(*paths) != state:
        raise VolumeError(f"{paths[0]} changed while it was read; wait until it is complete and try again")


def _state(*paths: Path) -> list[tuple[int, int]]:
    return [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
