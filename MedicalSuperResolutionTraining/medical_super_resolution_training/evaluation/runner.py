"""A study run to its end, and everything that it leaves in its folder."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from medical_super_resolution.models.perceptual_weights import encoder_file, load_encoder
from medical_super_resolution.objectives.perceptual import SliceEncoder

from .dataset import Subject
from .output.charts import draw_calibration, draw_factors, draw_lesions
from .output.lesion_tables import lesion_means
from .output.tables import write_tables
from .results import Findings
from .study import Study, run


def measure(study: Study, subjects: list[Subject], log: Callable[[str], None]) -> Path:
    """Run a study; after every volume, write what is known by then. Returns the page with the tables."""
    for folder in (study.out, study.inputs):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    run(study, subjects, log, lambda findings: _write(findings, typed(), study.out))
    return study.out / "table.md"


def typed() -> str:
    """The command that is running, as it would be typed again."""
    return shlex.join(["medsr-train", *sys.argv[1:]])


def _write(findings: Findings, command: str, out: Path) -> None:
    """Tables and charts; the slices were drawn when they were there."""
    if not findings.scores:
        return
    charts = []
    if draw_factors(findings.scores, out / "factors.png"):
        charts.append("factors.png")
    if findings.lesions:
        draw_lesions(lesion_means(findings.lesions), out / "lesions.png")
        charts.append("lesions.png")
    if findings.samples:
        draw_calibration(findings.samples, out / "calibration.png")
        charts.append("calibration.png")
    write_tables(findings, charts, command, out)


def slice_encoder(path: Path | None) -> SliceEncoder:
    """The slice encoder of a file, or the one that is shipped."""
    return load_encoder(path or encoder_file())
