"""The curves of a run, as medsr-train writes them while it trains."""

from __future__ import annotations

import csv
import math
from pathlib import Path

FILE, VALIDATION_FILE = "curve.csv", "validation.csv"
STEP, LOSS = "step", "loss"
VALIDATION = "validation_psnr_db"  # the mean of the other file, which has it volume by volume

Curve = dict[str, list[float]]
"""Values by the name of their column, `STEP` first, one for each step; not a number where there is none."""


def read(run: Path) -> Curve:
    """The curves in the folder of a run so far; nothing where there are none.

    Names come from the first row where it is a header, else the columns are step and loss. A line that is being
    written is left out. Where a run was interrupted and went on, the later value of a step counts.
    """
    names, rows = _table(run / FILE)
    by_step = {row[0]: row for row in ([_number(cell) for cell in cells] for cells in rows) if math.isfinite(row[0])}
    scores = _validation(run)
    if not by_step:
        return {}
    steps = sorted({*by_step, *scores})
    empty = [math.nan] * (len(names) - 1)
    whole = [[*by_step.get(step, [step, *empty]), scores.get(step, math.nan)] for step in steps]
    columns = dict(zip([*names, VALIDATION], map(list, zip(*whole, strict=True)), strict=True))
    if not scores:
        del columns[VALIDATION]
    return columns


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    """The names of the columns of a file, and its whole rows."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return [], []
    rows = [row for row in csv.reader(text[: text.rfind("\n") + 1].splitlines()) if row]
    names = rows.pop(0) if rows and math.isnan(_number(rows[0][0])) else [STEP, LOSS]
    return names, [row for row in rows if len(row) == len(names)]


def _validation(run: Path) -> dict[float, float]:
    """The mean score of each step that was validated."""
    scores: dict[float, list[float]] = {}
    for row in _table(run / VALIDATION_FILE)[1]:
        if math.isfinite(_number(row[-1])):
            scores.setdefault(_number(row[0]), []).append(_number(row[-1]))
    return {step: sum(found) / len(found) for step, found in scores.items()}


def quantities(curve: Curve) -> list[str]:
    """The columns that can be drawn over the steps: those that hold a number at all."""
    return [name for name in list(curve)[1:] if any(map(math.isfinite, curve[name]))]


def latest(curve: Curve, quantity: str) -> tuple[int, float] | None:
    """The last step that has a value of a quantity, and that value."""
    for step, value in zip(reversed(curve.get(STEP, [])), reversed(curve.get(quantity, [])), strict=False):
        if math.isfinite(value):
            return int(step), value
    return None


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
