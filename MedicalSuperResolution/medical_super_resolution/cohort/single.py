"""One file or DICOM series enhanced into another: a volume, a series of volumes, or a segmentation."""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SettingsError, VolumeError
from ..inference.enhance import enhance
from ..inference.labels import enhance_labels
from ..inference.planning import fits_memory, plan
from ..models.file import Model
from ..progress import Progress, ignore
from ..report import Enhanced, Report
from ..settings import EnhanceSettings
from ..system.memory import return_freed_blocks
from ..volumes.dicom.reader import Selection
from ..volumes.grid import Grid
from ..volumes.io import files, segmentations
from ..volumes.io.writers import Destination
from ..volumes.memmap import Allocator, disk_allocator, slabs
from ..volumes.tilt import sheared
from ..volumes.volume import Volume

Stage = Callable[[str], None]
Look = Callable[[Volume, Enhanced], None]
_GRADIENTS = (".bval", ".bvec", ".bvals", ".bvecs")  # of diffusion, beside their images


@dataclass(frozen=True)
class Task:
    """What to enhance, and where the result goes.

    Parameters
    ----------
    source : Path
        A volume file, or a DICOM series by its folder or a file in it.
    destination : Destination
        See `writers.destination_of`.
    selection : Selection or None
        Which volume of a DICOM folder.
    number : int or None
        Which volume of a file that holds a series, from 0; None is all.
    modality : str or None
        Of the volume; None is what its file says.
    keep_tilt : bool
        Give straightened slices back on the tilted grid that they came on.
    uncertainty : Path or None
        The file for the standard deviation of each voxel.
    compress : bool
        Pack the voxels of volume files where the format allows either.
    hashed : bool
        Whether the report names the SHA-256 of the input's voxels.
    look : callable
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
    look: Look = lambda before, done: None


@dataclass(frozen=True)
class Outcome:
    """The grid of a result, and its report as plain types, with the seconds of reading and writing."""

    grid: Grid
    report: dict[str, Any]


def run_task(
    task: Task, settings: EnhanceSettings, model: Model, progress: Progress = ignore, stage: Stage = lambda text: None
) -> Outcome:
    """Read, enhance and write; ``stage`` is called with the name of each part of the work.

    Raises
    ------
    SuperResolutionError
        The input cannot be read or refined as asked, or the output cannot be written.
    """
    source = task.source
    if source.is_file() and files.is_volume_file(source):
        if source.name.lower().endswith(segmentations.SEGMENTATION_SUFFIX):
            return _segmentation(task, settings, progress)
        if task.number is None and files.header_of(source).count > 1:
            return _series(task, settings, model, progress)
    elif task.number is not None:
        raise SettingsError("--volume names one volume of a file that holds a series; this is none")
    with _allocator(task, settings) as allocator:
        return _volume(task, settings, model, progress, allocator, stage)


@contextmanager
def _allocator(task: Task, settings: EnhanceSettings) -> Iterator[Allocator | None]:
    """Allocator on the disk for a volume and its result, where they do not fit into memory."""
    known = None if task.destination.source_files else files.header(task.source)
    try:
        fits = known is None or fits_memory(plan(known[0], settings), known[1].itemsize, settings)
    except (SettingsError, VolumeError):
        fits = True  # the engine will say what is wrong
    if not fits and settings.uncertainty:
        raise SettingsError(
            "the uncertainty of a volume that does not fit into memory cannot be computed; crop the volume,"
            " or allow more by --max-memory"
        )
    with nullcontext(None) if fits else disk_allocator(task.destination.path.parent) as allocator:
        yield allocator


def _volume(
    task: Task,
    settings: EnhanceSettings,
    model: Model,
    progress: Progress,
    allocator: Allocator | None,
    stage: Stage,
) -> Outcome:
    stage("reading")
    started = time.monotonic()
    volume = files.read(task.source, task.selection, number=task.number, allocator=allocator)
    read_seconds = time.monotonic() - started
    stage("refining")
    enhanced = enhance(_as_asked(volume, task), model, settings, progress, allocator=allocator)
    task.look(volume, enhanced)
    return_freed_blocks()
    stage("writing")
    started = time.monotonic()
    result = _tilted_again(enhanced.volume, task)
    report = task.destination.write(result, enhanced.report, compress=task.compress)
    if enhanced.uncertainty and task.uncertainty:
        sure = _tilted_again(replace(enhanced.uncertainty, sheared_grid=enhanced.volume.sheared_grid), task)
        files.write(sure, task.uncertainty, overwrite=task.destination.overwrite, compress=task.compress)
    return _outcome(
        result.grid, report, read_seconds, time.monotonic() - started, [volume.array] if task.hashed else []
    )


def _series(task: Task, settings: EnhanceSettings, model: Model, progress: Progress) -> Outcome:
    """Each volume of a file into one file; the results wait on the disk, and the slice profile is estimated once."""
    if settings.uncertainty:
        raise SettingsError("the uncertainty of a series of volumes is not computed; name one of them by --volume")
    count = files.header_of(task.source).count
    started, digest = time.monotonic(), hashlib.sha256()
    with disk_allocator(task.destination.path.parent) as allocator:
        results: np.ndarray | None = None
        reports: list[Report] = []
        first: Volume | None = None
        for number, volume in enumerate(files.read_all(task.source)):
            enhanced = enhance(_as_asked(volume, task), model, settings, _part_of(progress, number, count))
            settings = _with_profile_of(enhanced.report, settings)
            result = _tilted_again(enhanced.volume, task)
            if task.hashed:
                _update(digest, volume.array)
            if results is None:
                task.look(volume, enhanced)
                first = result
                results = allocator((count, *result.array.shape), result.array.dtype)
            results[number] = result.array
            reports.append(enhanced.report)
            return_freed_blocks()
        assert first is not None and results is not None  # noqa: PT018 - a header counts at least one volume
        volumes = [replace(first, array=array) for array in results]
        writing = time.monotonic()
        files.write_series(volumes, task.destination.path, overwrite=task.destination.overwrite)
        volumes.clear()
    copy_beside(task.source, task.destination.path, _GRADIENTS, overwrite=task.destination.overwrite)
    done = _joined(reports)
    found = _outcome(first.grid, done, writing - started - done.seconds, time.monotonic() - writing, [])
    hashes = {"input_sha256": digest.hexdigest()} if task.hashed else {}
    return replace(found, report=found.report | hashes | {"volumes": count})


def _segmentation(task: Task, settings: EnhanceSettings, progress: Progress) -> Outcome:
    started = time.monotonic()
    segmentation = segmentations.read(task.source)
    read_seconds = time.monotonic() - started
    done: list[Enhanced] = [enhance_labels(layer, settings, progress) for layer in segmentation.layers]
    started = time.monotonic()
    refined = replace(segmentation, layers=tuple(one.volume for one in done))
    segmentations.write(refined, task.destination.path, overwrite=task.destination.overwrite)
    arrays = [layer.array for layer in segmentation.layers] if task.hashed else []
    return _outcome(
        refined.grid, done[0].report, read_seconds, time.monotonic() - started, arrays if task.hashed else []
    )


def _as_asked(volume: Volume, task: Task) -> Volume:
    return replace(volume, modality=task.modality) if task.modality else volume


def _tilted_again(volume: Volume, task: Task) -> Volume:
    if not task.keep_tilt or volume.sheared_grid is None:
        return volume
    if task.destination.source_files:
        raise SettingsError("--keep-tilt is for volume files; a derived DICOM series has straight slices")
    return sheared(volume, volume.sheared_grid)


def _with_profile_of(report: Report, settings: EnhanceSettings) -> EnhanceSettings:
    """The settings with the slice profile that was estimated, for the other volumes of a series."""
    if settings.slice_profile != "auto" or report.slice_profile == "none":
        return settings
    return replace(
        settings,
        slice_profile=report.slice_profile,
        slice_thickness_mm=report.slice_width_mm or report.slice_thickness_mm,
    )


def _part_of(progress: Progress, number: int, count: int) -> Progress:
    return lambda done, total: progress(number * total + done, count * total)


def _joined(reports: list[Report]) -> Report:
    """One report of a series: the largest consistency error, all warnings, all seconds."""
    warnings = dict.fromkeys(warning for report in reports for warning in report.warnings)
    return replace(
        reports[0],
        consistency_error_rms=max(report.consistency_error_rms for report in reports),
        seconds=math.fsum(report.seconds for report in reports),
        warnings=tuple(warnings),
    )


def _outcome(
    grid: Grid, report: Report, read_seconds: float, write_seconds: float, arrays: list[np.ndarray]
) -> Outcome:
    facts = report.as_dict()
    facts["stages"] = {"read": round(read_seconds, 3), **facts["stages"], "write": round(write_seconds, 3)}
    digest = hashlib.sha256()
    for array in arrays:
        _update(digest, array)
    return Outcome(grid, facts | ({"input_sha256": digest.hexdigest()} if arrays else {}))


def _update(digest: hashlib._Hash, array: np.ndarray) -> None:
    for part in slabs(array):
        digest.update(part.tobytes())


def copy_beside(source: Path, output: Path, endings: tuple[str, ...], *, overwrite: bool) -> None:
    """Copy the files that lie beside a source under its name, such as its gradients, beside the output."""
    for ending in endings:
        beside, copy = stem_of(source, ending), stem_of(output, ending)
        if beside.is_file() and beside != copy and (overwrite or not copy.exists()):
            shutil.copyfile(beside, copy)


def stem_of(path: Path, ending: str = "") -> Path:
    """A path with another ending in place of its volume suffix: scan.nii.gz becomes scan.bval."""
    suffix = files.readable_suffix_of(path) or ""
    return path.with_name(path.name[: len(path.name) - len(suffix)] + ending)
