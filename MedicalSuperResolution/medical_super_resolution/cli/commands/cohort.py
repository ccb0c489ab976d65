"""medsr cohort."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import SettingsError, optional
from ...settings import EnhanceSettings
from ...system.memory import physical_bytes
from ...system.process import available_cpus
from ...system.texts import on_one_line
from ..settings import add_settings, settings_of
from ..terminal import INTERRUPTED_EXIT

if TYPE_CHECKING:
    from ...cohort.table import Row

HELP = "refine thousands of studies on several computers"
DESCRIPTION = (
    "Refine all volume files and DICOM series of a folder by several workers, here or on a cluster, each study once.\n"
    "A study whose worker dies is given to another worker at most twice, then set aside. The results of a BIDS data\n"
    "set are a derived data set. OUT gets a table (medsr.csv) and a report (medsr.html)."
)
_CPUS_PER_WORKER = 4
_SHARE_OF_MEMORY = 0.8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add folders, selection of studies, workers and settings."""
    parser.add_argument("input", type=Path, metavar="IN", help="folder, or a BIDS data set")
    parser.add_argument("output", type=Path, metavar="OUT", help="folder, new or empty")
    parser.add_argument(
        "level", nargs="?", choices=("participant",), default="participant", help="level of analysis, as in BIDS apps"
    )
    which = parser.add_argument_group("which studies")
    which.add_argument(
        "--pattern", nargs="+", default=[], metavar="GLOB", help="paths below IN, such as '*_T1w.nii.gz'; default: all"
    )
    which.add_argument(
        "--participant-label", nargs="+", default=[], metavar="LABEL", help="participants of a BIDS data set"
    )
    which.add_argument(
        "--resume", action="store_true", help="continue: verify finished studies, and process the others"
    )
    which.add_argument(
        "--overwrite", action="store_true", help="start again, and replace the results of an earlier run"
    )
    who = parser.add_argument_group("workers")
    who.add_argument(
        "--scheduler", metavar="ADDRESS", help="address of a running Dask scheduler; default: start workers here"
    )
    who.add_argument(
        "--workers", type=int, metavar="N", help="workers to start here; default: one per GPU, or per 4 CPUs"
    )
    add_settings(parser)
    parser.add_argument(
        "--uncertainty",
        action="store_const",
        const=True,
        help="state the uncertainty of each study in the table; up to 10 times the time",
    )
    parser.add_argument("--no-compression", action="store_true", help="write volume files uncompressed")
    parser.add_argument("--quiet", action="store_true", help="do not print a line for each study")


def run(chosen: argparse.Namespace) -> int:
    """Find the studies, process them on workers, and print a summary."""
    from ...cohort.distribution.workers import load_ahead

    if not chosen.scheduler:
        load_ahead()
    for needed in ("distributed", "cryptography"):
        optional(needed, "cohorts", extra="cohort", instead="use `medsr enhance IN OUT --jobs N`")

    from ...cohort.run import check_output, open_output, run_cohort, studies_in
    from ...cohort.table import TABLE
    from ...cohort.task import Batch
    from ...models.store import find, read_header

    if chosen.workers is not None and (chosen.workers < 1 or chosen.scheduler):
        raise SettingsError("--workers is at least 1, and for workers started here; --scheduler has its own")
    if chosen.resume and chosen.overwrite:
        raise SettingsError("--resume keeps what an earlier run has done, and --overwrite replaces it; give one")
    settings = settings_of(chosen)
    batch = Batch(
        chosen.input.resolve(),
        chosen.output.resolve(),
        settings,
        modality=chosen.modality,
        overwrite=chosen.overwrite,
        compress=not chosen.no_compression,
    )
    read_header(find(settings.model))  # a wrong name is told before the output folder is made
    items = studies_in(batch, chosen.pattern, chosen.participant_label)
    check_output(batch, resume=chosen.resume)
    counts: Counter[str] = Counter()

    def announce(row: Row) -> None:
        counts[row.status] += 1
        if not chosen.quiet:
            print(f"{sum(counts.values())}/{len(items)} {row.line}", file=sys.stderr, flush=True)

    try:
        connection, settings = _workers(chosen, settings, len(items))
        with connection as client:
            open_output(batch)
            if client.dashboard_link and not chosen.quiet:
                print(f"dashboard: {client.dashboard_link}", file=sys.stderr, flush=True)
            rows = run_cohort(replace(batch, settings=settings), items, client, announce)
    except KeyboardInterrupt:
        print(
            f"stopped: {counts['done'] + counts['kept']} of {len(items)} are done; continue with --resume",
            file=sys.stderr,
        )
        return INTERRUPTED_EXIT
    return _summary(rows, counts, chosen.output / TABLE)


def _summary(rows: list[Row], counts: Counter[str], table: Path) -> int:
    """Print failures and counts; return the exit status."""
    for row in rows:
        if row.error:
            print(on_one_line(f"{row.status}: {row.name}: {row.error}"))
    print(f"{', '.join(f'{count} {status}' for status, count in sorted(counts.items()))}: {table}")
    return 1 if any(row.error for row in rows) else 0


def _workers(
    chosen: argparse.Namespace, settings: EnhanceSettings, studies: int
) -> tuple[AbstractContextManager[Any], EnhanceSettings]:
    """A context manager of workers, and the settings with each worker's share of this computer."""
    from ...cohort.distribution.workers import gpus_here, local_workers, workers_at

    if chosen.scheduler:
        return workers_at(chosen.scheduler), settings
    gpus = gpus_here() if settings.device in ("auto", "cuda") else []
    count = min(studies, chosen.workers or len(gpus) or max(1, available_cpus() // _CPUS_PER_WORKER))
    if gpus and count > len(gpus):
        raise SettingsError(f"there are {len(gpus)} GPUs for {count} workers, and each has its own; lower --workers")
    memory = physical_bytes()
    share = round(_SHARE_OF_MEMORY * memory / count / 1e9, 1) if memory else None
    return local_workers(count, gpus), replace(
        settings,
        threads=settings.threads or max(1, available_cpus() // count),
        memory_gb=settings.memory_gb or share,
    )
