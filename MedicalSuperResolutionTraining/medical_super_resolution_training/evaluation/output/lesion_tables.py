"""Recovery of lesions by size: means over lesions, and their tables."""

from __future__ import annotations

import math
from dataclasses import dataclass

from medical_super_resolution.system.texts import markdown_table

from ..results import LesionScore, Statistics, statistics


@dataclass(frozen=True)
class LesionMean:
    """All lesions of one case, method, kind and diameter."""

    case: str
    method: str
    kind: str
    diameter_mm: float
    contrast: Statistics
    volume: Statistics


def lesion_means(scores: list[LesionScore]) -> list[LesionMean]:
    """Means by case, kind, method and diameter, in the order in which cases and methods ran."""
    keys = dict.fromkeys((one.case, one.kind, one.method) for one in scores)
    found = []
    for case, kind, method in keys:
        own = [one for one in scores if (one.case, one.kind, one.method) == (case, kind, method)]
        for diameter in sorted({one.diameter_mm for one in own}):
            chosen = [one for one in own if one.diameter_mm == diameter]
            contrast = statistics(one.contrast for one in chosen)
            volume = statistics(one.volume for one in chosen)
            found.append(LesionMean(case, method, kind, diameter, contrast, volume))
    return found


def lesion_lines(means: list[LesionMean]) -> list[str]:
    """Markdown: one table for each case and kind, contrast and volume by diameter."""
    lines = [
        "## Synthetic lesions",
        "",
        "Bright and dark lesions of a tenth of the intensity range (200 HU in CT), put into the volumes before they",
        "are made coarse. Each cell: share of the contrast that is recovered, and error of the volume above half the",
        "contrast (for lesions large enough to have one). A perfect method has 100 % and +0 %.",
        "",
    ]
    for case, kind in dict.fromkeys((one.case, one.kind) for one in means):
        own = [one for one in means if (one.case, one.kind) == (case, kind)]
        counts = {one.diameter_mm: one.contrast.count for one in own}
        titles = [f"{diameter:g} mm ({counts[diameter]})" for diameter in sorted(counts)]
        rows = [
            [method, *(_cell(one) for one in own if one.method == method)]
            for method in dict.fromkeys(one.method for one in own)
        ]
        lines += [f"{case}, {kind}s, diameter (number):", "", *markdown_table(["method", *titles], rows)]
    return lines


def _cell(one: LesionMean) -> str:
    volume = f"{one.volume.mean:+.0%}" if math.isfinite(one.volume.mean) else "-"
    return f"{one.contrast.mean:.0%}, {volume}"
