"""Draws Resources/Results/fusion.png: python Resources/Results/fusion.py FUSED STACK [STACK ...] fusion.png.

A sagittal, a coronal and an axial plane through the middle of the fused volume. All panels of a row show the same plane
on the same grid: each stack, interpolated by B-splines and black where it has no slices, then the fused volume.
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

PLANES = ("sagittal", "coronal", "axial")
PIXEL_MM = 0.5
BRIGHT = 99.3  # percentile shown as white
CUBIC = 1.1


def plane_grid(volume: Volume, normal: int) -> Grid:
    """Two slices across axis ``normal`` of R, A, S through the middle; rows go down, columns from A or R to P or L."""
    low, high = volume.grid.bounds_ras_mm
    across = [axis for axis in range(3) if axis != normal]
    count = [int((high[axis] - low[axis]) / PIXEL_MM) for axis in across]
    matrix = np.eye(4)
    matrix[:3, :3] = 0
    for column, axis in enumerate(across):
        matrix[axis, column] = -PIXEL_MM
    matrix[normal, 2] = PIXEL_MM
    start = high - PIXEL_MM / 2
    start[normal] = (low[normal] + high[normal]) / 2
    matrix[:3, 3] = start
    return Grid((2, count[1], count[0]), matrix)


def shown(volume: Volume, grid: Grid) -> np.ndarray:
    """The volume on the plane, (rows, columns); 0 beyond its border."""
    k, j, i = np.indices((1, *grid.shape_kji[1:]))
    places = np.stack([i, j, k, np.ones_like(i)]).reshape(4, -1)
    index = (np.linalg.solve(volume.grid.ijk_to_ras, grid.ijk_to_ras) @ places)[:3]
    last = np.array(volume.grid.shape_kji[::-1])[:, None] - 0.5
    inside = ((index > -0.5) & (index < last)).all(axis=0).reshape(grid.shape_kji[1:])
    return np.where(inside, resampled(replace(volume, padding=None), grid)[0], 0)


def title_of(path: Path, stack: Volume) -> str:
    """Which plane a stack was measured in, and how far apart its slices are; the file's name where voxels are cubes."""
    spacing = stack.grid.spacing_ijk_mm
    if max(spacing) < CUBIC * min(spacing):
        return f"{path.name.split('.')[0]}, {min(spacing):.1f} mm in all directions"
    normal = int(np.abs(stack.grid.ijk_to_ras[:3, "ijk".index(stack.grid.through_plane_axis)]).argmax())
    return f"{PLANES[normal]} stack, slices {stack.grid.through_plane_spacing_mm:.1f} mm apart"


def main(fused_path: Path, stack_paths: list[Path], output: Path) -> None:
    """Draw one row for each plane: the stacks, then the fused volume."""
    fused = files.read(fused_path)
    stacks = [files.read(path) for path in stack_paths]
    spacing = min(fused.grid.spacing_ijk_mm)
    titles = [title_of(path, stack) for path, stack in zip(stack_paths, stacks, strict=True)] + [
        f"fused, {spacing:.1f} mm in all directions"
    ]
    figure, axes = plt.subplots(
        3, len(titles), figsize=(3.0 * len(titles), 9.1), facecolor="black", layout="constrained"
    )
    for normal, row in enumerate(axes):
        grid = plane_grid(fused, normal)
        for panel, volume, title in zip(row, [*stacks, fused], titles, strict=True):
            picture = shown(volume, grid)
            panel.imshow(picture, cmap="gray", vmin=0, vmax=np.percentile(picture[picture > 0], BRIGHT))
            panel.set(xticks=[], yticks=[])
            if normal == 0:
                panel.set_title(title, color="white", fontsize=10)
        row[0].set_ylabel(f"{PLANES[normal]} plane", color="white", fontsize=11)
    figure.savefig(output, dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:-1]], Path(sys.argv[-1]))
