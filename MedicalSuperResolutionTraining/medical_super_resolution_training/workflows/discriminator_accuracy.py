"""Accuracy of the discriminators of adversarial runs, from the curves of the runs.

The accuracy is the share of right judgments between two reports; 0.5 is chance.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from medical_super_resolution.errors import SettingsError

from ..evaluation.output.charts import draw_accuracies
from ..evaluation.output.tables import write_csv
from ..training.monitoring.curves import CURVES


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of the discriminator of one run.

    Parameters
    ----------
    began
        The last reported step before the discriminator started, at most one report early.
    points
        Later steps of the run, each with the accuracy.
    """

    name: str
    began: int
    points: tuple[tuple[int, float], ...]

    @property
    def since(self) -> tuple[tuple[int, float], ...]:
        """Steps since the discriminator started, each with the accuracy."""
        return tuple((step - self.began, value) for step, value in self.points)


def named_runs(texts: list[str]) -> list[Accuracy]:
    """The runs that a user names: RUN or NAME=RUN, where RUN is a folder or its curve.csv.

    Raises
    ------
    SettingsError
        There is no such run, it had no discriminator, or two have one name.
    """
    found: list[Accuracy] = []
    for text in texts:
        name, is_named, rest = text.partition("=")
        path = Path(rest if is_named and not Path(text).exists() else text)
        file = path / CURVES if path.is_dir() else path
        one = read_accuracy(file, name if path != Path(text) else file.resolve().parent.name)
        if not one.points:
            raise SettingsError(f"{file} has no accuracy of a discriminator; name adversarial runs")
        if one.name in (other.name for other in found):
            raise SettingsError(f"two runs are called {one.name}; name them by NAME=RUN")
        found.append(one)
    return found


def read_accuracy(file: Path, name: str) -> Accuracy:
    """The accuracy in a curve.csv; no points where there was no discriminator."""
    began = 0
    points: list[tuple[int, float]] = []
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                if row.get("accuracy"):
                    points.append((int(row["step"]), float(row["accuracy"])))
                elif not points:
                    began = int(row["step"])
    except OSError as problem:
        raise SettingsError(f"the curves {file} cannot be read: {problem.strerror}") from problem
    except (ValueError, KeyError, TypeError, csv.Error) as problem:
        raise SettingsError(f"{file} is not the curve.csv of a run") from problem
    return Accuracy(name, began, tuple(points))


def write_accuracies(found: list[Accuracy], command: str, out: Path) -> Path:
    """Write discriminator.csv and discriminator.png into a folder; returns the picture."""
    out.mkdir(parents=True, exist_ok=True)
    rows = ([one.name, step, step - one.began, value] for one in found for step, value in one.points)
    write_csv(out / "discriminator.csv", command, ["run", "step", "step_of_discriminator", "accuracy"], rows)
    picture = out / "discriminator.png"
    draw_accuracies({one.name: one.since for one in found}, picture)
    return picture
