from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from medical_super_resolution.inference.fusion import alignment
from medical_super_resolution.inference.fusion.alignment import aligned
from medical_super_resolution.inference.fusion.brightness import evenly_shaded
from medical_super_resolution.inference.fusion.operator import StackOperator
from medical_super_resolution.inference.fusion.prior import RefinedStack
from medical_super_resolution.physics.acquisition import SliceProfile
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.registration import described
from medical_super_resolution.volumes.volume import Volume

FINE = Grid((30, 30, 30), np.diag([2.0, 2.0, 2.0, 1.0]))
FACTOR = 3


def a_truth() -> torch.Tensor:
    """Smooth blobs of many sizes, positive."""
    random = np.random.default_rng(8)
    places = np.indices(FINE.shape_kji).reshape(3, -1)
    truth = np.full(places.shape[1], 40.0)
    for _ in range(40):
        middle, width = random.uniform(4, 26, (3, 1)), random.uniform(1.2, 4)
        truth += random.uniform(100, 500) * np.exp(-((places - middle) ** 2).sum(axis=0) / (2 * width**2))
    return torch.from_numpy(truth.reshape(FINE.shape_kji).astype(np.float32))


def a_stack(truth: torch.Tensor, axis: str, motions: np.ndarray | None = None) -> RefinedStack:
    """A stack of the inner part, thick along one axis, and as its refinement the truth itself."""
    inner = FINE.ijk_to_ras.copy()
    inner[:3, 3] += 12.0
    fine = Grid((18, 18, 18), inner)
    grid = replace(fine.refined(axis, 1 / FACTOR), slice_axis=axis)
    values = StackOperator(grid, FINE, SliceProfile(), motions).acquire(truth)
    known = Volume(truth[6:24, 6:24, 6:24].numpy().copy(), fine)
    return RefinedStack(Volume(values.numpy(), grid, modality="mr"), known, SliceProfile(), np.eye(4))


def shifted(*millimeters: float) -> np.ndarray:
    motion = np.eye(4)
    motion[:3, 3] = millimeters
    return motion


def nothing() -> None:
    pass


def test_a_stack_that_moved_is_found_to_a_tenth_of_a_millimeter():
    truth = a_truth()
    stacks = [a_stack(truth, "k"), a_stack(truth, "j", shifted(0.7, -0.5, 0.9)), a_stack(truth, "i")]
    found = aligned(stacks, 2.0, slices=False, step=nothing)
    assert np.array_equal(found[0].motion, np.eye(4))
    np.testing.assert_allclose(found[1].motion, shifted(0.7, -0.5, 0.9), atol=0.1)
    np.testing.assert_allclose(found[2].motion, np.eye(4), atol=0.1)
    assert all(one.slice_motions is None and one.slice_weights is None for one in found)


def test_a_stack_that_turned_is_found_to_a_fifth_of_a_degree():
    truth = a_truth()
    cosine, sine = np.cos(np.radians(2)), np.sin(np.radians(2))
    turned = shifted(29, 29, 29)  # about the middle
    turned[:2, :2] = [[cosine, -sine], [sine, cosine]]
    turned = turned @ shifted(-29, -29, -29)
    found = aligned(
        [a_stack(truth, "k"), a_stack(truth, "j", turned), a_stack(truth, "i")], 2.0, slices=False, step=nothing
    )
    shift_mm, degrees = described(np.linalg.inv(turned) @ found[1].motion, found[1].stack)
    assert shift_mm < 0.1
    assert degrees < 0.2


def test_padding_of_a_stack_that_moved_does_not_mislead():
    truth = a_truth()
    moved = a_stack(truth, "j", shifted(0.7, -0.5, 0.9))
    padding = np.zeros(moved.stack.array.shape, bool)
    padding[:, :, 11:] = True
    padded = replace(moved.stack, array=np.where(padding, np.float32(0), moved.stack.array), padding=padding)
    found = aligned(
        [a_stack(truth, "k"), replace(moved, stack=padded), a_stack(truth, "i")], 2.0, slices=False, step=nothing
    )
    middle = np.array([29.0, 29.0, 29.0, 1.0])
    np.testing.assert_allclose((found[1].motion @ middle - middle)[:3], (0.7, -0.5, 0.9), atol=0.1)


def test_a_slice_that_moved_by_itself_is_found_and_a_damaged_one_is_not_trusted(monkeypatch):
    monkeypatch.setattr(alignment, "_ROUNDS", 1)
    truth = a_truth()
    motions = np.array([np.eye(4)] * 6)
    motions[2] = shifted(1.0, 0.8, 0.0)
    moving = a_stack(truth, "k", motions)
    moving.stack.array[4] = np.random.default_rng(1).uniform(0, 900, moving.stack.array[4].shape)
    found = aligned([moving, a_stack(truth, "j")], 2.0, slices=True, step=nothing)[0]
    middle = np.array([29.0, 29.0, 29.0, 1.0])
    before, moved, behind = ((found.motions[number] @ middle - middle)[:3] for number in (1, 2, 3))
    np.testing.assert_allclose(moved - (before + behind) / 2, (1.0, 0.8, 0.0), atol=0.3)
    assert float(found.slice_weights[4]) < 0.1
    assert float(found.slice_weights[[0, 1, 3]].min()) > 0.5


@pytest.mark.parametrize("apart_mm", [0.0, 64.0])
def test_shading_between_stacks_is_matched(apart_mm: float):
    wide = Grid((20, 20, 20), np.diag([8.0, 8.0, 8.0, 1.0]))
    values = a_truth()[:20, :20, :20].numpy()
    slope = np.exp(np.linspace(-0.2, 0.2, 20, dtype=np.float32))
    pair = []
    for array, motion in ((values, np.eye(4)), (values * slope, shifted(apart_mm, 0, 0))):
        place = Grid(wide.shape_kji, np.linalg.inv(motion) @ wide.ijk_to_ras)  # before it is carried to the other
        pair.append(RefinedStack(Volume(array, place, modality="mr"), Volume(array, place), SliceProfile(), motion))
    even = evenly_shaded(pair, wide)
    before, after = (np.log(two.stack.array / one.stack.array) for one, two in (pair, even))
    assert np.ptp(after) < 0.05 * np.ptp(before)
    np.testing.assert_allclose(even[0].stack.array * even[1].stack.array, values**2 * slope, rtol=0.01)


def test_stacks_that_overlap_too_little_to_match_their_shading_stay_as_they_are():
    pair = [a_stack(a_truth(), "k"), replace(a_stack(a_truth(), "j"), motion=shifted(34.0, 0, 0))]
    assert evenly_shaded(pair, FINE) == pair
