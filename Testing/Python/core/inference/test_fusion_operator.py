from __future__ import annotations

import numpy as np
import pytest
import torch

from medical_super_resolution.inference.fusion import operator
from medical_super_resolution.inference.fusion.operator import StackOperator
from medical_super_resolution.inference.fusion.solver import Measurement, contradiction, solve
from medical_super_resolution.physics.acquisition import SliceProfile, acquisition_matrix
from medical_super_resolution.volumes.grid import Grid


def a_turn(degrees=25.0, shift=(0.0, 0.0, 0.0)) -> np.ndarray:
    """A rotation about an oblique axis."""
    axis = np.array([0.3, 0.5, 0.8]) / np.linalg.norm([0.3, 0.5, 0.8])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.radians(degrees)
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    matrix[:3, 3] = shift
    return matrix


FINE = Grid((22, 24, 26), np.eye(4))


def a_stack_grid(kind: str) -> Grid:
    matrix = np.diag([1.0, 1.0, 4.0, 1.0])
    matrix[:3, 3] = (3.0, 4.0, 4.5)
    if kind == "oblique":
        matrix[:3, 3] = (4.0, 2.0, 4.0)
        matrix = a_turn() @ matrix
    if kind == "sticking out":
        matrix[:3, 3] = (-5.0, 4.0, 3.5)
    return Grid((4, 14, 15), matrix)


def an_operator(kind="oblique", thickness=0.8) -> StackOperator:
    motion = a_turn(3.0, (0.5, -0.4, 0.2))
    if kind == "moving slices":
        kind, motion = "straight", np.array([a_turn(n, (0.3 * n, 0.0, -0.2 * n)) for n in range(4)])
    return StackOperator(a_stack_grid(kind), FINE, SliceProfile("gaussian", thickness), motion)


def a_measurement(acquisition: StackOperator, values: torch.Tensor) -> Measurement:
    return Measurement(acquisition, values, torch.ones(1))  # the same for all slices


@pytest.mark.parametrize("samples", [4_000_000, 3_000])
@pytest.mark.parametrize("kind", ["straight", "oblique", "sticking out", "moving slices"])
def test_the_adjoint_is_exact(kind, samples, monkeypatch):
    monkeypatch.setattr(operator, "_SAMPLES", samples)
    generator = torch.Generator().manual_seed(0)
    acquisition = an_operator(kind)
    x = torch.randn(FINE.shape_kji, generator=generator)
    y = torch.randn(acquisition.shape_kji, generator=generator)
    one, other = (acquisition.acquire(x) * y).double().sum(), (acquisition.correlate(y) * x).double().sum()
    assert float(one) == pytest.approx(float(other), rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("kind", ["straight", "oblique", "sticking out", "moving slices"])
def test_a_constant_volume_gives_a_constant_stack(kind):
    acquisition = an_operator(kind)
    stack = acquisition.acquire(torch.full(FINE.shape_kji, 37.0))
    valid = acquisition.valid() > 0
    assert float((stack[valid] - 37.0).abs().max()) < 1e-3
    assert 0.3 < float(valid.float().mean()) <= 1


@pytest.mark.parametrize(("axis", "first_mm", "outside"), [(0, -1.0, 0), (0, 12.0, 14), (2, -2.5, 0), (2, 11.5, 3)])
def test_what_lies_just_beyond_the_volume_on_any_side_is_no_measurement(axis: int, first_mm: float, outside: int):
    matrix = a_stack_grid("straight").ijk_to_ras.copy()
    matrix[axis, 3] = first_mm
    valid = StackOperator(Grid((4, 14, 15), matrix), FINE, SliceProfile("box", 1.0)).valid()
    expected = torch.ones(4, 14, 15)
    expected.select(2 - axis, outside).zero_()
    assert torch.equal(valid, expected)


def test_slabs_leave_no_trace(monkeypatch):
    x = torch.randn(FINE.shape_kji, generator=torch.Generator().manual_seed(1))
    whole = an_operator().acquire(x)
    monkeypatch.setattr(operator, "_SAMPLES", 3_000)
    assert torch.allclose(an_operator().acquire(x), whole, atol=1e-4)


def test_on_its_own_axes_a_stack_is_acquired_as_enhancement_takes_it():
    profile = SliceProfile("box", 0.75)
    stack = Grid((5, 12, 13), np.diag([1.0, 1.0, 4.0, 1.0]))
    fine = stack.refined("k", 4)
    x = torch.randn(fine.shape_kji, generator=torch.Generator().manual_seed(2))
    expected = np.tensordot(acquisition_matrix(5, 20, 4, profile="box", thickness=0.75), x.numpy(), 1)
    np.testing.assert_allclose(StackOperator(stack, fine, profile).acquire(x).numpy(), expected, atol=1e-4)


def test_without_anything_missing_the_prior_stays():
    acquisition = an_operator()
    prior = torch.rand(FINE.shape_kji, generator=torch.Generator().manual_seed(3))
    found = solve(prior, [a_measurement(acquisition, acquisition.acquire(prior))], prior_weight=0.02, iterations=5)
    assert float((found - prior).abs().max()) < 1e-4


def test_two_stacks_bring_the_volume_nearer_than_one():
    k, j, i = torch.meshgrid(*(torch.arange(n).float() for n in FINE.shape_kji), indexing="ij")
    truth = torch.sin(k / 1.5) + torch.sin(i / 1.5) + torch.sin(j / 2)
    across = Grid((22, 24, 6), np.diag([4.0, 1.0, 1.0, 1.0]) + np.array([[0, 0, 0, 2.5]] + [[0] * 4] * 3))
    along = Grid((5, 24, 26), np.diag([1.0, 1.0, 4.0, 1.0]) + np.array([[0] * 4] * 2 + [[0, 0, 0, 2.5]] + [[0] * 4]))
    operators = [StackOperator(grid, FINE, SliceProfile()) for grid in (along, across)]
    both = [a_measurement(one, one.acquire(truth)) for one in operators]
    errors = [
        float((solve(torch.zeros(FINE.shape_kji), some, prior_weight=0.01, iterations=20) - truth).square().mean())
        for some in (both[:1], both[1:], both)
    ]
    assert errors[2] < 0.35 * min(errors[:2])


def test_stacks_that_contradict_each_other_are_uncertain_where_they_do():
    acquisition = an_operator("straight")
    volume = torch.ones(FINE.shape_kji)
    values = acquisition.acquire(volume)
    values[2, 5:9, 5:9] += 3
    found = contradiction(volume, [a_measurement(acquisition, values)])
    assert float(found[12, 11, 10]) > 10 * float(found[4, 4, 20])


def test_a_contradiction_has_the_units_of_the_values():
    volume = torch.full(FINE.shape_kji, 100.0)
    stacks = [an_operator(kind) for kind in ("straight", "moving slices")]
    found = contradiction(volume, [a_measurement(one, one.acquire(volume) + 3) for one in stacks])
    assert float(found[10, 10, 10]) == pytest.approx(3, rel=1e-4)
    assert float(found.max()) < 3.001


def test_a_slice_that_is_not_trusted_changes_nothing():
    acquisition = an_operator("straight")
    truth = torch.rand(FINE.shape_kji, generator=torch.Generator().manual_seed(4))
    values = acquisition.acquire(truth)
    values[2] += 100
    weights = torch.tensor([1.0, 1.0, 0.0, 1.0])
    found = solve(truth, [Measurement(acquisition, values, weights)], prior_weight=0.02, iterations=5)
    assert float((found - truth).abs().max()) < 1e-3


def test_samples_between_voxels_are_not_blurred_as_linear_ones_are():
    wave = torch.cos(torch.arange(FINE.shape_kji[2]) * torch.pi / 2).expand(FINE.shape_kji).contiguous()
    half_a_voxel = np.eye(4)
    half_a_voxel[0, 3] = 0.5
    stack = StackOperator(a_stack_grid("straight"), FINE, SliceProfile(), half_a_voxel).acquire(wave)
    assert float(stack.abs().max()) > 0.6  # the wave has 0.71 between its 1 and 0, linear interpolation 0.5
