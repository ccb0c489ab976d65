from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.resampling import INTERPOLATORS, averaged, resampled
from medical_super_resolution.volumes.volume import MeasuredSlices, Volume


def places(grid: Grid) -> np.ndarray:
    """R + 2 A + 3 S at every voxel, (K, J, I)."""
    k, j, i = np.indices(grid.shape_kji)
    index = np.stack([i, j, k, np.ones_like(i)], axis=-1)
    return (index @ grid.ijk_to_ras.T)[..., :3] @ (1.0, 2.0, 3.0)


@pytest.mark.parametrize("interpolator", INTERPOLATORS)
def test_a_gradient_in_space_is_the_same_gradient_on_a_finer_grid(a_grid: Grid, interpolator: str):
    fine = a_grid.refined("k", 4).refined("i", 2.5)
    result = resampled(Volume(places(a_grid), a_grid), fine, interpolator)
    inside = (slice(10, -10), slice(3, -3), slice(8, -8))
    tolerance = 0.02 if interpolator == "linear" else 0.3  # a spline rings a little where the gradient ends
    np.testing.assert_allclose(result[inside], places(fine)[inside], atol=tolerance)


@pytest.mark.parametrize("interpolator", INTERPOLATORS)
def test_on_its_own_grid_a_volume_stays_the_same(a_volume: Volume, interpolator: str):
    result = resampled(a_volume, a_volume.grid, interpolator)
    np.testing.assert_allclose(result, a_volume.array, atol=0.01)


def test_beyond_the_border_the_nearest_values_go_on(a_volume: Volume):
    below = a_volume.grid.ijk_to_ras.copy()
    below[:3, 3] -= 2 * below[:3, 2]  # a grid that begins two slices earlier
    result = resampled(a_volume, replace(a_volume.grid, ijk_to_ras=below), "linear")
    np.testing.assert_allclose(result[0], a_volume.array[0], atol=0.01)
    np.testing.assert_allclose(result[2:], a_volume.array[:-2], atol=0.01)


def test_volumes_of_different_places_are_refused(a_volume: Volume):
    moved = a_volume.grid.ijk_to_ras.copy()
    moved[0, 3] += 1000
    with pytest.raises(VolumeError, match="do not overlap"):
        resampled(a_volume, replace(a_volume.grid, ijk_to_ras=moved))


@pytest.mark.parametrize("axis", ["i", "j", "k"])
@pytest.mark.parametrize("factor", [2.0, 2.128])
def test_an_averaged_ramp_is_the_ramp_of_the_coarser_grid(axis: str, factor: float):
    grid = Grid((16, 20, 24), np.diag([0.47, 0.47, 5.0, 1.0]))
    coarse = averaged(Volume(places(grid), grid), axis, factor)
    assert coarse.grid == grid.refined(axis, 1 / factor)
    inside = tuple(slice(2, -2) if name == axis else slice(None) for name in "kji")
    np.testing.assert_allclose(coarse.array[inside], places(coarse.grid)[inside], atol=0.05)


@pytest.mark.parametrize(("value", "dtype"), [(2**24 + 1, "int32"), (2.0**30 + 0.25, "float64")])
def test_an_average_of_values_far_from_0_has_all_digits(value: float, dtype: str):
    grid = Grid((4, 5, 12), np.diag([0.47, 0.47, 5.0, 1.0]))
    coarse = averaged(Volume(np.full(grid.shape_kji, value, dtype), grid), "i", 2.5)
    np.testing.assert_allclose(coarse.array, value, rtol=1e-12)


def test_padding_takes_no_part_in_an_average_and_stays_where_the_nearest_voxel_has_it():
    grid = Grid((8, 20, 24), np.diag([0.47, 0.47, 5.0, 1.0]))
    array = np.full(grid.shape_kji, 40, np.int16)
    array[:, :, :8] = -3024
    marked = np.zeros(array.shape, bool)
    marked[:, :5] = True
    array[marked] = -1100  # which nothing but the mark tells from tissue
    coarse = averaged(Volume(array, grid, padding=marked), "i", 2.5)
    nearest = [1, 3, 6, 8, 11, 13, 16, 18, 21, 23]
    np.testing.assert_array_equal(coarse.array, array[:, :, nearest])
    np.testing.assert_array_equal(coarse.padding, marked[:, :, nearest])
    narrow = Volume(array[:, :, :7], replace(grid, shape_kji=(8, 20, 7)), padding=marked[:, :, :7])
    np.testing.assert_array_equal(averaged(narrow, "i", 2).padding, marked[:, :, [1, 3, 5, 6]])  # the last ends outside


def test_measured_slices_stay_at_their_places_in_space_when_the_volume_is_averaged(a_volume: Volume):
    slices = MeasuredSlices(a_volume.array[:4], np.array([0.0, 2.5, 5.0, 8.0]), np.ones(4))
    volume = replace(a_volume, measured=slices)
    along_k = averaged(volume, "k", 1.5)
    edge_mm = (along_k.measured.places + 0.5) * along_k.grid.spacing_ijk_mm[2]  # from the first outer border
    np.testing.assert_allclose(edge_mm, (slices.places + 0.5) * a_volume.grid.spacing_ijk_mm[2])
    assert along_k.measured.array is slices.array
    along_j = averaged(volume, "j", 2)
    np.testing.assert_array_equal(along_j.measured.array, along_j.array[:4])
    np.testing.assert_array_equal(along_j.measured.places, slices.places)
