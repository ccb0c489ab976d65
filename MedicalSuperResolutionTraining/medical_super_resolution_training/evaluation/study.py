"""One evaluation from volumes to results: make coarse, refine by every method, measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.objectives.perceptual import SliceEncoder
from medical_super_resolution.volumes.intensity import in_type
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

from .cases import Case, degraded, is_large_enough, trimmed
from .checks.calibration import sample
from .checks.downstream import agreements
from .checks.hallucinations import blob_counts
from .checks.lesions import lesions_for, recovered, with_lesions
from .checks.noise import noise_bound, noise_deviation
from .checks.registration_error import registration_error_mm
from .dataset import EvaluationVolume
from .measures.foreground import Foreground, foreground_of
from .measures.registry import measured
from .methods.method import Method, Refined, Task
from .output.pictures import draw_slices
from .results import DownstreamScore, LesionScore, RegistrationScore, Score, StudyResults

_TRUTH = "true volume"
_APART = 1.5  # lesions, in distances between the coarse slices: the answers to two of them do not touch


@dataclass(frozen=True)
class Study:
    """One evaluation: its cases, methods and outputs.

    Parameters
    ----------
    out
        Folder of the pictures.
    encoder
        For the perceptual distance.
    lesions, uncertainty, downstream
        Whether these checks run.
    shown
        Volumes that may be drawn, None for all.
    inputs
        Folder to keep the coarse volumes in, for other programs.
    """

    cases: tuple[Case, ...]
    methods: tuple[Method, ...]
    out: Path
    encoder: SliceEncoder | None = None
    lesions: bool = False
    uncertainty: bool = False
    downstream: bool = False
    shown: frozenset[str] | None = None
    inputs: Path | None = None


@dataclass(frozen=True)
class _Truth:
    """A reference and the task made of it."""

    volume: Volume
    body: Foreground
    task: Task

    @cached_property
    def noise_bound(self) -> float:
        """PSNR in dB of a result whose only error is the noise of the reference: for all methods the same."""
        case = self.task.case
        return noise_bound(noise_deviation(self.volume, self.body, case), self.body.peak, case)

    def labels(self, method: str) -> tuple[str, str, str, str]:
        return self.task.subject, self.volume.modality or "", self.task.case.name, method


def run(
    study: Study,
    subjects: list[EvaluationVolume],
    report: Callable[[str], None],
    done: Callable[[StudyResults], None],
) -> StudyResults:
    """Go through the volumes; ``done`` gets the results so far after each, ``report`` a line on each result."""
    collected = StudyResults()
    for subject in subjects:
        volume = subject.read()
        for case in study.cases:
            if not is_large_enough(volume, case):
                report(f"{subject.name} {case.name}: left out, it is too small")
                continue
            truth = _truth(subject, volume, case)
            if not truth.body.inside.any():
                report(f"{subject.name} {case.name}: left out, there is no body in it")
                continue
            if study.inputs is not None:
                files.write(truth.task.lr, study.inputs / f"{subject.name}_{case.file_name}.nii.gz", overwrite=True)
            _one(study, truth, collected, report)
        done(collected)
    return collected


def _truth(subject: EvaluationVolume, volume: Volume, case: Case) -> _Truth:
    reference = trimmed(volume, case)
    lr = degraded(reference, case)
    if subject.measured is not None:
        lr = replace(subject.measured(), slice_thickness_mm=lr.slice_thickness_mm)
    expected = tuple(
        count // (round(case.factor) if axis in case.axes else 1)
        for axis, count in zip("kji", reference.grid.shape_kji, strict=True)
    )
    if subject.measured is not None and lr.grid.shape_kji != expected:
        raise SettingsError(
            f"the thick slices of {subject.name} are {lr.grid.described()}, which is not what the case"
            f" {case.name} makes of the thin ones; give the case of the pair by --case"
        )
    return _Truth(reference, foreground_of(reference), Task(subject.name, case, lr, reference.grid))


def _one(study: Study, truth: _Truth, collected: StudyResults, report: Callable[[str], None]) -> None:
    results = {}
    taking = [method for method in study.methods if method.takes(truth.task.case)]
    for method in taking:
        refined = method.refine(truth.task, uncertainty=study.uncertainty)
        results[method.name] = refined.array
        score = _score(study, truth, method, refined)
        collected.scores.append(score)
        report(f"{score.subject} {score.case} {score.method}: {score.values['psnr']:.2f} dB")
        if study.downstream:
            collected.downstream += _downstream_scores(truth, method, refined)
            error = registration_error_mm(refined.array, truth.volume)
            collected.registration.append(RegistrationScore(*truth.labels(method.name), error))
        if refined.uncertainty is not None:
            key = (method.name, truth.task.case.name)
            one = sample(refined.uncertainty, refined.array, truth.volume.array, truth.body, truth.task.subject)
            collected.samples.setdefault(key, []).append(one)
    if study.downstream:
        error = registration_error_mm(truth.volume.array, truth.volume)
        collected.registration.append(RegistrationScore(*truth.labels(_TRUTH), error))
    if study.shown is None or truth.task.subject in study.shown:
        name = f"{truth.task.subject}_{truth.task.case.file_name}.png"
        draw_slices(results, truth.volume, truth.task.case, study.out / name)
        collected.pictures.append(name)
    if study.lesions:
        collected.lesions += _lesion_scores(taking, truth, results)


def _score(study: Study, truth: _Truth, method: Method, refined: Refined) -> Score:
    body, task = truth.body, truth.task
    values = measured(refined.array, truth.volume, body, task.lr, task.case, study.encoder)
    values |= blob_counts(refined.array, truth.volume, body)
    values["noise_bound"] = truth.noise_bound
    values["noise_share"] = float(10 ** ((values["psnr"] - truth.noise_bound) / 10))
    values["seconds"] = refined.seconds
    return Score(*truth.labels(method.name), values)


def _downstream_scores(truth: _Truth, method: Method, refined: Refined) -> list[DownstreamScore]:
    """Agreement of each structure of the volume in a result with the truth."""
    found = agreements(refined.array, truth.volume)
    return [DownstreamScore(*truth.labels(method.name), structure, **vars(one)) for structure, one in found.items()]


def _lesion_scores(methods: list[Method], truth: _Truth, without: dict[str, np.ndarray]) -> list[LesionScore]:
    """Each method's answer to lesions: what it makes of the volume with them, less what it made of it ``without``."""
    case, lr, volume = truth.task.case, truth.task.lr, truth.volume
    apart_mm = _APART * max(lr.grid.spacing_ijk_mm)
    lesions = lesions_for(volume, truth.body, truth.task.subject, apart_mm=apart_mm)
    corrupted = with_lesions(volume, lesions)
    # Their difference, because the slices of a pair are not those that would be simulated:
    change = degraded(corrupted, case).array.astype(np.float64) - degraded(volume, case).array
    task = replace(truth.task, lr=replace(lr, array=in_type(lr.array + change, lr.array.dtype)))
    true = corrupted.array.astype(np.float32) - volume.array
    found = []
    for method in methods:
        if not method.can_refine_anew:
            continue
        answer = method.refine(task).array.astype(np.float32) - without[method.name]
        for lesion in lesions:
            shown = recovered(lesion, answer, true, volume, apart_mm / 2)
            sign = "bright" if lesion.contrast > 0 else "dark"
            found.append(LesionScore(*truth.labels(method.name), lesion.kind, lesion.diameter_mm, sign, **shown))
    return found
