"""One evaluation from volumes to findings: make coarse, refine by every system, measure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medical_super_resolution.objectives.perceptual import SliceEncoder
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

from .cases import Case, degraded, is_large_enough, trimmed
from .checks.calibration import sample
from .checks.hallucinations import blob_counts
from .checks.lesions import lesions_for, recovered, with_lesions
from .checks.noise import noise_bound, noise_deviation
from .dataset import Subject
from .foreground import Body, body_of
from .measures import measured
from .methods import Network, Refined, Results, System, Task
from .output.pictures import draw_slices
from .results import Findings, LesionScore, Score

_APART = 1.5  # lesions, in distances between the coarse slices: the answers to two of them do not touch


@dataclass(frozen=True)
class Study:
    """What to do.

    encoder : for the perceptual distance. lesions, uncertainty : whether these checks run. shown : subjects that may
    be drawn, None for all. out : folder of the pictures. inputs : folder to keep the coarse volumes in, for other
    programs.
    """

    cases: tuple[Case, ...]
    systems: tuple[System, ...]
    out: Path
    encoder: SliceEncoder | None = None
    lesions: bool = False
    uncertainty: bool = False
    shown: frozenset[str] | None = None
    inputs: Path | None = None


@dataclass(frozen=True)
class _Truth:
    """A reference and the task made of it."""

    volume: Volume
    body: Body
    task: Task

    def labels(self, system: System) -> tuple[str, str, str, str]:
        return self.task.subject, self.volume.modality or "", self.task.case.name, system.name


def run(study: Study, subjects: list[Subject], report: Callable[[str], None], done: Callable[[Findings], None]) -> None:
    """Go through the subjects; ``done`` gets the findings so far after each, ``report`` a line on each result."""
    findings = Findings()
    for subject in subjects:
        volume = subject.read()
        for case in study.cases:
            if not is_large_enough(volume, case):
                report(f"{subject.name} {case.name}: left out, it is too small")
                continue
            truth = _truth(subject.name, volume, case)
            if study.inputs is not None:
                files.write(truth.task.lr, study.inputs / f"{subject.name}_{case.file_name}.nii.gz", overwrite=True)
            _one(study, truth, findings, report)
        done(findings)


def _truth(name: str, volume: Volume, case: Case) -> _Truth:
    reference = trimmed(volume, case)
    return _Truth(reference, body_of(reference), Task(name, case, degraded(reference, case), reference.grid))


def _one(study: Study, truth: _Truth, findings: Findings, report: Callable[[str], None]) -> None:
    results = {}
    taking = [system for system in study.systems if system.takes(truth.task.case)]
    for system in taking:
        refined = _refined(study, system, truth.task)
        results[system.name] = refined.array
        score = _score(study, truth, system, refined)
        findings.scores.append(score)
        report(f"{score.subject} {score.case} {score.system}: {score.values['psnr']:.2f} dB")
        if refined.uncertainty is not None:
            key = (system.name, truth.task.case.name)
            one = sample(refined.uncertainty, refined.array, truth.volume.array, truth.body, truth.task.subject)
            findings.samples.setdefault(key, []).append(one)
    if study.shown is None or truth.task.subject in study.shown:
        name = f"{truth.task.subject}_{truth.task.case.file_name}.png"
        draw_slices(results, truth.volume, truth.task.case, study.out / name)
        findings.pictures.append(name)
    if study.lesions:
        findings.lesions += _lesion_scores(taking, truth, results)


def _refined(study: Study, system: System, task: Task) -> Refined:
    if study.uncertainty and isinstance(system, Network):
        return replace(system.refine(task, uncertainty=True), seconds=math.nan)  # many runs in one
    return system.refine(task)


def _score(study: Study, truth: _Truth, system: System, refined: Refined) -> Score:
    body, task = truth.body, truth.task
    values = measured(refined.array, truth.volume, body, task.lr, task.case, study.encoder)
    values |= blob_counts(refined.array, truth.volume, body)
    bound = noise_bound(noise_deviation(truth.volume, body, task.case), body.peak, task.case)
    values["noise_bound"] = bound
    values["noise_share"] = float(10 ** ((values["psnr"] - bound) / 10))
    values["seconds"] = refined.seconds
    return Score(*truth.labels(system), values)


def _lesion_scores(systems: list[System], truth: _Truth, without: dict[str, np.ndarray]) -> list[LesionScore]:
    """Each system's answer to lesions: what it makes of the volume with them, less what it made of it ``without``."""
    case, volume = truth.task.case, truth.volume
    apart_mm = _APART * max(truth.task.lr.grid.spacing_ijk_mm)
    lesions = lesions_for(volume, truth.body, truth.task.subject, apart_mm=apart_mm)
    spoilt = with_lesions(volume, lesions)
    task = Task(truth.task.subject, case, degraded(spoilt, case), volume.grid)
    true = spoilt.array.astype(np.float32) - volume.array
    found = []
    for system in systems:
        if isinstance(system, Results):
            continue
        answer = system.refine(task).array.astype(np.float32) - without[system.name]
        for lesion in lesions:
            shown = recovered(lesion, answer, true, volume, apart_mm / 2)
            sign = "bright" if lesion.contrast > 0 else "dark"
            found.append(LesionScore(*truth.labels(system), lesion.kind, lesion.diameter_mm, sign, **shown))
    return found
