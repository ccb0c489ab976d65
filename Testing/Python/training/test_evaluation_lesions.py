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
    expected = 4 / 3 * np.pi * radius**3 if kind == "sphere" else np.pi * radius**2 * lesion.length_mm
    assert lesion.share(a_body).sum() * 0.7 * 1.1 * 1.5 == pytest.approx(expected, rel=0.04)


def test_a_lesion_lies_where_it_was_put(a_body: Volume):
    lesion = a_lesion("sphere", 8)
    share = np.zeros(a_body.array.shape)
    share[lesion.box(a_body)] = lesion.share(a_body)
    center = [np.average(axis, weights=share) for axis in np.indices(share.shape)]
    np.testing.assert_allclose(np.array(center) * (1.5, 1.1, 0.7), lesion.center_kji_mm, atol=0.1)


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


def test_signals_of_an_mr_stay_at_or_above_zero(a_body: Volume):
    mr = Volume(np.where(a_body.array > 0, 100, 0).astype(np.uint8), a_body.grid, modality="mr")
    corrupted = with_lesions(mr, [a_lesion("sphere", 8, -150), a_lesion("sphere", 8, 0)])
    assert corrupted.array.dtype == np.uint8
    assert corrupted.array.min() == 0
    assert corrupted.array[20, 30, 51] == 0
