"""One file or DICOM series enhanced into another: a volume, a series of volumes, or a segmentation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from ..errors import SettingsError, VolumeError
from ..inference.context import fits_memory
from ..inference.enhance import enhance
from ..inference.labels import enhance_labels
from ..inference.planning import plan
from ..inference.reporting import reported_profile
from ..models.file import Model
from ..progress import Progress, ignore
from ..settings import EnhanceSettings
from ..system.memory import return_freed_blocks
from ..volumes.dicom.reader import ALL_PHASES
from ..volumes.io import files, formats
from ..volumes.label_maps.detection import is_label_map
from ..volumes.memmap import Allocator, disk_allocator
from ..volumes.segmentations import files as segmentations
from .series import run_series
from .task import Outcome, Stage, Task, as_asked, check_tilt, outcome_of, tilt_restored


def run_task(
    task: Task,
    settings: EnhanceSettings,
    load: Callable[[], Model],
    progress: Progress = ignore,
    stage: Stage = lambda text: None,
) -> Outcome:
    """Read, enhance and write.

    Parameters
    ----------
    task : Task
        What, and where to.
    settings : EnhanceSettings
        How.
    load : callable
        Gives the model; it is called only where one is needed.
    progress : callable
        Called with voxels done and in total.
    stage : callable
        Called with the name of each part of the work.

    Raises
    ------
    SuperResolutionError
        The input cannot be read or refined as asked, or the output cannot be written.
    """
    source = task.source
    is_segmentation = segmentations.is_segmentation_file(source)
    is_volume_file = source.is_file() and formats.is_volume_file(source) and not is_segmentation
    if task.number is not None and not is_volume_file:
        raise SettingsError("--volume names one volume of a file that holds a series; this is none")
    if is_segmentation:
        return _segmentation(task, settings, progress, stage)
    if is_volume_file:
        are_several = task.number is None and formats.header_of(source).count > 1
    else:
        are_several = task.selection is not None and task.selection.phase == ALL_PHASES
    if are_several:
        return run_series(task, settings, load(), progress, stage)
    with _allocator(task, settings) as allocator:
        return _volume(task, settings, load, progress, allocator, stage)


@contextmanager
def _allocator(task: Task, settings: EnhanceSettings) -> Iterator[Allocator | None]:
    """Allocator on the disk for a volume and its result, where they do not fit into memory."""
    known = formats.grid_and_type_of(task.source)  # None of a DICOM series
    try:
        fits = known is None or fits_memory(plan(known[0], settings), known[1].itemsize, settings)
    except (SettingsError, VolumeError):
        fits = True  # the engine raises what is wrong
    if not fits and settings.refines_mirrors:
        asked = "uncertainty" if settings.uncertainty else "best quality"
        raise SettingsError(
            f"the {asked} of a volume that does not fit into memory cannot be computed; crop the volume,"
            " or allow more memory"
        )
    with nullcontext(None) if fits else disk_allocator(task.destination.path.parent) as allocator:
        yield allocator


def _volume(
    task: Task,
    settings: EnhanceSettings,
    load: Callable[[], Model],
    progress: Progress,
    allocator: Allocator | None,
    stage: Stage,
) -> Outcome:
    stage("reading")
    started = time.monotonic()
    volume = as_asked(files.read(task.source, task.selection, number=task.number, allocator=allocator), task)
    check_tilt(volume, task)
    read_seconds = time.monotonic() - started
    model = None if is_label_map(volume) else load()
    stage("refining")
    if model is None:
        enhanced = enhance_labels(volume, settings, progress)
    else:
        profile = reported_profile(task.profile_of, volume.grid)
        enhanced = enhance(volume, model, settings, progress, profile=profile, allocator=allocator)
    task.inspect(volume, enhanced)
    return_freed_blocks()
    stage("writing")
    started = time.monotonic()
    result = tilt_restored(enhanced.volume, volume, task)
    is_large = allocator is not None  # to compress it would take long
    report = task.destination.write(result, enhanced.report, compress=task.compress and not is_large)
    if enhanced.uncertainty and task.uncertainty:
        uncertainty = tilt_restored(enhanced.uncertainty, volume, task)
        files.write(uncertainty, task.uncertainty, overwrite=task.destination.overwrite, compress=task.compress)
    return outcome_of(
        result.grid, report, read_seconds, time.monotonic() - started, [volume.array] if task.hashed else []
    )


def _segmentation(task: Task, settings: EnhanceSettings, progress: Progress, stage: Stage) -> Outcome:
    stage("reading")
    started = time.monotonic()
    segmentation = segmentations.read(task.source)
    segmentations.check_output(segmentation, task.destination.path, overwrite=task.destination.overwrite)
    read_seconds = time.monotonic() - started
    stage("refining")
    done = [enhance_labels(layer, settings, progress) for layer in segmentation.layers]
    stage("writing")
    started = time.monotonic()
    pairs = zip(done, segmentation.layers, strict=True)
    refined = replace(segmentation, layers=tuple(tilt_restored(one.volume, layer, task) for one, layer in pairs))
    destination = task.destination
    segmentations.write(refined, destination.path, overwrite=destination.overwrite, compress=task.compress)
    arrays = [layer.array for layer in segmentation.layers] if task.hashed else []
    return outcome_of(refined.grid, done[0].report, read_seconds, time.monotonic() - started, arrays)
