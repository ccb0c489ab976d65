"""The table of a batch or a cohort: a row for each volume, as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from ..system.temp_dirs import write_whole
from ..system.texts import on_one_line
from ..volumes.io.formats import is_volume_file

TABLE = "medsr.csv"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One volume in the table of results, as text except for the seconds.

    Parameters
    ----------
    input, output : str
        Relative to the two folders.
    status : str
        "done", "skipped", "failed"; of a cohort also "kept" from an earlier run, or "set aside" where workers died
        repeatedly.
    size, spacing_mm, factor : str
        Size, spacing and factor of the result, along i, j and k.
    modality, model, settings : str
        What was enhanced with what; settings are those that differ from the standard.
    slice_profile : str
        Slice profile that was used, in words.
    slice_width_mm, slice_thickness_mm : str
        Width of that profile, and what the file or the user gave.
    consistency_error : str
        Root mean square of (result, measured again) - input, in the units of the volume.
    uncertainty : str
        Root mean square of the standard deviation of each voxel, in the units of the volume, if it was requested.
    seconds : float
        Time for the whole volume, including reading and writing.
    warnings, error : str
        Warnings about the result, or why there is none.
    """

    input: str
    output: str
    status: str
    size: str = ""
    spacing_mm: str = ""
    factor: str = ""
    modality: str = ""
    model: str = ""
    settings: str = ""
    slice_profile: str = ""
    slice_width_mm: str = ""
    slice_thickness_mm: str = ""
    consistency_error: str = ""
    uncertainty: str = ""
    seconds: float = 0.0
    warnings: str = ""
    error: str = ""

    @property
    def name(self) -> str:
        """What people call it: its file, or of a DICOM series the result, because a folder may hold several series."""
        return self.input if is_volume_file(Path(self.input)) else self.output

    @property
    def message(self) -> str:
        """The error or the warnings of this volume."""
        return self.error or self.warnings

    @property
    def line(self) -> str:
        """One line for people, as soon as the volume is done."""
        took = f", {self.seconds:g} s" if self.status == "done" else ""
        said = f"{self.size} at {self.spacing_mm} mm{took}" if self.size else self.message
        return on_one_line(f"{self.status:9} {self.name}" + (f": {said}" if said else ""))


def _texts(row: Row) -> dict[str, Any]:
    """Its columns. Bytes of a name that are no UTF-8, as old archives have them, become escapes as in the terminal."""
    columns = asdict(row).items()
    return {
        name: value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
        for name, value in columns
    }


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write the table as CSV, all of it or nothing."""
    text = StringIO(newline="")
    writer = csv.DictWriter(text, [one.name for one in fields(Row)])
    writer.writeheader()
    writer.writerows(_texts(row) for row in rows)
    write_whole(path, text.getvalue().encode())


def read_table(path: Path) -> dict[str, Row]:
    """The rows of an earlier table by their outputs; none where there is no table, or one that was changed since."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table: list[dict[str, Any]] = list(csv.DictReader(file))
        rows = [Row(**columns | {"seconds": float(columns["seconds"])}) for columns in table]
    except (OSError, LookupError, TypeError, ValueError, csv.Error):
        return {}
    return {row.output: row for row in rows}


def write_parquet(rows: Sequence[Row], path: Path) -> None:
    """Write the table as Parquet, all of it or nothing.

    Raises
    ------
    ImportError
        There is no pyarrow.
    """
    import pyarrow
    from pyarrow import parquet

    content = BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([_texts(row) for row in rows]), content)
    write_whole(path, content.getvalue())
