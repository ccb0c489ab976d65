from __future__ import annotations

import numpy as np
import pytest

from medical_super_resolution.volumes import registration
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.registration import described, rigid_motion
from medical_super_resolution.volumes.volume import Volume


def a_head(motion: np.ndarray | None = None) -> Volume:
    """Smooth blobs, 64 mm wide and far from the origin, carried away by a motion."""
    random, places = np.random.default_rng(5), np.indices((32, 32, 32)).reshape(3, -1)
    array = np.full(32**3, 50.0)
    for _ in range(12):
        middle, width = random.uniform(8, 24, (3, 1)), random.uniform(2.5, 5)
        array += random.uniform(200, 600) * np.exp(-((places - middle) ** 2).sum(axis=0) / (2 * width**2))
    to_ras = np.diag([2.0, 2.0, 2.0, 1.0])
    to_ras[:3, 3] = (100.0, -200.0, 300.0)
    carried = to_ras if motion is None else np.linalg.inv(motion) @ to_ras
    return Volume(array.reshape(32, 32, 32).astype(np.float32), Grid((32, 32, 32), carried))


def turned(degrees: float, shift_mm: tuple[float, float, float]) -> np.ndarray:
    """A turn about the axis S through the middle of the head, and a shift."""
    angle, motion = np.radians(degrees), np.eye(4)
    motion[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    middle = np.array([131.0, -169.0, 331.0])
    motion[:3, 3] = middle - motion[:3, :3] @ middle + shift_mm
    return motion


def test_a_turned_head_is_carried_back():
    motion = turned(5, (3, -2, 1))
    shift, angle = described(rigid_motion(a_head(), a_head(motion)) @ np.linalg.inv(motion), a_head())
    assert shift < 0.5
    assert angle < 1


def test_a_motion_is_described_by_the_shift_of_the_middle_and_the_angle():
    assert described(turned(5, (3, -2, 6)), a_head()) == pytest.approx((7, 5))
    rounded = np.diag([1 + 1e-15, 1, 1, 1])
    assert described(rounded, a_head())[1] == 0


def test_a_head_that_has_not_moved_stays_where_it_is():
    np.testing.assert_array_equal(rigid_motion(a_head(), a_head()), np.eye(4))


@pytest.mark.parametrize(("limit", "most"), [("_FARTHEST_MM", 2.0), ("_FARTHEST_DEGREES", 3.0)])
def test_a_motion_beyond_the_limits_is_taken_for_a_failure(monkeypatch: pytest.MonkeyPatch, limit: str, most: float):
    monkeypatch.setattr(registration, limit, most)
    np.testing.assert_array_equal(rigid_motion(a_head(), a_head(turned(5, (3, -2, 1)))), np.eye(4))


def test_volumes_that_hardly_overlap_stay_where_they_are():
    apart = np.eye(4)
    apart[0, 3] = 500
    np.testing.assert_array_equal(rigid_motion(a_head(), a_head(apart)), np.eye(4))
