from __future__ import annotations

import numpy as np
import pytest

from medical_super_resolution.volumes.dicom.derived.pixels import Encoding, decimal_string, encoding_of


def restored(encoding: Encoding, array: np.ndarray) -> np.ndarray:
    """Values after the way through the text and the 16 bits of a file."""
    slope, intercept = float(decimal_string(encoding.slope)), float(decimal_string(encoding.intercept))
    return np.stack([encoding.stored(plane) for plane in array]) * slope + intercept


@pytest.mark.parametrize(
    ("low", "high", "dtype", "stored_as"),
    [
        (-1024, 3071, np.int16, np.int16),
        (-1024, 3071, np.float32, np.int16),
        (-32768, 32767, np.int32, np.int16),
        (0, 4095, np.uint16, np.uint16),
        (0, 65535, np.int32, np.uint16),
        (-10000, 50000, np.int32, np.int16),
        (1e6, 1e6 + 65535, np.float64, np.int16),
    ],
)
def test_whole_numbers_are_kept_exactly(low: float, high: float, dtype: type, stored_as: type):
    array = np.array([[[low, high, low + 17]]]).astype(dtype)
    encoding = encoding_of(array, may_shift=True)
    assert (encoding.is_exact, encoding.largest_error, encoding.dtype) == (True, 0, stored_as)
    np.testing.assert_array_equal(restored(encoding, array), array)


@pytest.mark.parametrize("may_shift", [True, False])
@pytest.mark.parametrize(
    ("low", "high"), [(0.1, 9.7), (-3.3, 1.2), (1e-9, 3e-9), (-5e7, 2e8), (4.25, 4.25), (-32768, 32767)]
)
def test_other_values_are_within_the_stated_error(low: float, high: float, may_shift: bool):
    array = np.random.default_rng(0).uniform(low, high, (3, 40, 40))
    array[0, 0, :2] = low, high
    encoding = encoding_of(array, may_shift=may_shift)
    assert not encoding.is_exact
    assert encoding.slope <= max(high - low, abs(high), abs(low)) / 32767 or low == high
    assert np.abs(restored(encoding, array) - array).max() <= encoding.largest_error * 1.001


def test_without_a_shift_the_intercept_is_zero():
    assert encoding_of(np.array([[[-1e5, 1e5, 0.5]]]), may_shift=False).intercept == 0
    assert encoding_of(np.full((1, 2, 2), 70000), may_shift=False).intercept == 0


@pytest.mark.parametrize("value", [1 / 3, -1 / 3, 123456.789012345678, -1e-17 / 3, 6.02214076e23, -0.70710678118654757])
def test_a_decimal_string_is_short_and_near(value: float):
    assert len(decimal_string(value)) <= 16
    assert float(decimal_string(value)) == pytest.approx(value, rel=1e-8)


def test_a_whole_number_is_written_as_one():
    assert [decimal_string(value) for value in (1.0, -1024.0, 0.25)] == ["1", "-1024", "0.25"]
