"""The degradations against the analytic response, and the statistics of the noise."""

from __future__ import annotations

import math

import pytest
import torch

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.networks.down_sampler import DownSampler, DownSamplerConfig
from medical_super_resolution.objectives.spectrum import high_frequencies, low_frequencies, low_frequency_loss
from medical_super_resolution.physics import degradation
from medical_super_resolution.physics.acquisition import acquisition_matrix


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def wave(count: int, period: float, at: torch.Tensor | None = None) -> torch.Tensor:
    places = torch.arange(count, dtype=torch.float64) if at is None else at
    return torch.cos(2 * math.pi * places / period)


def coarse_places(count: int, factor: int) -> torch.Tensor:
    return (torch.arange(count, dtype=torch.float64) + 0.5) * factor - 0.5


def along(values: torch.Tensor, axis: int) -> torch.Tensor:
    """A volume that changes along one axis only."""
    shape = [1, 1, 12, 12, 12]
    shape[axis] = len(values)
    view = [1] * 5
    view[axis] = len(values)
    return values.float().reshape(view).expand(shape)


@pytest.mark.parametrize(("axis", "place"), [("k", 2), ("j", 3), ("i", 4)])
@pytest.mark.parametrize(("profile", "thickness"), [("gaussian", 1.0), ("gaussian", 0.7), ("box", 1.0), ("box", 0.5)])
def test_slices_pass_a_wave_as_their_profile_says(axis: str, place: int, profile: str, thickness: float):
    factor, period, count = 4, 40.0, 240
    lr = degradation.measured(along(wave(count, period), place), axis, factor, profile=profile, thickness=thickness)
    width = thickness * factor
    if profile == "gaussian":
        sigma = width / math.sqrt(8 * math.log(2))
        response = math.exp(-2 * (math.pi * sigma / period) ** 2)
    else:
        response = math.sin(math.pi * width / period) / (width * math.sin(math.pi / period))  # a sum over whole voxels
    expected = response * wave(count // factor, period, coarse_places(count // factor, factor))
    middle = lr.movedim(place, 0).flatten(1)[5:-5, 0].double()
    assert torch.allclose(middle, expected[5:-5], atol=2e-3)


def test_measuring_in_plane_is_measuring_both_axes():
    hr = torch.rand(2, 1, 3, 12, 8, generator=seeded())
    rows = torch.from_numpy(acquisition_matrix(3, 12, 4)).float()
    columns = torch.from_numpy(acquisition_matrix(2, 8, 4)).float()
    expected = torch.einsum("aj,nckji,bi->nckab", rows, hr, columns)
    assert torch.allclose(degradation.measured_in_plane(hr, 4), expected, atol=1e-6)


@pytest.mark.parametrize("name", sorted(degradation.PLANE_DEGRADATIONS))
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_slow_wave_stays_where_it_is(name: str, factor: int):
    count = 96
    hr = (wave(count, 48.0)[:, None] + wave(count, 48.0)[None]).float()[None, None, None]
    lr = degradation.PLANE_DEGRADATIONS[name].function(hr, factor)[0, 0, 0].double()
    expected = wave(count // factor, 48.0, coarse_places(count // factor, factor))
    expected = expected[:, None] + expected[None]
    assert lr.shape == expected.shape
    inner = slice(4, -4)
    assert torch.allclose(lr[inner, inner], expected[inner, inner], atol=0.06)
    assert float((lr * expected).sum() / (lr.norm() * expected.norm())) > 0.9995


@pytest.mark.parametrize("name", sorted(degradation.PLANE_DEGRADATIONS))
def test_a_constant_stays_the_same_constant(name: str):
    lr = degradation.PLANE_DEGRADATIONS[name].function(torch.full((1, 1, 2, 12, 18), 0.7), 3)
    assert torch.allclose(lr, torch.full((1, 1, 2, 4, 6), 0.7), atol=1e-6)


def test_k_space_keeps_slow_waves_to_the_last_bit_and_drops_fast_ones():
    count, factor = 48, 4
    slow, fast = wave(count, 12.0), wave(count, 4.0)
    hr = (slow + fast)[None].expand(count, count).float()[None, None, None]
    lr = degradation.k_space_truncated(hr, factor)[0, 0, 0]
    expected = wave(count // factor, 12.0, coarse_places(count // factor, factor)).float()
    assert torch.allclose(lr, expected.expand(12, 12), atol=1e-5)


def test_the_mean_over_voxels_is_the_box_profile():
    hr = torch.rand(1, 1, 2, 8, 8, generator=seeded())
    boxes = degradation.measured_in_plane(hr, 2, profile="box")
    assert torch.allclose(degradation.area_decimated(hr, 2), boxes, atol=1e-6)


def test_slices_that_do_not_divide_are_refused():
    with pytest.raises(SettingsError, match="9 x 8 voxels cannot be shrunk 2 times"):
        degradation.bicubic_decimated(torch.zeros(1, 1, 1, 9, 8), 2)
    with pytest.raises(SettingsError, match="3 voxels along k are too few"):
        degradation.measured(torch.zeros(1, 1, 3, 4, 4), "k", 4)


def test_gaussian_noise_has_the_deviation_asked_for():
    noisy = degradation.gaussian_noise(torch.full((1, 1, 20, 40, 40), 0.5), 0.1, seeded())
    assert float(noisy.mean()) == pytest.approx(0.5, abs=3e-3)
    assert float(noisy.std()) == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("signal", [0.0, 0.15])
def test_rician_noise_has_the_moments_of_its_distribution(signal: float):
    noisy = degradation.rician_noise(torch.full((1, 1, 20, 40, 40), signal), 0.1, seeded())
    assert noisy.min() >= 0
    assert float(noisy.square().mean()) == pytest.approx(signal**2 + 2 * 0.1**2, rel=0.03)
    if signal == 0:
        assert float(noisy.mean()) == pytest.approx(0.1 * math.sqrt(math.pi / 2), rel=0.02)


def test_poisson_noise_has_the_variance_of_counting():
    noisy = degradation.poisson_noise(torch.full((1, 1, 20, 40, 40), 0.5), 200, seeded())
    assert float(noisy.mean()) == pytest.approx(0.5, rel=0.01)
    assert float(noisy.var()) == pytest.approx(0.5 / 200, rel=0.05)
    assert degradation.poisson_noise(torch.full((1, 1, 1, 4, 4), -1.0), 200, seeded()).abs().max() == 0


@pytest.mark.parametrize("noise", [degradation.gaussian_noise, degradation.rician_noise])
def test_noise_depends_on_the_seed_alone(noise):
    volume = torch.rand(1, 1, 2, 8, 8, generator=seeded())
    assert torch.equal(noise(volume, 0.1, seeded(3)), noise(volume, 0.1, seeded(3)))
    assert not torch.equal(noise(volume, 0.1, seeded(3)), noise(volume, 0.1, seeded(4)))


def test_frequencies_are_separated_without_loss():
    volume = torch.rand(2, 1, 3, 9, 10, generator=seeded())
    assert torch.allclose(low_frequencies(volume) + high_frequencies(volume), volume, atol=1e-6)
    assert high_frequencies(torch.full((1, 1, 1, 8, 8), 0.3)).abs().max() < 1e-6
    expected = volume[0, 0, 1, 2:7, 3:8].mean()
    assert float(low_frequencies(volume)[0, 0, 1, 4, 5]) == pytest.approx(float(expected), rel=1e-5)


def test_a_down_sampler_starts_at_the_bicubic_result_and_can_leave_it():
    torch.manual_seed(0)
    sampler = DownSampler(DownSamplerConfig(factor=2, channels=6, blocks=1))
    hr = torch.rand(1, 1, 2, 16, 16, generator=seeded())
    shrunk = degradation.bicubic_decimated(hr, 2)
    assert (sampler(hr) - shrunk).abs().max() < 0.1
    optimizer = torch.optim.Adam(sampler.parameters(), lr=1e-2)
    wanted = shrunk + 0.2 * torch.rand(shrunk.shape, generator=seeded(1))
    before = (sampler(hr) - wanted).abs().mean()
    for _ in range(20):
        optimizer.zero_grad()
        (sampler(hr) - wanted).abs().mean().backward()
        optimizer.step()
    assert (sampler(hr) - wanted).abs().mean() < 0.7 * before


def test_the_low_frequency_loss_does_not_see_a_fine_pattern():
    shrunk = torch.rand(1, 1, 1, 20, 20, generator=seeded())
    board = (-1.0) ** (torch.arange(20)[:, None] + torch.arange(20)[None])
    assert float(low_frequency_loss(shrunk + 0.1 * board, shrunk)) < 0.006
    assert float(low_frequency_loss(shrunk + 0.1, shrunk)) == pytest.approx(0.1, rel=1e-4)
