"""Detail and consistency against scipy and numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from medical_super_resolution.objectives import metrics


@pytest.fixture
def a_pair() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    reference = ndimage.gaussian_filter(random.normal(size=(12, 20, 17)), 1.0) * 300
    return reference + random.normal(0, 5, reference.shape), reference


@pytest.fixture
def a_mask() -> np.ndarray:
    mask = np.zeros((12, 20, 17), bool)
    mask[2:9, 4:, :11] = True
    return mask


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in arrays]


def test_the_laplacian_of_a_gaussian_agrees_with_scipy(a_pair):
    expected = ndimage.gaussian_laplace(a_pair[1], 1.5)
    found = metrics.laplacian_of_gaussian(torch.from_numpy(a_pair[1])).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(a_pair[1]).max())


def test_the_laplacian_mirrors_slabs_thinner_than_its_kernel():
    slab = np.random.default_rng(1).normal(size=(2, 9, 9))
    found = metrics.laplacian_of_gaussian(torch.from_numpy(slab)).numpy()
    np.testing.assert_allclose(found, ndimage.gaussian_laplace(slab, 1.5), atol=1e-9)


@pytest.mark.parametrize("masked", [False, True])
def test_hfen_agrees_with_scipy(a_pair, a_mask, masked: bool):
    result, reference = (ndimage.gaussian_laplace(one, 1.5) for one in a_pair)
    inside = a_mask if masked else np.ones_like(a_mask)
    expected = np.linalg.norm((result - reference)[inside]) / np.linalg.norm(reference[inside])
    mask = torch.from_numpy(a_mask) if masked else None
    assert metrics.hfen(*tensors(*a_pair), mask) == pytest.approx(expected, rel=1e-6)
    assert metrics.hfen(*tensors(*(one.astype(np.float32) for one in a_pair)), mask) == pytest.approx(
        expected, rel=1e-3
    )


def test_the_gradient_error_agrees_with_numpy(a_pair, a_mask):
    error = a_pair[0] - a_pair[1]
    everywhere = [np.abs(np.diff(error, axis=axis)).ravel() for axis in range(3)]
    assert metrics.gradient_error(*tensors(*a_pair)) == pytest.approx(np.concatenate(everywhere).mean())
    inside = [np.abs(np.diff(error, axis=0))[a_mask[:-1]], np.abs(np.diff(error, axis=1))[a_mask[:, :-1]]]
    inside.append(np.abs(np.diff(error, axis=2))[a_mask[:, :, :-1]])
    found = metrics.gradient_error(*tensors(*a_pair, a_mask))
    assert found == pytest.approx(np.concatenate(inside).mean())


def test_slice_consistency_agrees_with_numpy(a_pair, a_mask):
    steps = np.diff(a_pair[0], axis=0) - np.diff(a_pair[1], axis=0)
    assert metrics.slice_consistency_error(*tensors(*a_pair)) == pytest.approx(np.sqrt((steps**2).mean()))
    inside = steps[a_mask[:-1]]
    assert metrics.slice_consistency_error(*tensors(*a_pair, a_mask)) == pytest.approx(np.sqrt((inside**2).mean()))


def test_a_flicker_between_slices_is_seen_and_an_offset_is_not(a_pair):
    reference = torch.from_numpy(a_pair[1])
    flicker = reference.clone()
    flicker[::2] += 3
    assert metrics.slice_consistency_error(reference + 3, reference) == pytest.approx(0, abs=1e-9)
    assert metrics.slice_consistency_error(flicker, reference) == pytest.approx(3)


def test_psnr_of_luma_agrees_with_a_conversion_done_by_hand():
    random = np.random.default_rng(2)
    reference = random.uniform(0, 255, (4, 8, 8))
    result = reference + random.normal(0, 4, reference.shape)
    luma_error = (16 + result * 219 / 255) - (16 + reference * 219 / 255)
    expected = 10 * np.log10(255**2 / (luma_error**2).mean())
    assert metrics.psnr_of_luma(*tensors(result, reference), 255) == pytest.approx(expected)
    difference = metrics.psnr_of_luma(*tensors(result, reference), 255) - metrics.psnr(*tensors(result, reference), 255)
    assert difference == pytest.approx(20 * np.log10(255 / 219))


def test_equal_volumes_have_no_error(a_pair):
    same = torch.from_numpy(a_pair[1])
    assert metrics.hfen(same, same) == metrics.gradient_error(same, same) == 0
    assert metrics.slice_consistency_error(same, same) == 0
