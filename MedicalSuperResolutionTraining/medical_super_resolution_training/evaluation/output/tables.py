"""StudyResults as CSV, for programs, and as one Markdown page, for people."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from medical_super_resolution.system.texts import markdown_table

from ..checks.calibration import calibrated
from ..checks.hallucinations import BLOBS
from ..measures.registry import MEASURES
from ..methods.method import BASELINE
from ..results import ALL, MORE, Group, Statistics, StudyResults, groups
from .downstream_tables import downstream_lines, registration_lines, volumes
from .lesion_tables import lesion_lines, lesion_means

_WRITTEN = {name: measure.written for name, measure in MEASURES.items()} | dict.fromkeys(BLOBS, ".1f")
_WRITTEN |= {"noise_bound": ".2f", "noise_share": ".0%", "seconds": ".1f"}
_TITLES = {name: measure.title for name, measure in MEASURES.items()} | BLOBS | MORE
_IN_UNITS = {"gradient", "slices", "residual"}  # Hounsfield units and signals have no common mean
_PAIRED = ("psnr", "ssim", "hfen", "perceptual")
_NOTE = """Means over volumes, with the standard deviation. Errors count inside the body (CT: above -900 HU, range -1000
to 1000 HU; else above 3 % of the 99.5th percentile, range from 0 to it). PSNR on the Y channel is 1.32 dB higher than
PSNR by its definition (luma has 219 levels and the peak is 255): never compare the two. Lower is better for MSE,
gradient error, HFEN, perceptual distance, slice consistency error and data-consistency error. The noise bound is the
PSNR of a result that misses nothing but the noise of the reference that was not measured; it errs on the high side."""


def write_tables(results: StudyResults, charts: list[str], command: str, out: Path) -> None:
    """Write scores.csv, summary.csv and table.md, and a CSV for each check that ran."""
    found = groups(results.scores)
    columns = list(_TITLES)
    write_csv(
        out / "scores.csv",
        command,
        ["subject", "modality", "case", "method", *columns],
        ([s.subject, s.modality, s.case, s.method, *(s.values[name] for name in columns)] for s in results.scores),
    )
    write_csv(out / "summary.csv", command, _SUMMARY, _summary_rows(found))
    for name in ("lesions", "downstream", "registration"):
        if scores := getattr(results, name):
            write_csv(out / f"{name}.csv", command, list(vars(scores[0])), (list(vars(one).values()) for one in scores))
    if results.samples:
        rows = [
            [method, case, number + 1, uncertainty, error]
            for (method, case), samples in results.samples.items()
            for one in [calibrated(samples)]
            for number, (uncertainty, error) in enumerate(zip(one.uncertainty, one.error, strict=True))
        ]
        write_csv(out / "calibration.csv", command, ["method", "case", "bin", "uncertainty", "rms_error"], rows)
    (out / "table.md").write_text(_page(results, found, charts, command), encoding="utf-8", errors="backslashreplace")


_SUMMARY = [
    *("case", "modality", "method", "measure", "volumes", "mean", "standard_deviation"),
    *("over_b_spline", "over_b_spline_deviation", "over_b_spline_lowest", "over_b_spline_highest"),
]


def _summary_rows(found: list[Group]) -> Iterable[list[object]]:
    for group in found:
        for method in group.methods:
            for name in _TITLES:
                own, over = group.of(method, name), group.over_baseline(method, name)
                yield [
                    *(group.case, group.modality, method, name, own.count, own.mean, own.deviation),
                    *(over.mean, over.deviation, over.lowest, over.highest),
                ]


def write_csv(path: Path, command: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A comment with the command, the header, and numbers with six digits."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"# {command}\n")
        writer = csv.writer(file)
        writer.writerow(header)
        for row in rows:
            writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in row])


def _page(results: StudyResults, found: list[Group], charts: list[str], command: str) -> str:
    lines = ["# Evaluation", "", "Made by:", "", "```", command, "```", "", _NOTE, ""]
    for group in found:
        lines += [f"## {group.case}, {_named(group.modality)}, {volumes(len(group.subjects))}", ""]
        lines += _means(group) + _paired(group) + _between(group) + _blobs_and_costs(group)
    if results.lesions:
        lines += lesion_lines(lesion_means(results.lesions))
    if results.downstream:
        lines += downstream_lines(results.downstream)
    if results.registration:
        lines += registration_lines(results.registration)
    if results.samples:
        lines += _calibration(results)
    if pictures := [*charts, *results.pictures]:
        lines += ["## Pictures", "", *(f"![{name}]({name})" for name in pictures), ""]
    return "\n".join(lines)


def _means(group: Group) -> list[str]:
    names = [name for name in MEASURES if not (group.modality == ALL and name in _IN_UNITS)]
    names = [name for name in names if any(group.of(method, name).count for method in group.methods)]
    rows = [[method, *(_with_deviation(group.of(method, name), name) for name in names)] for method in group.methods]
    return markdown_table(["method", *(_TITLES[name] for name in names)], rows)


def _paired(group: Group) -> list[str]:
    names = [name for name in _PAIRED if any(group.of(method, name).count for method in group.methods)]
    rows = [
        [method, *(_difference(group.over_baseline(method, name), name) for name in names)]
        for method in group.methods
        if method != BASELINE
    ]
    titles = [f"{_TITLES[name]} over B-spline (worst)" for name in names]
    return ["Paired differences:", "", *markdown_table(["method", *titles], rows)]


def _between(group: Group) -> list[str]:
    """PSNR of each row less that of each column."""
    rows = [
        [method, *("" if method == other else _signed(group.paired(method, other, "psnr")) for other in group.methods)]
        for method in group.methods
    ]
    return ["Paired differences in PSNR, row less column, dB:", "", *markdown_table(["", *group.methods], rows)]


def _blobs_and_costs(group: Group) -> list[str]:
    names = [*BLOBS, *MORE]
    rows = [[method, *(_number(group.of(method, name).mean, name) for name in names)] for method in group.methods]
    return [
        "Blobs that the reference does not show, noise, time:",
        "",
        *markdown_table(["method", *(_TITLES[n] for n in names)], rows),
    ]


def _calibration(results: StudyResults) -> list[str]:
    rows = []
    for (method, case), samples in results.samples.items():
        one = calibrated(samples)
        ratio = one.error[-1] / one.error[0] if one.error[0] else math.inf
        values = f"{one.rank_correlation:.3f}", f"{one.of_voxels:.3f}", f"{one.covered:.0%}", f"{ratio:.1f}"
        rows.append([method, case, str(len(samples)), *values])
    titles = ["method", "case", "volumes", "Spearman over 10 bins", "Spearman over voxels"]
    titles += ["errors within twice the uncertainty", "error of the last bin over the first"]
    return ["## Uncertainty against true error", "", *markdown_table(titles, rows)]


def _number(value: float, name: str) -> str:
    return format(value, _WRITTEN[name]) if math.isfinite(value) else "-"


def _with_deviation(found: Statistics, name: str) -> str:
    if found.count < 2:
        return _number(found.mean, name)
    return f"{_number(found.mean, name)} ± {_number(found.deviation, name)}"


def _difference(found: Statistics, name: str) -> str:
    if not found.count:
        return "-"
    written = "+" + _WRITTEN[name]
    worst = found.lowest if name in MEASURES and MEASURES[name].higher_is_better else found.highest
    deviation = f" ± {found.deviation:{_WRITTEN[name]}}" if found.count > 1 else ""
    return f"{found.mean:{written}}{deviation} ({worst:{written}})"


def _signed(found: Statistics) -> str:
    return f"{found.mean:+.2f}" if found.count else "-"


def _named(modality: str) -> str:
    return "all modalities" if modality == ALL else modality.upper()
