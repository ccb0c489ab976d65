from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from measuring import an_mr, gaussian, measured_again, rms
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.uncertainty import widened
from medical_super_resolution.models.file import Model
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"]
)
def test_values_come_back_in_the_type_they_came_in(a_grid: Grid, a_model: Model, dtype: str):
    volume = Volume((an_mr(a_grid).array / 12).astype(dtype), a_grid, modality="mr")
    result = enhance(volume, a_model, gaussian(factor=2)).volume
    assert result.array.dtype == np.dtype(dtype)
    again = measured_again(result.array, a_grid, {"k": 2.0})
    assert rms(again - volume.array) < 0.5  # and mean the same


@pytest.mark.parametrize(("dtype", "low", "high"), [
    ("int16", -1024, 3071),
    ("uint8", 0, 255),
    ("int8", -128, 127),
    ("uint16", 0, 65535),
    ("int16", -32768, 32767),
    ("int32", -(2**31), 2**31 - 1),
    ("uint32", 0, 2**32 - 1),
    ("int64", -(2**63), 2**63 - 1),
])  # fmt: skip
@pytest.mark.parametrize("factor", [2.0, 4.0])
def test_nothing_wraps_around_at_the_limits_of_a_type(a_grid: Grid, a_model: Model, dtype, low, high, factor: float):
    """Slices that jump from one limit to the other make every interpolation overshoot."""
    array = np.full(a_grid.shape_kji, low, dtype)
    array[3:6] = high
    array[:, :, 10:] = high
    array[:, :, 15:] = low
    volume = Volume(array, a_grid, modality="ct" if low == -1024 else "mr")
    result = enhance(volume, a_model, EnhanceSettings(factor=factor)).volume.array.astype(np.float64)
    fine = np.repeat(array, int(factor), axis=0).astype(np.float64)  # a wrapped voxel is off by about the whole range
    wrong = np.abs(result - fine) > 0.9 * (float(high) - float(low))
    assert not wrong.any()
    assert result[:, :, 17:].max() < float(low) + 0.2 * (float(high) - float(low))
    if dtype != "int16" or low != -1024:
        assert result.max() == pytest.approx(float(high))  # held at the limit


def test_whole_numbers_are_rounded_and_not_cut_off(a_grid: Grid, a_model: Model):
    volume = an_mr(a_grid, "int16")
    settings = EnhanceSettings(factor=2)
    whole = enhance(volume, a_model, settings).volume.array
    real = enhance(replace(volume, array=volume.array.astype(np.float32)), a_model, settings).volume.array
    assert np.abs(whole - real).max() <= 0.501
    assert abs(np.mean(whole - real)) < 0.02


def test_large_whole_numbers_keep_their_last_digits(a_grid: Grid, a_model: Model):
    base = 2_000_000_000
    small = an_mr(a_grid, "int32")
    small = replace(small, array=small.array + 1000)  # far from 0, below which magnitudes are not let
    large = replace(small, array=small.array + base)
    settings = gaussian(factor=2, uncertainty=True)
    expected, found = enhance(small, a_model, settings), enhance(large, a_model, settings)
    result = found.volume.array.astype(np.int64) - base  # float32 steps at this size are 128 units
    assert np.abs(result - expected.volume.array).max() <= 1
    np.testing.assert_array_equal(enhance(large, a_model, gaussian(factor=2)).volume.array, found.volume.array)
    assert found.report.consistency_error_rms == pytest.approx(expected.report.consistency_error_rms, rel=0.01)
    assert expected.uncertainty is not None
    assert found.uncertainty is not None
    np.testing.assert_allclose(found.uncertainty.array, expected.uncertainty.array, atol=0.1)


def test_the_difference_to_the_detail_model_is_taken_before_digits_are_lost():
    one = np.full((2, 2, 2), 1e9 + 3.0)
    np.testing.assert_allclose(widened(np.full((2, 2, 2), 4, np.float32), one, one - 6.0), 5.0)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("value", [0, 7, 100])
@pytest.mark.parametrize("axes", ["k", "ijk"])
def test_a_constant_volume_stays_the_same_constant(a_grid: Grid, a_model: Model, dtype: str, value: int, axes: str):
    volume = Volume(np.full(a_grid.shape_kji, value, dtype), a_grid)
    result = enhance(volume, a_model, EnhanceSettings(factor=2, axes=axes)).volume
    np.testing.assert_array_equal(result.array, np.full(result.array.shape, value, dtype))


@pytest.mark.parametrize("value", [-1000, -1024])
def test_a_constant_ct_stays_the_same_constant(a_grid: Grid, a_model: Model, value: int):
    volume = Volume(np.full(a_grid.shape_kji, value, np.int16), a_grid)
    result = enhance(volume, a_model, EnhanceSettings(factor=4)).volume
    np.testing.assert_array_equal(result.array, value)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_volume_of_no_known_kind_may_be_negative(a_grid: Grid, a_model: Model, dtype: str):
    """Such as a difference of two volumes, or a phase: there is no lowest value that means something."""
    volume = Volume((an_mr(a_grid).array - 500).astype(dtype), a_grid)
    result = enhance(volume, a_model, gaussian(factor=2)).volume.array
    assert result.dtype == np.dtype(dtype)
    assert rms(measured_again(result, a_grid, {"k": 2.0}) - volume.array) < 0.5


def test_air_is_not_made_darker_than_air(a_volume: Volume, a_model: Model):
    clipped = replace(a_volume, array=np.maximum(a_volume.array, -1024))
    assert enhance(clipped, a_model, EnhanceSettings(factor=4)).volume.array.min() >= -1024


def test_a_magnitude_does_not_become_negative(a_grid: Grid, a_model: Model):
    volume = an_mr(a_grid)
    black = replace(volume, array=np.where(volume.array < 200, 0, volume.array).astype(np.float32))
    assert enhance(black, a_model, EnhanceSettings(factor=4)).volume.array.min() >= 0


def test_the_input_is_left_as_it_was(a_volume: Volume, a_model: Model):
    before = a_volume.array.copy()
    enhance(a_volume, a_model, EnhanceSettings(factor=2, axes="ijk"))
    np.testing.assert_array_equal(a_volume.array, before)
