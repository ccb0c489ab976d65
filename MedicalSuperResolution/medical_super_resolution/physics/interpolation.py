"""Cubic interpolation along the slice sequence, to which refinements are added."""

from __future__ import annotations

import torch
from torch import Tensor

from .autocast import without_autocast


def cubic_matrix(count: int, positions: Tensor) -> Tensor:
    """Weights of Keys' cubic convolution (a = -1/2) at given places of a sequence.

    Parameters
    ----------
    count
        Number of samples; the first and last sample are repeated beyond the ends.
    positions
        (M,) places in units of the sample index.

    Returns
    -------
    (M, count), each row sums to 1, in the type and on the device of ``positions``.

    References
    ----------
    .. [1] Keys (1981), Cubic convolution interpolation for digital image processing. DOI 10.1109/TASSP.1981.1163711
    """
    base = torch.floor(positions)
    matrix = positions.new_zeros(len(positions), count)
    rows = torch.arange(len(positions), device=positions.device)
    for tap in (-1, 0, 1, 2):
        distance = (positions - base - tap).abs()
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        weight = torch.where(distance <= 1, near, far)
        columns = (base + tap).long().clamp(0, count - 1)
        matrix.index_put_((rows, columns), weight, accumulate=True)
    return matrix


def apply_along_sequence(matrix: Tensor, volume: Tensor) -> Tensor:
    """Multiply a (M, K) matrix with the sequence axis of a (..., K, J, I) volume -> (..., M, J, I), in float32."""
    with without_autocast(volume.device.type):
        flat = volume.float().flatten(-2)
        return torch.matmul(matrix.float(), flat).unflatten(-1, volume.shape[-2:])
