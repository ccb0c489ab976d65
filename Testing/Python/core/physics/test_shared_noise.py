"""The noise that neighboring slices share, and the width of the slice profile that follows from it."""

from __future__ import annotations

import numpy as np
import pytest

from medical_super_resolution.physics.acquisition import acquisition_matrix, gaussian_weights
from medical_super_resolution.physics.shared_noise import SharedNoise, shared_noise

SLICES, FACTOR, SIDE = 12, 5, 64
WIDTHS = np.linspace(0.5, 1.5, 101)


def noise(count: int = SLICES * FACTOR, deviation: float = 80.0, seed: int = 0) -> np.ndarray:
    """In the plane as smooth as that of a scanner, HU."""
    smooth = gaussian_weights(SIDE, np.arange(SIDE), 1.6).astype(np.float32)
    white = np.random.default_rng(seed).normal(0, deviation, (count, SIDE, SIDE)).astype(np.float32)
    return smooth @ white @ smooth.T


def thick(fine: np.ndarray, shape: str, width: float) -> np.ndarray:
    matrix = acquisition_matrix(SLICES, SLICES * FACTOR, FACTOR, profile=shape, thickness=width)
    return np.rint(np.tensordot(matrix, fine, axes=1)).astype(np.float32)


def found(slices: np.ndarray) -> SharedNoise:
    shared = shared_noise(slices, 0.0)
    assert shared is not None
    return shared


def best_width(slices: np.ndarray) -> float:
    return float(WIDTHS[found(slices).likelihood(WIDTHS).argmax()])


@pytest.mark.parametrize("width", [0.8, 1.0, 1.25])
def test_noise_shows_the_width_of_gaussian_slices(width: float):
    assert best_width(thick(noise(), "gaussian", width)) == pytest.approx(width, abs=0.06)


def test_slices_that_are_means_share_no_noise_and_are_no_gaussians_of_their_thickness():
    as_a_box, as_a_gaussian = found(thick(noise(), "box", 1.0)).likelihood(np.array([0.7, 1.0]))
    assert as_a_box > 0.9
    assert as_a_gaussian < 0.02


def test_the_fine_slices_share_noise_too():
    """Their correlation is not due to the profile."""
    shared = SharedNoise(correlation=0.05, contents=0.0, in_plane=0.0)
    finer = SharedNoise(correlation=0.05, contents=0.0, in_plane=0.0, fine_distance=0.4)
    wide, narrow = (WIDTHS[one.likelihood(WIDTHS).argmax()] for one in (shared, finer))
    assert narrow == pytest.approx((wide**2 - 0.348**2) ** 0.5, abs=0.02)


def test_contents_that_all_slices_have_do_not_pass_for_shared_noise():
    contents = 0.6 * noise(1, seed=1)
    slices = thick(noise() + contents, "gaussian", 0.8)
    assert found(slices).contents > 0.2
    assert best_width(slices) < 1.0  # the correlation alone would be that of more than 1.2
    sure, unsure = (found(one).likelihood(np.array([1.0]))[0] for one in (thick(noise(), "gaussian", 0.8), slices))
    assert unsure > 2 * sure


def test_noise_that_was_added_to_the_slices_is_no_evidence():
    added = np.random.default_rng(2).normal(0, 60, (SLICES, SIDE, SIDE)).astype(np.float32)
    assert shared_noise(thick(noise(), "gaussian", 1.0) + added, 0.0) is None


@pytest.mark.parametrize(
    "slices",
    [
        np.full((8, 80, 80), -1000, np.float32),
        thick(noise(deviation=4.0), "gaussian", 1.0),
        thick(noise(), "gaussian", 1.0)[:3],
        thick(noise(), "gaussian", 1.0)[:, :2],
    ],
    ids=["air", "less noise than rounding allows", "three slices", "two lines"],
)
def test_too_little_noise_is_no_evidence(slices: np.ndarray):
    assert shared_noise(slices, 0.0) is None
