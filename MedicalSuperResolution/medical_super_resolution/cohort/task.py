"""One volume, series of volumes or segmentation to enhance, a batch of them, and the outcome of one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SettingsError
from ..inference.refiners.padding import padding_on
from ..report import Report
from ..settings import EnhanceSettings
from ..volumes.dicom.reader import Selection
from ..volumes.grid import Grid
from ..volumes.io.writers import Destination
from ..volumes.label_maps.refinement import refine_labels
from ..volumes.memmap import slabs
from ..volumes.tilt import sheared, sheared_grid, straightened
from ..volumes.volume import Enhanced, Volume

Inspect = Callable[[Volume, Enhanced[Volume]], None]
Stage = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """One volume to enhance, and its output.

    Parameters
    ----------
    source : Path
        A volume file, or a DICOM series by its folder or a file in it.
    destination : Destination
        See `writers.destination_of`.
    selection : Selection or None
        Which volume of a DICOM folder.
    number : int or None
        Number of the volume in a file that holds a series, from 0; None for all.
    modality : str or None
        Modality of the volume; None takes that of its file.
    keep_tilt : bool
        Return straightened slices to their original tilted grid.
    uncertainty : Path or None
        The file for the standard deviation of each voxel.
    compress : bool
        Compress the voxels of volume files where the format allows it.
    hashed : bool
        Whether the report names the SHA-256 of the input's voxels.
    profile_of : Report or None
        Report of another volume of its series, whose slice profile is that of this one, too.
    inspect : callable
        Called with the volume before and after, while both are in memory; of a series with its first.
    """

    source: Path
    destination: Destination
    selection: Selection | None = None
    number: int | None = None
    modality: str | None = None
    keep_tilt: bool = False
    uncertainty: Path | None = None
    compress: bool = True
    hashed: bool = False
    profile_of: Report | None = None
    inspect: Inspect = lambda before, done: None


@dataclass(frozen=True)
class Batch:
    """Settings of a batch.

    Parameters
    ----------
    folder, output : Path
        Where volumes are looked for, and where results go, under the same names.
    settings : EnhanceSettings
        For each volume.
    modality : str or None
        Modality of all volumes; None takes that of each file.
    skip_existing, overwrite : bool
        What happens where a result is there already; with neither, that volume fails.
    keep_tilt : bool
        See `Task`.
    compress : bool
        Compress the voxels of volume files.
    """

    folder: Path
    output: Path
    settings: EnhanceSettings
    modality: str | None = None
    skip_existing: bool = False
    overwrite: bool = False
    keep_tilt: bool = False
    compress: bool = True


@dataclass(frozen=True)
class Outcome:
    """The grid of a result, and its report as plain types, with the seconds of reading and writing."""

    grid: Grid
    report: dict[str, Any]


def as_asked(volume: Volume, task: Task) -> Volume:
    """The volume with the requested modality, and a note where its tilt is kept.

    Tilted slices that pass for labels without the modality are straightened.
    """
    if task.modality:
        volume = straightened(replace(volume, modality=task.modality))
    if task.keep_tilt and volume.sheared_grid is not None:
        kept = "the result was brought back onto the tilted grid of the slices"
        volume = replace(volume, notes=(*volume.notes, kept))
    return volume


def check_tilt(volume: Volume, task: Task) -> None:
    """Refuse, before any work is done, a derived DICOM series with tilted slices.

    Raises
    ------
    SettingsError
        It was requested.
    """
    if _keeps_tilt(volume, task) and task.destination.source_files:
        raise SettingsError("--keep-tilt is for volume files; a derived DICOM series has straight slices")


def _keeps_tilt(volume: Volume, task: Task) -> bool:
    return task.keep_tilt and (volume.sheared_grid is not None or volume.grid.is_sheared)


def tilt_restored(fine: Volume, straight: Volume, task: Task) -> Volume:
    """A result on the original tilted grid of its slices, which were straightened to refine them, if requested."""
    if not _keeps_tilt(straight, task):
        return fine
    if straight.sheared_grid is None:  # a label map, whose slices are never straightened
        return refine_labels(straight, sheared_grid(straight.grid, fine.grid))
    return sheared(replace(fine, padding=padding_on(straight, fine.grid)), straight.sheared_grid)


def outcome_of(
    grid: Grid, report: Report, read_seconds: float, write_seconds: float, arrays: list[np.ndarray]
) -> Outcome:
    """The outcome of a task whose voxels were ``arrays``; with none of them, no hash is taken."""
    facts = report.as_dict()
    facts["stages"] = {"read": round(read_seconds, 3), **facts["stages"], "write": round(write_seconds, 3)}
    digest = hashlib.sha256()
    for array in arrays:
        hash_voxels(digest, array)
    return Outcome(grid, facts | ({"input_sha256": digest.hexdigest()} if arrays else {}))


def hash_voxels(digest: hashlib._Hash, array: np.ndarray) -> None:
    """Add the voxels of an array to a digest."""
    for part in slabs(array):
        digest.update(part.tobytes())
