from __future__ import annotations

import math

import numpy as np
import pytest

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.physics.acquisition import (
    SliceProfile,
    acquisition_matrix,
    consistency_matrix,
    fine_centers,
)

FACTORS = [1.25, 1.7, 2.0, 2.5, 4.0, 8.0]


def response(weights: np.ndarray, center: float, frequency: float) -> complex:
    """What one row does to exp(2 pi i frequency x), x counted from the center of the slice."""
    offset = np.arange(len(weights)) - center
    return complex(weights @ np.exp(2j * np.pi * frequency * offset))


def weights_one_by_one(n_lr: int, n_hr: int, factor: float, profile: str, thickness: float) -> np.ndarray:
    """The definition of the acquisition model, voxel by voxel, with no shortcut of the product's."""
    rows = []
    for slice_number in range(n_lr):
        center = (slice_number + 0.5) * factor - 0.5
        row = []
        for voxel in range(n_hr):
            distance = abs(voxel - center)
            if profile == "gaussian":
                sigma = thickness * factor / 2.354820045
                row.append(math.exp(-(distance**2) / (2 * sigma**2)) if distance <= 4 * sigma else 0.0)
            else:  # the part of the voxel that lies inside the slab
                half = thickness * factor / 2
                row.append(max(0.0, min(voxel + 0.5, center + half) - max(voxel - 0.5, center - half)))
        rows.append([value / sum(row) for value in row])
    return np.array(rows)


@pytest.mark.parametrize("profile", ["gaussian", "box"])
@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("thickness", [0.5, 1.0, 1.6])
def test_every_slice_is_a_weighted_mean(profile: str, factor: float, thickness: float):
    matrix = acquisition_matrix(11, round(11 * factor), factor, profile=profile, thickness=thickness)
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("profile", ["gaussian", "box"])
@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("thickness", [0.9, 1.0, 1.5])
def test_weights_agree_with_the_definition_written_out(profile: str, factor: float, thickness: float):
    n_hr = round(9 * factor)
    matrix = acquisition_matrix(9, n_hr, factor, profile=profile, thickness=thickness)
    np.testing.assert_allclose(matrix, weights_one_by_one(9, n_hr, factor, profile, thickness), atol=1e-8)


@pytest.mark.parametrize("frequency", [0.0, 0.05, 0.125, 0.2, 0.4])
def test_a_gaussian_profile_has_a_gaussian_frequency_response(frequency: float):
    factor = 4.0  # full width at half maximum in fine samples
    row = acquisition_matrix(21, 84, factor)[10]
    sigma = factor / math.sqrt(8 * math.log(2))
    expected = math.exp(-2 * (math.pi * sigma * frequency) ** 2)
    assert response(row, 10.5 * factor - 0.5, frequency) == pytest.approx(expected, abs=3e-4)


def test_networks_get_a_box_as_the_gaussian_that_blurs_equally():
    assert SliceProfile("gaussian", 1.2).gaussian_width == 1.2
    assert SliceProfile("box", 1.2).gaussian_width == pytest.approx(0.84)


def test_a_profile_is_described_in_millimeters():
    assert SliceProfile("gaussian", 0.9).described(5.0) == "Gaussian 4.5 mm"
    assert SliceProfile("box", 1.0).described(5.0) == "box 5 mm"


@pytest.mark.parametrize("frequency", [0.05, 0.125, 0.25, 0.4])
def test_a_box_profile_has_the_response_of_a_mean_over_its_width(frequency: float):
    row = acquisition_matrix(9, 36, 4.0, profile="box")[4]
    expected = math.sin(4 * math.pi * frequency) / (4 * math.sin(math.pi * frequency))
    assert response(row, 17.5, frequency) == pytest.approx(expected, abs=1e-9)


def test_a_thicker_slice_blurs_more():
    thin, thick = (acquisition_matrix(21, 84, 4.0, thickness=value)[10] for value in (0.7, 1.4))
    assert abs(response(thick, 41.5, 0.1)) < abs(response(thin, 41.5, 0.1)) - 0.2


@pytest.mark.parametrize("profile", ["gaussian", "box"])
def test_a_profile_is_never_thinner_than_a_fine_sample(profile: str):
    thin, wide = (acquisition_matrix(5, 12, 2.5, profile=profile, thickness=width) for width in (0.1, 0.4))
    np.testing.assert_allclose(thin, wide, atol=1e-12)


@pytest.mark.parametrize("profile", ["gaussian", "box"])
@pytest.mark.parametrize("factor", FACTORS)
def test_slices_lie_where_the_shared_outer_boundary_puts_them(profile: str, factor: float):
    """Fine samples that hold their own place in mm are measured as the places of the slices."""
    n_lr = 25
    fine_mm = (np.arange(round(n_lr * factor)) + 0.5) / factor  # from the outer boundary, slice distance 1 mm
    measured_mm = acquisition_matrix(n_lr, len(fine_mm), factor, profile=profile) @ fine_mm
    inside = slice(3, -3)  # near the border a profile is cut on one side
    # A box that cuts voxels in unequal parts at its two sides is off by a small part of a fine sample.
    tolerance = {"gaussian": 0.02, "box": 0.15}[profile] / factor
    np.testing.assert_allclose(measured_mm[inside], (np.arange(n_lr) + 0.5)[inside], atol=tolerance)


@pytest.mark.parametrize("factor", FACTORS)
def test_fine_centers_share_the_outer_boundary_of_the_slices(factor: float):
    centers = fine_centers(40, factor)
    assert centers[0] - 0.5 / factor == pytest.approx(-0.5)  # the first outer edge, in slices
    np.testing.assert_allclose(np.diff(centers), 1 / factor)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("profile", ["gaussian", "box"])
@pytest.mark.parametrize("thickness", [0.8, 1.0])
def test_the_projection_reproduces_the_measured_slices(factor: float, profile: str, thickness: float):
    acquisition = acquisition_matrix(12, round(12 * factor), factor, profile=profile, thickness=thickness)
    random = np.random.default_rng(1)
    fine, measured = random.normal(size=acquisition.shape[1]), random.normal(size=12)
    projected = fine + consistency_matrix(acquisition) @ (measured - acquisition @ fine)
    np.testing.assert_allclose(acquisition @ projected, measured, atol=1e-9)


def test_the_projection_changes_as_little_as_possible():
    """Among all fine samples that reproduce the slices, least squares finds the nearest: numpy's pseudo-inverse."""
    acquisition = acquisition_matrix(12, 30, 2.5)
    np.testing.assert_allclose(consistency_matrix(acquisition), np.linalg.pinv(acquisition), atol=1e-9)


@pytest.mark.parametrize("factor", [2.0, 4.0])
@pytest.mark.parametrize("thickness", [2.0, 3.0])
def test_noise_is_not_magnified_where_slices_overlap(factor: float, thickness: float):
    floor = 0.05
    acquisition = acquisition_matrix(16, round(16 * factor), factor, thickness=thickness)
    assert np.linalg.cond(acquisition) > 10  # the plain inverse would magnify
    gains = np.linalg.svd(consistency_matrix(acquisition, floor=floor), compute_uv=False)
    passes_best = np.linalg.svd(acquisition, compute_uv=False)[0]
    assert gains[0] * passes_best <= 1 / math.sqrt(floor) + 1e-9


def test_overlapping_slices_still_keep_what_their_profile_passes():
    acquisition = acquisition_matrix(32, 128, 4.0, thickness=2.0)
    measured = np.cos(2 * np.pi * np.arange(32) / 32)
    projected = consistency_matrix(acquisition) @ measured
    np.testing.assert_allclose((acquisition @ projected)[4:-4], measured[4:-4], atol=0.02)


@pytest.mark.parametrize("thickness", [0.0, -1.0, math.nan, math.inf])
def test_a_thickness_without_meaning_is_refused(thickness: float):
    with pytest.raises(SettingsError, match="slice thickness must be above 0"):
        acquisition_matrix(4, 8, 2.0, thickness=thickness)


def test_an_unknown_profile_is_refused_with_those_there_are():
    with pytest.raises(SettingsError, match="'sinc'.*gaussian, box"):
        acquisition_matrix(4, 8, 2.0, profile="sinc")
