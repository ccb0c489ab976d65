"""Voxels and grids for the tests of volume files."""

from __future__ import annotations

import numpy as np

from medical_super_resolution.volumes.grid import Grid


def numbers(dtype: str, shape=(4, 6, 5)) -> np.ndarray:
    """Values over the whole range of a type, its limits among them."""
    random = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return random.normal(0, 1e3, shape).astype(dtype)
    limits = np.iinfo(dtype)
    array = random.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    array[0, 0, :2] = limits.min, limits.max
    return array


def a_grid_in(direction: np.ndarray) -> Grid:
    matrix = np.eye(4)
    matrix[:3, :3] = direction * (0.75, 0.5, 2.25)
    matrix[:3, 3] = (-12.5, 40.25, 7.5)
    return Grid((4, 6, 5), matrix)
