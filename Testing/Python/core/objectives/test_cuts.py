"""Cuts and spectra: what stands on the slices, and how much changes along them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from medical_super_resolution.objectives.spectrum import (
    band_powers,
    low_frequencies,
    low_frequency_loss,
    spectrum_error,
)
from medical_super_resolution.physics.pictures import perpendicular_cuts, slice_triples


@pytest.fixture
def a_volume() -> torch.Tensor:
    return torch.rand(2, 1, 32, 16, 24, generator=torch.Generator().manual_seed(0))


def test_standing_cuts_run_along_the_sequence(a_volume: torch.Tensor):
    coronal, sagittal = perpendicular_cuts(a_volume, every=4)
    assert coronal.shape == (2 * 4, 1, 32, 24)
    assert sagittal.shape == (2 * 6, 1, 32, 16)
    assert torch.equal(coronal[4 + 1, 0], a_volume[1, 0, :, 6])
    assert torch.equal(sagittal[2, 0], a_volume[0, 0, :, :, 10])


def test_lying_cuts_know_their_neighbors(a_volume: torch.Tensor):
    lying = slice_triples(a_volume, every=3)
    assert lying.shape == (2 * 10, 3, 16, 24)
    assert torch.equal(lying[10 + 2], a_volume[1, 0, 6:9])


def test_white_noise_has_the_same_power_in_every_band():
    noise = 0.1 * torch.randn(1, 1, 64, 64, 64, generator=torch.Generator().manual_seed(0))
    powers = band_powers(noise, 4.0)
    assert powers.shape == (1, 5, 8, 8)  # four half octaves, and the Nyquist frequency of the fine slices
    assert powers[:, :4].mean((0, 2, 3)).tolist() == pytest.approx([0.01] * 4, rel=0.05)


def test_waves_are_found_in_their_band():
    places = torch.arange(64) * math.pi / 2  # a quarter of the sampling rate: one octave above the Nyquist of x4
    wave = torch.sin(places)[None, None, :, None, None].expand(1, 1, 64, 8, 8)
    powers = band_powers(wave, 4.0)[0, :, 0, 0]
    assert int(powers.argmax()) == 2


def test_the_spectrum_error_does_not_ask_for_the_phase(a_volume: torch.Tensor):
    assert float(spectrum_error(a_volume.flip(2), a_volume, 4.0)) == pytest.approx(0, abs=1e-4)
    assert float(spectrum_error(0.5 * a_volume, a_volume, 4.0)) == pytest.approx(math.log(4), rel=0.01)


def test_the_spectrum_error_agrees_with_numpy():
    random = np.random.default_rng(0)
    sr, hr = (scale * random.random((1, 1, 16, 8, 16)).astype(np.float32) for scale in (0.004, 0.01))
    window = np.hanning(16)[:, None, None]
    logarithms = []
    for volume in (sr[0, 0], hr[0, 0]):
        power = np.abs(np.fft.rfft((volume - volume.mean(axis=0)) * window, axis=0)) ** 2 / np.sum(window**2)
        power = power.reshape(9, 8, 2, 8).mean(axis=(1, 3))
        bands = power[2:3], power[3:4], power[4:6], power[6:8], power[8:]  # from 1/8, half octaves: 2, 2.8, 4, 5.7, 8
        logarithms.append(np.log([band.mean(axis=0) + 0.002**2 for band in bands]))
    wanted = np.abs(logarithms[0] - logarithms[1]).mean()
    assert float(spectrum_error(torch.from_numpy(sr), torch.from_numpy(hr), 4.0)) == pytest.approx(wanted, rel=1e-4)


def test_the_spectrum_error_can_be_minimized(a_volume: torch.Tensor):
    sr, hr = (a_volume.clone().requires_grad_() for _ in range(2))
    spectrum_error(sr * 0.7, hr, 2.5).backward()
    assert sr.grad is not None
    assert hr.grad is None  # it is the truth
    assert torch.isfinite(sr.grad).all()


@pytest.mark.parametrize("slices", [2, 3])
def test_volumes_of_few_slices_have_no_bands(slices: int):
    assert band_powers(torch.rand(1, 1, slices, 8, 8), 4.0).shape[1] == 0
    sr = torch.rand(1, 1, slices, 8, 8)
    assert float(spectrum_error(sr, sr, 1.25)) == 0


def test_slices_smaller_than_a_cell_are_one():
    assert band_powers(torch.rand(1, 1, 16, 5, 9), 4.0).shape == (1, 5, 1, 1)


def test_low_frequencies_are_means_over_five_by_five_voxels(a_volume: torch.Tensor):
    """The edge is repeated; the distance is that of the means alone."""
    made, shrunk = a_volume[:1], a_volume[1:]
    low, other = (uniform_filter(one[0, 0].numpy(), (1, 5, 5), mode="nearest") for one in (made, shrunk))
    np.testing.assert_allclose(low_frequencies(made)[0, 0], low, atol=1e-6)
    assert float(low_frequency_loss(made, shrunk)) == pytest.approx(np.abs(low - other).mean(), rel=1e-4)
