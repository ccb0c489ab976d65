"""Draw what ``--detail`` does: python detail.py SPINE BRAIN LUNG PICTURE.

SPINE and BRAIN are thin volumes, which are made four times as thick; LUNG is measured with thick slices.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl
import numpy as np

from medical_super_resolution import Volume, enhance, read
from medical_super_resolution.physics.acquisition import acquisition_matrix
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.resampling import resampled

FACTOR = 4


@dataclass(frozen=True)
class Cut:
    """A coronal cut: its row, and its columns and fine slices, in voxels; the intensities from black to white."""

    name: str
    row: int
    columns: slice
    slices: slice
    window: tuple[float, float]


SPINE = (
    Cut("vertebral body", 125, slice(95, 167), slice(0, 24), (-150, 800)),
    Cut("vertebral arch", 153, slice(136, 208), slice(0, 24), (-150, 800)),
)
BRAIN = (Cut("cerebral cortex", 110, slice(28, 92), slice(120, 184), (60, 330)),)
LUNG = (Cut("lung", 310, slice(300, 390), slice(66, 126), (-1000, -300)),)


def thick_slices(thin: Volume) -> Volume:
    """The volume as a scanner measures it with contiguous slices four times as thick, Gaussian profile."""
    count = len(thin.array) // FACTOR
    matrix = acquisition_matrix(count, count * FACTOR, FACTOR)
    array = np.einsum("nk,kji->nji", matrix, thin.array[: count * FACTOR].astype(np.float64))
    ijk_to_ras = thin.grid.ijk_to_ras @ np.diag([1.0, 1.0, FACTOR, 1.0])
    ijk_to_ras[:3, 3] += thin.grid.ijk_to_ras[:3, 2] * (FACTOR - 1) / 2
    grid = Grid((count, *thin.array.shape[1:]), ijk_to_ras)
    return replace(thin, array=np.round(array).astype(thin.array.dtype), grid=grid)


def refined(thick: Volume) -> tuple[dict[str, np.ndarray], Grid]:
    """The arrays by title, interpolated and refined at three amounts of detail, and their grid."""
    finest = enhance(thick, factor=FACTOR)
    arrays = {
        "cubic B-spline": resampled(thick, finest.grid),
        "detail 0": finest.array,
        "detail 0.5": enhance(thick, factor=FACTOR, detail=0.5).array,
        "detail 1": enhance(thick, factor=FACTOR, detail=1.0).array,
    }
    return arrays, finest.grid


def main(spine: Path, brain: Path, lung: Path, picture: Path) -> None:
    """Refine three volumes, and draw coronal cuts of each."""
    mpl.use("Agg")
    from matplotlib import pyplot

    rows = []
    for file, cuts in ((spine, SPINE), (brain, BRAIN), (lung, LUNG)):
        volume = read(file)
        arrays, grid = refined(volume if cuts is LUNG else thick_slices(volume))
        if cuts is not LUNG:
            arrays["truth"] = volume.array
        rows += [(cut, arrays, grid.spacing_ijk_mm) for cut in cuts]
    heights = [
        (cut.slices.stop - cut.slices.start) * spacing[2] / ((cut.columns.stop - cut.columns.start) * spacing[0])
        for cut, _, spacing in rows
    ]
    width = 2.6  # inches of a cut
    size = (5 * width, width * sum(heights) + 0.9)
    figure, axes = pyplot.subplots(len(rows), 5, figsize=size, height_ratios=heights, layout="constrained")
    for line, (cut, arrays, (spacing_i, _, spacing_k)) in zip(axes, rows, strict=True):
        line[0].set_ylabel(cut.name)
        for axis, array in zip(line, arrays.values(), strict=False):
            shown = array[cut.slices, cut.row, cut.columns][::-1]
            low, high = cut.window
            axis.imshow(shown, "gray", aspect=spacing_k / spacing_i, interpolation="bicubic", vmin=low, vmax=high)
        for axis in line:
            axis.set(xticks=[], yticks=[])
        if len(arrays) < len(line):
            line[-1].set_frame_on(False)
            line[-1].text(0.5, 0.5, "no thin slices", ha="center", va="center", transform=line[-1].transAxes)
    for axis, name in zip(axes[0], rows[0][1], strict=True):
        axis.set_title(name)
    figure.savefig(picture, dpi=100)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
