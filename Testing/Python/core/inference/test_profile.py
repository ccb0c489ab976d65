"""The slice profile of a request: what the shipped estimator sees, and what is warned of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.inference import profile as profiles
from medical_super_resolution.inference.device import cpu_threads
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.profile import observe_width, profile_of
from medical_super_resolution.inference.reporting import reported_profile
from medical_super_resolution.inference.request import make_request
from medical_super_resolution.models import profile_estimator
from medical_super_resolution.models.file import Model
from medical_super_resolution.physics.acquisition import SliceProfile, acquisition_matrix, gaussian_weights
from medical_super_resolution.physics.slice_profile import ProfileEstimate, narrowed_for_noise
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.intensity import IntensityRange
from medical_super_resolution.volumes.volume import MeasuredSlices, Volume

SLICES, FACTOR, SIDE = 14, 4, 56


@pytest.fixture(scope="module")
def an_isotropic_volume() -> np.ndarray:
    """Bodies with edges as sharp as voxels allow: smooth noise above a threshold, values of a magnitude image."""
    array = np.random.default_rng(0).normal(size=(SLICES * FACTOR, SIDE, SIDE)).astype(np.float32)
    for axis, count in enumerate(array.shape):
        weights = gaussian_weights(count, np.arange(count), 9.0).astype(np.float32)
        array = np.moveaxis(np.tensordot(weights, array, axes=(1, axis)), 0, axis)
    return np.where(array > 0, 0.8, 0.2).astype(np.float32)


def thick(fine: np.ndarray, width: float, *, noise: float = 0.0) -> Volume:
    matrix = acquisition_matrix(SLICES, SLICES * FACTOR, FACTOR, thickness=width).astype(np.float32)
    slices = np.tensordot(matrix, fine, axes=1)
    slices = slices + noise * np.random.default_rng(1).normal(size=slices.shape)
    grid = Grid(slices.shape, np.diag([1.0, 1.0, FACTOR, 1.0]))
    return Volume(np.rint(1000 * slices).astype(np.int16), grid, modality="mr")


def test_the_thickness_of_the_settings_counts_before_that_of_the_volume_and_the_slice_distance_last(
    a_volume: Volume, a_model: Model
):
    def thickness(of_volume: float | None, of_settings: float | None) -> float:
        volume = replace(a_volume, slice_thickness_mm=of_volume)
        return make_request(volume, a_model, EnhanceSettings(factor=2, slice_thickness_mm=of_settings)).thickness_mm

    assert (thickness(2.0, 4.0), thickness(2.0, None), thickness(None, None)) == (4.0, 2.0, 3.0)
    with pytest.raises(SettingsError, match="slice thickness must be above 0 mm, got -2"):
        thickness(-2.0, None)


@pytest.mark.parametrize(
    ("gaps", "run"),
    [
        ([5], range(6, 14)),
        ([9], range(9)),
        ([3, 7, 11], range(14)),  # runs of three slices show nothing
    ],
)
def test_the_estimator_sees_the_longest_run_without_a_gap_and_what_the_fine_slices_blur(
    a_model: Model, monkeypatch: pytest.MonkeyPatch, gaps: list[int], run: range
):
    seen: list[object] = []
    estimate = profiles.estimate_profile
    monkeypatch.setattr(profiles, "observe_width", lambda array, *others: seen.append(array[:, 0, 0].tolist()))
    monkeypatch.setattr(
        profiles, "estimate_profile", lambda *of, **more: seen.append(more["fine_width"]) or estimate(*of, **more)
    )
    there = np.delete(np.arange(14), gaps)
    array = np.broadcast_to(np.arange(14, dtype=np.int16)[:, None, None], (14, 8, 8))
    volume = Volume(
        array,
        Grid(array.shape, np.diag([1, 1, 4, 1])),
        measured=MeasuredSlices(array[there], there, np.ones(len(there))),
    )
    profile_of(make_request(volume, a_model, EnhanceSettings(factor=2)))
    assert seen == [list(run), pytest.approx(np.sqrt(2**2 - 1) / 4)]


def test_wider_slices_look_wider(an_isotropic_volume: np.ndarray):
    estimator = profile_estimator.load()
    found = []
    for width in (0.65, 0.85, 1.1):
        volume = thick(an_isotropic_volume, width)
        observed = observe_width(volume.array, volume.grid, IntensityRange(0.0, 1000.0), estimator)
        assert observed is not None
        assert 0.01 < observed.error < 0.5
        found.append(observed.log_width)
    assert found[0] + 0.1 < found[1] < found[2] - 0.1


def test_metal_does_not_say_how_thick_the_slices_are(an_isotropic_volume: np.ndarray):
    volume, estimator = thick(an_isotropic_volume, 0.85), profile_estimator.load()
    observed = []
    for brightest in (1500, 20_000):
        volume.array[4:9, 20:26, 20:26] = brightest
        observed.append(observe_width(volume.array, volume.grid, IntensityRange(0.0, 1000.0), estimator))
    assert observed[0] == observed[1] is not None


def test_values_far_from_0_have_the_same_profile_and_noise(an_isotropic_volume: np.ndarray, a_model: Model):
    volume = thick(an_isotropic_volume, 1.0, noise=0.05)
    far = replace(volume, array=volume.array.astype(np.int32) + 2_000_000_000)
    near, found = (profile_of(make_request(one, a_model, EnhanceSettings(factor=4))) for one in (volume, far))
    assert found.noise == pytest.approx(near.noise, rel=1e-3)
    assert found.profile.width == pytest.approx(near.profile.width, rel=1e-3)


def test_threads_do_not_wait_for_each_other(an_isotropic_volume: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    estimator, shared = profile_estimator.load(), []
    real = estimator.head.sums

    def noted(part: torch.Tensor) -> torch.Tensor:
        shared.append(torch.get_num_threads())
        return real(part)

    monkeypatch.setattr(estimator.head, "sums", noted)
    volume = thick(an_isotropic_volume, 0.9)
    with cpu_threads(2):
        assert observe_width(volume.array, volume.grid, IntensityRange(0.0, 1000.0), estimator) is not None
        assert torch.get_num_threads() == 2
    assert len(shared) > 4
    assert set(shared) == {1}


def noisy_ct(fine: np.ndarray, shape: str) -> Volume:
    """Slices as thick as they are apart, whose noise passed through the profile as photons do."""
    smooth = gaussian_weights(SIDE, np.arange(SIDE), 1.6)
    noise = smooth @ np.random.default_rng(2).normal(0, 90, fine.shape) @ smooth.T
    matrix = acquisition_matrix(SLICES, SLICES * FACTOR, FACTOR, profile=shape)
    slices = np.tensordot(matrix, 400 * fine - 200 + noise, axes=1)
    return Volume(np.rint(slices).astype(np.int16), Grid(slices.shape, np.diag([1.0, 1.0, FACTOR, 1.0])), modality="ct")


@pytest.mark.parametrize("shape", ["box", "gaussian"])
def test_noise_that_slices_share_distinguishes_means_from_gaussians(
    an_isotropic_volume: np.ndarray, a_model: Model, shape: str
):
    """A surer profile than without it: here as if the volume were MR, whose slices share none."""
    ct = noisy_ct(an_isotropic_volume, shape)
    settings = EnhanceSettings(factor=FACTOR, axes="k")
    seen_too, alone = (profile_of(make_request(one, a_model, settings)) for one in (ct, replace(ct, modality="mr")))
    assert seen_too.error < 0.75 * alone.error
    unblurred = narrowed_for_noise(ProfileEstimate(SliceProfile(shape)), seen_too.noise)
    assert seen_too.profile.shape == unblurred.profile.shape
    assert seen_too.profile.width == pytest.approx(unblurred.profile.width, rel=0.06)


def test_slices_that_were_interpolated_share_noise_by_themselves(an_isotropic_volume: np.ndarray, a_model: Model):
    ct = noisy_ct(an_isotropic_volume, "box")
    straightened = replace(ct, sheared_grid=ct.grid)
    uneven = replace(ct, measured=MeasuredSlices(ct.array, np.arange(float(SLICES)), np.ones(SLICES)))
    settings = EnhanceSettings(factor=FACTOR, axes="k")
    first, *others = (profile_of(make_request(one, a_model, settings)) for one in (ct, straightened, uneven))
    assert all(first.error < 0.75 * other.error for other in others)


def test_noise_makes_the_profile_narrower_and_is_warned_of(an_isotropic_volume: np.ndarray, a_model: Model):
    settings = EnhanceSettings(factor=2, axes="k")
    clean, noisy = (
        enhance(thick(an_isotropic_volume, 1.0, noise=noise), a_model, settings).report for noise in (0, 0.15)
    )
    assert noisy.slice_width_mm is not None
    assert clean.slice_width_mm is not None
    assert noisy.slice_width_mm < 0.85 * clean.slice_width_mm
    assert not any("noise makes up" in warning for warning in clean.warnings)
    assert any("noise makes up" in warning for warning in noisy.warnings)


@pytest.mark.parametrize(("shape", "warned"), [("auto", True), ("gaussian", False)])
def test_an_uncertain_profile_is_warned_of_with_what_to_do(
    an_isotropic_volume: np.ndarray, a_model: Model, shape: str, warned: bool
):
    """Three slices do not determine their profile."""
    whole = thick(an_isotropic_volume, 1.0)
    few = replace(whole, array=whole.array[:3], grid=Grid((3, SIDE, SIDE), np.diag([1.0, 1.0, FACTOR, 1.0])))
    report = enhance(few, a_model, EnhanceSettings(factor=2, axes="k", slice_profile=shape)).report
    found = [warning for warning in report.warnings if "the slice profile is uncertain" in warning]
    assert len(found) == warned
    if warned:
        assert "state slice profile and slice thickness" in found[0]


def test_a_factor_above_five_is_warned_of(an_isotropic_volume: np.ndarray, a_model: Model):
    report = enhance(thick(an_isotropic_volume, 1.0), a_model, EnhanceSettings(factor=6, axes="k")).report
    assert any("the factor along k is 6; above 5" in warning for warning in report.warnings)


def test_padding_whose_rim_moves_leaves_the_share_of_noise_as_it_is(an_isotropic_volume: np.ndarray, a_model: Model):
    volume = thick(an_isotropic_volume, 1.0, noise=0.1)
    padded = replace(volume, array=volume.array.copy())
    for number, plane in enumerate(padded.array):
        plane[:, : 2 + number % 3] = -2000
    is_padding = padded.array == -2000
    mask = replace(volume, padding=is_padding)
    any_values = np.random.default_rng(0).integers(0, 1000, volume.array.shape)
    masked = replace(mask, array=np.where(is_padding, any_values, volume.array).astype(np.int16))
    there = np.delete(np.arange(SLICES), 4)
    gap = replace(masked, measured=MeasuredSlices(masked.array[there], there, np.ones(SLICES - 1)))
    plain, *others = (
        profile_of(make_request(one, a_model, EnhanceSettings())) for one in (volume, padded, mask, masked, gap)
    )
    assert [one.noise for one in others] == pytest.approx([plain.noise] * 4, rel=0.1)


def test_the_profile_that_is_reported_of_tilted_slices_is_the_one_that_was_used(
    an_isotropic_volume: np.ndarray, a_model: Model
):
    volume = thick(an_isotropic_volume, 1.0)
    tilted = np.array(volume.grid.ijk_to_ras)
    tilted[:3, 2] += 0.4 * np.linalg.norm(tilted[:3, 2]) * tilted[:3, 1] / np.linalg.norm(tilted[:3, 1])
    volume = replace(volume, grid=replace(volume.grid, ijk_to_ras=tilted))
    used = ProfileEstimate(SliceProfile("gaussian", 0.9), 0.2, "estimated", 0.3)
    report = enhance(volume, a_model, EnhanceSettings(factor=2, axes="k"), profile=used).report
    found = reported_profile(report, volume.grid)
    assert (found.profile.shape, found.source, found.noise) == ("gaussian", "estimated", 0.3)
    assert (found.profile.width, found.error) == pytest.approx((0.9, 0.2))
