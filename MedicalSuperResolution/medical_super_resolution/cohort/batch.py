"""Batches: many volumes, by one process or several. The failure of one volume does not stop the others."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import active_children, get_context
from pathlib import Path

from ..errors import SuperResolutionError, VolumeError
from ..models.file import Model
from ..models.weight_interpolation import load_model
from ..report import Report
from ..system.process import end_with_parent, ignored_by_children, interrupt
from ..system.temp_dirs import remove_empty
from ..volumes.io.writers import destination_of
from ..volumes.label_maps.detection import named_like_labels
from . import bids
from .discovery import Item, items_in
from .single import run_task
from .table import TABLE, Row, read_table, write_table
from .task import Batch, Inspect, Outcome, Task

_MOST_PROCESSES = 61  # of a pool on Windows, which can wait for no more


def batch_in(source: Path, output: Path) -> list[Item]:
    """The volumes of a folder, of a BIDS data set the raw ones; none if ``source`` is a single file or DICOM series."""
    from ..volumes.io import formats

    if not source.is_dir() or formats.suffix_of(output) is not None or output.is_file():
        return []
    items = [item for item in items_in(source, output.resolve()) if bids.is_raw(item.source, source)]
    is_batch = len(items) > 1 or any(item.selection is None and not item.problem for item in items)
    return items if is_batch else []


def run_batch(
    batch: Batch, items: list[Item], *, jobs: int = 1, announce: Callable[[Row], None] = lambda row: None
) -> list[Row]:
    """Enhance all volumes of a folder, and write a table of them into the output folder.

    Parameters
    ----------
    batch : Batch
        What to do.
    items : list of Item
        The volumes of its folder, see `batch_in`.
    jobs : int
        Processes at a time, on Windows at most 61; each loads the model once.
    announce : callable
        Called with each row as it is done.

    Raises
    ------
    VolumeError
        The output folder cannot be made.
    ModelError
        The model cannot be loaded.
    SuperResolutionError
        A process was stopped from outside.
    """
    try:
        batch.output.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise VolumeError(f"the folder {batch.output} cannot be made: {problem.strerror}") from problem
    bids.describe(batch.folder, batch.output)
    earlier = read_table(batch.output / TABLE)
    place, rows = {item.name: number for number, item in enumerate(items)}, []
    try:
        for row in _rows(batch, items, jobs):
            if row.status == "skipped" and row.output in earlier and earlier[row.output].size:
                row = replace(earlier[row.output], status="skipped")  # what it says of the result still holds
            rows.append(row)
            rows.sort(key=lambda one: place[one.output])
            announce(row)
            write_table(rows, batch.output / TABLE)
    finally:
        for item in items:
            remove_empty((batch.output / item.name).parent, batch.output)
    return rows


def _rows(batch: Batch, items: list[Item], jobs: int) -> Iterator[Row]:
    if jobs == 1:
        model = load_model(batch.settings.model, batch.settings.detail)
        for item in items:
            yield enhance_item(batch, item, model)
        return
    jobs = min(jobs, _MOST_PROCESSES) if os.name == "nt" else jobs
    load_model(batch.settings.model, batch.settings.detail)  # an error is raised here, not once in each process
    others = set(active_children())
    with ignored_by_children():
        pool = ProcessPoolExecutor(jobs, get_context("spawn"), _load_in_child, (batch,))
        running = [pool.submit(_enhance_in_child, item) for item in items]
    with pool:
        try:
            yield from (one.result() for one in as_completed(running))
        except BrokenProcessPool as problem:
            raise SuperResolutionError(
                f"one of {jobs} processes was stopped from outside, most often for lack of memory; lower --jobs, and"
                " continue with --skip-existing"
            ) from problem
        except BaseException:  # interrupted, or the table cannot be written: nobody waits for the results
            for child in set(active_children()) - others:
                child.terminate()
            raise


_CHILD: list[tuple[Batch, Model]] = []  # the batch and the model of a child process


def _load_in_child(batch: Batch) -> None:
    end_with_parent()
    _CHILD.append((batch, load_model(batch.settings.model, batch.settings.detail)))


def _enhance_in_child(item: Item) -> Row:
    batch, model = _CHILD[0]
    signal.signal(signal.SIGTERM, interrupt)
    try:
        return enhance_item(batch, item, model)
    except KeyboardInterrupt:  # the work folder is removed; the pool would go on to the next volume
        os._exit(1)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def enhance_item(batch: Batch, item: Item, model: Model, inspect: Inspect = Task.inspect) -> Row:
    """Enhance one volume; a failure becomes a row too. ``inspect`` is that of `task.Task`."""
    output, started = batch.output / item.name, time.monotonic()
    row = Row(input=str(item.source.relative_to(batch.folder)), output=item.name, status="failed")
    try:
        if batch.skip_existing and output.exists():
            if item.selection is None:  # a run that was killed may not have come to the sidecars
                bids.copy_sidecars(item.source, output, batch.folder, overwrite=False)
            return replace(row, status="skipped", warnings="the result exists")
        if item.problem:
            raise VolumeError(item.problem)
        output.parent.mkdir(parents=True, exist_ok=True)
        destination = destination_of(item.source, output, item.selection, overwrite=batch.overwrite)
        task = Task(
            item.source,
            destination,
            item.selection,
            modality=batch.modality,
            keep_tilt=batch.keep_tilt,
            compress=batch.compress,
            inspect=inspect,
        )
        done = run_task(task, batch.settings, lambda: model)
        if item.selection is None:
            bids.copy_sidecars(item.source, output, batch.folder, overwrite=batch.overwrite)
    except SuperResolutionError as problem:
        return replace(row, error=str(problem))
    except (MemoryError, OSError) as problem:
        return replace(row, error=f"{type(problem).__name__}: {problem}")
    except Exception as problem:  # the other volumes go on
        return replace(row, error=f"unexpected {type(problem).__name__}: {problem}")
    row = _described(row, done, repr(batch.settings), time.monotonic() - started)
    if batch.modality and item.selection is None and named_like_labels(item.source.name):
        return replace(row, warnings="; ".join([_about_modality(row), *filter(None, [row.warnings])]))
    return row


def _about_modality(row: Row) -> str:
    """What the modality of all volumes of a folder meant for one that is named like a segmentation."""
    if row.modality == "labels":
        return "--modality is for images, and was left out for this segmentation"
    return "named like a segmentation, but refined as an image, because --modality says so"


def _described(row: Row, done: Outcome, settings: str, seconds: float) -> Row:
    """The row of a volume that was enhanced, with the facts of its report."""
    facts = done.report
    width = facts["slice_width_mm"] or facts["slice_thickness_mm"]
    return replace(
        row,
        status="done",
        size="x".join(map(str, reversed(done.grid.shape_kji))),
        spacing_mm="x".join(f"{value:.4g}" for value in done.grid.spacing_ijk_mm),
        factor="x".join(f"{value:.3g}" for value in facts["factor_ijk"]),
        modality=facts["modality"],
        model=facts["model"],
        settings=settings,
        slice_profile=Report.from_dict(facts).profile_described,
        slice_width_mm=f"{width:.3g}",
        slice_thickness_mm=f"{facts['slice_thickness_mm']:.3g}",
        consistency_error=f"{facts['consistency_error_rms']:.3g}",
        seconds=round(seconds, 1),
        warnings="; ".join(facts["warnings"]),
    )
