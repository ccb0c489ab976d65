"""Runs a study and writes its results."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.models.perceptual_weights import SHIPPED_ENCODER, load_encoder
from medical_super_resolution.objectives.perceptual import SliceEncoder

from .dataset import EvaluationVolume
from .output.charts import draw_calibration, draw_factors, draw_lesions
from .output.downstream_tables import draw_downstream, draw_registration
from .output.lesion_tables import lesion_means
from .output.tables import write_tables
from .results import StudyResults
from .study import Study, run


def measure(study: Study, subjects: list[EvaluationVolume], log: Callable[[str], None]) -> Path:
    """Run a study; after every volume, write what is known by then. Returns the page with the tables.

    Raises
    ------
    SettingsError
        A method takes none of the cases, or a volume to be shown is not there.
    VolumeError
        All volumes are too small for the cases, or without a body.
    """
    _check(study, {subject.name for subject in subjects})
    for folder in (study.out, study.inputs):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    results = run(study, subjects, log, lambda results: _write(results, typed(), study.out))
    if not results.scores:
        raise VolumeError(
            "all volumes are too small for the cases, or show no body; add others, or choose smaller factors by --case"
        )
    return study.out / "table.md"


def _check(study: Study, names: set[str]) -> None:
    """Refuse what would be left out without a word."""
    for method in study.methods:
        if not any(method.takes(case) for case in study.cases):
            cases = ", ".join(case.name for case in study.cases)
            raise SettingsError(f"{method.name} has nothing for the cases {cases}; choose others by --case")
    if unknown := sorted((study.shown or frozenset()) - names):
        raise SettingsError(f"there is no volume {unknown[0]} to show; choose from {', '.join(sorted(names))}")


def typed() -> str:
    """The command that is running, as it would be typed again."""
    return shlex.join(["medsr-train", *sys.argv[1:]])


def _write(results: StudyResults, command: str, out: Path) -> None:
    """Tables and charts; the slices were drawn when they were there."""
    if not results.scores:
        return
    charts = []
    if draw_factors(results.scores, out / "factors.png"):
        charts.append("factors.png")
    if results.lesions:
        draw_lesions(lesion_means(results.lesions), out / "lesions.png")
        charts.append("lesions.png")
    if results.downstream:
        draw_downstream(results.downstream, out / "downstream.png")
        charts.append("downstream.png")
    if results.registration:
        draw_registration(results.registration, out / "registration.png")
        charts.append("registration.png")
    if results.samples:
        draw_calibration(results.samples, out / "calibration.png")
        charts.append("calibration.png")
    write_tables(results, charts, command, out)


def slice_encoder(path: Path | None) -> SliceEncoder:
    """The slice encoder of a file, or the one that is shipped."""
    return load_encoder(path or SHIPPED_ENCODER)
