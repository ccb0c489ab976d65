"""The table of the DICOM series in a folder, as `medsr info` prints it."""

from __future__ import annotations

from ..errors import VolumeError
from ..system.texts import on_one_line
from ..volumes.dicom.sorter import Contents, Series
from ..volumes.dicom.stack import spacing, stack_of
from ..volumes.dicom.volumes import Part

_HEAD = ("number", "description", "modality", "slices", "spacing in mm", "volumes", "UID")


def table_of(contents: Contents) -> list[str]:
    """The lines of a table with a row for each series, and what was ignored below it."""
    rows = [_HEAD, *map(_row, contents.series)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for series in contents.series:
        for place, part in enumerate(series.parts if len(series.parts) > 1 else (), 1):
            lines.append(f"series {_number(series)}, --phase {place}: {part.label}, {len(part.frames)} slices")
    lines += [f"ignored: {name}" for name in contents.ignored]
    return [on_one_line(line) for line in lines]


def _row(series: Series) -> tuple[str, ...]:
    part = series.parts[0]
    shown = series.problem.partition(";")[0] if series.problem else _spacing(part)
    volumes = "0" if series.problem else str(len(series.parts))
    description = series.description or "-"
    return _number(series), description, series.modality or "-", str(len(part.frames)), shown, volumes, series.uid


def _number(series: Series) -> str:
    return "-" if series.number is None else str(series.number)


def _spacing(part: Part) -> str:
    row_distance, column_distance = spacing(part.frames[0])
    try:
        along = f"{stack_of(part.frames, 'the series').spacing_mm:.3g}"
    except VolumeError:
        along = "uneven"
    return f"{column_distance:.3g} x {row_distance:.3g} x {along}"
