from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.inference.cost import START_SECONDS, estimate
from medical_super_resolution.inference.planning import finer_axes, named_axes, plan
from medical_super_resolution.inference.request import make_request
from medical_super_resolution.models.store import path_of
from medical_super_resolution.models.weight_interpolation import load_model
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume


def a_scan(spacing_ijk=(0.7, 0.7, 5.0), shape_kji=(40, 64, 48)) -> Grid:
    return Grid(shape_kji, np.diag([*spacing_ijk, 1.0]))


def steps(grid: Grid, **asked: object) -> list[tuple[str, float]]:
    return [(one.axis, pytest.approx(one.factor)) for one in plan(grid, EnhanceSettings(**asked)).passes]


def test_by_default_the_volume_becomes_isotropic_through_plane():
    planned = plan(a_scan((0.7, 0.7, 2.8)), EnhanceSettings())
    assert [(one.axis, one.factor) for one in planned.passes] == [("k", 4.0)]
    assert planned.target.spacing_ijk_mm == pytest.approx((0.7, 0.7, 0.7))


def test_by_default_the_finer_in_plane_spacing_is_reached():
    assert steps(a_scan((0.9, 0.6, 3.0))) == [("k", 5.0)]


@pytest.mark.parametrize("thickness", [0.7, 0.7004])
def test_slices_as_thin_as_the_pixels_but_for_rounding_are_not_refined(thickness: float):
    with pytest.raises(SettingsError, match="nothing to refine"):
        plan(a_scan((0.7, 0.7, thickness)), EnhanceSettings())


def test_by_default_the_factor_is_at_most_8():
    planned = plan(a_scan((0.5, 0.5, 10.0)), EnhanceSettings())
    assert planned.factor_ijk == (1.0, 1.0, 8.0)
    assert planned.target.spacing_ijk_mm[2] == pytest.approx(1.25)


@pytest.mark.parametrize(("spacing", "axis"), [((0.7, 0.7, 2.8), "k"), ((0.7, 2.8, 0.7), "j"), ((2.8, 0.7, 0.7), "i")])
def test_the_through_plane_axis_is_the_one_of_the_largest_spacing(spacing, axis: str):
    assert steps(a_scan(spacing)) == [(axis, 4.0)]


@pytest.mark.parametrize(("spacing", "axes", "expected"), [
    ((1, 1, 3), "through-plane", "k"),
    ((1, 1, 3), "in-plane", "ij"),
    ((3, 1, 1), "in-plane", "jk"),
    ((1, 1, 1), "through-plane", "k"),
    ((1, 1, 3), "kj", "kj"),
])  # fmt: skip
def test_names_of_axes_depend_on_the_spacing(spacing, axes: str, expected: str):
    assert named_axes(a_scan(spacing), axes) == expected


def test_a_factor_goes_to_every_axis_asked():
    assert plan(a_scan(), EnhanceSettings(factor=2.5, axes="ik")).factor_ijk == (2.5, 1.0, 2.5)


def test_the_through_plane_axis_is_refined_first():
    assert [axis for axis, _ in steps(a_scan((3, 0.7, 0.7)), factor=2, axes="ijk")] == ["i", "k", "j"]


def test_each_pass_starts_where_the_one_before_ended():
    planned = plan(a_scan(), EnhanceSettings(factor=1.7, axes="ijk"))
    assert planned.passes[0].source is planned.source
    for before, after in zip(planned.passes[:-1], planned.passes[1:], strict=True):
        assert after.source is before.target
    assert planned.target is planned.passes[-1].target


def test_several_axes_keep_the_outer_boundary():
    planned = plan(a_scan(), EnhanceSettings(factor=2, axes="ijk"))
    for before, after in zip(planned.source.bounds_ras_mm, planned.target.bounds_ras_mm, strict=True):
        np.testing.assert_allclose(after, before, atol=1e-9)


def test_a_target_spacing_refines_the_axes_that_are_coarser():
    assert steps(a_scan((0.8, 0.5, 5.0)), spacing_ijk_mm=(0.4, 0.5, 1.25)) == [("k", 4.0), ("i", 2.0)]


def test_a_target_spacing_written_with_six_digits_gives_the_whole_factor():
    grid = a_scan((0.976562 * 3, 1.0, 1.0), (33, 33, 33))
    planned = plan(grid, EnhanceSettings(spacing_ijk_mm=(0.976563, 1.0, 1.0)))
    assert planned.factor_ijk == (3.0, 1.0, 1.0)


def test_a_target_spacing_is_reached_exactly_where_the_factor_is_not_whole():
    planned = plan(a_scan(), EnhanceSettings(spacing_ijk_mm=(0.7, 0.7, 1.3)))
    assert planned.target.spacing_ijk_mm == pytest.approx((0.7, 0.7, 1.3), rel=1e-12)


def test_axes_that_are_finer_than_asked_stay_as_they_are():
    grid = a_scan((0.47, 0.9, 5.0))
    settings = EnhanceSettings(spacing_ijk_mm=(1, 1, 1))
    planned = plan(grid, settings)
    assert planned.target.spacing_ijk_mm == pytest.approx((0.47, 0.9, 1.0))
    assert finer_axes(grid, settings) == pytest.approx({"i": 1 / 0.47, "j": 1 / 0.9})


@pytest.mark.parametrize(("wanted", "factor", "steps_of"), [(0.5, 10, (3.16, 3.16456)), (0.1, 50, (7.07, 7.07214))])
def test_a_factor_above_8_is_refused_with_the_two_steps_that_make_it(wanted: float, factor: int, steps_of):
    with pytest.raises(SettingsError, match=f"factor along k must be above 1 and at most 8, got {factor}; ") as caught:
        plan(a_scan(), EnhanceSettings(spacing_ijk_mm=(0.7, 0.7, wanted)))
    first, second = steps_of
    assert f"make it in two steps, with the factor {first} and then with {second}" in str(caught.value)
    assert first * second == pytest.approx(factor, rel=1e-4)


@pytest.mark.parametrize("asked", [{}, {"spacing_ijk_mm": (0.7, 0.7, 0.7)}])
def test_a_volume_that_is_fine_enough_is_refused(asked: dict):
    with pytest.raises(SettingsError, match="nothing to refine: the volume, 48x64x40 at 0.70x0.70x0.70 mm"):
        plan(a_scan((0.7, 0.7, 0.7)), EnhanceSettings(**asked))


@pytest.mark.parametrize("asked", [{}, {"spacing_ijk_mm": (0.5, 0.5, 0.5)}])
@pytest.mark.parametrize("axes", ["in-plane", "k"])
def test_axes_without_a_factor_are_refused_rather_than_passed_over(asked: dict, axes: str):
    with pytest.raises(SettingsError, match=f"the axes {axes} need a factor"):
        plan(a_scan(), EnhanceSettings(axes=axes, **asked))


@pytest.mark.parametrize("axis", ["i", "j", "k"])
def test_a_single_slice_along_the_asked_axis_is_refused(axis: str):
    shape = tuple(1 if name == axis else 20 for name in "kji")
    with pytest.raises(VolumeError, match=f"single slice along {axis}"):
        plan(a_scan((1, 1, 1), shape), EnhanceSettings(factor=2, axes=axis))


def test_a_single_slice_along_another_axis_is_no_hindrance():
    assert steps(a_scan((1, 1, 1), (1, 20, 20)), factor=2, axes="i") == [("i", 2)]


def test_tilted_slices_are_planned_for_on_their_straight_grid():
    matrix = np.diag([1.0, 1.0, 5.0, 1.0])
    matrix[1, 2] = 0.5
    planned = plan(Grid((10, 10, 10), matrix), EnhanceSettings(factor=2))
    assert planned.source.shape_kji == (10, 15, 10)  # nine steps of half a voxel more
    assert planned.source.spacing_ijk_mm == pytest.approx((1, 1, 5))
    assert planned.target.shape_kji == (20, 15, 10)


def test_rows_and_columns_that_are_not_at_right_angles_are_refused():
    matrix = np.diag([1.0, 1.0, 5.0, 1.0])
    matrix[0, 1] = 0.5
    with pytest.raises(VolumeError, match="not at right angles, .*straight grid"):
        plan(Grid((10, 10, 10), matrix), EnhanceSettings(factor=2))


def test_a_plan_is_described_before_and_after():
    planned = plan(a_scan((0.7, 0.7, 2.8)), EnhanceSettings())
    assert planned.description == "48x64x40 at 0.70x0.70x2.80 mm becomes 48x64x160 at 0.70x0.70x0.70 mm"


def test_the_foreseen_output_is_its_voxels_times_their_bytes():
    planned = plan(a_scan(), EnhanceSettings(factor=4))
    assert estimate(planned, 2, EnhanceSettings()).output_mb == pytest.approx(48 * 64 * 160 * 2 / 1e6)


def test_more_threads_and_fewer_voxels_need_less_time():
    small, large = (
        plan(a_scan(shape_kji=shape), EnhanceSettings(factor=2)) for shape in ((50, 100, 100), (100, 200, 200))
    )
    one, two = EnhanceSettings(threads=1), EnhanceSettings(threads=2)
    assert estimate(small, 2, one).cpu_seconds < estimate(large, 2, one).cpu_seconds
    assert estimate(large, 2, two).cpu_seconds < estimate(large, 2, one).cpu_seconds


def test_a_model_with_more_weights_is_foreseen_to_take_longer(tmp_path: Path):
    planned = plan(a_scan(), EnhanceSettings())
    file = tmp_path / "double.safetensors"
    file.write_bytes(bytes(2 * path_of("general").stat().st_size))
    general, double, absent = (
        estimate(planned, 2, EnhanceSettings(model=model, threads=1)).cpu_seconds - START_SECONDS
        for model in ("general", str(file), "absent")
    )
    assert double == pytest.approx(2 * general)
    assert absent == pytest.approx(general, rel=0.01)


@pytest.mark.parametrize(
    ("side", "slices", "factor", "measured_gb"),  # `medsr enhance` with two threads
    [(32, 8, 4, 0.29), (64, 16, 7, 0.32), (128, 64, 4, 0.49), (192, 32, 4, 0.72), (256, 64, 4, 0.55),
     (384, 24, 4, 0.75), (512, 16, 4, 0.69), (512, 40, 4, 1.20)],
)  # fmt: skip
def test_the_memory_is_foreseen_for_small_and_large_volumes(side: int, slices: int, factor: float, measured_gb: float):
    planned = plan(a_scan(shape_kji=(slices, side, side)), EnhanceSettings(factor=factor))
    foreseen = estimate(planned, 2, EnhanceSettings(threads=2)).memory_gb
    assert measured_gb - 0.01 < foreseen < measured_gb * 1.2 + 0.01


@pytest.mark.parametrize(
    ("factor", "facts", "runs"),
    [(4, {"quality": "best"}, 8), (4, {"uncertainty": True}, 9), (4, {"uncertainty": True, "detail": 0.5}, 10),
     (4, {"uncertainty": True, "detail": 1}, 9), (2.43, {"quality": "best"}, 4), (2.43, {"uncertainty": True}, 5)],
)  # fmt: skip
def test_the_runs_over_mirror_images_and_detail_models_are_foreseen(factor: float, facts: dict[str, Any], runs: int):
    scan = a_scan()
    plain, mirrored = (EnhanceSettings(factor=factor, threads=1, **more) for more in ({}, facts))
    costs = [estimate(plan(scan, settings), 2, settings) for settings in (plain, mirrored)]
    once, all_runs = (cost.cpu_seconds - START_SECONDS for cost in costs)
    assert all_runs == pytest.approx(runs * once)
    assert costs[1].memory_gb > costs[0].memory_gb
    volume = Volume(np.zeros(scan.shape_kji, np.int16), scan)
    requested = make_request(volume, load_model("general", mirrored.detail), mirrored)
    assert requested.voxels_to_refine == runs * scan.shape_kji[0] * scan.shape_kji[1] * scan.shape_kji[2]
