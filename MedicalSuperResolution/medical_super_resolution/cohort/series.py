"""Several volumes of one file or DICOM series enhanced into one file."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..errors import SettingsError, VolumeError
from ..inference.enhance import enhance
from ..inference.reporting import reported_profile
from ..models.file import Model
from ..physics.slice_profile import ProfileEstimate
from ..progress import Progress
from ..report import Report
from ..settings import EnhanceSettings
from ..system.memory import return_freed_blocks
from ..volumes.dicom.reader import read_all_phases
from ..volumes.io import files, formats
from ..volumes.label_maps.detection import is_label_map
from ..volumes.memmap import Allocator, disk_allocator, extremes, release_pages
from ..volumes.volume import Volume
from .bids import copy_gradients
from .task import Outcome, Stage, Task, as_asked, hash_voxels, outcome_of, tilt_restored

_SAME_PLACE_MM = 1e-3


def run_series(task: Task, settings: EnhanceSettings, model: Model, progress: Progress, stage: Stage) -> Outcome:
    """Enhance the volumes of a series into one file, kept on disk meanwhile; profile and modality are found once.

    See `single.run_task` for the parameters.

    Raises
    ------
    SuperResolutionError
        As there; or the volumes do not lie on one grid.
    """
    if settings.uncertainty:
        raise SettingsError(
            "the uncertainty of a series of volumes is not computed; name one of them by --volume or --phase"
        )
    stage("refining")  # each volume is read just before
    destination, started, digest = task.destination, time.monotonic(), hashlib.sha256()
    count, volumes = _volumes_of(task)
    reports: list[Report] = []
    profile: ProfileEstimate | None = None
    modality: str | None = None  # of the first volume that shows something: each for itself might be normalized unlike
    with disk_allocator(destination.path.parent) as allocator:
        results: np.ndarray | None = None
        for number, volume in enumerate(volumes):
            asked, part = as_asked(volume, task), _progress_of_part(progress, number, count)
            if not asked.modality and not is_label_map(asked):
                asked = replace(asked, modality=modality)
            enhanced = enhance(asked, model, settings, part, profile=profile)
            modality = modality or _modality_of(enhanced.report, volume)
            profile = profile or reported_profile(enhanced.report, volume.grid)
            result = tilt_restored(enhanced.volume, asked, task)
            if task.hashed:
                hash_voxels(digest, volume.array)
            if results is None:
                task.inspect(volume, enhanced)
                first, results = result, allocator((count, *result.array.shape), result.array.dtype)
            results = _stored(result, number, first, results, allocator)
            reports.append(enhanced.report)
            return_freed_blocks()
        assert results is not None  # a file and a series hold at least one volume
        together = [replace(first, array=array) for array in results]
        stage("writing")
        writing = time.monotonic()
        files.write_series(together, destination.path, overwrite=destination.overwrite, compress=False)  # it is large
        together.clear()
    copy_gradients(task.source, destination.path, overwrite=destination.overwrite)
    done = _joined(reports)
    found = outcome_of(first.grid, done, writing - started - done.seconds, time.monotonic() - writing, [])
    hashes = {"input_sha256": digest.hexdigest()} if task.hashed else {}
    return replace(found, report=found.report | hashes | {"volumes": count})


def _volumes_of(task: Task) -> tuple[int, Iterator[Volume]]:
    """The number of volumes, and an iterator that reads them one by one."""
    if task.source.is_file() and formats.is_volume_file(task.source):
        return formats.header_of(task.source).count, files.read_all(task.source)
    assert task.selection is not None  # all phases were asked for
    return read_all_phases(task.source, task.selection)


def _stored(result: Volume, number: int, first: Volume, results: np.ndarray, allocator: Allocator) -> np.ndarray:
    """Store one result among the others, in a type that holds them all."""
    if result.array.shape != first.array.shape or not np.allclose(
        result.grid.ijk_to_ras, first.grid.ijk_to_ras, rtol=0, atol=_SAME_PLACE_MM
    ):
        raise VolumeError(
            f"volume {number + 1} of the series, {result.grid.described()}, does not lie where the first one does,"
            f" {first.grid.described()}; enhance them one by one by --phase N"
        )
    common = np.result_type(results.dtype, result.array.dtype)
    if common != results.dtype:
        wider = allocator(results.shape, common)
        for place in range(number):
            wider[place] = results[place]
            release_pages(results)
            release_pages(wider)
        results = wider
    results[number] = result.array
    release_pages(results)
    return results


def _modality_of(report: Report, volume: Volume) -> str | None:
    """The modality of a volume, for the others of its series; None where its values say nothing, as of labels."""
    lowest, highest = extremes(volume.array)
    return None if report.modality == "labels" or lowest == highest else report.modality


def _progress_of_part(progress: Progress, number: int, count: int) -> Progress:
    return lambda done, total: progress(number * total + done, count * total)


def _joined(reports: list[Report]) -> Report:
    """One report of a series, by the volume that gave the profile: the largest errors, all warnings, all seconds."""
    first = max(reports, key=lambda one: (one.slice_profile != "none", one.slice_profile_source != "assumed"))
    others = [report.other_consistency_error_rms for report in reports if report.other_profile == first.other_profile]
    warnings = dict.fromkeys(warning for report in reports for warning in report.warnings)
    return replace(
        first,
        consistency_error_rms=max(report.consistency_error_rms for report in reports),
        other_consistency_error_rms=max((error for error in others if error is not None), default=None),
        seconds=math.fsum(report.seconds for report in reports),
        warnings=tuple(warnings),
    )
