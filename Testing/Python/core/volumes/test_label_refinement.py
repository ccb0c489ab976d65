from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medical_super_resolution.errors import Cancelled, VolumeError
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.label_maps.evidence import ImageEvidence
from medical_super_resolution.volumes.label_maps.refinement import refine_labels
from medical_super_resolution.volumes.label_maps.scores import Scores
from medical_super_resolution.volumes.volume import Volume

THIN = (1.0, 1.0, 1.0)
FACTOR = 4


def a_grid(shape, spacing_ijk=THIN, origin=(-20.0, 30.0, 5.0)) -> Grid:
    matrix = np.diag([*spacing_ijk, 1.0])
    matrix[:3, 3] = origin
    return Grid(shape, matrix)


def three_balls(shape=(48, 40, 44)) -> np.ndarray:
    """Three touching labels, 7, 300 and 1000, with boundaries at all angles."""
    k, j, i = np.indices(shape)
    truth = np.zeros(shape, np.int32)
    truth[(k - 22) ** 2 + (j - 18) ** 2 + (i - 16) ** 2 < 14**2] = 7
    truth[(k - 26) ** 2 + (j - 20) ** 2 + (i - 28) ** 2 < 12**2] = 300
    truth[(k - 12) ** 2 + (j - 28) ** 2 + (i - 20) ** 2 < 8**2] = 1000
    return truth


def thick(truth: np.ndarray, factor=FACTOR) -> Volume:
    """The most frequent label in each thick voxel."""
    parts = truth.reshape(-1, factor, *truth.shape[1:])
    values = np.unique(truth)
    frequent = values[np.stack([(parts == value).sum(axis=1) for value in values]).argmax(axis=0)]
    return Volume(frequent.astype(truth.dtype), a_grid(frequent.shape, (1.0, 1.0, float(factor))))


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    values = np.unique(other)[1:]
    return float(
        np.mean([2 * ((one == v) & (other == v)).sum() / ((one == v).sum() + (other == v).sum()) for v in values])
    )


def test_refined_labels_are_closer_to_the_truth_than_repeated_slices():
    truth = three_balls()
    coarse = thick(truth)
    fine = refine_labels(coarse, coarse.grid.refined("k", FACTOR))
    repeated = np.repeat(coarse.array, FACTOR, axis=0)
    assert 1 - agreement(fine.array, truth) < 0.75 * (1 - agreement(repeated, truth))


def test_no_label_is_new_and_the_type_stays():
    coarse = thick(three_balls())
    fine = refine_labels(coarse, coarse.grid.refined("k", FACTOR))
    assert fine.array.dtype == np.int32
    assert set(np.unique(fine.array)) == {0, 7, 300, 1000}


def test_finer_labels_do_not_have_the_thickness_of_the_slices_before():
    labels = replace(thick(three_balls()), slice_thickness_mm=4.0)
    assert refine_labels(labels, labels.grid.refined("k", FACTOR)).slice_thickness_mm is None


def test_labels_that_no_floating_number_holds_keep_their_values():
    labels = np.full((4, 6, 6), 2**60 + 1, np.uint64)
    labels[:, 3:] = 2**60 + 3
    coarse = Volume(labels, a_grid(labels.shape, (1.0, 1.0, 4.0)))
    fine = refine_labels(coarse, coarse.grid.refined("k", FACTOR))
    np.testing.assert_array_equal(fine.array, labels.repeat(FACTOR, axis=0))
    turned = coarse.grid.ijk_to_ras @ np.array([[1, -0.1, 0, 0], [0.1, 1, 0, 0], [0, 0, 0.25, 0], [0, 0, 0, 1]])
    oblique = refine_labels(coarse, Grid((8, 6, 6), turned))
    assert set(np.unique(oblique.array)) == {0, 2**60 + 1, 2**60 + 3}


@pytest.mark.parametrize("factor", [2, 3, 4, 5])
def test_the_old_label_is_the_most_frequent_in_every_old_voxel(factor):
    truth = three_balls((60, 40, 44))
    coarse = thick(truth, factor)
    fine = refine_labels(coarse, coarse.grid.refined("k", factor))
    kept = (fine.array.reshape(-1, factor, *truth.shape[1:]) == coarse.array[:, None]).sum(axis=1)
    assert (2 * kept >= factor).all()


@pytest.mark.parametrize(("of_old", "given_back"), [([0, 0, 0, 0], 1), ([0, 0.7, 0, 0], 0)])
def test_of_the_voxels_that_a_label_lost_those_that_were_lost_least_are_given_back(
    of_old: list[float], given_back: int
):
    class Penalties:
        def __init__(self, *by_row: float) -> None:
            self._by_row = np.float32(by_row)

        def of(self, row: int, old: int) -> np.ndarray:
            return self._by_row[row, None, None]

    box = np.index_exp[0:1, 0:1, 0:1]
    scores = Scores(np.ones((1, 1, 1), np.uint16), np.array([-0.375, -0.125, 0.125, 0.375]), np.zeros(4, int))
    scores.offer(1, box, np.zeros((1, 1, 1), np.float32), Penalties(*of_old))
    scores.offer(2, box, np.ones((1, 1, 1), np.float32), Penalties(0.5, 0.8, 0.2, 1.1))
    assert scores.labels.ravel().tolist() == [2, 2, 2, 1]
    assert [row for row, label in enumerate(scores.labels_with_majority().ravel()) if label == 1] == [given_back, 3]


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_fine_slice_that_lies_on_the_last_border_is_not_empty(is_reversed: bool):
    coarse = Volume(np.full((7, 6, 5), 3, np.uint8), a_grid((7, 6, 5), (1.0, 1.0, 5.0)))
    fine = coarse.grid.refined("k", 2.5)  # 17.5 slices are 18, the last of which lies on the border
    if is_reversed:
        turned = np.diag([1.0, 1.0, -1.0, 1.0])
        turned[2, 3] = fine.count("k") - 1
        fine = Grid(fine.shape_kji, fine.ijk_to_ras @ turned)
    assert (refine_labels(coarse, fine).array == 3).all()


@pytest.mark.parametrize("axis", ["i", "j", "k"])
def test_every_axis_can_be_the_thick_one(axis):
    coarse = thick(three_balls())
    expected = refine_labels(coarse, coarse.grid.refined("k", FACTOR)).array
    number = "kji".index(axis)
    spacing = [1.0, 1.0, 1.0]
    spacing["ijk".index(axis)] = float(FACTOR)
    turned = np.moveaxis(coarse.array, 0, number)
    volume = Volume(turned, a_grid(turned.shape, spacing))
    found = refine_labels(volume, volume.grid.refined(axis, FACTOR)).array
    assert np.array_equal(np.moveaxis(found, number, 0), expected)


def test_the_same_grid_gives_the_same_labels_in_every_integer_type():
    for dtype in (np.uint8, np.int8, np.uint16, np.int16, np.int32, np.uint32, np.int64, np.float32):
        coarse = thick(three_balls())
        array = np.where(coarse.array > 0, np.minimum(coarse.array, 100), 0).astype(dtype)
        same = refine_labels(Volume(array, coarse.grid), coarse.grid)
        assert same.array.dtype == dtype
        assert np.array_equal(same.array, array)


def test_slabs_leave_no_trace(monkeypatch):
    coarse = thick(three_balls())
    grid = coarse.grid.refined("k", FACTOR)
    image = an_image(three_balls(), grid)
    whole, by_image = refine_labels(coarse, grid).array, refine_labels(coarse, grid, image=image).array
    monkeypatch.setattr("medical_super_resolution.volumes.label_maps.shapes._SLAB", 2)
    assert np.array_equal(refine_labels(coarse, grid).array, whole)
    assert agreement(refine_labels(coarse, grid, image=image).array, by_image) > 0.995  # tissue is that of a slab


def test_a_region_of_the_grid_gives_the_labels_of_that_region():
    coarse = thick(three_balls())
    fine = coarse.grid.refined("k", FACTOR)
    corner = fine.ijk_to_ras.copy()
    corner[:3, 3] = (fine.ijk_to_ras @ [6, 5, 8, 1])[:3]
    part = refine_labels(coarse, Grid((20, 18, 22), corner)).array
    assert np.array_equal(part, refine_labels(coarse, fine).array[8:28, 5:23, 6:28])


@pytest.mark.parametrize("axis", ["i", "j", "k"])
def test_labels_on_coarser_slices_stay_in_place(axis: str):
    labels = Volume(three_balls(), a_grid((48, 40, 44)))
    coarse = refine_labels(labels, labels.grid.refined(axis, 0.5))
    for value in (7, 300, 1000):
        before, after = (
            one.grid.ijk_to_ras @ [*np.argwhere(one.array == value).mean(axis=0)[::-1], 1] for one in (labels, coarse)
        )
        np.testing.assert_allclose(after, before, atol=0.3)
    turned = np.eye(4)
    turned["ijk".index(axis), ["ijk".index(axis), 3]] = -1, coarse.grid.count(axis) - 1
    reversed_ = refine_labels(labels, Grid(coarse.grid.shape_kji, coarse.grid.ijk_to_ras @ turned)).array
    np.testing.assert_array_equal(np.flip(reversed_, "kji".index(axis)), coarse.array)


@pytest.mark.parametrize("size", [1.0, 0.5])
def test_an_oblique_grid_takes_the_labels_along(size: float):
    coarse = thick(three_balls())
    coarse = Volume(coarse.array, Grid(coarse.array.shape, np.diag([size, size, size, 1]) @ coarse.grid.ijk_to_ras))
    fine = refine_labels(coarse, coarse.grid.refined("k", FACTOR))
    angle = np.radians(20)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    oblique = Grid((48, 60, 60), turn @ fine.grid.ijk_to_ras)
    there = refine_labels(coarse, oblique)
    back = refine_labels(there, fine.grid)
    inside = refine_labels(Volume(np.ones_like(there.array), oblique), fine.grid).array > 0
    assert agreement(np.where(inside, back.array, 0), np.where(inside, fine.array, 0)) > 0.98


def test_a_full_volume_of_one_label_stays_full():
    full = Volume(np.full((6, 8, 9), 3, np.uint8), a_grid((6, 8, 9), (1.0, 1.0, 5.0)))
    assert (refine_labels(full, full.grid.refined("k", 5)).array == 3).all()


def test_an_image_is_refused_as_a_label_map():
    image = Volume(np.full((4, 4, 4), 0.5, np.float32), a_grid((4, 4, 4)))
    with pytest.raises(VolumeError, match="not whole numbers"):
        refine_labels(image, image.grid.refined("k", 2))


def test_more_labels_than_can_be_numbered_are_refused():
    many = Volume(np.arange(70000, dtype=np.int32).reshape(7, 100, 100), a_grid((7, 100, 100)))
    with pytest.raises(VolumeError, match="holds 70000 labels; 65535 are the most"):
        refine_labels(many, many.grid)


def test_labels_of_another_place_are_refused():
    coarse = thick(three_balls())
    with pytest.raises(VolumeError, match="does not overlap"):
        refine_labels(coarse, a_grid((8, 8, 8), origin=(500.0, 0.0, 0.0)))


def test_the_user_can_stop_it():
    coarse = thick(three_balls())

    def stop(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        refine_labels(coarse, coarse.grid.refined("k", FACTOR), stop)


def an_image(truth: np.ndarray, grid: Grid) -> Volume:
    """Every label in its own brightness, with noise."""
    levels = {0: 100.0, 7: 300.0, 300: 600.0, 1000: 900.0}
    values = np.vectorize(levels.get)(truth) + np.random.default_rng(3).normal(0, 40, truth.shape)
    return Volume(values.astype(np.float32), grid)


def test_boundaries_follow_the_edges_of_an_image_and_the_old_labels_hold():
    truth = three_balls()
    coarse = thick(truth)
    grid = coarse.grid.refined("k", FACTOR)
    by_shape = refine_labels(coarse, grid).array
    fine = refine_labels(coarse, grid, image=an_image(truth, grid)).array
    assert 1 - agreement(fine, truth) < 0.8 * (1 - agreement(by_shape, truth))
    kept = (fine.reshape(-1, FACTOR, *truth.shape[1:]) == coarse.array[:, None]).sum(axis=1)
    assert (2 * kept >= FACTOR).all()


def test_edges_of_an_image_on_another_grid_count_too():
    truth = three_balls()
    coarse = thick(truth)
    grid = coarse.grid.refined("k", FACTOR).refined("i", 2)
    exact = truth.repeat(2, axis=2)
    by_shape = refine_labels(coarse, grid).array
    fine = refine_labels(coarse, grid, image=an_image(exact, grid)).array
    assert 1 - agreement(fine, exact) < 0.8 * (1 - agreement(by_shape, exact))


def test_tissue_is_that_of_the_slice_and_of_its_surroundings():
    ramp = np.broadcast_to(20.0 * np.arange(80), (8, 80)).astype(np.float32)  # brighter by 20 a mm
    elsewhere = np.roll(ramp, 24, axis=1)
    evidence = ImageEvidence(np.stack([ramp, ramp, elsewhere]), np.array([0, 0, 1]), 2, (40.0, 1.0, 1.0))
    mask = np.stack([np.ones(ramp.shape, bool), np.zeros(ramp.shape, bool)])
    distance = np.where(mask, 4, -4).astype(np.float32)
    tissue = evidence.penalties(mask, distance, np.index_exp[:, :, :], 4.0)
    most = 0.75 * 4
    assert tissue.of(0, 0)[:, 20:60].max() < 0.1 * most
    assert tissue.of(2, 0)[:, 44:60].min() > 0.9 * most
    assert tissue.of(2, 0).max() == pytest.approx(most)


def test_tissue_is_that_of_the_inner_voxels_of_a_label():
    image = np.full((5, 14, 14), 500, np.float32)
    image[2, 4:10, 4:10] = 100
    mask = np.zeros(image.shape, bool)
    mask[1:4, 2:12, 2:12] = True
    distance = np.where(mask, 0.5, -4).astype(np.float32)
    distance[1:4, 4:10, 4:10] = 4
    evidence = ImageEvidence(image, np.arange(5), 5, (4.0, 1.0, 1.0))
    tissue = evidence.penalties(mask, distance, np.index_exp[:, :, :], 4.0)
    assert tissue.of(2, 2)[4:10, 4:10].max() < 0.01
    assert tissue.of(1, 1).min() == pytest.approx(3)


def test_an_image_of_one_value_changes_nothing():
    coarse = thick(three_balls())
    grid = coarse.grid.refined("k", FACTOR)
    flat = Volume(np.full(grid.shape_kji, 5, np.int16), grid)
    assert np.array_equal(refine_labels(coarse, grid, image=flat).array, refine_labels(coarse, grid).array)


@pytest.mark.parametrize(("unit", "offset"), [(1e-9, 0.0), (1e6, 0.0), (1.0, 1e5)])
def test_the_unit_of_an_image_does_not_matter(unit: float, offset: float):
    truth = three_balls()
    coarse = thick(truth)
    grid = coarse.grid.refined("k", FACTOR)
    image = an_image(truth, grid)
    other = Volume((image.array * unit + offset).astype(np.float32), grid)
    found, expected = (refine_labels(coarse, grid, image=one).array for one in (other, image))
    assert np.array_equal(found, expected)
