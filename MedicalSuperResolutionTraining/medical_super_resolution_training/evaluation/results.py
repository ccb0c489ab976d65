"""Results of a study, one record per result, and the means over subjects for tables and figures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from .checks.calibration import Sample
from .methods.method import BASELINE

ALL = "all"


@dataclass(frozen=True)
class Score:
    """One result: ``values`` by the names of `MEASURES`, `BLOBS` and `MORE`."""

    subject: str
    modality: str
    case: str
    method: str
    values: dict[str, float]


MORE = {
    "noise_bound": "PSNR dB if only unmeasured noise were wrong",
    "noise_share": "share of noise in the squared error",
    "seconds": "seconds",
}


@dataclass(frozen=True)
class LesionScore:
    """Recovery of one lesion by a method; see `lesions.recovered`."""

    subject: str
    modality: str
    case: str
    method: str
    kind: str
    diameter_mm: float
    sign: str
    contrast: float
    volume: float


@dataclass(frozen=True)
class DownstreamScore:
    """Agreement of one structure with the truth; see `downstream.Agreement`."""

    subject: str
    modality: str
    case: str
    method: str
    structure: str
    dice: float
    hausdorff_mm: float
    volume_error: float


@dataclass(frozen=True)
class RegistrationScore:
    """Registration error of a result; see `registration_error.registration_error_mm`."""

    subject: str
    modality: str
    case: str
    method: str
    error_mm: float


@dataclass
class StudyResults:
    """Results so far; ``samples`` holds uncertainty and error, by method and case."""

    scores: list[Score] = field(default_factory=list)
    lesions: list[LesionScore] = field(default_factory=list)
    downstream: list[DownstreamScore] = field(default_factory=list)
    registration: list[RegistrationScore] = field(default_factory=list)
    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)
    pictures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Statistics:
    """Mean, standard deviation (of the sample) and extremes of some finite values."""

    mean: float
    deviation: float
    lowest: float
    highest: float
    count: int


def statistics(values: Iterable[float]) -> Statistics:
    """Statistics of the finite values; all nan if there are none."""
    finite = np.array([value for value in values if math.isfinite(value)])
    if not finite.size:
        return Statistics(math.nan, math.nan, math.nan, math.nan, 0)
    deviation = float(finite.std(ddof=1)) if finite.size > 1 else math.nan
    return Statistics(float(finite.mean()), deviation, float(finite.min()), float(finite.max()), finite.size)


@dataclass(frozen=True)
class Group:
    """The scores of one case and modality (or `ALL`): values by method and subject."""

    case: str
    modality: str
    scores: tuple[Score, ...]

    @property
    def methods(self) -> list[str]:
        """In order of appearance."""
        return list(dict.fromkeys(score.method for score in self.scores))

    @property
    def subjects(self) -> list[str]:
        """In order of appearance."""
        return list(dict.fromkeys(score.subject for score in self.scores))

    def of(self, method: str, measure: str) -> Statistics:
        """Statistics of one measure and method over the subjects."""
        return statistics(score.values[measure] for score in self.scores if score.method == method)

    def paired(self, method: str, other: str, measure: str) -> Statistics:
        """Paired differences, ``method`` minus ``other``, over the subjects."""
        values = {(score.method, score.subject): score.values[measure] for score in self.scores}
        return statistics(
            values[method, subject] - values[other, subject]
            for subject in self.subjects
            if (method, subject) in values and (other, subject) in values
        )

    def over_baseline(self, method: str, measure: str) -> Statistics:
        """Paired differences, ``method`` minus B-spline interpolation, over the subjects."""
        return self.paired(method, BASELINE, measure)


def groups(scores: list[Score]) -> list[Group]:
    """Scores by case and modality, and over all modalities if there are several."""
    found = []
    for case in dict.fromkeys(score.case for score in scores):
        of_case = [score for score in scores if score.case == case]
        modalities = list(dict.fromkeys(score.modality for score in of_case))
        for modality in [*modalities, *([ALL] if len(modalities) > 1 else [])]:
            chosen = tuple(score for score in of_case if modality in (ALL, score.modality))
            found.append(Group(case, modality, chosen))
    return found
