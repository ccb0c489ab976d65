"""Side by side: the slice on which B-spline interpolation errs most, a part of it enlarged, and the signed error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medical_super_resolution.volumes.grid import AXES_IJK, Grid, array_axis
from medical_super_resolution.volumes.intensity import window_of
from medical_super_resolution.volumes.volume import Volume

from ..cases import Case
from ..measures.foreground import Foreground, foreground_of
from ..methods.method import BASELINE
from .charts import save

_MOST_COLUMNS = 6
_PANEL_INCH = 1.7
_ZOOM = 0.28  # of the slice's sides
_DIFFERENCE_PERCENTILE = 99.7
_UNITS = {"ct": "HU"}


@dataclass(frozen=True)
class _View:
    """Cut and orientation of a picture: radiological, feet and back below.

    ``aspect`` is the height of a pixel over its width.
    """

    across: int
    number: int
    flips: tuple[int, ...]
    aspect: float

    def cut(self, array: np.ndarray) -> np.ndarray:
        """(K, J, I) -> (rows, columns) pixels."""
        return np.flip(array.take(self.number, axis=self.across), self.flips)


def draw_slices(results: dict[str, np.ndarray], reference: Volume, case: Case, output: Path) -> None:
    """Draw the reference and every result: a slice, an enlarged part, and result - reference in red and blue.

    The slice and the part are those where the baseline errs most in the gray window: no method chooses its picture.
    """
    body = foreground_of(reference)
    window = window_of(reference.array, reference.modality or "mr")
    seen = [np.clip(array.astype(np.float32), *window) for array in (results[BASELINE], reference.array)]
    error = np.where(body.inside, np.abs(seen[0] - seen[1]), 0)
    view = _view(error, reference.grid, case)
    part = _enlarged(view.cut(error))
    panels = {
        name: view.cut(array).astype(np.float32) for name, array in (("reference", reference.array), *results.items())
    }
    titles = {"reference": f"reference\n{case.name}"}
    for name, array in results.items():
        decibels = 10 * np.log10(body.peak**2 / _squared_error(array, reference, body))
        titles[name] = f"{name}\n{decibels:.2f} dB"
    _draw(panels, titles, view, part, window, _UNITS.get(reference.modality or "", "signal"), output)


def _draw(
    panels: dict[str, np.ndarray],
    titles: dict[str, str],
    view: _View,
    part: tuple[slice, slice],
    window: tuple[float, float],
    unit: str,
    output: Path,
) -> None:
    """Draw each panel, its part, and below them its difference from the panel "reference"."""
    truth = panels["reference"]
    differences = {name: pixels - truth for name, pixels in panels.items() if name != "reference"}
    largest = float(np.percentile(np.abs(differences[BASELINE]), _DIFFERENCE_PERCENTILE)) or 1.0
    figure, axes = _canvas(len(panels), truth.shape[0] * view.aspect / truth.shape[1])
    gray: dict[str, Any] = {"cmap": "gray", "vmin": window[0], "vmax": window[1]}
    signed: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}
    drawn = None
    for place, (name, pixels) in enumerate(panels.items()):
        band, column = divmod(place, len(axes[0]))
        whole, enlarged, difference = (axes[3 * band + row][column] for row in range(3))
        whole.imshow(pixels, aspect=view.aspect, **gray)
        whole.set_title(titles[name], fontsize=8)
        _frame(whole, *part)
        enlarged.imshow(pixels[part], aspect=view.aspect, interpolation="nearest", **gray)
        if name in differences:
            drawn = difference.imshow(differences[name], aspect=view.aspect, **signed)
    inch = 1 / figure.get_figheight()
    below = {"location": "bottom", "shrink": 0.4, "aspect": 50, "fraction": 0.3 * inch, "pad": 0.1 * inch}
    bar = figure.colorbar(drawn, ax=[axis for row in axes for axis in row], **below)
    bar.set_label(
        f"result - reference in {unit}; gray from {window[0]:.4g} to {window[1]:.4g}; PSNR of the whole volume",
        fontsize=8,
    )
    bar.ax.tick_params(labelsize=7)
    save(figure, output)


def _view(error: np.ndarray, grid: Grid, case: Case) -> _View:
    """A cut in which a refined axis is seen: of the middle half of the slices, that with the largest error."""
    across = array_axis(next((axis for axis in "kj" if axis not in case.axes), "i"))
    others = [axis for axis in range(3) if axis != across]
    sums = np.square(error, dtype=np.float64).sum(axis=tuple(others))
    quarter = len(sums) // 4
    number = quarter + int(np.argmax(sums[quarter : len(sums) - quarter]))
    columns_of = [AXES_IJK[2 - axis] for axis in others]
    flips = tuple(place for place, axis in enumerate(columns_of) if _is_positive(grid, axis))
    spacing = [grid.spacing_ijk_mm[2 - axis] for axis in others]
    return _View(across, number, flips, spacing[0] / spacing[1])


def _is_positive(grid: Grid, axis: str) -> bool:
    """Whether an index axis runs to the right, front or head: a picture shows these at the left and at the top."""
    direction = grid.direction[:, AXES_IJK.index(axis)]
    return bool(direction[np.argmax(np.abs(direction))] > 0)


def _enlarged(error: np.ndarray) -> tuple[slice, slice]:
    """The part of a slice with the largest sum of squared error."""
    height, width = (max(4, round(_ZOOM * count)) for count in error.shape)
    total = np.pad(np.square(error, dtype=np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    row, column = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return slice(int(row), int(row) + height), slice(int(column), int(column) + width)


def _squared_error(array: np.ndarray, reference: Volume, body: Foreground) -> float:
    wrong = (body.clipped(array) - body.clipped(reference.array))[body.inside]
    return float(np.square(wrong, dtype=np.float64).mean())


def _canvas(panels: int, height_over_width: float) -> tuple[Any, list[list[Any]]]:
    """A white figure with three rows of axes for every band of panels, which are as many in each band as can be."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    bands = -(-panels // _MOST_COLUMNS)
    columns = -(-panels // bands)
    tall = _PANEL_INCH * min(max(height_over_width, 0.2), 1.6)
    figure, axes = pyplot.subplots(
        3 * bands, columns, figsize=(_PANEL_INCH * columns, bands * (3 * tall + 0.4) + 0.5), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes.tolist()


def _frame(axis: Any, rows: slice, columns: slice) -> None:  # noqa: ANN401
    from matplotlib.patches import Rectangle

    corner = (columns.start - 0.5, rows.start - 0.5)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    axis.add_patch(Rectangle(corner, *size, fill=False, edgecolor="#ffcc00", linewidth=0.8))
