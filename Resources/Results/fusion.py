"""Draws Resources/Results/fusion.png: python Resources/Results/fusion.py FUSED STACK [STACK ...] fusion.png.

One plane of the fused volume beside the same plane of each stack, interpolated by B-splines.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.resampling import resampled
from medical_super_resolution.volumes.volume import Volume


def middle(volume: Volume, axis: int) -> Volume:
    """Two neighbouring planes in the middle of one array axis, as a volume."""
    start = volume.array.shape[axis] // 2
    cut = tuple(slice(start, start + 2) if number == axis else slice(None) for number in range(3))
    array = volume.array[cut]
    corner = np.zeros(4)
    corner[2 - axis] = start
    matrix = volume.grid.ijk_to_ras.copy()
    matrix[:3, 3] += matrix[:3, :3] @ corner[:3]
    return Volume(array, Grid(array.shape, matrix))


def main(fused_path: Path, stack_paths: list[Path], output: Path) -> None:
    """Draw one row for each axis: the stacks, then the fused volume."""
    fused = files.read(fused_path)
    stacks = [files.read(path) for path in stack_paths]
    figure, axes = plt.subplots(3, len(stacks) + 1, figsize=(3.2 * (len(stacks) + 1), 9.6))
    for axis, row in enumerate(axes):
        plane = middle(fused, axis)
        shown = [resampled(replace(stack, padding=None), plane.grid) for stack in stacks] + [plane.array]
        names = [path.name.split(".")[0] for path in stack_paths] + ["fused"]
        for panel, values, name in zip(row, shown, names, strict=True):
            picture = np.take(values, 0, axis=axis)
            panel.imshow(picture, cmap="gray", vmin=0, vmax=np.percentile(picture, 99.5), origin="lower")
            panel.set_title(name)
            panel.axis("off")
    figure.tight_layout()
    figure.savefig(output, dpi=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:-1]], Path(sys.argv[-1]))
