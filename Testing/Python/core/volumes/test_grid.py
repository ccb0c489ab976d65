from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.grid import Grid, array_axis, in_digits
from medical_super_resolution.volumes.planes import index_axes


def affine(spacing=(0.8, 0.9, 3.0), origin=(-12.5, 40.0, 7.25), angles=(0.0, 0.0, 0.0), flip=(1, 1, 1)) -> np.ndarray:
    rotation = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(angles)):
        one, other = [other for other in range(3) if other != axis]
        turn = np.eye(3)
        turn[one, one] = turn[other, other] = np.cos(angle)
        turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ turn
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * np.array(spacing) * np.array(flip)
    matrix[:3, 3] = origin
    return matrix


GRIDS = {
    "straight": affine(),
    "oblique": affine(angles=(20, -35, 50)),
    "left-handed": affine(angles=(20, -35, 50), flip=(1, -1, 1)),
}


def at(grid: Grid, *index_ijk: float) -> np.ndarray:
    return (grid.ijk_to_ras @ [*index_ijk, 1.0])[:3]


def outer_corners(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last corner of the box of voxels, in mm."""
    k, j, i = grid.shape_kji
    return at(grid, -0.5, -0.5, -0.5), at(grid, i - 0.5, j - 0.5, k - 0.5)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("axis", ["i", "j", "k"])
@pytest.mark.parametrize("factor", [1.25, 1.5, 2.0, 4.0, 8.0])
def test_refining_keeps_the_outer_boundary(name: str, axis: str, factor: float):
    grid = Grid((12, 20, 16), GRIDS[name])
    refined = grid.refined(axis, factor)
    for before, after in zip(outer_corners(grid), outer_corners(refined), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-9)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    factor=st.floats(1.01, 8),
    angles=st.tuples(*[st.floats(-90, 90)] * 3),
    axis=st.sampled_from("ijk"),
    mirrored=st.booleans(),
    count=st.integers(1, 40),
)
def test_refining_by_any_factor_keeps_the_first_corner_and_the_exact_spacing(factor, angles, axis, mirrored, count):
    grid = Grid((count, count, count), affine(angles=angles, flip=(1, 1, -1 if mirrored else 1)))
    refined = grid.refined(axis, factor)
    np.testing.assert_allclose(outer_corners(refined)[0], outer_corners(grid)[0], atol=1e-9)
    number = "ijk".index(axis)
    assert refined.spacing_ijk_mm[number] == pytest.approx(grid.spacing_ijk_mm[number] / factor)
    np.testing.assert_allclose(refined.direction, grid.direction, atol=1e-12)
    assert abs(refined.count(axis) - count * factor) <= 0.5 or refined.count(axis) == 1


def test_the_far_end_moves_by_at_most_half_a_fine_voxel_where_the_count_is_not_whole():
    grid = Grid((9, 5, 5), GRIDS["oblique"])
    refined = grid.refined("k", 1.7)  # 15.3 samples
    assert refined.count("k") == 15
    moved = np.linalg.norm(outer_corners(refined)[1] - outer_corners(grid)[1])
    assert moved == pytest.approx(0.3 * 3.0 / 1.7)


def test_refining_and_coarsening_again_gives_the_same_grid():
    grid = Grid((12, 20, 16), GRIDS["left-handed"])
    again = grid.refined("j", 4).refined("j", 1 / 4)
    assert again.shape_kji == grid.shape_kji
    np.testing.assert_allclose(again.ijk_to_ras, grid.ijk_to_ras, atol=1e-12)


def test_refining_one_axis_leaves_the_others():
    refined = Grid((12, 20, 16), GRIDS["straight"]).refined("j", 2)
    assert refined.shape_kji == (12, 40, 16)
    assert refined.spacing_ijk_mm == pytest.approx((0.8, 0.45, 3.0))


def test_a_grid_is_coarsened_to_one_voxel_at_least():
    assert Grid((1, 20, 16), GRIDS["straight"]).refined("k", 1 / 4).shape_kji == (1, 20, 16)


def test_a_grid_shares_its_matrix_with_nobody_and_cannot_be_moved():
    given = affine()
    grid = Grid((12, 20, 16), given)
    given[0, 3] += 5
    np.testing.assert_array_equal(grid.ijk_to_ras, affine())
    with pytest.raises(ValueError, match="read-only"):
        grid.ijk_to_ras[0, 3] += 5


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ((0.8, 0.9, 3.0), "k"),
        ((0.8, 3.0, 0.9), "j"),
        ((3.0, 0.8, 0.9), "i"),
        ((1.0, 1.0, 1.0), "k"),
        ((2.0, 1.0, 2.0), "j"),
        ((1.0, 2.0, 2.0), "i"),
        ((2.0, 2.0, 1.0), "k"),
        ((2.00001, 1.0, 2.0), "j"),  # a tie but for the digits of the file
        ((1.00001, 1.0, 1.0), "k"),
        ((0.977, 0.977, 0.625), "k"),  # thin slices of a large field of view
        ((0.625, 0.977, 0.977), "i"),
        ((1.04, 1.04, 0.6), "k"),
        ((0.47, 0.5, 5.0), "k"),
        ((4.0, 2.0, 1.0), "i"),
        ((1.0, 2.0, 3.0), "k"),  # none stands out: the largest
    ],
)
def test_the_through_plane_axis_is_the_one_whose_spacing_is_unlike_the_others_and_k_wins_a_tie(spacing, expected: str):
    assert Grid((4, 4, 4), affine(spacing, angles=(10, 20, 30))).through_plane_axis == expected


@pytest.mark.parametrize("degrees", [0.5, 5, 20])
def test_a_tilted_gantry_is_seen(degrees: float):
    matrix = affine(angles=(20, -35, 50))
    matrix[:3, 2] += np.tan(np.deg2rad(degrees)) * 3.0 * matrix[:3, 1] / 0.9
    assert Grid((4, 4, 4), matrix).is_sheared
    assert Grid((4, 4, 4), matrix).shear == pytest.approx(np.sin(np.deg2rad(degrees)))


@pytest.mark.parametrize("name", GRIDS)
def test_right_angles_written_with_few_digits_are_no_shear(name: str):
    assert not Grid((4, 4, 4), GRIDS[name].round(5)).is_sheared


def test_spacing_and_direction_make_up_the_matrix():
    grid = Grid((4, 4, 4), GRIDS["left-handed"])
    assert grid.spacing_ijk_mm == pytest.approx((0.8, 0.9, 3.0))
    np.testing.assert_allclose(grid.direction * grid.spacing_ijk_mm, grid.ijk_to_ras[:3, :3], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(grid.direction, axis=0), 1)


def test_the_bounds_hold_every_voxel_whole():
    low, high = Grid((10, 5, 4), affine((1, 2, 3), origin=(0, 0, 0))).bounds_ras_mm
    np.testing.assert_allclose(low, (-0.5, -1.0, -1.5))
    np.testing.assert_allclose(high, (3.5, 9.0, 28.5))


@pytest.mark.parametrize(("shift", "expected"), [(-3.99, True), (3.99, True), (-4, False), (4, False)])
def test_grids_that_only_touch_do_not_overlap(shift: float, expected: bool):
    grid, other = (Grid((4, 4, 4), affine((1, 1, 1), origin=(0, place, 0))) for place in (0, shift))
    assert grid.overlaps(other) is expected


@pytest.mark.parametrize(("axis", "expected"), [("i", 2), ("j", 1), ("k", 0)])
def test_arrays_count_the_index_axes_backwards(axis: str, expected: int):
    assert array_axis(axis) == expected
    assert Grid((3, 4, 5), np.eye(4)).count(axis) == (3, 4, 5)[expected]


def test_spacings_that_are_the_same_but_for_rounding_are_described_alike():
    spacing = (0.3750000045007399, 0.37499999936838524, 5.5)  # half of 0.75, as NIfTI stores it
    assert Grid((16, 128, 128), affine(spacing)).described() == "128x128x16 at 0.38x0.38x5.50 mm"


def test_each_direction_of_the_patient_has_an_index_axis_of_its_own():
    matrix = np.eye(4)
    matrix[:3, :3] -= 2 / 3  # each direction is nearest to two axes
    assert sorted(index_axes(Grid((4, 4, 4), matrix))) == [0, 1, 2]


def test_a_grid_is_described_fastest_axis_first():
    assert Grid((40, 256, 512), affine((0.7, 0.75, 5))).described() == "512x256x40 at 0.70x0.75x5.00 mm"


@pytest.mark.parametrize("damage", [np.nan, np.inf, "no spacing", "small"])
def test_a_damaged_position_is_refused(damage: object):
    matrix = affine()
    if damage == "small":
        matrix = matrix[:3, :3]
    elif damage == "no spacing":
        matrix[:3, 1] = 0
    else:
        matrix[0, 3] = damage
    with pytest.raises(VolumeError, match="spacing or direction is damaged"):
        Grid((4, 4, 4), matrix)


def test_a_spacing_that_no_scanner_has_is_refused():
    with pytest.raises(VolumeError, match="voxels lie 7702 m apart"):
        Grid((4, 4, 4), np.diag([1.0, 1.0, 7702e3, 1.0]))
    assert Grid((4, 4, 4), np.diag([9000.0, 9000.0, 9999.0, 1.0])).through_plane_spacing_mm == 9999


def test_the_axis_of_the_slices_is_the_one_that_the_file_names_whatever_the_spacings():
    grid = Grid((16, 24, 24), np.diag([0.977, 0.977, 0.625, 1.0]), slice_axis="k")
    assert grid.through_plane_axis == "k"
    assert grid.refined("k", 2).through_plane_axis == "k"


@pytest.mark.parametrize(("spacing", "text"), [
    ((0.7, 0.7, 5.0), "4x4x4 at 0.70x0.70x5.00 mm"),
    ((0.0125, 0.0125, 0.05), "4x4x4 at 0.0125x0.0125x0.05 mm"),
    ((0.0008, 0.0008, 0.12), "4x4x4 at 0.0008x0.0008x0.12 mm"),
])  # fmt: skip
def test_small_spacings_are_written_with_enough_digits(spacing, text: str):
    assert Grid((4, 4, 4), np.diag([*spacing, 1.0])).described() == text


@pytest.mark.parametrize(("value", "digits", "text"), [
    (0.001, 2, "0.001"), (0.703125, 2, "0.7"), (0.99, 1, "1"), (1.25, 3, "1.25"), (5.0, 3, "5"), (9.96, 2, "10"),
    (10.0, 2, "10"), (123.4, 2, "123"), (999.6, 3, "1000"), (1000.0, 2, "1000"), (0.00012, 3, "0.00012"), (0.0, 2, "0"),
])  # fmt: skip
def test_a_length_is_never_written_as_a_power_of_ten(value: float, digits: int, text: str):
    assert in_digits(value, digits) == text
