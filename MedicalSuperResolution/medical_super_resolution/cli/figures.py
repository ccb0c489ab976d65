"""Picture of before, after and their difference: three planes at one scale, one window, units of the volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SettingsError, VolumeError, optional
from ..system.temp_dirs import check_folder_of, put_in_place, work_folder
from ..volumes.grid import Grid
from ..volumes.intensity import guess_modality, window_of
from ..volumes.planes import PLANES, Plane, index_axes, plane_of
from ..volumes.resampling import resampled
from ..volumes.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_UNITS = {"ct": "HU"}
_DIFFERENCE_PERCENTILE = 99.5
_LOWER, _SAME, _HIGHER = (0.35, 0.68, 1.0), (0.10, 0.10, 0.10), (1.0, 0.48, 0.25)  # no difference is dark, as air is


@dataclass(frozen=True, eq=False)
class Panel:
    """One column: a title, values on the grid of the result (K, J, I), and whether they are a difference."""

    title: str
    array: np.ndarray
    is_difference: bool = False


def compare(
    before: Volume,
    after: Volume,
    reference: Volume | None = None,
    *,
    output: Path,
    window: tuple[float, float] | None = None,
    slices: Mapping[str, int] | None = None,
) -> list[str]:
    """Draw before | after | (reference) | difference; returns lines that describe the picture.

    ``before`` is shown as cubic B-spline interpolation on the grid of ``after``. The difference is after - before, or
    after - reference where there is one.

    Parameters
    ----------
    window : tuple of float or None
        Values shown black and white; None takes what `window_of` finds.
    slices : mapping or None
        Slice of ``after`` to show, from 0, by "axial", "coronal" and "sagittal"; the middle one where none is named.

    Raises
    ------
    VolumeError
        The volumes do not lie in the same place, or a slice is not in them.
    SuperResolutionError
        matplotlib is missing.
    """
    slices = slices or {}
    _check(output, after, slices)
    interpolated = resampled(before, after.grid)
    panels = [Panel("before (B-spline)", interpolated), Panel("after", after.array)]
    lines = []
    if reference is None:
        panels.append(Panel("after - before", after.array - interpolated, True))
    else:
        truth = resampled(reference, after.grid)
        panels.append(Panel("reference", truth))
        for name, array in (("before", interpolated), ("after", after.array)):
            difference = array - truth
            panels.append(Panel(f"{name} - reference", difference, True))
            error = float(np.sqrt(np.mean(np.square(difference, dtype=np.float64))))
            lines.append(f"{name}: {error:.4g} RMS from the reference")
    modality = after.modality or guess_modality(after.array)
    window = window or window_of(after.array, modality)
    _draw(panels, after.grid, window, _UNITS.get(modality, ""), output, slices)
    return lines


def _check(output: Path, after: Volume, slices: Mapping[str, int]) -> None:
    """Refuse a picture that cannot be drawn, before anything is computed."""
    for name, ras_axis in PLANES.items():
        count = after.array.shape[2 - index_axes(after.grid)[ras_axis]]
        if not 0 <= slices.get(name, 0) < count:
            raise VolumeError(f"there is no {name} slice {slices[name]}; the volume has 0 to {count - 1}")
    if output.suffix.lower() not in (".png", ".jpg", ".pdf", ".svg"):
        raise SettingsError(f"cannot draw {output.name}; end the name in .png, .jpg, .pdf or .svg")
    check_folder_of(output)


def _draw(
    panels: list[Panel],
    grid: Grid,
    window: tuple[float, float],
    unit: str,
    output: Path,
    slices: Mapping[str, int],
) -> None:
    optional("matplotlib", "pictures").use("Agg")
    from matplotlib import pyplot, ticker

    differences = [np.abs(panel.array[::2, ::2, ::2]) for panel in panels if panel.is_difference]
    largest = max(float(np.percentile(values, _DIFFERENCE_PERCENTILE)) for values in differences) or 1.0
    planes = [
        [plane_of(panel.array, grid, axis, slices.get(name)) for panel in panels] for name, axis in PLANES.items()
    ]
    widest = max(row[0].width_mm for row in planes)
    heights = [row[0].height_mm / widest for row in planes]
    figure, axes = pyplot.subplots(
        3, len(panels), figsize=(3.1 * len(panels), 3.1 * sum(heights) + 0.9), height_ratios=heights, squeeze=False,
        facecolor="black", layout="constrained",
    )  # fmt: skip
    for row, name in enumerate(PLANES):
        for column, panel in enumerate(panels):
            limits = (-largest, largest) if panel.is_difference else window
            axis, plane = axes[row, column], planes[row][column]
            drawn = _draw_plane(axis, plane, limits, is_difference=panel.is_difference)
            axis.set_xlim((plane.width_mm - widest) / 2, (plane.width_mm + widest) / 2)
            if row == 0:
                axis.set_title(panel.title, color="white", fontsize=11)
        _label_plane(axes[row, 0], name, planes[row][0])
    # What was drawn last is in the last column, which is always a difference.
    few = ticker.MaxNLocator(4, steps=[1, 2, 5, 10])  # numbers such as -1e+05 are wide
    bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.4, aspect=40, pad=0.01, ticks=few, format="%.4g")
    shown = f"difference in {unit or 'signal'}; gray window {window[0]:.4g} to {window[1]:.4g} {unit}"
    bar.set_label(shown.rstrip(), color="white")
    bar.ax.tick_params(colors="white")
    with work_folder(output.parent) as folder:
        figure.savefig(folder / output.name, dpi=110, facecolor="black", bbox_inches="tight")
        put_in_place(folder / output.name, output)
    pyplot.close(figure)


def _draw_plane(axis: Axes, plane: Plane, limits: tuple[float, float], *, is_difference: bool) -> AxesImage:
    from matplotlib.colors import LinearSegmentedColormap

    extent = (0.0, plane.width_mm, plane.height_mm, 0.0)
    diverging = LinearSegmentedColormap.from_list("difference", [_LOWER, _SAME, _HIGHER])
    axis.set_axis_off()
    return axis.imshow(
        plane.pixels, cmap=diverging if is_difference else "gray", vmin=limits[0], vmax=limits[1], extent=extent
    )


def _label_plane(axis: Axes, name: str, plane: Plane) -> None:
    """Label the plane and its left and upper edge, side by side because panels can be low."""
    from matplotlib.patheffects import withStroke

    around = [withStroke(linewidth=2, foreground="black")]
    write = partial(axis.text, color="yellow", fontsize=9, path_effects=around, transform=axis.transAxes)
    write(0.02, 0.5, plane.left, va="center")
    write(0.5, 0.98, plane.top, ha="center", va="top")
    write(0.98, 0.98, name, ha="right", va="top")
