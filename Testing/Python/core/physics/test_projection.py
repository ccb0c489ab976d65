from __future__ import annotations

import numpy as np
import pytest
import torch

from medical_super_resolution.inference.data_consistency import consistency_error_rms
from medical_super_resolution.inference.planning import plan
from medical_super_resolution.inference.refiners.padding import padding_of
from medical_super_resolution.physics.acquisition import SliceProfile, acquisition_matrix
from medical_super_resolution.physics.projection import AxisModel, SliceBuffer, StreamingProjector, acquired
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume

CPU = torch.device("cpu")


def a_pair(count: int, factor: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Fine samples (M, 5, 4) and measured slices (K, 5, 4) that have nothing to do with each other."""
    random = torch.Generator().manual_seed(0)
    return torch.rand(round(count * factor), 5, 4, generator=random), torch.rand(count, 5, 4, generator=random)


@pytest.mark.parametrize("factor", [1.25, 1.7, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("profile", ["gaussian", "box"])
def test_what_was_projected_reproduces_the_measured_slices(factor: float, profile: str):
    fine, measured = a_pair(11, factor)
    projected = AxisModel(11, len(fine), factor, SliceProfile(shape=profile), CPU).projected(fine, measured)
    matrix = acquisition_matrix(11, len(fine), factor, profile=profile)
    np.testing.assert_allclose(acquired(projected.numpy(), matrix, 0), measured, atol=1e-5)


@pytest.mark.parametrize("profile", [SliceProfile(), SliceProfile("box")])
@pytest.mark.parametrize("gap", [0, 5, 10])
def test_a_slice_that_was_not_measured_need_not_be_reproduced(profile: SliceProfile, gap: int):
    fine, even = a_pair(11, 4.0)
    there = np.delete(np.arange(11), gap)
    model = AxisModel(11, 44, 4.0, profile, CPU, there)
    projected = model.projected(fine, even[there])
    again = acquired(projected.numpy(), acquisition_matrix(11, 44, 4.0, profile=profile.shape), 0)
    np.testing.assert_allclose(again[there], even[there], atol=1e-5)
    assert np.abs(again[gap] - even[gap].numpy()).mean() > 0.05


@pytest.mark.parametrize("sizes", [4, 44, 64])
def test_slices_measured_between_the_even_places_are_reproduced_there(sizes: int):
    fine, even = a_pair(90, 4.0)
    places = np.concatenate([np.arange(0, 40, 2.0), np.arange(40, 60) + 0.3, np.delete(np.arange(60, 90.0), 7)])
    thickness = np.where(places < 40, 2.0, 1.0)
    measured = torch.rand(len(places), 5, 4, generator=torch.Generator().manual_seed(1))
    model = AxisModel(90, 360, 4.0, SliceProfile("box", 0.9), CPU, places, thickness)
    rows = np.stack([np.abs((np.arange(360) + 0.5) / 4 - 0.5 - place) * 2 for place in places])
    rows = np.clip((0.9 * thickness[:, None] - rows) * 2 + 0.5, 0, 1)  # the mean over each slice, its ends in part
    rows /= rows.sum(axis=1, keepdims=True)
    expected = model.projected(model.interpolated(even), measured)
    np.testing.assert_allclose(np.tensordot(rows, expected, 1), measured, atol=1e-4)
    projector = StreamingProjector(
        model, lambda *ends: even[slice(*ends)], consistency=True, measured=lambda *ends: measured[slice(*ends)]
    )
    nothing = torch.zeros(360, 5, 4)
    parts = [projector.push(projector.interpolated(part)) for part in nothing.split(sizes)]
    np.testing.assert_allclose(torch.cat([part for part in parts if part is not None]), expected, atol=1e-5)


def test_projecting_twice_is_projecting_once():
    fine, measured = a_pair(11, 4.0)
    model = AxisModel(11, 44, 4.0, SliceProfile(), CPU)
    once = model.projected(fine, measured)
    np.testing.assert_allclose(model.projected(once, measured), once, atol=1e-5)


@pytest.mark.parametrize("thickness", [1.0, 2.5])
def test_a_constant_stays_a_constant_through_interpolation_and_projection(thickness: float):
    model = AxisModel(11, 44, 4.0, SliceProfile(width=thickness), CPU)
    measured = torch.full((11, 5, 4), 0.7)
    np.testing.assert_allclose(model.projected(model.interpolated(measured), measured), 0.7, atol=1e-5)


def test_interpolated_values_lie_at_the_places_of_the_fine_samples():
    model = AxisModel(20, 50, 2.5, SliceProfile(), CPU)
    ramp = torch.arange(20.0)[:, None, None].expand(20, 3, 2)
    expected = (np.arange(50) + 0.5) / 2.5 - 0.5
    np.testing.assert_allclose(model.interpolated(ramp)[5:-5, 1, 1], expected[5:-5], atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["int16", "float64"])
def test_the_scanner_can_be_repeated_along_any_axis(axis: int, dtype: str):
    array = np.random.default_rng(0).integers(0, 1000, (8, 8, 8)).astype(dtype)
    matrix = acquisition_matrix(4, 8, 2.0)
    expected = np.moveaxis(np.tensordot(matrix, array, axes=(1, axis)), 0, axis)
    np.testing.assert_allclose(acquired(array, matrix, axis), expected, rtol=1e-5)


@pytest.mark.parametrize("consistency", [True, False])
@pytest.mark.parametrize("sizes", [(1,), (7,), (64,), (3, 50, 1), (1000,)])
@pytest.mark.parametrize(("factor", "profile"), [
    (4.0, SliceProfile()), (1.7, SliceProfile("box", 0.8)), (2.5, SliceProfile(width=2.5)),
    (4.0, SliceProfile("box", 0.3)),
])  # fmt: skip
def test_fine_slices_joined_in_parts_are_those_joined_at_once(
    factor: float, profile: SliceProfile, sizes: tuple[int, ...], consistency: bool
):
    """The sequence is longer than the range that a slice influences."""
    fine, measured = a_pair(180, factor)
    residual = (fine - 0.5) / 10  # as large as one gets
    linear = AxisModel(180, len(fine), factor, profile, CPU)
    expected = linear.interpolated(measured) + residual
    if consistency:
        expected = linear.projected(expected, measured)
    asked, parts, start = [], [], 0
    projector = StreamingProjector(
        linear, lambda first, stop: asked.append(first) or measured[first:stop], consistency=consistency
    )
    cuts = iter(sizes)
    size = 1
    while start < len(fine):
        size, needed = next(cuts, size), projector.needed
        part = projector.push(projector.interpolated(residual[start : start + size]))
        parts += [] if part is None else [part]
        assert min(asked) >= needed
        asked.clear()
        start += size
    np.testing.assert_allclose(torch.cat(parts), expected, atol=1e-5)


@pytest.mark.parametrize("consistency", [True, False])
@pytest.mark.parametrize(("factor", "profile"), [(2.0, SliceProfile()), (4.0, SliceProfile("box", 0.3))])
def test_joining_forgets_what_is_done(factor: float, profile: SliceProfile, consistency: bool):
    fine, measured = a_pair(600, factor)
    projector = StreamingProjector(
        AxisModel(600, len(fine), factor, profile, CPU), lambda *ends: measured[slice(*ends)], consistency=consistency
    )
    for part in fine.split(40):
        projector.push(projector.interpolated(part))
        assert len(projector._fine(projector._fine._first, projector._fine.stop)) < 200


def test_the_consistency_error_of_a_result_is_that_of_the_whole_matrices():
    random = np.random.default_rng(0)
    grid = Grid((9, 8, 7), np.diag([1.0, 1.0, 3.0, 1.0]))
    planned = plan(grid, EnhanceSettings(factor=2.5, axes="ki"))
    measured, fine = (random.normal(0, 100, shape) for shape in (grid.shape_kji, planned.target.shape_kji))
    again = fine
    for axis in (0, 2):
        matrix = acquisition_matrix(measured.shape[axis], fine.shape[axis], 2.5)
        again = np.moveaxis(np.tensordot(matrix, again, axes=(1, axis)), 0, axis)
    expected = np.sqrt(np.mean(np.square(again - measured)))
    found = consistency_error_rms(measured, fine, planned, dict.fromkeys("ijk", SliceProfile()))
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_consistency_error_leaves_out_measured_voxels_that_contain_padding():
    planned = plan(Grid((9, 8, 7), np.diag([1.0, 1.0, 3.0, 1.0])), EnhanceSettings(factor=2))
    fine = np.random.default_rng(0).normal(0, 100, planned.target.shape_kji)
    outside = np.zeros(planned.source.shape_kji, bool)
    outside[5:, :4] = True  # it begins between two slices
    measured = np.where(outside, -3024, acquired(fine, acquisition_matrix(9, 18, 2.0), 0))
    fine[np.repeat(outside, 2, axis=0)] = -3024
    padding = padding_of(Volume(measured, planned.source))
    assert consistency_error_rms(measured, fine, planned, dict.fromkeys("ijk", SliceProfile()), padding) < 1e-3


def test_dropped_slices_take_no_memory():
    buffer = SliceBuffer()
    buffer.add(torch.arange(24.0).reshape(6, 2, 2))
    buffer.forget(4)
    kept = buffer(4, 6)
    assert kept.flatten().tolist() == list(range(16, 24))
    assert kept.untyped_storage().nbytes() == kept.nbytes
    buffer.forget(8)  # of those that are not there yet
    buffer.add(torch.arange(24.0, 48).reshape(6, 2, 2))
    assert buffer(8, 9).flatten().tolist() == list(range(32, 36))
