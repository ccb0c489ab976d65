"""A run of a cohort, and the table that it writes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from medical_super_resolution.cohort import run as cohort_run
from medical_super_resolution.cohort.table import Row
from medical_super_resolution.cohort.task import Batch

if TYPE_CHECKING:
    import distributed


def run(batch: Batch, client: distributed.Client, *, stop_after: int = 99) -> dict[str, str]:
    """Status of each study; interrupted after some."""
    seen: list[Row] = []

    def announce(row: Row) -> None:
        seen.append(row)
        if len(seen) == stop_after:
            raise KeyboardInterrupt

    items = cohort_run.studies_in(batch)
    cohort_run.open_output(batch)
    return {row.input: row.status for row in cohort_run.run_cohort(batch, items, client, announce)}


def table_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "medsr.csv").open(newline="") as file:
        return list(csv.DictReader(file))
