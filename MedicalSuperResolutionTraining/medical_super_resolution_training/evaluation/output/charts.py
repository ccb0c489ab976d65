"""Curves: quality against factor, lesions against size, error against uncertainty, accuracy of discriminators."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..cases import parse_case
from ..checks.calibration import Sample, calibrated
from ..methods.method import BASELINE
from ..results import ALL, Score, groups
from .lesion_tables import LesionMean

_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_MARKERS = "osD^vPX*"
_MARKED = 12  # points of a line
_CHANCE = 0.5
_LABEL_INCHES = 1.2  # of a method's name in the legend, with its line


def draw_factors(scores: list[Score], output: Path) -> bool:
    """PSNR and SSIM against the factor, a panel for each modality; False where no axes were refined by two factors."""
    axes = {score.case: parse_case(score.case) for score in scores}
    by_axes: dict[str, list[str]] = {}
    for name, case in sorted(axes.items(), key=lambda item: item[1].factor):
        if case.profile == "gaussian" and case.thickness == 1:
            by_axes.setdefault(case.axes, []).append(name)
    refined, names = max(by_axes.items(), key=lambda item: len(item[1]), default=("", []))
    if len(names) < 2:
        return False
    found = [group for group in groups([score for score in scores if score.case in names]) if group.modality != ALL]
    modalities = list(dict.fromkeys(group.modality for group in found))
    figure, panels = figure_of(2, len(modalities))
    for column, modality in enumerate(modalities):
        own = [group for group in found if group.modality == modality]
        for row, measure in enumerate(("psnr", "ssim")):
            panel = panels[row][column]
            for method in dict.fromkeys(method for group in own for method in group.methods):
                points = [(axes[group.case].factor, group.of(method, measure).mean) for group in own]
                panel.plot(*zip(*points, strict=True), label=method, **_line(method))
            panel.set_ylabel(f"{'PSNR dB' if measure == 'psnr' else 'SSIM'}, {modality.upper()}")
            panel.set_xlabel(f"factor along {refined}")
    _finish(figure, panels[0][0], output)
    return True


def draw_lesions(means: list[LesionMean], output: Path) -> None:
    """Recovered contrast and volume error against diameter; a column for each case and kind."""
    columns = list(dict.fromkeys((one.case, one.kind) for one in means))
    figure, panels = figure_of(2, len(columns), shared=True)
    for column, (case, kind) in enumerate(columns):
        own = [one for one in means if (one.case, one.kind) == (case, kind)]
        for method in dict.fromkeys(one.method for one in own):
            chosen = [one for one in own if one.method == method]
            sizes = [one.diameter_mm for one in chosen]
            panels[0][column].plot(sizes, [one.contrast.mean for one in chosen], label=method, **_line(method))
            panels[1][column].plot(sizes, [one.volume.mean for one in chosen], label=method, **_line(method))
        panels[0][column].axhline(1, color="black", linewidth=0.7)
        panels[1][column].axhline(0, color="black", linewidth=0.7)
        panels[0][column].set_title(f"{case}, {kind}s", fontsize=9)
        panels[1][column].set_xlabel("diameter, mm")
    panels[0][0].set_ylabel("share of the contrast recovered")
    panels[1][0].set_ylabel("error of the volume above half contrast")
    _finish(figure, panels[0][0], output)


def draw_calibration(samples: dict[tuple[str, str], list[Sample]], output: Path) -> None:
    """Root mean square error against mean uncertainty in ten bins of equal count, in percent of the range."""
    figure, panels = figure_of(1, 1, width=4.8)
    panel = panels[0][0]
    largest = 0.0
    for (method, case), some in samples.items():
        one = calibrated(some)
        label = f"{method}, {case}: Spearman {one.rank_correlation:.2f}"
        panel.plot(100 * one.uncertainty, 100 * one.error, marker="o", markersize=3.5, label=label)
        largest = max(largest, 100 * float(one.uncertainty.max()))
    panel.plot([0, largest], [0, largest], color="black", linewidth=0.7, linestyle=":", label="error = uncertainty")
    panel.set_xlabel("uncertainty (mean of a tenth of the voxels), % of the range")
    panel.set_ylabel("true error (RMS), % of the range")
    panel.legend(fontsize=7)
    save(figure, output)


def draw_accuracies(runs: dict[str, Sequence[tuple[int, float]]], output: Path) -> None:
    """Accuracy of each run's discriminator against the steps since it began."""
    figure, panels = figure_of(1, 1, width=4.8)
    panel = panels[0][0]
    for (name, points), marker in zip(runs.items(), itertools.cycle(_MARKERS)):
        steps, values = zip(*points, strict=True)
        between = math.ceil(len(points) / _MARKED)
        panel.plot(steps, values, label=name, marker=marker, markersize=4, markevery=between, linewidth=1.3)
    panel.axhline(_CHANCE, color="black", linewidth=0.7, linestyle=":", label="chance")
    panel.set_xlabel("steps since the discriminator began to learn")
    panel.set_xlim(left=0)
    panel.set_ylabel("accuracy of the discriminator")
    found = [value for points in runs.values() for _, value in points]
    panel.set_ylim(min(0.42, *found) - 0.02, max(0.78, *found) + 0.02)
    _finish(figure, panel, output)


def _line(method: str) -> dict[str, Any]:
    """B-spline interpolation is what all are measured against, so it looks different."""
    if method == BASELINE:
        return {"color": "black", "linestyle": "--", "marker": "s", "markersize": 3}
    return {"marker": "o", "markersize": 3}


def figure_of(rows: int, columns: int, *, width: float = 3.4, shared: bool = False) -> tuple[Any, list[list[Any]]]:
    """A figure with panels, ``width`` inches each."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context(_STYLE):
        size = (width * columns, 2.7 * rows + 0.4 if rows > 1 else 3.2)
        figure, panels = pyplot.subplots(
            rows, columns, figsize=size, squeeze=False, sharey="row" if shared else False, layout="constrained"
        )
    return figure, panels.tolist()


def _finish(figure: Any, labeled: Any, output: Path) -> None:  # noqa: ANN401
    lines, labels = labeled.get_legend_handles_labels()
    columns = min(int(figure.get_figwidth() / _LABEL_INCHES), 5)
    figure.legend(lines, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
    save(figure, output)


def save(figure: Any, output: Path) -> None:  # noqa: ANN401
    """Write a figure, and close it."""
    from matplotlib import pyplot

    figure.savefig(output, dpi=200)
    pyplot.close(figure)
