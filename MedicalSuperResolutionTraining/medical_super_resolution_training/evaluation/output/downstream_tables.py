"""Agreement of thresholded structures, and error of registration: tables, and figures with a point for each volume."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medical_super_resolution.system.texts import markdown_table

from ..checks.registration_error import MOTIONS
from ..results import DownstreamScore, RegistrationScore, statistics
from .charts import figure_of, save

_MEASURES = {
    "dice": ("Dice", ".3f"),
    "hausdorff_mm": ("95 % Hausdorff distance, mm", ".2f"),
    "volume_error": ("error of the volume", "+.1%"),
}


def downstream_lines(scores: list[DownstreamScore]) -> list[str]:
    """Markdown: a table for each case and structure; mean, and the worst volume in brackets."""
    lines = [
        "## Measurements that follow",
        "",
        "Bone above 250 HU and lung below -500 HU (inside the body), by the same threshold on each result and on the",
        "true volume. Mean over volumes, the worst one in brackets.",
        "",
    ]
    for case, structure in dict.fromkeys((one.case, one.structure) for one in scores):
        own = [one for one in scores if (one.case, one.structure) == (case, structure)]
        rows = [
            [method, *(_cell([one for one in own if one.method == method], name) for name in _MEASURES)]
            for method in dict.fromkeys(one.method for one in own)
        ]
        lines += [f"{case}, {structure}, {volumes(len({one.subject for one in own}))}:", ""]
        lines += markdown_table(["method", *(title for title, _ in _MEASURES.values())], rows)
    return lines


def volumes(count: int) -> str:
    """Such as "3 volumes"."""
    return "1 volume" if count == 1 else f"{count} volumes"


def _cell(scores: list[DownstreamScore], name: str) -> str:
    values = [float(getattr(one, name)) for one in scores]
    written = _MEASURES[name][1]
    worst = min(values) if name == "dice" else max(values, key=abs)
    return f"{statistics(values).mean:{written}} ({worst:{written}})"


def registration_lines(scores: list[RegistrationScore]) -> list[str]:
    """Markdown: a table for each case; mean, and the worst volume in brackets."""
    lines = [
        "## Registration that follows",
        "",
        f"How far from its place a rigid registration leaves the volume, in mm, mean of {MOTIONS} known motions. Mean",
        "over volumes, the worst one in brackets.",
        "",
    ]
    for case in dict.fromkeys(one.case for one in scores):
        own = [one for one in scores if one.case == case]
        found = _by_method(own, "error_mm").items()
        rows = [[method, f"{statistics(values).mean:.2f} ({max(values):.2f})"] for method, values in found]
        lines += [f"{case}:", "", *markdown_table(["method", "error, mm"], rows)]
    return lines


def draw_downstream(scores: list[DownstreamScore], output: Path) -> None:
    """Dice and Hausdorff distance of the first case by method, a row for each structure."""
    structures = list(dict.fromkeys(one.structure for one in scores))
    case = scores[0].case
    figure, panels = figure_of(len(structures), 2, width=4.6)
    for row, structure in zip(panels, structures, strict=True):
        own = [one for one in scores if (one.case, one.structure) == (case, structure)]
        for panel, name in zip(row, ("dice", "hausdorff_mm"), strict=True):
            _draw_points(panel, _by_method(own, name), _MEASURES[name][0], f"{structure}, {case}")
    save(figure, output)


def draw_registration(scores: list[RegistrationScore], output: Path) -> None:
    """Error of registration of the first case by method."""
    case = scores[0].case
    own = [one for one in scores if one.case == case]
    figure, panels = figure_of(1, 1, width=6.0)
    _draw_points(panels[0][0], _by_method(own, "error_mm"), "error of the registration, mm", case)
    panels[0][0].set_xlim(left=0)
    save(figure, output)


def _by_method(scores: Sequence[DownstreamScore | RegistrationScore], name: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for one in scores:
        found.setdefault(one.method, []).append(float(getattr(one, name)))
    return found


def _draw_points(panel: Any, values: dict[str, list[float]], measure: str, title: str) -> None:  # noqa: ANN401
    """A point for each volume, and a line at their mean."""
    for place, found in enumerate(values.values()):
        panel.plot(found, [place] * len(found), "o", color="black", markersize=3)
        panel.plot(statistics(found).mean, place, "|", color="#3182bd", markersize=16, markeredgewidth=3)
    panel.set_yticks(range(len(values)), values)
    panel.invert_yaxis()
    panel.set_xlabel(measure)
    panel.set_title(title, fontsize=9)
