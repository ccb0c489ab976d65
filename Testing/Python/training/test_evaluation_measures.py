"""The numbers of an evaluation against independent arithmetic: numpy, scipy and scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage, stats

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.resampling import to_image
from medical_super_resolution.volumes.volume import Volume
from medical_super_resolution_training.evaluation.cases import (
    Case,
    acquired_again,
    degraded,
    is_large_enough,
    parse_case,
    trimmed,
)
from medical_super_resolution_training.evaluation.checks import calibration
from medical_super_resolution_training.evaluation.checks.calibration import (
    Sample,
    calibrated,
    rank_correlation,
    sample,
)
from medical_super_resolution_training.evaluation.checks.hallucinations import blob_counts
from medical_super_resolution_training.evaluation.checks.noise import noise_bound, noise_deviation
from medical_super_resolution_training.evaluation.measures.foreground import foreground_of
from medical_super_resolution_training.evaluation.measures.registry import MEASURES, measured
from medical_super_resolution_training.evaluation.methods.lanczos import lanczos


def a_scan(modality: str, shape=(26, 30, 28), seed: int = 0) -> Volume:
    """Smooth structure and noise in a body with air around it."""
    random = np.random.default_rng(seed)
    structure = ndimage.gaussian_filter(random.normal(size=shape), 2)
    structure = structure / structure.std()
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, count) for count in shape), indexing="ij")
    inside = k**2 + j**2 + i**2 < 1.4
    array = np.where(inside, 300 * structure + (50 if modality == "ct" else 1200), -1000 if modality == "ct" else 0)
    array = array + random.normal(0, 12, shape)
    if modality != "ct":
        array = np.abs(array)
    return Volume(np.rint(array).astype(np.int16), Grid(shape, np.diag([0.8, 0.9, 1.2, 1.0])), modality=modality)


def weights(count: int, factor: float, profile: str, thickness: float) -> np.ndarray:
    """The acquisition model, written down once more: a row for each coarse sample."""
    coarse = int(np.floor(count / factor + 1e-6))
    offset = np.arange(count)[None] - ((np.arange(coarse) + 0.5) * factor - 0.5)[:, None]
    if profile == "gaussian":
        sigma = thickness * factor / (2 * math.sqrt(2 * math.log(2)))
        rows = np.where(np.abs(offset) <= 4 * sigma, np.exp(-(offset**2) / (2 * sigma**2)), 0)
    else:
        half = thickness * factor / 2
        rows = np.maximum(np.minimum(offset + 0.5, half) - np.maximum(offset - 0.5, -half), 0)
    return rows / rows.sum(1, keepdims=True)


@pytest.mark.parametrize("text", ["k:2", "k:4", "ij:2", "k:2.5", "k:5:box", "k:4:gaussian:1.2", "j:3:box:0.8"])
@pytest.mark.parametrize("modality", ["ct", "mr"])
def test_a_volume_is_made_coarse_as_the_equations_say(text: str, modality: str):
    case = parse_case(text)
    volume = trimmed(a_scan(modality), case)
    expected = volume.array.astype(float)
    for axis in case.axes:
        at = "kji".index(axis)
        matrix = weights(expected.shape[at], case.factor, case.profile, case.thickness)
        expected = np.moveaxis(np.tensordot(matrix, expected, axes=(1, at)), 0, at)

    coarse = degraded(volume, case)

    assert np.abs(coarse.array - expected).max() <= 0.5 + 1e-9  # a half may become either whole number
    np.testing.assert_allclose(coarse.grid.bounds_ras_mm, volume.grid.bounds_ras_mm)
    np.testing.assert_allclose(acquired_again(volume.array, case), expected, atol=1e-9)


def test_trimming_leaves_whole_numbers_of_samples_on_both_grids():
    volume = a_scan("ct")
    assert trimmed(volume, parse_case("k:2.5")).array.shape == (25, 30, 28)
    assert trimmed(volume, parse_case("ij:4")).array.shape == (26, 28, 28)
    assert is_large_enough(volume, parse_case("k:6.5"))  # four slices
    assert not is_large_enough(volume, parse_case("k:8"))


def test_coarse_slices_are_as_thick_as_the_case_says():
    volume = trimmed(a_scan("ct"), Case("k", 2, "box", 0.5))
    assert degraded(volume, Case("k", 2, "box", 0.5)).slice_thickness_mm == pytest.approx(0.5 * 2 * 1.2)
    assert degraded(volume, Case("j", 1.25)).slice_thickness_mm is None  # the slices lie along k still


@pytest.mark.parametrize("text", ["k", "x:2", "kk:2", "k:two", "k:2:round", "k:9", "k:1", "k:2:box:0", "k:2:box:1:1"])
def test_a_case_that_makes_no_sense_gets_one_sentence(text: str):
    with pytest.raises(SettingsError):
        parse_case(text)


@pytest.mark.parametrize("text", ["k:2", "ij:2:box", "k:4:gaussian:0.8"])
def test_a_case_is_named_as_it_was_asked_for(text: str):
    assert parse_case(text).name == text


@pytest.mark.parametrize("modality", ["ct", "mr"])
def test_scores_are_those_of_independent_arithmetic(modality: str):
    case = Case("k", 2)
    reference = trimmed(a_scan(modality), case)
    lr = degraded(reference, case)
    result = ndimage.gaussian_filter(reference.array.astype(np.float32), (0.8, 0.3, 0.3)) + 3
    body = foreground_of(reference)

    found = measured(result, reference, body, lr, case)

    true = reference.array.astype(np.float32)
    if modality == "ct":
        inside, low, high = true > -900, -1000.0, 1000.0
    else:
        high = float(np.percentile(true[true > true.min()], 99.5))
        inside, low = true > 0.03 * high, 0.0
    made, true = np.clip(result, low, high), np.clip(true, low, high)
    error = float(((made - true)[inside] ** 2).mean(dtype=np.float64))
    assert found["mse"] == pytest.approx(error / (high - low) ** 2, rel=1e-5)
    assert found["psnr"] == pytest.approx(10 * math.log10((high - low) ** 2 / error), abs=1e-4)
    assert found["psnr_luma"] - found["psnr"] == pytest.approx(20 * math.log10(255 / 219), abs=1e-4)
    from skimage.metrics import structural_similarity

    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    _, similarity = structural_similarity(made, true, data_range=high - low, **options)
    assert found["ssim"] == pytest.approx(similarity[inside].mean(), abs=1e-4)
    a, b = (ndimage.gaussian_laplace(one.astype(float), 1.5) for one in (made, true))
    assert found["hfen"] == pytest.approx(np.linalg.norm((a - b)[inside]) / np.linalg.norm(b[inside]), rel=1e-3)
    again = np.tensordot(weights(26, 2, "gaussian", 1), result.astype(np.float64), axes=(1, 0))
    seen = lr.array > (-900 if modality == "ct" else 0.03 * high)
    assert found["residual"] == pytest.approx(np.sqrt(((again - lr.array)[seen] ** 2).mean()), rel=1e-5)
    assert math.isnan(found["perceptual"])
    assert set(found) == set(MEASURES)


def test_the_data_consistency_error_of_values_far_from_0_has_all_digits():
    case = Case("k", 2)
    values = 10**8 + 100 * a_scan("mr").array.astype(np.int64)
    reference = trimmed(Volume(values, a_scan("mr").grid, modality="mr"), case)
    lr = degraded(reference, case)
    body = foreground_of(reference)
    assert measured(reference.array, reference, body, lr, case)["residual"] < 0.5


@pytest.mark.parametrize("text", ["k:2.5", "ij:2"])
def test_lanczos_interpolation_is_that_of_itk(text: str):
    case = parse_case(text)
    volume = trimmed(a_scan("ct"), case)
    coarse = degraded(volume, case)
    expected = sitk.Resample(
        to_image(Volume(coarse.array.astype(np.float32), coarse.grid)),
        to_image(volume),
        sitk.Transform(),
        sitk.sitkLanczosWindowedSinc,
        0.0,
        sitk.sitkFloat32,
        True,
    )
    inside = (slice(2, -2),) * 3  # ITK takes other values for the places beyond the outer centers
    found = lanczos(coarse.array, volume.grid.shape_kji, case)
    np.testing.assert_allclose(found[inside], sitk.GetArrayFromImage(expected)[inside], atol=0.05)


@pytest.mark.parametrize("text", ["k:2", "ij:2"])
def test_the_noise_that_was_added_is_found(text: str):
    volume = a_scan("ct", (48, 48, 48))
    case = parse_case(text)
    found = noise_deviation(volume, foreground_of(volume), case)
    assert 10 < found < 14  # 12 was added
    share = 1 / 2 if text == "k:2" else 3 / 4
    assert noise_bound(12, 2000, case) == pytest.approx(10 * math.log10(2000**2 / (share * 144)))


def test_values_beyond_the_range_hide_no_noise():
    """As of metal, where the scanner has cut them off."""
    volume = a_scan("ct", (48, 48, 48))
    volume.array[:, :24] = 3000
    assert 10 < noise_deviation(volume, foreground_of(volume), Case("k", 2)) < 14


def test_the_noise_of_too_little_body_is_not_a_number():
    volume = a_scan("ct", (8, 9, 9))
    assert math.isnan(noise_deviation(volume, foreground_of(volume), Case("k", 2)))


def a_block(value: float) -> Volume:
    return Volume(np.full((30, 30, 30), value, np.float32), Grid((30, 30, 30), np.eye(4)), modality="ct")


def with_ball(array: np.ndarray, contrast: float, center: tuple[int, int, int]) -> np.ndarray:
    distance = sum((axis - at) ** 2 for axis, at in zip(np.indices(array.shape), center, strict=True))
    return np.where(distance <= 2.2**2, array + contrast, array).astype(np.float32)


def test_new_blobs_are_counted_by_their_sign_and_known_ones_are_not():
    block = a_block(40)
    reference = Volume(with_ball(block.array, 150, (8, 8, 8)), block.grid, modality="ct")
    result = with_ball(with_ball(reference.array, 150, (20, 20, 20)), -150, (8, 20, 20))
    body = foreground_of(reference)
    liters = body.inside.sum() / 1e6

    found = blob_counts(result, reference, body)
    assert {name: round(value * liters) for name, value in found.items()} == {"bright": 1, "dark": 1, "lost": 0}
    found = blob_counts(block.array, reference, body)
    assert {name: round(value * liters) for name, value in found.items()} == {"bright": 0, "dark": 0, "lost": 1}


def test_a_blob_that_the_reference_shows_fainter_is_not_new():
    block = a_block(40)
    faint, bright = (with_ball(block.array, contrast, (15, 15, 15)) for contrast in (30, 150))
    assert blob_counts(faint, block, foreground_of(block))["bright"] == 0
    assert blob_counts(bright, Volume(faint, block.grid, modality="ct"), foreground_of(block))["bright"] == 0


def test_a_single_voxel_and_what_lies_beyond_the_range_are_no_blobs():
    block, metal = a_block(40), a_block(1200)
    speck = block.array.copy()
    speck[15, 15, 15] = 500
    assert blob_counts(speck, block, foreground_of(block))["bright"] == 0
    assert blob_counts(with_ball(metal.array, 600, (15, 15, 15)), metal, foreground_of(metal))["bright"] == 0


def test_blobs_of_three_slices_are_not_counted():
    slab = Volume(a_block(40).array[:3], Grid((3, 30, 30), np.eye(4)), modality="ct")
    assert all(math.isnan(value) for value in blob_counts(slab.array, slab, foreground_of(slab)).values())


def test_a_liter_is_one_of_the_patient_and_not_of_voxels():
    block = Volume(a_block(40).array, Grid((30, 30, 30), np.diag([2.0, 2.0, 2.0, 1.0])), modality="ct")  # 0.216 l
    found = blob_counts(with_ball(block.array, 150, (15, 15, 15)), block, foreground_of(block))
    assert found["bright"] == pytest.approx(1 / 0.216)


def test_faint_noise_makes_no_blobs():
    reference = a_block(40)
    result = reference.array + np.random.default_rng(0).normal(0, 15, reference.array.shape).astype(np.float32)
    assert set(blob_counts(result, reference, foreground_of(reference)).values()) == {0}


def test_rank_correlation_is_spearmans():
    random = np.random.default_rng(0)
    a = random.integers(0, 20, 500).astype(float)
    b = a + random.normal(0, 5, 500)
    assert rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)


def test_values_beyond_the_range_are_no_error():
    """As of metal, which no method is to be blamed for."""
    block = a_block(40)
    block.array[3] = 3000
    made = np.where(block.array == 3000, np.float32(2000), block.array + 20)
    found = sample(np.full_like(made, 10), made, block.array, foreground_of(block), "a")
    assert np.unique(found.error) == pytest.approx([0, 20 / 2000], abs=1e-6)
    assert np.unique(found.uncertainty) == pytest.approx([10 / 2000])


def test_of_many_voxels_some_are_drawn_from_all_over_the_body(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calibration, "_MOST_VOXELS", 1000)
    block = a_block(40)
    height = np.broadcast_to(np.arange(30, dtype=np.float32)[:, None, None], (30, 30, 30))
    found = sample(height, block.array, block.array, foreground_of(block), "a")
    assert len(found.uncertainty) == len(found.error) == 1000
    assert len(np.unique(found.uncertainty)) == 30


def test_ten_bins_hold_equal_counts_and_rise_where_uncertainty_predicts_the_error():
    random = np.random.default_rng(0)
    uncertainty = random.uniform(0.01, 0.1, 20_000).astype(np.float32)
    error = np.abs(random.normal(0, uncertainty)).astype(np.float32)
    found = calibrated([Sample(uncertainty[:5000], error[:5000]), Sample(uncertainty[5000:], error[5000:])])
    np.testing.assert_allclose(found.uncertainty, np.linspace(0.0145, 0.0955, 10), atol=0.001)
    np.testing.assert_allclose(found.error, found.uncertainty, rtol=0.1)
    assert found.rank_correlation == pytest.approx(1)
    assert found.of_voxels == pytest.approx(stats.spearmanr(uncertainty, error).statistic)
    assert found.covered == pytest.approx(0.954, abs=0.01)
