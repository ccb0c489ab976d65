"""Interpolation, learned residual and measured data brought together along one axis."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .acquisition import SliceProfile, acquisition_matrix, consistency_matrix, fine_centres
from .learning.interpolation import apply_along_sequence, cubic_matrix


class AxisModel:
    """The linear parts of refining one axis, as matrices between K measured and M fine samples.

    count, fine_count, factor : see `acquisition.acquisition_matrix`.
    positions : (M,) float64, places of the fine samples in units of the measured ones.
    """

    def __init__(self, count: int, fine_count: int, factor: float, profile: SliceProfile, device: torch.device) -> None:
        acquisition = acquisition_matrix(count, fine_count, factor, profile=profile.shape, thickness=profile.thickness)
        centres = torch.from_numpy(fine_centres(fine_count, factor))
        self.positions = centres.to(device, torch.float32 if device.type == "mps" else torch.float64)
        self.acquisition = _on(device, acquisition)
        self.back = _on(device, consistency_matrix(acquisition))
        self.cubic = cubic_matrix(count, centres).to(device, torch.float32)

    def interpolated(self, measured: Tensor) -> Tensor:
        """Cubic interpolation, (K, J, I) -> (M, J, I)."""
        return apply_along_sequence(self.cubic, measured)

    def projected(self, fine: Tensor, measured: Tensor) -> Tensor:
        """The volume nearest to ``fine`` (M, J, I) that reproduces the ``measured`` slices (K, J, I)."""
        missing = measured - apply_along_sequence(self.acquisition, fine)
        return fine + apply_along_sequence(self.back, missing)


def acquired(array: np.ndarray, acquisition: np.ndarray, axis: int) -> np.ndarray:
    """What the scanner would have measured of ``array`` along one array axis, float32; one line of slices at a time."""
    moved = np.moveaxis(array, axis, 0)
    result = np.empty((len(acquisition), *moved.shape[1:]), dtype=np.float32)
    weights = acquisition.astype(np.float32)
    for line in range(moved.shape[1]):
        result[:, line] = weights @ moved[:, line].astype(np.float32)
    return np.moveaxis(result, 0, axis)


def _on(device: torch.device, matrix: np.ndarray) -> Tensor:
    return torch.from_numpy(matrix.astype(np.float32)).to(device)
