"""Many volumes by one process that loads the model once, or by several; one that fails does not stop the others."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from multiprocessing import get_context
from pathlib import Path

from ..errors import SuperResolutionError, VolumeError
from ..models.file import Model
from ..models.weight_interpolation import load_model
from ..progress import Progress, ignore
from ..settings import EnhanceSettings
from ..system.temp_dirs import work_folder
from ..volumes.io.writers import destination_of
from .discovery import Item, items_in
from .single import Task, copy_beside, run_task, stem_of

TABLE = "medsr.csv"
_SIDECARS = (".bval", ".bvec")
_OF_OLD_SLICES = ("SliceTiming", "SliceThickness")  # entries of a sidecar that no longer hold


@dataclass(frozen=True)
class Row:
    """Outcome for one volume: "done", "skipped" or "failed"; ``message`` says why, or what to look at."""

    input: str
    output: str
    status: str
    size: str = ""
    spacing_mm: str = ""
    factor: str = ""
    consistency_error: str = ""
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class Batch:
    """What a batch is asked for.

    Parameters
    ----------
    folder, output : Path
        Where volumes are looked for, and where results go, under the same names.
    settings : EnhanceSettings
        For each volume.
    modality : str or None
        Of all volumes; None is what each says.
    skip_existing, overwrite : bool
        What happens where a result is there already; with neither, that volume fails.
    keep_tilt : bool
        See `single.Task`.
    compress : bool
        Pack the voxels of volume files.
    """

    folder: Path
    output: Path
    settings: EnhanceSettings
    modality: str | None = None
    skip_existing: bool = False
    overwrite: bool = False
    keep_tilt: bool = False
    compress: bool = True


def is_batch(source: Path, output: Path) -> bool:
    """Whether an input and an output name folders, and the input holds more than one DICOM series."""
    from ..volumes.io import files

    if not source.is_dir() or files.suffix_of(output) is not None or output.is_file():
        return False
    items = items_in(source, output.resolve())
    return len(items) > 1 or any(item.selection is None and not item.problem for item in items)


def run_batch(batch: Batch, *, jobs: int = 1, announce: Callable[[Row], None] = lambda row: None) -> list[Row]:
    """Enhance all volumes of a folder, and write a table of them into the output folder.

    Parameters
    ----------
    batch : Batch
        What to do.
    jobs : int
        Processes at a time; each loads the model once.
    announce : callable
        Called with each row as it is done.

    Raises
    ------
    VolumeError
        The folder holds nothing to enhance, or the output folder cannot be made.
    ModelError
        The model cannot be loaded.
    """
    items = items_in(batch.folder, batch.output.resolve())
    if not items:
        raise VolumeError(f"there is no volume file and no DICOM series in the folder {batch.folder}")
    try:
        batch.output.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise VolumeError(f"the folder {batch.output} cannot be made: {problem.strerror}") from problem
    rows = []
    for row in _rows(batch, items, jobs):
        rows.append(row)
        announce(row)
        write_table(rows, batch.output / TABLE)
    return rows


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write the table as CSV, all of it or nothing."""
    with work_folder(path.parent) as folder:
        part = folder / path.name
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [one.name for one in fields(Row)])
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
        part.replace(path)


def _rows(batch: Batch, items: list[Item], jobs: int) -> Iterator[Row]:
    if jobs == 1:
        model = load_model(batch.settings.model, batch.settings.detail)
        for item in items:
            yield one_row(batch, item, model)
        return
    load_model(batch.settings.model, batch.settings.detail)  # refused here and not once in each process
    with ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (batch,)) as pool:
        yield from pool.map(_in_child, items)


_CHILD: list[tuple[Batch, Model]] = []  # of a process: what it was started for, and its model


def _begin(batch: Batch) -> None:
    _CHILD.append((batch, load_model(batch.settings.model, batch.settings.detail)))


def _in_child(item: Item) -> Row:
    batch, model = _CHILD[0]
    return one_row(batch, item, model)


def one_row(batch: Batch, item: Item, model: Model, progress: Progress = ignore) -> Row:
    """Enhance one volume; a failure becomes a row too."""
    output, started = batch.output / item.name, time.monotonic()
    source = str(item.source.relative_to(batch.folder))
    if batch.skip_existing and output.exists():
        return Row(source, item.name, "skipped", message="the result exists")
    try:
        if item.problem:
            raise VolumeError(item.problem)
        output.parent.mkdir(parents=True, exist_ok=True)
        destination = destination_of(item.source, output, item.selection, overwrite=batch.overwrite)
        task = Task(
            item.source, destination, item.selection, None, batch.modality, batch.keep_tilt, compress=batch.compress
        )
        done = run_task(task, batch.settings, model, progress)
        if item.selection is None:
            _copy_sidecars(item.source, output, overwrite=batch.overwrite)
    except SuperResolutionError as problem:
        return Row(source, item.name, "failed", message=str(problem))
    except (MemoryError, OSError) as problem:
        return Row(source, item.name, "failed", message=f"{type(problem).__name__}: {problem}")
    except Exception as problem:  # noqa: BLE001 - the other volumes go on
        return Row(source, item.name, "failed", message=f"unexpected {type(problem).__name__}: {problem}")
    facts = done.report
    return Row(
        source,
        item.name,
        "done",
        "x".join(map(str, reversed(done.grid.shape_kji))),
        "x".join(f"{value:.4g}" for value in done.grid.spacing_ijk_mm),
        "x".join(f"{value:.3g}" for value in facts["factor_ijk"]),
        f"{facts['consistency_error_rms']:.3g}",
        round(time.monotonic() - started, 1),
        "; ".join(facts["warnings"]),
    )


def _copy_sidecars(source: Path, output: Path, *, overwrite: bool) -> None:
    """What BIDS keeps beside an image; entries about the old slices are left out of its description."""
    copy_beside(source, output, _SIDECARS, overwrite=overwrite)
    described, copy = stem_of(source, ".json"), stem_of(output, ".json")
    if not described.is_file() or (copy.exists() and not overwrite):
        return
    try:
        facts = json.loads(described.read_text(encoding="utf-8"))
    except ValueError:
        return
    if isinstance(facts, dict):
        kept = {key: value for key, value in facts.items() if key not in _OF_OLD_SLICES}
        copy.write_text(json.dumps(kept | {"Sources": [source.name]}, indent=2) + "\n", encoding="utf-8")
