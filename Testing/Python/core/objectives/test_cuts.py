"""Cuts and spectra: what stands on the slices, and how much changes along them."""

from __future__ import annotations

import math

import pytest
import torch

from medical_super_resolution.objectives.spectrum import band_powers, spectrum_error
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


def test_the_spectrum_error_can_be_minimized(a_volume: torch.Tensor):
    sr = a_volume.clone().requires_grad_()
    spectrum_error(sr * 0.7, a_volume, 2.5).backward()
    assert sr.grad is not None
    assert torch.isfinite(sr.grad).all()


def test_volumes_of_few_slices_have_no_bands():
    sr = torch.rand(1, 1, 2, 8, 8)
    assert float(spectrum_error(sr, sr, 1.25)) == 0
