from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from medical_super_resolution.objectives.metrics import mean_squared_error, psnr, ssim, ssim_map


@pytest.fixture
def a_pair() -> tuple[np.ndarray, np.ndarray]:
    """A smooth volume and a noisy copy, (K, J, I) float32, range 0 to 1000."""
    random = np.random.default_rng(0)
    k, j, i = np.meshgrid(*(np.linspace(0, 3, count) for count in (14, 20, 17)), indexing="ij")
    reference = 500 + 400 * np.sin(2 * k + j) * np.cos(3 * i)
    return (reference + random.normal(0, 60, reference.shape)).astype(np.float32), reference.astype(np.float32)


def test_psnr_agrees_with_scikit_image(a_pair):
    from skimage.metrics import peak_signal_noise_ratio

    result, reference = a_pair
    expected = peak_signal_noise_ratio(reference, result, data_range=1000)
    assert psnr(torch.from_numpy(result), torch.from_numpy(reference), 1000) == pytest.approx(expected, abs=1e-4)


def scikit_image_ssim(result: np.ndarray, reference: np.ndarray) -> tuple[float, np.ndarray]:
    from skimage.metrics import structural_similarity

    # `mean` leaves out the border of 5 voxels that scikit-image does not count; the map has every voxel
    return structural_similarity(
        reference, result, data_range=1000, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )


def test_ssim_agrees_with_scikit_image_at_every_voxel(a_pair):
    result, reference = a_pair
    _, expected = scikit_image_ssim(result, reference)
    similarity = ssim_map(torch.from_numpy(result), torch.from_numpy(reference), 1000)
    np.testing.assert_allclose(similarity, expected, atol=1e-4)


def test_mean_ssim_agrees_with_scikit_image_away_from_the_border(a_pair):
    result, reference = a_pair
    expected, _ = scikit_image_ssim(result, reference)
    inside = torch.zeros(reference.shape, dtype=torch.bool)
    inside[5:-5, 5:-5, 5:-5] = True
    assert ssim(torch.from_numpy(result), torch.from_numpy(reference), 1000, inside) == pytest.approx(
        expected, abs=1e-4
    )


def test_a_volume_is_wholly_similar_to_itself(a_pair):
    reference = torch.from_numpy(a_pair[1])
    assert ssim(reference, reference, 1000) == pytest.approx(1, abs=1e-6)


def test_ten_times_the_error_costs_20_db():
    reference = torch.zeros(4, 5, 6)
    assert psnr(reference + 1, reference, 255) - psnr(reference + 10, reference, 255) == pytest.approx(20)


def test_an_error_of_the_whole_range_is_0_db():
    assert psnr(torch.full((2, 3, 4), 255.0), torch.zeros(2, 3, 4), 255) == pytest.approx(0)


def test_no_error_has_a_finite_psnr():
    assert math.isfinite(psnr(torch.ones(2, 3, 4), torch.ones(2, 3, 4), 255))


def test_only_voxels_inside_the_mask_count():
    result, reference = torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)
    result[0], mask = 2.0, torch.zeros(2, 3, 4, dtype=torch.bool)
    mask[0] = True
    assert float(mean_squared_error(result, reference, mask)) == 4
    assert float(mean_squared_error(result, reference)) == 2
