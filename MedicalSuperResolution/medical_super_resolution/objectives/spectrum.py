"""Losses by frequency: power above the Nyquist frequency of thick slices, and low frequencies in the plane."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..physics.pictures import as_slices, as_volumes
from .losses import absolute_error

_FLOOR = 0.002  # amplitude, as a fraction of the range, that is added to power before the logarithm
_BANDS_IN_OCTAVE = 2
_FEWEST_SLICES = 4  # a Hann window of fewer is almost 0
_CELL = 8  # voxels: side of the squares of a slice over which power is averaged
_WINDOW = 5  # voxels: side of the mean that separates low frequencies from high ones


def band_powers(volume: Tensor, factor: float) -> Tensor:
    """Mean power along K in half octaves from the Nyquist frequency of the thick slices up to that of the fine ones.

    Parameters
    ----------
    volume
        (N, 1, M, J, I) fine slices.
    factor
        Fine slices in a thick one, above 1.

    Returns
    -------
    (N, B, J // 8, I // 8) float32: means over 8 x 8 voxels of a slice, in squares of the volume's values. Where J or I
    is below 8, the squares have that side. B is 0 where M is below 4.
    """
    count = volume.shape[2]
    if count < _FEWEST_SLICES:
        return volume.new_zeros(volume.shape[0], 0, 1, 1)
    window = torch.hann_window(count, periodic=False, device=volume.device)[:, None, None]
    values = volume[:, 0].float()
    spectrum = torch.fft.rfft((values - values.mean(1, keepdim=True)) * window, dim=1)
    power = (spectrum.real.square() + spectrum.imag.square()) / window.square().sum()
    power = functional.avg_pool2d(power, min(_CELL, *power.shape[2:]))
    octaves = torch.log2(torch.fft.rfftfreq(count, device=volume.device).clamp_min(1e-9) * 2 * factor)
    band = torch.floor(octaves * _BANDS_IN_OCTAVE + 1e-4)
    found = [power[:, band == number].mean(1) for number in band.unique().tolist() if number >= 0]
    return torch.stack(found, dim=1) if found else power[:, :0]


def spectrum_error(sr: Tensor, hr: Tensor, factor: float) -> Tensor:
    """Mean absolute difference of the logarithms of `band_powers`, () float32, independent of phase.

    Texture whose place cannot be known still has a known power. Minimizing a squared error removes it, so that the
    power is too low. Power is compared locally, so that texture appears where the truth has it.

    References
    ----------
    .. [1] Durall et al. (2020), Watch your up-convolution: CNN based generative deep neural networks are failing to
       reproduce spectral distributions. arXiv:2003.01826 (there, for whole images)
    """
    floor = _FLOOR**2
    made, true = (torch.log(band_powers(one, factor) + floor) for one in (sr, hr))
    if not made.numel():
        return made.sum()
    return functional.l1_loss(made, true.detach())


def low_frequencies(volume: Tensor) -> Tensor:
    """Mean over 5 x 5 voxels of each slice, (N, 1, K, J, I) -> the same; the edge voxels are repeated."""
    slices = functional.pad(as_slices(volume), (_WINDOW // 2,) * 4, mode="replicate")
    return as_volumes(functional.avg_pool2d(slices, _WINDOW, stride=1), volume.shape[2])


def high_frequencies(volume: Tensor) -> Tensor:
    """The volume minus its `low_frequencies`, the input of a discriminator of degradation."""
    return volume - low_frequencies(volume)


def low_frequency_loss(made: Tensor, shrunk: Tensor) -> Tensor:
    """Mean absolute difference of the low frequencies of the output ``made`` and of the bicubic result ``shrunk``.

    Its weight in [1]_ is 1, beside 0.005 for the adversarial loss of the high frequencies and 0.01 for a perceptual
    loss between the same volumes.

    References
    ----------
    .. [1] Fritsche, Gu and Timofte (2019), Frequency separation for real-world super-resolution (DSGAN).
       arXiv:1911.07850
    """
    return absolute_error(low_frequencies(made), low_frequencies(shrunk))
