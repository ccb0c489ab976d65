"""How near a volume is to the truth. Torch only; ranges are always stated, never guessed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_K1, _K2 = 0.01, 0.03  # Wang et al. 2004, section III-C
_SIGMA = 1.5
_RADIUS = 5  # 3.5 sigma, rounded


def mean_squared_error(result: Tensor, reference: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of the squared difference, over the voxels of a boolean ``mask`` or over all; () float64."""
    squared = (result.double() - reference.double()).square()
    return (squared if mask is None else squared[mask]).mean()


def psnr(result: Tensor, reference: Tensor, data_range: float, mask: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB; ``data_range`` is the distance from the lowest to the highest value."""
    error = mean_squared_error(result, reference, mask)
    return float(10 * torch.log10(data_range**2 / error.clamp_min(1e-30)))


def ssim_map(result: Tensor, reference: Tensor, data_range: float) -> Tensor:
    """Structural similarity at every voxel, (K, J, I) -> (K, J, I) float32.

    Gaussian weights (sigma 1.5 voxels, three axes), population covariances, edges mirrored.

    References
    ----------
    .. [1] Wang et al. (2004), Image quality assessment: from error visibility to structural similarity.
       DOI 10.1109/TIP.2003.819861
    """
    x, y = result.float(), reference.float()
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance_x = _blurred(x * x) - mean_x * mean_x
    variance_y = _blurred(y * y) - mean_y * mean_y
    covariance = _blurred(x * y) - mean_x * mean_y
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    # Eq. 13
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return above / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))


def ssim(result: Tensor, reference: Tensor, data_range: float, mask: Tensor | None = None) -> float:
    """Mean structural similarity over the voxels of a boolean ``mask``, or over all; see `ssim_map`."""
    similarity = ssim_map(result, reference, data_range)
    return float((similarity if mask is None else similarity[mask]).mean(dtype=torch.float64))


def _blurred(volume: Tensor) -> Tensor:
    """Gaussian blur along the three axes of (K, J, I), edges mirrored with the edge voxel repeated."""
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, device=volume.device, dtype=torch.float64)
    weights = torch.exp(-0.5 * (offsets / _SIGMA) ** 2)
    weights = (weights / weights.sum()).to(volume.dtype)
    for axis in range(3):
        index = torch.arange(-_RADIUS, volume.shape[axis] + _RADIUS, device=volume.device)
        period = 2 * volume.shape[axis]
        index = index.remainder(period)
        index = torch.minimum(index, period - 1 - index)
        moved = volume.index_select(axis, index).movedim(axis, -1)
        flat = moved.reshape(-1, 1, moved.shape[-1])
        volume = functional.conv1d(flat, weights[None, None]).reshape(*moved.shape[:-1], -1).movedim(-1, axis)
    return volume
