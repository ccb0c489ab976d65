"""The input of the slice-profile estimator: cuts across the slices, and of the plane made thick."""

from __future__ import annotations

import numpy as np
import pytest

from medical_super_resolution.physics.profile_cuts import FINE_SAMPLES, REFERENCE_WIDTHS, cuts, has_finer_plane


def unchanged(part: np.ndarray) -> np.ndarray:
    return part.astype(np.float32)


def test_cuts_have_the_same_number_of_samples_to_a_slice_whatever_the_plane():
    volume = np.random.default_rng(0).normal(size=(10, 60, 90))
    (along_i, along_j), *_ = cuts(volume, (5.0, 7.5), unchanged)
    assert along_i.shape == along_j.shape == (16, 10, 12 * FINE_SAMPLES)


def test_cuts_look_the_same_at_any_gain():
    volume = np.random.default_rng(0).normal(size=(10, 40, 40))
    for plain, bright in zip(cuts(volume, (4, 4), unchanged), cuts(50 * volume, (4, 4), unchanged), strict=True):
        np.testing.assert_allclose(np.stack(plain), np.stack(bright), rtol=1e-2, atol=1e-3)


def test_the_plane_made_thick_by_the_true_width_changes_as_much_as_the_slices_do():
    """White noise, blurred along the slices by the wider of the widths to compare with."""
    rng = np.random.default_rng(0)
    fine = rng.normal(size=(160, 80, 80)).astype(np.float32)
    offsets = np.arange(160)[None] - (4 * np.arange(40) + 1.5)[:, None]
    weights = np.exp(-4 * np.log(2) * np.square(offsets / (4 * REFERENCE_WIDTHS[1])))
    slices = np.tensordot(weights / weights.sum(1, keepdims=True), fine, axes=1)
    measured, narrow, wide = (
        float(np.mean([np.square(np.diff(planes, axis=1)).mean() for planes in group]))
        for group in cuts(slices, (4.0, 4.0), unchanged)
    )
    assert wide == pytest.approx(measured, rel=0.15)
    assert narrow > 1.3 * wide


def test_cuts_along_both_axes_change_alike_though_one_is_sampled_more_finely():
    plane = np.random.default_rng(0).normal(size=(12, 90, 90)).astype(np.float32)
    for repeats in ((1, 1), (1, 3), (3, 1)):
        finer = plane.repeat(repeats[0], axis=1).repeat(repeats[1], axis=2)
        for group in cuts(finer, (4.0 * repeats[0], 4.0 * repeats[1]), unchanged):
            along_i, along_j = (float(np.square(np.diff(planes, axis=1)).mean()) for planes in group)
            assert along_i == pytest.approx(along_j, rel=0.2)


@pytest.mark.parametrize(("shape", "ratios", "can"), [
    ((20, 100, 100), (4.0, 4.0), True),
    ((3, 100, 100), (4.0, 4.0), False),  # too few slices
    ((20, 100, 100), (1.0, 1.0), False),  # the plane is no finer
    ((20, 100, 12), (4.0, 4.0), False),  # the plane is hardly larger than a slice is thick
])  # fmt: skip
def test_slices_show_their_width_only_where_their_plane_is_finer(
    shape: tuple[int, ...], ratios: tuple[float, float], can: bool
):
    assert has_finer_plane(shape, ratios) == can


@pytest.mark.parametrize("side", [24, 25])
def test_the_smallest_plane_gives_cuts_to_compare_with(side: int):
    volume = np.random.default_rng(0).normal(size=(4, side, side))
    assert has_finer_plane(volume.shape, (4.0, 4.0))
    for group in cuts(volume, (4.0, 4.0), unchanged):
        assert all(planes.shape[1] >= 4 and planes.shape[2] >= 18 for planes in group)
