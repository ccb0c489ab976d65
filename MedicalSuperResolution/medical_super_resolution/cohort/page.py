"""The report of a cohort as one page with thumbnails: failures first, then outliers."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..report import NOTICE
from ..system.temp_dirs import write_whole
from .outliers import OUTLIER_ABOVE, outlier_distances
from .study import thumbnail_of
from .table import Row

PAGE = "medsr.html"
_STYLE = """
body { font: 15px system-ui, sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; color: #222 }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top; padding: .4em .6em }
tr { border-top: 1px solid #ccc } td.number { text-align: right; font-variant-numeric: tabular-nums }
td:nth-child(2), td:last-child { overflow-wrap: anywhere; min-width: 9em } /* paths */
img { max-height: 120px; background: #000 } .bad { color: #a00 } .outlier { color: #840 }
@media screen { .wide { overflow-x: auto } }
@media print { body { font-size: 10px; max-width: none; margin: 0 } img { max-height: 60px } }
"""
_UNCERTAINTY = "Uncertainty"
_HEADINGS = (
    "Before and after",
    "Study",
    "Result",
    "Slice profile",
    "Consistency error",
    _UNCERTAINTY,
    "Seconds",
    "Remarks",
)


def write_page(rows: Sequence[Row], output: Path) -> None:
    """Write the report into the output folder, all of it or nothing.

    Parameters
    ----------
    rows : sequence of Row
        All studies.
    output : Path
        Holds their thumbnails, too.
    """
    distances = outlier_distances(rows)

    def place(row: Row) -> tuple[bool, float, str]:
        largest = max(map(abs, distances.get(row.output, {}).values()), default=0.0)
        return not row.error, -largest, row.name

    counts = ", ".join(f"{count} {status}" for status, count in sorted(Counter(row.status for row in rows).items()))
    is_known = any(row.uncertainty for row in rows)
    shown = [heading for heading in _HEADINGS if heading != _UNCERTAINTY or is_known]
    headings = "".join(f'<th scope="col">{heading}</th>' for heading in shown)
    lines = "\n".join(
        _line(row, distances.get(row.output, {}), output, with_uncertainty=is_known) for row in sorted(rows, key=place)
    )
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>MedicalSuperResolution: cohort</title><style>{_STYLE}</style></head>
<body><main><h1>Cohort</h1><p>{counts or "nothing was done"}. {html.escape(NOTICE)}</p>
<p>Failures come first, then studies that differ from the others of their modality by more than {OUTLIER_ABOVE:g}
robust standard deviations in data-consistency error, slice profile (width over thickness) or uncertainty.</p>
<div class="wide" tabindex="0" role="region" aria-label="Studies">
<table><thead><tr>{headings}</tr></thead><tbody>
{lines}
</tbody></table></div></main></body></html>
"""
    write_whole(output / PAGE, page.encode(errors="backslashreplace"))


def _line(row: Row, distances: dict[str, float], output: Path, *, with_uncertainty: bool) -> str:
    """The line of one study in the table."""
    texts = (row.name, f"{row.size} at {row.spacing_mm} mm" if row.size else "", row.slice_profile)
    uncertainty = [_with_unit(row.uncertainty, row)] if with_uncertainty else []
    numbers = (_with_unit(row.consistency_error, row), *uncertainty, f"{row.seconds:g}")
    cells = [
        f"<td>{_picture(row, output)}</td>",
        *(f"<td>{html.escape(text)}</td>" for text in texts),
        *(f'<td class="number">{number}</td>' for number in numbers),
        f"<td>{'<br>'.join(_remarks(row, distances))}</td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _with_unit(number: str, row: Row) -> str:
    """A number in the units of the volume, which are known of a CT."""
    return f"{number} HU" if number and row.modality == "ct" else number


def _picture(row: Row, output: Path) -> str:
    thumbnail = thumbnail_of(output, row.output)
    if row.error or not thumbnail.is_file():
        return ""
    address = html.escape(thumbnail.relative_to(output).as_posix())
    return f'<img loading="lazy" src="{address}" alt="{html.escape(row.name)} before and after">'


def _remarks(row: Row, distances: dict[str, float]) -> list[str]:
    remarks = [
        f'<span class="outlier">{name} is {"above" if distance > 0 else "below"} the others</span>'
        for name, distance in distances.items()
        if abs(distance) > OUTLIER_ABOVE
    ]
    if row.warnings:
        remarks.append(html.escape(row.warnings))
    if row.error:
        remarks.append(f'<span class="bad">{html.escape(row.status)}: {html.escape(row.error)}</span>')
    return remarks
