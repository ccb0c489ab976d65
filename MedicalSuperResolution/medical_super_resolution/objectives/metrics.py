"""Image quality metrics in PyTorch; the data range is an argument and never guessed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_K1, _K2 = 0.01, 0.03  # Wang et al. 2004, section III-C
_SIGMA = 1.5
_RADIUS = 5  # 3.5 sigma, rounded
_LAPLACIAN_RADIUS = 6  # 4 sigma


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


def gradient_error(result: Tensor, reference: Tensor, mask: Tensor | None = None) -> float:
    """Mean absolute difference of the differences to the next voxel, over three axes, (K, J, I) volumes.

    In the volumes' units per voxel; lower is better. A difference counts where the first of its two voxels lies in
    the mask.
    """
    error = result.double() - reference.double()
    inside = torch.ones_like(error, dtype=torch.bool) if mask is None else mask
    counted = [error.diff(dim=axis).abs()[inside.narrow(axis, 0, error.shape[axis] - 1)] for axis in range(3)]
    return float(torch.cat(counted).mean())


def hfen(result: Tensor, reference: Tensor, mask: Tensor | None = None) -> float:
    """High-frequency error norm: |LoG(result) - LoG(reference)| / |LoG(reference)| over the mask; lower is better.

    LoG is the Laplacian of a Gaussian of sigma 1.5 voxels along three axes, edges mirrored.

    References
    ----------
    .. [1] Ravishankar and Bresler (2011), MR image reconstruction from highly undersampled k-space data by dictionary
       learning. DOI 10.1109/TMI.2010.2090538
    """
    wanted = laplacian_of_gaussian(reference.double())
    missed = laplacian_of_gaussian(result.double()) - wanted
    if mask is not None:
        wanted, missed = wanted[mask], missed[mask]
    return float(missed.norm() / wanted.norm().clamp_min(1e-30))


def slice_consistency_error(result: Tensor, reference: Tensor, mask: Tensor | None = None) -> float:
    """Root mean square error of the difference from each slice to the next.

    (K, J, I) volumes, in their units; lower is better. It is large if slices flicker, even if each slice alone looks
    right. A difference counts where its first voxel lies in the mask.
    """
    error = (result.double() - reference.double()).diff(dim=0)
    counted = error if mask is None else error[mask[:-1]]
    return float(counted.square().mean().sqrt())


def psnr_of_luma(result: Tensor, reference: Tensor, data_range: float, mask: Tensor | None = None) -> float:
    """PSNR "on the Y channel" of papers: gray is converted to luma 16..235, but the peak is 255.

    The conversion of [1]_ leaves 219 of 255 levels, so the value is 20 log10(255 / 219) = 1.32 dB above `psnr`. The two
    must not be compared.

    References
    ----------
    .. [1] ITU-R BT.601, Studio encoding parameters of digital television.
    """
    luma_range = data_range * 255 / 219
    return psnr(result, reference, luma_range, mask)


def laplacian_of_gaussian(volume: Tensor) -> Tensor:
    """Sum of the second derivatives of the blurred volume along three axes, (K, J, I) -> the same; sigma 1.5."""
    offsets = torch.arange(-_LAPLACIAN_RADIUS, _LAPLACIAN_RADIUS + 1, device=volume.device, dtype=torch.float64)
    gaussian = torch.exp(-0.5 * (offsets / _SIGMA) ** 2)
    gaussian = gaussian / gaussian.sum()
    second = (offsets**2 / _SIGMA**4 - 1 / _SIGMA**2) * gaussian
    total = torch.zeros_like(volume)
    for derived in range(3):
        part = volume
        for axis in range(3):
            part = _filtered(part, second if axis == derived else gaussian, axis)
        total += part
    return total


def _blurred(volume: Tensor) -> Tensor:
    """Gaussian blur along the three axes of (K, J, I), edges mirrored with the edge voxel repeated."""
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, device=volume.device, dtype=torch.float64)
    weights = torch.exp(-0.5 * (offsets / _SIGMA) ** 2)
    weights = weights / weights.sum()
    for axis in range(3):
        volume = _filtered(volume, weights, axis)
    return volume


def _filtered(volume: Tensor, weights: Tensor, axis: int) -> Tensor:
    """Correlate one axis of (K, J, I) with ``weights``, an odd number; edges mirrored with the edge voxel repeated."""
    radius = len(weights) // 2
    index = torch.arange(-radius, volume.shape[axis] + radius, device=volume.device)
    period = 2 * volume.shape[axis]
    index = index.remainder(period)
    index = torch.minimum(index, period - 1 - index)
    moved = volume.index_select(axis, index).movedim(axis, -1)
    flat = moved.reshape(-1, 1, moved.shape[-1])
    filtered = functional.conv1d(flat, weights[None, None].to(volume.dtype))
    return filtered.reshape(*moved.shape[:-1], -1).movedim(-1, axis)
