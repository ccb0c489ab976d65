"""The report of a cohort as one page with thumbnails: failures first, then outliers."""

from __future__ import annotations

import html
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..report import NOTICE
from ..system.temp_dirs import put_in_place, work_folder
from .study import thumbnail_of
from .table import Row

PAGE = "medsr.html"
_OUTLIER_ABOVE = 3.5  # robust standard deviations from the median
_FEWEST = 8  # studies of one modality, below which their spread is not meaningful
_MAD_TO_SIGMA = 1.4826  # of a normal distribution
_SMALLEST_SPREAD = 0.02  # of a logarithm: smaller differences do not count
_STYLE = """
body { font: 15px system-ui, sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; color: #222 }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top; padding: .4em .6em }
tr { border-top: 1px solid #ccc } td.number { text-align: right; font-variant-numeric: tabular-nums }
img { max-height: 120px; background: #000 } .bad { color: #a00 } .outlier { color: #840 }
"""
_HEADINGS = (
    "Before and after",
    "Study",
    "Result",
    "Slice profile",
    "Consistency error",
    "Uncertainty",
    "Seconds",
    "Remarks",
)


def _profile(row: Row) -> float:
    return float(row.slice_width_mm) / float(row.slice_thickness_mm)


_MEASURES: dict[str, Callable[[Row], float]] = {
    "consistency error": lambda row: float(row.consistency_error),
    "slice profile": _profile,
    "uncertainty": lambda row: float(row.uncertainty),
}


def outlier_distances(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Distance of each study from the others of its modality.

    Returns
    -------
    dict
        By input of a study and name of a measure: (logarithm - median) / robust standard deviation. The measures are
        consistency error, slice profile (width over thickness) and uncertainty. A measure that a study lacks is left
        out, as are modalities with too few studies.
    """
    values: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for row in rows:
        for name, measure in _MEASURES.items():
            try:
                values[row.modality, name][row.input] = math.log(measure(row))
            except (ValueError, ZeroDivisionError):  # empty, or zero
                continue
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for (_, name), known in values.items():
        if len(known) >= _FEWEST:
            median = float(np.median(list(known.values())))
            spread = _MAD_TO_SIGMA * float(np.median([abs(value - median) for value in known.values()]))
            for study, value in known.items():
                found[study][name] = (value - median) / max(spread, _SMALLEST_SPREAD)
    return dict(found)


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

    def order(row: Row) -> tuple[bool, float, str]:
        largest = max((abs(value) for value in distances.get(row.input, {}).values()), default=0.0)
        return not row.error, -largest, row.input

    counts = ", ".join(f"{count} {status}" for status, count in sorted(Counter(row.status for row in rows).items()))
    head = "".join(f'<th scope="col">{heading}</th>' for heading in _HEADINGS)
    body = "\n".join(_line(row, distances.get(row.input, {}), output) for row in sorted(rows, key=order))
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>MedicalSuperResolution: cohort</title><style>{_STYLE}</style></head>
<body><h1>Cohort</h1><p>{counts or "nothing was done"}. {html.escape(NOTICE)}</p>
<p>Failures come first, then studies that differ from the others of their modality by more than {_OUTLIER_ABOVE:g}
robust standard deviations in data-consistency error, slice profile (width over thickness) or uncertainty.</p>
<table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table></body></html>
"""
    with work_folder(output) as folder:
        (folder / PAGE).write_text(page, encoding="utf-8")
        put_in_place(folder / PAGE, output / PAGE)


def _line(row: Row, distances: dict[str, float], output: Path) -> str:
    picture = thumbnail_of(output, row.output)
    image = ""
    if not row.error and picture.is_file():
        address = html.escape(picture.relative_to(output).as_posix())
        image = f'<img loading="lazy" src="{address}" alt="{html.escape(row.input)} before and after">'
    notes = [
        f'<span class="outlier">{name} is {"above" if value > 0 else "below"} the others</span>'
        for name, value in distances.items()
        if abs(value) > _OUTLIER_ABOVE
    ]
    notes += [html.escape(row.warnings)] if row.warnings else []
    notes += [f'<span class="bad">{html.escape(row.status)}: {html.escape(row.error)}</span>'] if row.error else []
    cells = (row.input, f"{row.size} at {row.spacing_mm} mm" if row.size else "", row.slice_profile)
    numbers = (row.consistency_error, row.uncertainty, f"{row.seconds:g}")
    return (
        f"<tr><td>{image}</td>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        + "".join(f'<td class="number">{number}</td>' for number in numbers)
        + f"<td>{'<br>'.join(notes)}</td></tr>"
    )
