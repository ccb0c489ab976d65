from __future__ import annotations

import numpy as np
import pytest

from medical_super_resolution import enhance
from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.intensity import check_magnitude
from medical_super_resolution.volumes.volume import MeasuredSlices, Volume


@pytest.mark.parametrize("shape", [(2, 3, 5), (4, 3, 2), (2, 3), (2, 3, 4, 1)])
def test_an_array_that_does_not_fit_its_grid_is_refused(shape: tuple[int, ...]):
    with pytest.raises(VolumeError, match="three axes that fit its grid"):
        Volume(np.zeros(shape), Grid((2, 3, 4), np.eye(4)))


@pytest.mark.parametrize("dtype", ["complex64", "bool", "U1"])
def test_voxels_that_are_no_real_numbers_are_refused(dtype: str):
    with pytest.raises(VolumeError, match="whole or real numbers"):
        Volume(np.zeros((2, 3, 4), dtype), Grid((2, 3, 4), np.eye(4)))


@pytest.mark.parametrize("mask", [False, [[[True, False]]]])
def test_an_array_with_a_mask_is_refused(mask: object):
    with pytest.raises(VolumeError, match=r"has a mask; fill it first by \.filled\(value\)"):
        Volume(np.ma.array(np.zeros((1, 1, 2)), mask=mask), Grid((1, 1, 2), np.eye(4)))


def test_a_place_halfway_to_a_measured_slice_is_not_far_from_it_whatever_the_rounding():
    slices = MeasuredSlices(np.zeros((2, 1, 1)), np.array([0.5004, 3.0]), np.ones(2))
    np.testing.assert_array_equal(slices.are_far_from(5), [False, False, True, False, True])


def test_an_empty_volume_is_refused():
    with pytest.raises(VolumeError, match="empty"):
        Volume(np.zeros((0, 3, 4)), Grid((0, 3, 4), np.eye(4)))


@pytest.mark.parametrize(
    ("value", "dtype"), [(3.4e38, "float32"), (-3.4e38, "float32"), (1.7e308, "float64"), (1e-298, "float64")]
)
def test_real_values_that_cannot_be_computed_with_are_refused(value: float, dtype: str):
    volume = Volume(np.zeros((4, 3, 4), dtype), Grid((4, 3, 4), np.eye(4)), modality="mr")
    check_magnitude(volume.array)
    volume.array[1, 1, 1] = value
    with pytest.raises(VolumeError, match=f"reach a magnitude of {abs(value):.3g}".replace("+", r"\+")):
        enhance(volume, factor=2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_single_value_that_is_not_finite_is_found(value: float, dtype: str):
    array = np.zeros((5, 3, 4), dtype)
    array[3, 1, 2] = value
    with pytest.raises(VolumeError, match="slice 3 .*not finite"):
        Volume(array, Grid((5, 3, 4), np.eye(4))).check_finite()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float32"])
def test_finite_values_pass(dtype: str):
    limits = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)
    Volume(np.full((2, 3, 4), limits.max, dtype), Grid((2, 3, 4), np.eye(4))).check_finite()


@pytest.mark.parametrize("array", [[[[1.0, 2.0]]], np.float32(1), None])
def test_what_is_no_array_of_numpy_is_refused_by_its_kind(array: object):
    with pytest.raises(TypeError, match=f"takes a numpy array, got {type(array).__name__}; use numpy.asarray"):
        Volume(array, Grid((1, 1, 2), np.eye(4)))
