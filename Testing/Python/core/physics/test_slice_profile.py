"""The slice profile as a number with its error, from an observation, a prior, and noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from medical_super_resolution.physics.acquisition import SliceProfile
from medical_super_resolution.physics.shared_noise import SharedNoise
from medical_super_resolution.physics.slice_profile import (
    ProfileCalibration,
    ProfileEstimate,
    WidthObservation,
    estimate_profile,
    narrowed_for_noise,
    noise_share,
)

EXACT = ProfileCalibration(spread=1e-3)


def width_for(seen: float, error: float, calibration: ProfileCalibration = EXACT) -> float:
    return estimate_profile(WidthObservation(math.log(seen), error), 1.0, calibration).profile.width


@pytest.mark.parametrize("thickness", [0.8, 1.0, 1.3])
def test_where_slices_show_nothing_the_width_follows_the_thickness(thickness: float):
    estimate = estimate_profile(None, thickness, EXACT)
    assert estimate.source == "assumed"
    assert estimate.profile.width == pytest.approx(
        thickness * estimate_profile(None, 1.0, EXACT).profile.width, rel=0.01
    )
    assert 0.8 * thickness < estimate.profile.width < thickness
    assert 0.05 < estimate.error / estimate.profile.width < 0.25
    noise = SharedNoise(correlation=0.2, contents=0.0, in_plane=0.0)
    assert estimate_profile(None, thickness, EXACT, noise=noise).source == "estimated"


@pytest.mark.parametrize(("thickness", "width"), [(1e-3, 0.25), (1e4, 4.0)])
def test_a_thickness_beyond_all_likely_ones_gives_the_last_likely_width(thickness: float, width: float):
    estimate = estimate_profile(None, thickness, EXACT)
    assert estimate.profile.width == pytest.approx(width, rel=0.02)
    assert 0 < estimate.error < 0.1 * width


def test_a_width_that_is_seen_exactly_is_taken():
    assert width_for(0.85, 0.005) == pytest.approx(0.85, rel=0.01)


@pytest.mark.parametrize("likely", [0.7, 1.0])
def test_a_width_that_is_seen_roughly_is_drawn_to_the_likely_one_nearby(likely: float):
    assert abs(width_for(1.07 * likely, 0.07) - likely) < 0.055 * likely


@pytest.mark.parametrize(("seen", "error", "thickness", "shape"), [
    (0.7, 0.02, 1.0, "box"),
    (0.7, 0.2, 1.0, "gaussian"),  # which of them is not sure
    (0.98, 0.02, 1.4, "box"),
    (0.7, 0.02, 0.7, "gaussian"),  # slices with a gap
])  # fmt: skip
def test_means_of_thin_slices_are_taken_where_they_are_likely_enough(
    seen: float, error: float, thickness: float, shape: str
):
    profile = estimate_profile(WidthObservation(math.log(seen), error), thickness, EXACT).profile
    assert profile.shape == shape
    if shape == "box":
        assert profile.width == thickness


def test_in_doubt_the_narrower_width_is_taken():
    equal_costs = replace(EXACT, cost_of_excess=1.0)
    assert width_for(0.85, 0.2) < width_for(0.85, 0.2, equal_costs) - 0.01


def test_a_doubtful_width_has_the_larger_error():
    sure, unsure = (
        estimate_profile(WidthObservation(math.log(0.85), error), 1.0, EXACT).error for error in (0.02, 0.2)
    )
    assert unsure > 3 * sure


def test_a_width_that_was_never_trained_is_taken_as_the_last_that_was():
    assert width_for(9.0, 0.01) == width_for(1.4, 0.01)


@pytest.mark.parametrize(("fine_width", "width"), [(0.0, 0.85), (0.4, 0.85), (0.6, 0.8)])
def test_what_fine_slices_blur_themselves_is_not_of_the_profile(fine_width: float, width: float):
    """Their variances add up in what is seen."""
    seen = WidthObservation(math.log(math.hypot(width, fine_width)), 0.003)
    assert estimate_profile(seen, 1.0, EXACT, fine_width=fine_width).profile.width == pytest.approx(width, rel=0.01)


@pytest.mark.parametrize("fine_width", [0.0, 0.25, 0.5])
def test_a_gaussian_of_the_thickness_is_taken_as_such_whatever_the_factor(fine_width: float):
    seen = WidthObservation(math.log(math.hypot(1.0, fine_width)), 0.07)
    assert estimate_profile(seen, 1.0, EXACT, fine_width=fine_width).profile.width == pytest.approx(1.0, abs=0.035)


def passed(width: float) -> float:
    """By a Gaussian, at 0.45 cycles a slice distance."""
    return math.exp(-((math.pi * 0.45 * width) ** 2) / (4 * math.log(2)))


def test_the_profile_against_noise_inverts_as_the_wiener_filter_does():
    narrower = narrowed_for_noise(ProfileEstimate(SliceProfile("gaussian", 1.0), error=0.1), 0.37)
    assert 1 / passed(narrower.profile.width) == pytest.approx(0.7 / passed(1.0))  # 0.3 of what is not ignored
    assert narrower.error == pytest.approx(0.1 * narrower.profile.width)
    assert narrower.noise == 0.37


def test_means_of_thin_slices_with_noise_are_narrowed_as_the_gaussian_that_blurs_like_them():
    box, gaussian = (
        narrowed_for_noise(ProfileEstimate(SliceProfile(*one)), 0.3).profile
        for one in (("box", 1.0), ("gaussian", 0.7))
    )
    assert box == gaussian


def test_a_little_noise_leaves_the_profile_as_it_is():
    estimate = ProfileEstimate(SliceProfile("gaussian", 1.0))
    assert narrowed_for_noise(estimate, 0.1).profile == estimate.profile


def test_noise_makes_no_profile_narrower_than_about_half():
    assert narrowed_for_noise(ProfileEstimate(SliceProfile("gaussian", 1.0)), 1.0).profile.width == pytest.approx(0.55)


@pytest.mark.parametrize(("signal", "noise", "share"), [(1.0, 0.0, 0.0), (1.0, 0.3, 0.12), (0.0, 1.0, 1.0)])
def test_noise_is_recognized_in_smooth_slices(signal: float, noise: float, share: float):
    smooth = np.sin(2 * np.pi * np.arange(64) / 32)
    alternating = np.where(np.arange(12) % 2, 1, -1)[:, None, None] * smooth[:, None] * smooth
    slices = signal * alternating + noise * np.random.default_rng(0).normal(size=(12, 64, 64))
    assert noise_share(slices.astype(np.float32)) == pytest.approx(share, abs=0.05)


def test_air_without_noise_leaves_the_share_of_noise_as_it_is():
    slices = np.random.default_rng(0).normal(size=(12, 32, 32)).astype(np.float32)
    with_air = np.pad(slices, [(0, 0), (0, 0), (0, 64)])
    assert noise_share(with_air) == pytest.approx(noise_share(slices), abs=0.05)
    assert noise_share(np.zeros((5, 8, 8), np.float32)) == 0


@pytest.mark.parametrize(("taken", "other"), [
    (SliceProfile("gaussian", 1.0), SliceProfile("box", 1.0)),
    (SliceProfile("box", 1.0), SliceProfile("gaussian", 1.0)),
    (SliceProfile("gaussian", 0.9), SliceProfile("gaussian", 1.0)),
    (SliceProfile("gaussian", 0.75), SliceProfile("box", 1.0)),
])  # fmt: skip
def test_the_next_likely_profile_is_the_other_that_blurs_most_like_it(taken: SliceProfile, other: SliceProfile):
    assert ProfileEstimate(taken).alternative(1.0) == other
