"""Downstream registration: error of registering a result to another scan of the same patient.

The other scan is the true volume, carried away by known rigid motions. The true volume itself shows what the
registration can reach.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import SimpleITK as sitk

from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.registration import rigid_motion
from medical_super_resolution.volumes.volume import Volume

MOTIONS = 3
_FARTHEST_MM, _LARGEST_DEGREES = 4.0, 4.0  # along and around each axis
_PLACES = 5  # along each axis, of those whose distance is measured


def registration_error_mm(result: np.ndarray, reference: Volume) -> float:
    """Residual error of a rigid registration of a result, in mm, mean over `MOTIONS` and positions in the volume.

    Parameters
    ----------
    result : numpy.ndarray
        (K, J, I), on the grid of the reference.
    reference : Volume
        The true volume.
    """
    moving = replace(reference, array=result)
    places = _places(reference.grid)
    errors = []
    for seed in range(MOTIONS):
        motion = _motion(reference.grid, np.random.default_rng(seed))
        moved = Grid(reference.grid.shape_kji, motion @ reference.grid.ijk_to_ras)
        found = rigid_motion(replace(reference, grid=moved), moving)
        errors.append(np.linalg.norm((places @ (found - motion).T)[:, :3], axis=1).mean())
    return float(np.mean(errors))


def _motion(grid: Grid, random: np.random.Generator) -> np.ndarray:
    """(4, 4): a shift, and a turn about the middle of the volume."""
    euler = sitk.Euler3DTransform()
    euler.SetRotation(*(math.radians(angle) for angle in random.uniform(-_LARGEST_DEGREES, _LARGEST_DEGREES, 3)))
    motion = np.eye(4)
    motion[:3, :3] = np.array(euler.GetMatrix()).reshape(3, 3)
    middle = np.mean(grid.bounds_ras_mm, axis=0)
    motion[:3, 3] = middle - motion[:3, :3] @ middle + random.uniform(-_FARTHEST_MM, _FARTHEST_MM, 3)
    return motion


def _places(grid: Grid) -> np.ndarray:
    """(N, 4) homogeneous positions in mm, evenly spaced in the volume."""
    axes = [np.linspace(low, high, _PLACES) for low, high in zip(*grid.bounds_ras_mm, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.concatenate([points, np.ones((len(points), 1))], axis=1)
