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
WINDOW = (-160, 500)  # HU, soft tissue and bone
LEFT, RIGHT = 45, 205  # columns shown


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
    """Refine at three amounts of detail, and draw one coronal cut of each."""
    mpl.use("Agg")
    from matplotlib import pyplot

    thin = read(volume)
    thick = thick_slices(thin)
    finest = enhance(thick, factor=FACTOR)
    rows = {
        "cubic B-spline": resampled(thick, finest.grid),
        "detail 0": finest.array,
        "detail 0.5": enhance(thick, factor=FACTOR, detail=0.5).array,
        "detail 1": enhance(thick, factor=FACTOR, detail=1.0).array,
        "truth": thin.array,
    }
    j = int(thin.array.shape[1] * 0.5)
    spacing_i, _, spacing_k = thin.grid.spacing_ijk_mm
    figure, axes = pyplot.subplots(len(rows), 1, figsize=(7, 9), layout="constrained")
    for axis, (name, array) in zip(axes, rows.items(), strict=True):
        cut = array[: len(finest.array), j, LEFT:RIGHT][::-1]
        axis.imshow(cut, cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1], aspect=spacing_k / spacing_i)
        axis.set_ylabel(name)
        axis.set_xticks([])
        axis.set_yticks([])
    figure.supxlabel(f"coronal cut, {WINDOW[0]} to {WINDOW[1]} HU")
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
