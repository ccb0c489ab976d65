"""The scanner repeated on a result, in plain double precision, and a volume to try it on."""

from __future__ import annotations

import numpy as np

from medical_super_resolution.physics.acquisition import acquisition_matrix
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume


def measured_again(array: np.ndarray, source: Grid, factors: dict[str, float], thickness=1.0, profile="gaussian"):
    """The result through the acquisition model, axis by axis, in double precision."""
    for axis, factor in factors.items():
        at = "kji".index(axis)
        matrix = acquisition_matrix(source.shape_kji[at], array.shape[at], factor, profile=profile, thickness=thickness)
        array = np.moveaxis(np.tensordot(matrix, array.astype(np.float64), axes=(1, at)), 0, at)
    return array


def gaussian(**asked: object) -> EnhanceSettings:
    """Settings with a slice profile that is known."""
    return EnhanceSettings(slice_profile="gaussian", **asked)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def an_mr(grid: Grid, dtype: str = "float32") -> Volume:
    """A smooth head-like volume from 20 to 1000 with noise."""
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, count) for count in grid.shape_kji), indexing="ij")
    array = 900 * np.exp(-2 * (k**2 + j**2 + i**2)) * (1 + 0.3 * np.sin(9 * k + 5 * j))
    array += np.random.default_rng(0).normal(0, 10, array.shape)
    return Volume(np.clip(array, 20, None).astype(dtype), grid, modality="mr")
