from __future__ import annotations

import numpy as np
import pytest

from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume
from medical_super_resolution_training.evaluation.checks.lesions import Lesion, lesions_for, recovered, with_lesions
from medical_super_resolution_training.evaluation.measures.foreground import foreground_of


@pytest.fixture(scope="module")
def a_body() -> Volume:
    """Muscle in air, 60 x 66 x 70 mm of different voxels."""
    array = np.full((40, 60, 100), -1000, np.int16)
    array[4:36, 6:54, 10:90] = 50
    return Volume(array, Grid(array.shape, np.diag([0.7, 1.1, 1.5, 1.0])), modality="ct")


def a_lesion(kind: str, diameter_mm: float, contrast: float = 200) -> Lesion:
    return Lesion(kind, diameter_mm, np.array([30.2, 33.1, 35.4]), np.array([0.6, 0.0, 0.8]), contrast)


@pytest.mark.parametrize(("kind", "diameter_mm"), [("sphere", 4), ("sphere", 8), ("vessel", 3), ("vessel", 6)])
def test_a_lesion_has_the_volume_of_its_shape(a_body: Volume, kind: str, diameter_mm: float):
    lesion = a_lesion(kind, diameter_mm)
    radius = diameter_mm / 2
    length = max(8, 2.5 * diameter_mm)
    expected = 4 / 3 * np.pi * radius**3 if kind == "sphere" else np.pi * radius**2 * length
    assert lesion.share(a_body).sum() * 0.7 * 1.1 * 1.5 == pytest.approx(expected, rel=0.04)


def test_a_lesion_lies_where_it_was_put(a_body: Volume):
    lesion = a_lesion("sphere", 8)
    share = np.zeros(a_body.array.shape)
    share[lesion.box(a_body)] = lesion.share(a_body)
    center = [np.average(axis, weights=share) for axis in np.indices(share.shape)]
    np.testing.assert_allclose(np.array(center) * (1.5, 1.1, 0.7), lesion.center_kji_mm, atol=0.1)


def test_a_vessel_runs_along_its_direction(a_body: Volume):
    lesion = a_lesion("vessel", 3)
    places = np.stack([axis.ravel() for axis in np.indices(lesion.share(a_body).shape)]) * np.array(
        [[1.5], [1.1], [0.7]]
    )
    longest = np.linalg.eigh(np.cov(places, aweights=lesion.share(a_body).ravel()))[1][:, -1]
    assert abs(longest @ lesion.direction_kji) > 0.99


@pytest.mark.parametrize("subject", ["a", "b", "c", "d"])
def test_lesions_keep_away_from_the_end_of_the_volume(subject: str):
    volume = Volume(
        np.full((40, 60, 100), 50, np.int16), Grid((40, 60, 100), np.diag([0.7, 1.1, 1.5, 1.0])), modality="ct"
    )
    for one in lesions_for(volume, foreground_of(volume), subject, apart_mm=6):
        outermost = np.minimum(one.center_kji_mm, (39 * 1.5, 59 * 1.1, 99 * 0.7) - one.center_kji_mm)
        assert (outermost >= one.reach_mm + 6).all()


def test_lesions_lie_in_the_body_apart_from_each_other_and_depend_on_the_name_alone(a_body: Volume):
    body = foreground_of(a_body)
    found = lesions_for(a_body, body, "a", apart_mm=3)
    again = lesions_for(a_body, body, "a", apart_mm=3)
    other = lesions_for(a_body, body, "b", apart_mm=3)
    assert [tuple(one.center_kji_mm) for one in found] == [tuple(one.center_kji_mm) for one in again]
    assert tuple(found[0].center_kji_mm) != tuple(other[0].center_kji_mm)
    assert {one.kind for one in found} == {"sphere", "vessel"}
    assert {one.diameter_mm for one in found} == {2, 3, 4, 6, 8}
    assert {one.contrast for one in found} == {200, -200}
    for number, one in enumerate(found):
        assert body.inside[one.box(a_body)].mean() >= 0.9
        for two in found[:number]:
            apart = np.linalg.norm(one.center_kji_mm - two.center_kji_mm)
            assert apart >= one.reach_mm + two.reach_mm + 3


def test_lesions_lie_everywhere_in_the_body(a_body: Volume):
    body = foreground_of(a_body)
    found = [lesion for subject in "abcd" for lesion in lesions_for(a_body, body, subject, apart_mm=3)]
    reached_mm = np.ptp([lesion.center_kji_mm for lesion in found], axis=0)
    assert (reached_mm > 0.7 * np.array([32 * 1.5, 48 * 1.1, 80 * 0.7])).all()


def test_no_lesion_is_put_where_there_is_no_body():
    air = Volume(np.full((20, 20, 20), -1000, np.int16), Grid((20, 20, 20), np.eye(4)), modality="ct")
    assert lesions_for(air, foreground_of(air), "a", apart_mm=1) == []


def test_what_is_shown_in_full_is_recovered_in_full_and_half_is_half(a_body: Volume):
    lesions = [a_lesion("sphere", 6), Lesion("vessel", 4, np.array([20.0, 20, 20]), np.array([0.0, 0, 1]), -200)]
    truth = with_lesions(a_body, lesions).array.astype(float) - a_body.array
    for lesion in lesions:
        perfect = recovered(lesion, truth, truth, a_body, 2)
        assert perfect == {"contrast": pytest.approx(1), "volume": 0}
        faint = recovered(lesion, 0.45 * truth, truth, a_body, 2)
        assert faint == {"contrast": pytest.approx(0.45), "volume": -1}


def test_what_a_result_shows_beside_a_lesion_is_volume_and_no_contrast(a_body: Volume):
    lesion = a_lesion("sphere", 4)
    truth = with_lesions(a_body, [lesion]).array.astype(float) - a_body.array
    response = truth.copy()
    for apart_mm in (-4.5, 4.5):  # beyond the radius, within the margin
        response[20, round((33.1 + apart_mm) / 1.1), 51] = 200
    found = recovered(lesion, response, truth, a_body, 3)
    assert found == {"contrast": pytest.approx(1), "volume": pytest.approx(2 / (truth > 100).sum())}
    corner = [part.start for part in lesion.box(a_body)]
    response[tuple(corner)] = 200
    assert recovered(lesion, response, truth, a_body, 3)["contrast"] == pytest.approx(1)


def test_the_volume_of_a_lesion_of_a_few_voxels_is_not_a_number():
    coarse = Volume(np.full((9, 9, 9), 50, np.int16), Grid((9, 9, 9), np.diag([2.0, 2.0, 2.0, 1.0])), modality="ct")
    lesion = Lesion("sphere", 3, np.array([8.0, 8, 8]), np.array([0.0, 0, 1]), 200)
    truth = with_lesions(coarse, [lesion]).array.astype(float) - 50
    assert 0 < (truth > 100).sum() < 4
    assert np.isnan(recovered(lesion, truth, truth, coarse, 2)["volume"])


@pytest.mark.parametrize(("modality", "value"), [("ct", 50), ("mr", -20)])
def test_values_below_zero_stay_where_there_may_be_such(a_body: Volume, modality: str, value: int):
    """In a CT that shows body alone, and in an MR that was normalized."""
    volume = Volume(np.full(a_body.array.shape, value, np.int16), a_body.grid, modality=modality)
    assert with_lesions(volume, [a_lesion("sphere", 8, -200)]).array.min() == value - 200


def test_signals_of_an_mr_stay_at_or_above_zero(a_body: Volume):
    mr = Volume(np.where(a_body.array > 0, 100, 0).astype(np.uint8), a_body.grid, modality="mr")
    corrupted = with_lesions(mr, [a_lesion("sphere", 8, -150), a_lesion("sphere", 8, 0)])
    assert corrupted.array.dtype == np.uint8
    assert corrupted.array.min() == 0
    assert corrupted.array[20, 30, 51] == 0
