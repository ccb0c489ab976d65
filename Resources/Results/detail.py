"""Draw what ``--detail`` does to a thin CT made four times as thick: python detail.py VOLUME PICTURE."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np

from medical_super_resolution import Volume, enhance, read
from medical_super_resolution.physics.acquisition import acquisition_matrix
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.resampling import resampled

FACTOR = 4
WINDOW = (-150, 800)  # HU, bone
ROWS = {"vertebral body": 0.49, "vertebral arch": 0.6}  # of the coronal cuts, as parts of the slice
COLUMNS = slice(50, 210)


def thick_slices(thin: Volume) -> Volume:
    """The volume as a scanner measures it with contiguous slices four times as thick, Gaussian profile."""
    count = len(thin.array) // FACTOR
    matrix = acquisition_matrix(count, count * FACTOR, FACTOR)
    array = np.einsum("nk,kji->nji", matrix, thin.array[: count * FACTOR].astype(np.float64))
    ijk_to_ras = thin.grid.ijk_to_ras @ np.diag([1.0, 1.0, FACTOR, 1.0])
    ijk_to_ras[:3, 3] += thin.grid.ijk_to_ras[:3, 2] * (FACTOR - 1) / 2
    grid = Grid((count, *thin.array.shape[1:]), ijk_to_ras)
    return replace(thin, array=np.round(array).astype(thin.array.dtype), grid=grid)


def main(volume: Path, picture: Path) -> None:
    """Refine at three amounts of detail, and draw two coronal cuts of each."""
    mpl.use("Agg")
    from matplotlib import pyplot

    thin = read(volume)
    thick = thick_slices(thin)
    finest = enhance(thick, factor=FACTOR)
    volumes = {
        "cubic B-spline": resampled(thick, finest.grid),
        "detail 0": finest.array,
        "detail 0.5": enhance(thick, factor=FACTOR, detail=0.5).array,
        "detail 1": enhance(thick, factor=FACTOR, detail=1.0).array,
        "truth": thin.array[: len(finest.array)],
    }
    spacing_i, _, spacing_k = thin.grid.spacing_ijk_mm
    figure, axes = pyplot.subplots(len(volumes), len(ROWS), figsize=(11, 8.8), layout="constrained")
    for line, (name, array) in zip(axes, volumes.items(), strict=True):
        line[0].set_ylabel(name)
        for axis, row in zip(line, ROWS.values(), strict=True):
            cut = array[::-1, int(thin.array.shape[1] * row), COLUMNS]
            axis.imshow(
                cut, "gray", aspect=spacing_k / spacing_i, interpolation="bicubic", vmin=WINDOW[0], vmax=WINDOW[1]
            )
            axis.set(xticks=[], yticks=[])
    for axis, name in zip(axes[0], ROWS, strict=True):
        axis.set_title(name)
    figure.supxlabel(f"coronal cuts, {WINDOW[0]} to {WINDOW[1]} HU")
    figure.savefig(picture, dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
