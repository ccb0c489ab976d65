from __future__ import annotations

import numpy as np
import pytest

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.intensity import (
    IntensityRange,
    check_magnitude,
    guess_modality,
    in_type,
    intensity_range,
    padding_values,
    trained_window,
    window_of,
)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
def test_the_ends_of_the_range_become_0_and_1(dtype: str):
    values = IntensityRange(20, 120).normalized(np.array([[[20, 70, 120]]], dtype))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [[[0, 0.5, 1]]], atol=1e-7)


def test_values_beyond_the_range_are_not_clipped():
    np.testing.assert_allclose(IntensityRange(-1000, 1000).normalized(np.array([-3000.0, 3000.0])), [-1, 2])


def test_the_volume_itself_stays_as_it_is():
    array = np.array([[[1.0, 2.0]]])
    IntensityRange(0, 10).normalized(array)
    np.testing.assert_array_equal(array, [[[1.0, 2.0]]])


def test_large_whole_numbers_keep_their_differences():
    """float32 alone cannot distinguish 2 000 000 001 from 2 000 000 002."""
    array = np.array([2_000_000_000, 2_000_000_001, 2_000_000_002], np.int32)
    values = IntensityRange(2_000_000_000, 2_000_000_002).normalized(array)
    np.testing.assert_allclose(values, [0, 0.5, 1])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-1024, 3071, "ct"),
        (-1000, 2000, "ct"),
        (-2048, 3071, "ct"),
        (-4096, 32767, "ct"),
        (-850, 100, "ct"),
        (-849, 100, "mr"),
        (-1000, 40000, "mr"),
        (0, 4095, "mr"),
        (-200, 900, "mr"),
        (-1e6, 1e6, "mr"),
    ],
)
def test_air_near_minus_1000_says_ct(low: float, high: float, expected: str):
    assert guess_modality(np.array([[[low, *[0] * 40, high]]])) == expected


@pytest.mark.parametrize("is_masked", [False, True])
def test_a_phase_image_is_no_ct(is_masked: bool):
    array = np.random.default_rng(0).integers(-4096, 4096, (16, 16, 16), np.int16)
    if is_masked:
        array[:, :8] = 0
    assert guess_modality(array) == "mr"


def test_a_ct_of_a_very_low_dose_whose_air_is_noisy_is_ct():
    array = np.random.default_rng(0).normal(-1000, 200, (16, 16, 16))
    array[:, 6:] += 1040
    assert (array < -1200).mean() > 0.05
    assert guess_modality(array) == "ct"


@pytest.mark.parametrize("padding", [-2048, -3024])
def test_a_ct_whose_padding_was_blurred_is_ct(padding: int):
    array = np.random.default_rng(0).normal(40, 20, (16, 16, 16))
    array[:, 6:8] = -1000
    array[:, :6] = np.random.default_rng(1).normal(padding, 10, (16, 6, 16))  # by lossy compression
    array[0, 8:10] = 2500  # metal
    assert (padding_values(array), guess_modality(array)) == ((), "ct")


def test_ct_always_has_the_same_range():
    array = np.array([[[-1024, 50, 3071]]], np.int16)
    assert intensity_range(array, "ct") == IntensityRange(-1000, 1000)


def test_the_range_of_mr_follows_its_units():
    array = np.random.default_rng(0).gamma(2, 100, (20, 30, 30))
    one, thousandfold = intensity_range(array, "mr"), intensity_range(1000 * array, "mr")
    assert (thousandfold.low, thousandfold.high) == pytest.approx((1000 * one.low, 1000 * one.high), rel=1e-5)


def test_a_few_bright_voxels_do_not_set_the_range_of_mr():
    array = np.random.default_rng(0).uniform(0, 1000, (30, 30, 30))
    plain = intensity_range(array, "mr")
    array[0, 0, :5] = 1e6
    assert intensity_range(array, "mr").high == pytest.approx(plain.high, rel=0.01)


def test_air_around_the_head_does_not_set_the_range_of_mr():
    random = np.random.default_rng(0)
    head = random.uniform(100, 1000, 10_000)
    alone = intensity_range(head.reshape(10, 10, 100), "mr")
    in_air = intensity_range(np.concatenate([head, np.zeros(90_000)]).reshape(10, 100, 100), "mr")
    assert in_air.high == pytest.approx(alone.high, rel=0.01)


@pytest.mark.parametrize("value", [0, 7, -5])
def test_a_constant_volume_has_a_range_too(value: int):
    measured = intensity_range(np.full((4, 5, 6), value), "mr")
    assert measured.low == value
    assert measured.high > measured.low


def a_ct(padding: float, *, share: int = 8, dtype: str = "int16") -> np.ndarray:
    """Air, tissue and noise, 16 x 16 x 16; one row in ``share`` is padding."""
    array = np.random.default_rng(0).normal(-950, 60, (16, 16, 16))
    array[:, 4:12, 4:12] += 1000
    array[:, ::share] = padding
    return array.astype(dtype)


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("padding", [-1500, -2000, -2048, -3024, -8192, -9999, -32768])
def test_a_plateau_far_below_air_is_padding_and_leaves_the_modality_alone(padding: int, dtype: str):
    array = a_ct(padding, dtype=dtype)
    assert padding_values(array) == (padding,)
    assert guess_modality(array) == "ct"


def test_two_kinds_of_padding_are_both_found():
    array = a_ct(-2000)
    array[:, 1] = -3024
    assert padding_values(array) == (-3024, -2000)


@pytest.mark.parametrize("padding", [-1000, -1024])
def test_air_is_no_padding(padding: int):
    assert padding_values(a_ct(padding)) == ()
    array = np.full((16, 16, 16), padding)  # without noise, as a scanner cuts it off
    array[:, 4:12, 4:12] = np.random.default_rng(0).normal(40, 60, (16, 8, 8))
    assert padding_values(array) == ()


def test_noise_and_streaks_far_below_air_are_no_padding():
    array = np.random.default_rng(0).normal(-1400, 100, (20, 20, 20)).round().astype(np.int16)
    assert padding_values(array) == ()


def test_a_volume_of_nothing_else_has_no_padding():
    assert padding_values(np.full((4, 5, 6), -2000, np.int16)) == ()


def test_mr_with_padding_stays_mr_and_keeps_its_range():
    array = np.random.default_rng(0).gamma(2, 100, (20, 30, 30)).astype(np.int16)
    plain = intensity_range(array, "mr")
    array[:, :6] = -9999
    assert guess_modality(array) == "mr"
    found = intensity_range(array, "mr", padding=padding_values(array))
    assert (found.low, found.high) == (pytest.approx(plain.low, abs=10), pytest.approx(plain.high, rel=0.05))
    assert found.normalized(array)[0, 0, 0] == 0
    marked = intensity_range(array, "mr", mask=array == -9999)  # as DICOM marks it
    assert (marked.low, marked.high) == (found.low, found.high)


def test_networks_were_trained_on_what_twelve_bits_hold():
    assert trained_window("ct") == pytest.approx((-0.012, 2.0355))
    assert trained_window("mr") == (-1, 4)


@pytest.mark.parametrize("value", [1e300, -1e300])
def test_values_that_overflow_are_refused_unless_they_are_padding(value: float):
    array = np.random.default_rng(0).normal(50, 10, (4, 10, 10))
    array[:, 0] = np.finfo(np.float64).min
    check_magnitude(array)
    array[2, 3, 4] = value
    with pytest.raises(VolumeError, match=r"reach a magnitude of 1e\+300"):
        check_magnitude(array)


def test_values_whose_squares_vanish_are_refused_and_0_alone_is_not():
    with pytest.raises(VolumeError, match="reach a magnitude of 7e-20, and 1e-18 to 1e"):
        check_magnitude(np.array([[[0.0, -7e-20]]]))
    check_magnitude(np.zeros((1, 1, 2)))


@pytest.mark.parametrize(("lung_voxels", "expected"), [(25, (-160, 240)), (26, (-1350, 150))])
def test_a_ct_is_shown_in_the_lung_window_where_the_lung_is_more_than_a_quarter_of_the_tissue(lung_voxels, expected):
    array = np.repeat([-1000, -940, -620, -310, -290, 1200], [500, 1, lung_voxels - 1, 50, 50, 50])
    assert window_of(array, "ct") == expected


def test_padding_may_have_any_value_and_the_window_leaves_it_out():
    array = np.random.default_rng(0).normal(50, 10, (4, 20, 20))
    measured = intensity_range(array[:, 5:], "mr")
    array[:, :5] = np.finfo(np.float64).min
    np.testing.assert_allclose(window_of(array, "mr"), (measured.low, measured.high))


def test_a_volume_in_which_nothing_was_measured_has_a_range_too():
    array = np.arange(24.0).reshape(2, 3, 4)
    found = intensity_range(array, "mr", mask=np.ones(array.shape, bool))
    assert found.low < found.high <= 23


def test_half_precision_has_its_largest_number_and_no_infinity():
    limits = in_type(np.array([-1e6, 1e6], np.float32), np.dtype(np.float16))
    np.testing.assert_array_equal(limits, [-65504, 65504])
