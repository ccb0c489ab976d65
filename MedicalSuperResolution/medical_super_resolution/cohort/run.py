"""Run of a cohort: selection of studies, preparation of the output folder, processing, table and report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import VolumeError
from ..system.temp_dirs import folder_lock, remove_abandoned
from . import bids
from .discovery import STATE, Item, items_in
from .distribution.scheduling import rows_from
from .page import write_page
from .study import forget_attempts, record_of
from .table import TABLE, Row, read_table, write_parquet, write_table
from .task import Batch

if TYPE_CHECKING:
    from distributed import Client

PARQUET = "medsr.parquet"
_TABLE_SECONDS = 30.0  # between intermediate tables; records are written at once


def studies_in(batch: Batch, patterns: Sequence[str] = (), participants: Sequence[str] = ()) -> list[Item]:
    """The selected studies of a folder.

    Parameters
    ----------
    batch : Batch
        Its input folder is searched. Of a BIDS data set, only raw images are studies.
    patterns : sequence of str
        Patterns of paths relative to the folder, with the wildcards ``*`` and ``?``; empty for all.
    participants : sequence of str
        Labels of a BIDS data set, with or without ``sub-``; empty for all.

    Raises
    ------
    VolumeError
        There are none, of all or of a participant, or there is no such folder.
    """
    if not batch.folder.is_dir():
        raise VolumeError(f"there is no folder {batch.folder}; name the one that holds the studies")
    found = items_in(batch.folder, batch.output.resolve())
    subjects = {f"sub-{label.removeprefix('sub-')}" for label in participants}
    tops = {part for item in found for part in item.source.relative_to(batch.folder).parts[:1]}
    if found and (missing := ", ".join(sorted(subjects - tops))):
        raise VolumeError(f"there is no volume of {missing} in the folder {batch.folder}; correct --participant-label")
    chosen = []
    for item in found:
        path = item.source.relative_to(batch.folder)
        first = path.parts[0] if path.parts else ""
        if not bids.is_raw(item.source, batch.folder) or (subjects and first not in subjects):
            continue
        if not patterns or any(fnmatchcase(path.as_posix(), pattern) for pattern in patterns):
            chosen.append(item)
    if not chosen:
        if not found:
            raise VolumeError(f"there is no volume in the folder {batch.folder}; name the one that holds the studies")
        raise VolumeError(f"of {len(found)} volumes in the folder {batch.folder}, none matches the selection")
    return chosen


def check_output(batch: Batch, *, resume: bool) -> None:
    """Refuse an output folder that is not new, empty, or that of an earlier run.

    Raises
    ------
    VolumeError
        It holds something else, or an earlier run without ``resume`` or ``overwrite``, or is a file.
    """
    state = batch.output / STATE
    if state.is_dir() and not (resume or batch.overwrite):
        raise VolumeError(
            f"{batch.output} holds an earlier run; add --resume to continue it, or --overwrite to replace it"
        )
    if batch.output.is_file():
        raise VolumeError(f"{batch.output} is a file; name a new or an empty folder for the cohort")
    if not state.is_dir() and batch.output.is_dir() and any(batch.output.iterdir()):
        raise VolumeError(f"the folder {batch.output} is not empty; name a new or an empty one for the cohort")


def open_output(batch: Batch) -> None:
    """Prepare the output folder.

    Raises
    ------
    VolumeError
        It cannot be made.
    """
    state = batch.output / STATE
    try:
        batch.output.mkdir(parents=True, exist_ok=True)
        if batch.overwrite:
            shutil.rmtree(state, ignore_errors=True)
            (batch.output / TABLE).unlink(missing_ok=True)
        state.mkdir(exist_ok=True)
        forget_attempts(batch.output)
    except OSError as problem:
        raise VolumeError(f"the folder {batch.output} cannot be made: {problem.strerror}") from problem
    bids.describe(batch.folder, batch.output)


def run_cohort(batch: Batch, items: Sequence[Item], client: Client, announce: Callable[[Row], None]) -> list[Row]:
    """Enhance studies on workers; table and report are written even if this is interrupted.

    Parameters
    ----------
    batch : Batch
        What to do.
    items : sequence of Item
        The studies.
    client : Client
        Dask client, connected to the workers.
    announce : callable
        Called with each row as it is done.
    """
    rows: list[Row] = []
    written = time.monotonic()
    try:
        for row in rows_from(client, batch, items):
            rows.append(row)
            announce(row)
            if time.monotonic() - written > _TABLE_SECONDS:
                with folder_lock(batch.output / STATE):
                    write_table([*_rows_of_others(batch, items), *rows], batch.output / TABLE)
                written = time.monotonic()
    finally:
        with folder_lock(batch.output / STATE):
            _write_all([*_rows_of_others(batch, items), *rows], batch.output)
    for folder in {
        record_of(batch.output, items[0].name).parent,
        *((batch.output / item.name).parent for item in items),
    }:
        remove_abandoned(folder)
    return rows


def _rows_of_others(batch: Batch, items: Sequence[Item]) -> list[Row]:
    """Rows of other runs for studies that are not selected now, unless their volumes were removed.

    The table is read as it is written, because jobs of other studies may have written it since.
    """
    now = {str(item.source.relative_to(batch.folder)) for item in items}
    earlier = read_table(batch.output / TABLE).values()
    return [row for row in earlier if row.input not in now and not _is_removed(batch.folder / row.input)]


def _is_removed(path: Path) -> bool:
    """Whether a volume is gone; one in a folder that was closed to the user since is not."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _write_all(rows: Sequence[Row], output: Path) -> None:
    rows = sorted(rows, key=lambda row: (row.input, row.output))
    write_table(rows, output / TABLE)
    write_page(rows, output)
    with suppress(ImportError):  # optional
        write_parquet(rows, output / PARQUET)
