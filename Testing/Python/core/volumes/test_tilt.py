from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes import tilt
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume
from medical_super_resolution.volumes.windows import continued, covering


def wave(grid: Grid) -> np.ndarray:
    """A smooth function of the place, in the voxels of a grid: 300 to 800."""
    k, j, i = grid.shape_kji
    places = np.stack([*np.meshgrid(np.arange(k), np.arange(j), np.arange(i), indexing="ij")][::-1], -1)
    x, y, z = np.moveaxis(places @ grid.ijk_to_ras[:3, :3].T + grid.ijk_to_ras[:3, 3], -1, 0)
    return 550 + 150 * np.sin(x / 4) * np.cos(y / 5) + 100 * np.cos(z / 8 + y / 7)


def tilted_grid(slices: str, towards: str, degrees: float) -> Grid:
    """Slices 4 mm apart, 0.9 and 0.8 mm fine, their stack leaning towards one of their own axes."""
    matrix = np.eye(4)
    counts = {"i": 26, "j": 24, "k": 22} | {slices: 9}
    for column, axis in enumerate("ijk"):
        matrix[column, column] = 4 * np.cos(np.radians(degrees)) if axis == slices else 0.9 if axis == towards else 0.8
    matrix["ijk".index(towards), "ijk".index(slices)] = 4 * np.sin(np.radians(degrees))
    matrix[:3, 3] = (-11, 7, 31)
    return Grid((counts["k"], counts["j"], counts["i"]), matrix)


LEANINGS = [(slices, towards, degrees) for slices, towards in ("kj", "ki", "ji", "ik") for degrees in (16.5, -12)]


@pytest.mark.parametrize(("slices", "towards", "degrees"), LEANINGS)
def test_the_straight_grid_is_known_before_the_voxels(slices: str, towards: str, degrees: float):
    grid = tilted_grid(slices, towards, degrees)
    straight = tilt.straightened(Volume(np.zeros(grid.shape_kji, np.uint8), grid))
    assert tilt.straight_grid(grid) == straight.grid
    assert tilt.straight_grid(straight.grid) is straight.grid
    assert straight.notes == (f"the slices were tilted by {abs(degrees):.1f} degrees and were straightened",)


def test_the_axis_of_the_slices_stays_though_straight_slices_are_nearer_to_each_other():
    matrix = np.diag([1.0, 2.0, 2.2, 1.0])
    matrix[1, 2] = 3.8  # 4.4 mm from slice to slice
    assert Grid((5, 6, 7), matrix).through_plane_axis == tilt.straight_grid(Grid((5, 6, 7), matrix)).through_plane_axis


def test_straightened_edges_do_not_ring():
    grid = tilted_grid("k", "j", 16.5)
    edges = np.random.default_rng(0).integers(0, 2, grid.shape_kji).astype(np.float32)
    straight = tilt.straightened(Volume(edges, grid))
    assert np.ptp(straight.array) == pytest.approx(1)


def test_slices_that_lie_almost_beside_each_other_are_refused():
    with pytest.raises(VolumeError, match="tilted by 70 degrees, 60 at most"):
        tilt.straight_grid(tilted_grid("k", "j", 70))


@pytest.mark.parametrize("pixel_mm", [1e-3, 1e-30])
def test_slices_that_lie_far_beside_each_other_are_refused_before_memory_is_taken(pixel_mm: float):
    matrix = tilted_grid("k", "j", 45).ijk_to_ras.copy()
    matrix[:3, :2] *= pixel_mm
    with pytest.raises(VolumeError, match="a straight grid around them would be .* times as large, 64 at most"):
        tilt.straight_grid(Grid((9, 24, 26), matrix))


@pytest.mark.parametrize(("slices", "towards", "degrees"), LEANINGS)
def test_straightened_slices_show_the_same_tissue_at_the_same_place(slices: str, towards: str, degrees: float):
    grid = tilted_grid(slices, towards, degrees)
    straight = tilt.straightened(Volume(wave(grid).astype(np.float32), grid))
    assert tilt.tilt_degrees(grid) == pytest.approx(abs(degrees))
    assert not straight.grid.is_sheared
    assert straight.grid.through_plane_axis == slices
    measured = ~straight.padding
    assert measured.sum() == pytest.approx(wave(grid).size, rel=0.05)  # the field of view is extended, not cut
    error = np.abs(straight.array - wave(straight.grid))[measured]
    assert np.sqrt(np.mean(error**2)) < 1.5
    assert (straight.array[straight.padding] == wave(grid).astype(np.float32).min()).all()


@pytest.mark.parametrize(("slices", "towards", "degrees"), LEANINGS)
def test_the_sheared_grid_comes_back_as_it_was(slices: str, towards: str, degrees: float):
    grid = tilted_grid(slices, towards, degrees)
    before = Volume(np.rint(wave(grid)).astype(np.int16), grid)
    straight = tilt.straightened(before)
    again = tilt.sheared(straight, straight.sheared_grid)
    np.testing.assert_allclose(again.grid.ijk_to_ras, grid.ijk_to_ras, atol=1e-9)
    assert again.array.dtype == np.int16
    assert np.abs(again.array - before.array.astype(float)).mean() < 1


def test_a_refined_volume_returns_to_the_refined_sheared_grid():
    grid = tilted_grid("k", "j", 20)
    straight = tilt.straightened(Volume(wave(grid), grid))
    fine = straight.grid.refined("k", 2)
    again = tilt.sheared(Volume(wave(fine), fine), grid)
    np.testing.assert_allclose(again.grid.ijk_to_ras, grid.refined("k", 2).ijk_to_ras, atol=1e-9)
    inside = np.ones(again.array.shape, bool) if again.padding is None else ~again.padding
    assert np.abs(again.array - wave(again.grid))[inside].mean() < 1.5


@pytest.mark.parametrize("count", [3, 5, 7, 9])
@pytest.mark.parametrize("factors", [{"k": 2.5}, {"k": 1.5, "j": 0.5}, {"i": 0.7, "k": 3.5}])
def test_a_coarser_volume_and_half_a_slice_return_to_the_sheared_grid(count: int, factors: dict[str, float]):
    grid = replace(tilted_grid("k", "j", 20), shape_kji=(count, 40, 30))
    straight = tilt.straightened(Volume(wave(grid), grid))
    fine = straight.grid
    for axis, factor in factors.items():
        fine = fine.refined(axis, factor)
    again = tilt.sheared(Volume(wave(fine), fine), grid)
    assert again.grid.shape_kji[0] == fine.shape_kji[0]
    for before, after, axis in zip(grid.spacing_ijk_mm, again.grid.spacing_ijk_mm, "ijk", strict=True):
        assert before / after == pytest.approx(factors.get(axis, 1))
    inside = np.ones(again.array.shape, bool) if again.padding is None else ~again.padding
    assert np.abs(again.array - wave(again.grid))[inside].mean() < 2


def test_a_shift_by_whole_voxels_changes_no_value():
    array = np.random.default_rng(0).integers(-1000, 1000, (5, 8, 7)).astype(np.int16)
    matrix = np.diag([1.0, 1.0, 3.0, 1.0])
    matrix[1, 2] = 2.0
    straight = tilt.straightened(Volume(array, Grid(array.shape, matrix)))
    for k, plane in enumerate(array):
        np.testing.assert_array_equal(straight.array[k, 2 * k : 2 * k + 8], plane)
        assert (straight.array[k, : 2 * k] == array.min()).all()
    assert straight.array.shape == (5, 16, 7)


def test_a_shift_by_whole_voxels_but_for_rounding_needs_no_further_voxel():
    _, shape, before = covering(np.array([[0, 0], [2.00001, -1.00001]]), (8, 7))
    assert (shape, before) == ((10, 8), (0, 1))


def test_padding_does_not_bleed_into_what_was_measured():
    grid = tilted_grid("k", "j", 16.5)
    array = np.rint(wave(grid)).astype(np.int16)
    padding = np.zeros(array.shape, bool)
    padding[:, :, :5] = padding[:, :4] = True
    straight = tilt.straightened(Volume(np.where(padding, -2000, array), grid, padding=padding))
    assert (straight.array[straight.padding] == -2000).all()
    assert straight.array[~straight.padding].min() > 280


def test_padding_continues_its_column_or_where_nothing_was_measured_in_it_its_row():
    plane, nothing = np.array([[0, 1, 0], [0, 0, 5], [0, 7, 0]]), np.zeros((3, 3), bool)
    np.testing.assert_array_equal(continued(plane, plane == 0), [[1, 1, 5], [1, 1, 5], [7, 7, 5]])
    np.testing.assert_array_equal(continued(plane, nothing), plane)


def test_slices_whose_rows_and_columns_are_oblique_to_each_other_are_refused():
    matrix = np.diag([1.0, 1.0, 3.0, 1.0])
    matrix[1, 0] = 0.3
    with pytest.raises(VolumeError, match="not at right angles"):
        tilt.straightened(Volume(np.zeros((3, 4, 5)), Grid((3, 4, 5), matrix)))
