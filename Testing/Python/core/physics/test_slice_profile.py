"""The slice profile as a number with its error: what is seen, what is known, and how both are weighed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from medical_super_resolution.physics.acquisition import SliceProfile
from medical_super_resolution.physics.slice_profile import (
    FINE_SAMPLES,
    ProfileCalibration,
    ProfileEstimate,
    Sight,
    against_own_width,
    cuts,
    has_finer_plane,
    sight_of,
    weighed,
)

KNOWN = ProfileCalibration(spread=0.1, prior_width=0.9, prior_spread=0.1)


def as_they_are(part: np.ndarray) -> np.ndarray:
    return part.astype(np.float32)


def test_where_slices_show_nothing_the_width_is_the_one_that_scanners_make():
    estimate = weighed(None, 1.2, KNOWN)
    assert estimate.source == "assumed"
    assert estimate.profile.width == pytest.approx(0.9 * 1.2)
    assert estimate.error == pytest.approx(0.1 * 0.9 * 1.2)


def test_sight_and_knowledge_of_equal_precision_meet_in_the_middle():
    estimate = weighed(Sight(math.log(0.7), 0.0), 1.0, KNOWN)
    assert estimate.source == "estimated"
    assert estimate.profile.width == pytest.approx(math.sqrt(0.7 * 0.9))
    assert estimate.error == pytest.approx(estimate.profile.width * 0.1 / math.sqrt(2))


def test_cuts_that_disagree_count_less():
    sure, unsure = (weighed(Sight(math.log(0.6), error), 1.0, KNOWN).profile.width for error in (0.01, 0.5))
    assert sure < unsure < 0.9


def test_a_width_that_was_never_trained_is_taken_as_the_last_that_was():
    beyond = weighed(Sight(math.log(9.0), 0.0), 1.0, KNOWN)
    assert beyond == weighed(Sight(math.log(1.5), 0.0), 1.0, KNOWN)


def test_an_estimator_that_shrinks_what_it_sees_is_read_the_other_way_round():
    shrinking = replace(KNOWN, gain=0.5, bias=-0.1, spread=1e-4)
    estimate = weighed(Sight(0.5 * math.log(0.7) - 0.1, 0.0), 1.0, shrinking)
    assert estimate.profile.width == pytest.approx(0.7, rel=1e-4)


def test_fine_slices_that_are_wide_themselves_leave_less_to_the_profile():
    estimate = ProfileEstimate(SliceProfile("gaussian", 1.0), error=0.1)
    left = against_own_width(estimate, 0.6)
    assert left.profile.width == pytest.approx(0.8)
    assert left.error == pytest.approx(0.08)
    assert against_own_width(estimate, 0.0) == estimate
    assert against_own_width(estimate, 5.0).profile.width == pytest.approx(1 / 3)


def test_cuts_that_agree_have_no_error_and_cuts_that_disagree_have_one():
    agreeing = sight_of([np.tile([-0.2, 2.0], (16, 1))])
    disagreeing = sight_of([np.stack([np.linspace(-0.4, 0.0, 16), np.full(16, 2.0)], axis=1)])
    assert agreeing is not None
    assert disagreeing is not None
    assert agreeing.log_width == pytest.approx(-0.1)
    assert agreeing.error == pytest.approx(0, abs=1e-9)
    assert disagreeing.error > 0.01


@pytest.mark.parametrize("votes", [np.zeros((8, 2)), np.full((8, 2), np.nan)])
def test_votes_without_weight_say_nothing(votes: np.ndarray):
    assert sight_of([votes]) is None


def test_cuts_have_the_same_number_of_samples_to_a_slice_whatever_the_plane():
    volume = np.random.default_rng(0).normal(size=(10, 60, 90))
    along_i, along_j = cuts(volume, (5.0, 7.5), as_they_are)
    assert along_i.shape == (16, 10, 12 * FINE_SAMPLES)
    assert along_j.shape == (16, 10, 12 * FINE_SAMPLES)


def test_cuts_of_an_isotropic_scan_look_the_same_at_any_gain():
    volume = np.random.default_rng(0).normal(size=(10, 40, 40))
    for plain, bright in zip(cuts(volume, (4, 4), as_they_are), cuts(50 * volume, (4, 4), as_they_are), strict=True):
        np.testing.assert_allclose(plain, bright, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(("shape", "ratios", "can"), [
    ((20, 100, 100), (4.0, 4.0), True),
    ((3, 100, 100), (4.0, 4.0), False),  # too few slices
    ((20, 100, 100), (1.0, 1.0), False),  # the plane is no finer
    ((20, 100, 12), (4.0, 4.0), False),  # the plane is hardly larger than a slice is thick
])  # fmt: skip
def test_slices_tell_only_where_their_plane_is_finer(shape: tuple[int, ...], ratios: tuple[float, float], can: bool):
    assert has_finer_plane(shape, ratios) == can


@pytest.mark.parametrize(("taken", "other"), [
    (SliceProfile("gaussian", 1.0), SliceProfile("box", 1.0)),
    (SliceProfile("box", 1.0), SliceProfile("gaussian", 1.0)),
    (SliceProfile("gaussian", 0.9), SliceProfile("gaussian", 1.0)),
    (SliceProfile("gaussian", 0.75), SliceProfile("box", 1.0)),
])  # fmt: skip
def test_the_next_likely_profile_is_the_other_that_blurs_most_like_it(taken: SliceProfile, other: SliceProfile):
    assert ProfileEstimate(taken).next_likely(1.0) == other
