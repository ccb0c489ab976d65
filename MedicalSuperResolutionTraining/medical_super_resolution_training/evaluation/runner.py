"""Runs a study and writes its results."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from medical_super_resolution.models.perceptual_weights import encoder_file, load_encoder
from medical_super_resolution.objectives.perceptual import SliceEncoder

from .dataset import EvaluationVolume
from .output.charts import draw_calibration, draw_factors, draw_lesions
from .output.downstream_tables import draw_downstream, draw_registration
from .output.lesion_tables import lesion_means
from .output.tables import write_tables
from .results import StudyResults
from .study import Study, run


def measure(study: Study, subjects: list[EvaluationVolume], log: Callable[[str], None]) -> Path:
    """Run a study; after every volume, write what is known by then. Returns the page with the tables."""
    for folder in (study.out, study.inputs):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    run(study, subjects, log, lambda results: _write(results, typed(), study.out))
    return study.out / "table.md"


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
    return load_encoder(path or encoder_file())
