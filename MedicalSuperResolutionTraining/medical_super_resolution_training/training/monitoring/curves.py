"""The curves of a run as CSV: a row for each report, the same columns for every recipe, empty where they do not apply.

``loss`` is the content part of the generator's loss, or the loss of the slice-profile estimator, and ``total`` the sum
of all terms; the weighted terms follow. ``discriminator`` and ``penalty`` are the loss of the discriminator,
``accuracy`` is its share of correct decisions, and ``learning_rate`` is that of the generator.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from medical_super_resolution.objectives.terms import CONTENT_TERMS, LOSS_TERMS
from medical_super_resolution.system.temp_dirs import put_in_place, work_folder

CURVES = "curve.csv"
_ESTIMATOR = "slice_profile"  # the loss of the slice-profile estimator, which has no other term
_CONTENT = (*CONTENT_TERMS, _ESTIMATOR)
TERMS = (*LOSS_TERMS, _ESTIMATOR)
WATCHED = ("discriminator", "penalty", "accuracy")
COLUMNS = ("step", "loss", "total", *TERMS, *WATCHED, "learning_rate")


class Means:
    """Means of terms between two reports.

    Parameters
    ----------
    earlier
        What `pending` returned, where a training is resumed between two reports.
    """

    def __init__(self, earlier: Mapping[str, Tensor] | None = None) -> None:
        self._values = {name: [values] for name, values in (earlier or {}).items()}

    def add(self, terms: dict[str, Tensor]) -> None:
        """Add the terms of one step."""
        for name, value in terms.items():
            self._values.setdefault(name, []).append(value)

    def pending(self) -> dict[str, Tensor]:
        """The terms since the last report by name, (N,) float32."""
        return {
            name: torch.cat([value.reshape(-1).to(values[-1].device, torch.float32) for value in values])
            for name, values in self._values.items()
        }

    def taken(self) -> dict[str, float]:
        """Return the means, with "loss" and "total", and reset."""
        means = {name: float(values.mean()) for name, values in self.pending().items()}
        self._values.clear()
        means["loss"] = sum(means.get(name, 0.0) for name in _CONTENT)
        means["total"] = sum(means.get(name, 0.0) for name in TERMS)
        return means


def append_row(run: Path, step: int, learning_rate: float, means: dict[str, float]) -> None:
    """Add a row to the curves of a run, and the header to a new file."""
    path = run / CURVES
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(COLUMNS)
        values = {"step": str(step), "learning_rate": f"{learning_rate:.3g}"}
        values |= {name: f"{value:.6g}" for name, value in means.items()}
        writer.writerow([values.get(name, "") for name in COLUMNS])


def cut_after(path: Path, step: int) -> None:
    """Drop the rows of a CSV after ``step``, which a resumed run writes again; with no row left, the header too."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    kept = [row for row in rows if row and row[0].isdigit() and int(row[0]) <= step]
    if not kept:  # a full disk or a kill may have left no more than a part of the header
        path.unlink()
        return
    with work_folder(path.parent) as folder:
        with (folder / path.name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *kept])
        put_in_place(folder / path.name, path)
