"""Agreement of thresholded structures: a table, and a figure with a point for each volume."""

from __future__ import annotations

from pathlib import Path

from ..results import DownstreamScore, statistics
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
        count = len({one.subject for one in own})
        lines += [f"{case}, {structure}, {count} volume{'' if count == 1 else 's'}:", ""]
        lines.append("| method | " + " | ".join(title for title, _ in _MEASURES.values()) + " |")
        lines.append("|" + "---|" * (1 + len(_MEASURES)))
        for method in dict.fromkeys(one.method for one in own):
            cells = [_cell([one for one in own if one.method == method], name) for name in _MEASURES]
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines


def _cell(scores: list[DownstreamScore], name: str) -> str:
    values = [float(getattr(one, name)) for one in scores]
    written = _MEASURES[name][1]
    worst = min(values) if name == "dice" else max(values, key=abs)
    return f"{statistics(values).mean:{written}} ({worst:{written}})"


def draw_downstream(scores: list[DownstreamScore], output: Path) -> None:
    """Dice and Hausdorff distance by method, a row for each structure; a point is a volume, a bar their mean."""
    structures = list(dict.fromkeys(one.structure for one in scores))
    case = next(iter(dict.fromkeys(one.case for one in scores)))
    figure, panels = figure_of(len(structures), 2, width=4.6)
    for row, structure in enumerate(structures):
        own = [one for one in scores if (one.case, one.structure) == (case, structure)]
        methods = list(dict.fromkeys(one.method for one in own))
        for column, name in enumerate(("dice", "hausdorff_mm")):
            panel = panels[row][column]
            for place, method in enumerate(methods):
                values = [float(getattr(one, name)) for one in own if one.method == method]
                panel.barh(place, statistics(values).mean, color="#9ecae1")
                panel.plot(values, [place] * len(values), "o", color="black", markersize=3)
            panel.set_yticks(range(len(methods)), methods)
            panel.invert_yaxis()
            panel.set_xlabel(_MEASURES[name][0])
            panel.set_title(f"{structure}, {case}", fontsize=9)
        lowest = min(float(one.dice) for one in own)
        panels[row][0].set_xlim(max(0.0, lowest - 0.05), 1)
    save(figure, output)
