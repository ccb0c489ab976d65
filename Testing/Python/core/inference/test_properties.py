"""Properties that hold for every volume, checked by hypothesis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.planning import plan
from medical_super_resolution.inference.refiners import throughplane as refinement
from medical_super_resolution.inference.refiners.tiling import tiles
from medical_super_resolution.models import file as models
from medical_super_resolution.models.file import Model
from medical_super_resolution.networks.generators.through_plane import ThroughPlaneConfig, ThroughPlaneGenerator
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import AXES_IJK, Grid, array_axis
from medical_super_resolution.volumes.intensity import HOUNSFIELD_RANGE, guess_modality
from medical_super_resolution.volumes.io import files, formats
from medical_super_resolution.volumes.volume import Volume

TYPES = ("int16", "uint16", "uint8", "int32", "float32", "float64")
FEW = settings(deadline=None, derandomize=True, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
MANY = settings(FEW, max_examples=60)
counts = st.sampled_from([1, 2, 3, 4, 5, 7, 11, 13])  # of voxels along one axis
factors = st.one_of(st.sampled_from([2.0, 3.0, 8.0, 1.001]), st.floats(1.0, 8.0, exclude_min=True))
wished_axes = st.sampled_from(["through-plane", "in-plane", "i", "j", "k", "ki", "ijk"])


@pytest.fixture(scope="module")
def a_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A few seeded weights, one file for all examples."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = ThroughPlaneGenerator(
            ThroughPlaneConfig(channels=4, blocks=1, pairs=1, gate_channels=2, kernel_hidden=4)
        )
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    models.save(path, "through-plane", generator, {})
    return models.load(path)


@pytest.fixture(scope="module")
def a_silent_model(a_model: Model) -> Model:
    """It adds no residual: interpolation and consistency are symmetric, a network is not."""
    generator = ThroughPlaneGenerator(a_model.generator.config).eval()
    for parameter in generator.parameters():
        parameter.detach().zero_()
    return replace(a_model, generator=generator)


@st.composite
def directions(draw: st.DrawFn) -> np.ndarray:
    """(3, 3) axes at right angles: upright, oblique, permuted, left-handed."""
    quaternion = np.array(draw(st.tuples(*[st.floats(-1, 1)] * 4)))
    assume(np.linalg.norm(quaternion) > 0.1)
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    return rotation * draw(st.tuples(*[st.sampled_from([1.0, -1.0])] * 3))


@st.composite
def grids(draw: st.DrawFn, sizes: st.SearchStrategy[int] = counts) -> Grid:
    matrix = np.eye(4)
    matrix[:3, :3] = draw(directions()) * draw(st.tuples(*[st.floats(0.2, 6)] * 3))
    matrix[:3, 3] = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    return Grid(draw(st.tuples(sizes, sizes, sizes)), matrix)


@st.composite
def volumes(draw: st.DrawFn, sizes: st.SearchStrategy[int] = counts, types: tuple[str, ...] = TYPES) -> Volume:
    """Noise of any strength on any level, spread over a part of what its type holds."""
    grid, dtype = draw(grids(sizes)), np.dtype(draw(st.sampled_from(types)))
    low, high = (-1e6, 1e6) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    ends = sorted(draw(st.tuples(*[st.floats(0, 1)] * 2)))
    first, last = (low + end * (float(high) - low) for end in ends)
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).uniform(first, last, grid.shape_kji)
    return Volume(np.clip(noise, low, high).astype(dtype), grid, modality=draw(st.sampled_from([None, "mr", "ct"])))


def can_be_refined(volume: Volume, asked: EnhanceSettings) -> bool:
    """Refuse in one sentence what has a single slice along an axis to refine; all else must work."""
    try:
        plan(volume.grid, asked)
    except VolumeError as problem:
        if 1 in volume.grid.shape_kji and "single slice" in str(problem):
            return False
        raise
    return True


@MANY
@given(grid=grids(), factor=factors, axes=wished_axes)
def test_a_plan_divides_the_spacing_exactly_and_keeps_the_outer_corner(grid: Grid, factor: float, axes: str):
    assume(1 not in grid.shape_kji)
    planned = plan(grid, EnhanceSettings(factor=factor, axes=axes))
    for axis, before, after, times in zip(
        AXES_IJK, grid.spacing_ijk_mm, planned.target.spacing_ijk_mm, planned.factor_ijk, strict=True
    ):
        assert after == pytest.approx(before / times, rel=1e-12)
        assert planned.target.count(axis) == round(grid.count(axis) * times)
    corner = np.array([-0.5, -0.5, -0.5, 1.0])
    np.testing.assert_allclose(planned.target.ijk_to_ras @ corner, grid.ijk_to_ras @ corner, atol=1e-9)
    np.testing.assert_allclose(planned.target.direction, grid.direction, atol=1e-12)
    refined = {axis for axis, times in zip(AXES_IJK, planned.factor_ijk, strict=True) if times > 1}
    assert {one.axis for one in planned.passes} == refined


@FEW
@given(volume=volumes(), factor=factors, axes=wished_axes)
def test_a_result_has_the_planned_grid_the_type_of_the_input_and_no_wild_values(
    a_model: Model, volume: Volume, factor: float, axes: str
):
    asked = EnhanceSettings(factor=factor, axes=axes)
    if not can_be_refined(volume, asked):
        return
    result = enhance(volume, a_model, asked).volume
    planned = plan(volume.grid, asked)
    assert result.grid.shape_kji == result.array.shape == planned.target.shape_kji
    np.testing.assert_array_equal(result.grid.ijk_to_ras, planned.target.ijk_to_ras)
    assert result.array.dtype == volume.array.dtype
    assert np.isfinite(result.array).all()
    low, high = float(volume.array.min()), float(volume.array.max())
    if low >= 0:  # a magnitude stays one; air of a CT lies lower
        is_ct = (volume.modality or guess_modality(volume.array)) == "ct"
        assert result.array.min() >= (HOUNSFIELD_RANGE[0] if is_ct else 0)
    span = max(high - low, 1.0 + 1e-5 * max(abs(low), abs(high)))
    assert float(result.array.min()) >= low - 3 * span
    assert float(result.array.max()) <= high + 3 * span


@FEW
@given(grid=grids(), dtype=st.sampled_from(TYPES), value=st.integers(-1024, 3071), factor=factors, axes=wished_axes)
def test_a_constant_stays_the_same_constant(
    a_model: Model, grid: Grid, dtype: str, value: int, factor: float, axes: str
):
    held = np.clip(value, *((np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype[0] != "f" else (-1024, 3071)))
    volume = Volume(np.full(grid.shape_kji, held, dtype), grid)
    asked = EnhanceSettings(factor=factor, axes=axes)
    if can_be_refined(volume, asked):
        result = enhance(volume, a_model, asked).volume.array
        rounding = 2e-3 if dtype[0] == "f" else 0  # a millionth of the range of CT, which the network sees in float32
        np.testing.assert_allclose(result, np.full(result.shape, held, dtype), rtol=0, atol=rounding)


@FEW
@given(volume=volumes(types=("float32",)), factor=factors, axis=st.sampled_from(AXES_IJK))
def test_a_volume_stored_the_other_way_round_gives_the_same_picture_in_space(
    a_silent_model: Model, volume: Volume, factor: float, axis: str
):
    """Array and direction are both turned: every place in the patient keeps its value."""
    through_plane = volume.grid.through_plane_axis
    assume(axis != through_plane)
    asked = EnhanceSettings(factor=factor, slice_profile="gaussian")
    if not can_be_refined(volume, asked):
        return
    turned = enhance(flipped(volume, axis), a_silent_model, asked).volume
    expected = flipped(enhance(volume, a_silent_model, asked).volume, axis)
    np.testing.assert_allclose(turned.grid.ijk_to_ras, expected.grid.ijk_to_ras, atol=1e-9)
    np.testing.assert_allclose(turned.array, expected.array, atol=1e-5 * max(1.0, np.abs(volume.array).max()))


def flipped(volume: Volume, axis: str) -> Volume:
    column = AXES_IJK.index(axis)
    turn = np.eye(4)
    turn[column, column] = -1
    turn[column, 3] = volume.grid.count(axis) - 1
    return Volume(
        np.ascontiguousarray(np.flip(volume.array, array_axis(axis))),
        Grid(volume.grid.shape_kji, volume.grid.ijk_to_ras @ turn),
        modality=volume.modality,
    )


@settings(FEW, max_examples=10)
@given(
    volume=volumes(st.sampled_from([2, 5, 11]), ("float32", "int16")),
    factor=st.floats(1.1, 4.0),
    axes=wished_axes,
    side=st.integers(3, 9),
)
def test_small_tiles_give_what_one_gives(a_model: Model, volume: Volume, factor: float, axes: str, side: int):
    asked = EnhanceSettings(factor=factor, axes=axes)
    whole = enhance(volume, a_model, asked).volume.array.astype(np.float64)
    with mock.patch.object(refinement, "tiles", lambda shape, _, margin: tiles(shape, side, margin)):
        cut = enhance(volume, a_model, asked).volume.array
    scale = max(1.0, float(np.abs(volume.array.astype(np.float64)).max()))
    rounding = 1.0 if volume.array.dtype.kind == "i" else 0.0
    np.testing.assert_allclose(cut, whole, rtol=0, atol=1e-4 * scale + rounding)


@FEW
@given(volume=volumes(), factor=factors, axes=wished_axes)
def test_the_same_work_twice_gives_identical_bytes(a_model: Model, volume: Volume, factor: float, axes: str):
    asked = EnhanceSettings(factor=factor, axes=axes)
    if can_be_refined(volume, asked):
        first, second = (enhance(volume, a_model, asked).volume.array.tobytes() for _ in range(2))
        assert first == second


@MANY
@given(volume=volumes(), suffix=st.sampled_from(formats.SUFFIXES), compress=st.booleans())
def test_a_file_gives_back_the_values_and_places_that_were_written(volume: Volume, suffix: str, compress: bool):
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"scan{suffix}"
        files.write(volume, path, compress=compress)
        again = files.read(path)
    assert again.array.dtype == volume.array.dtype
    np.testing.assert_array_equal(again.array, volume.array)
    corners = np.array([[0, 0, 0, 1], [*(n - 1 for n in volume.array.shape[::-1]), 1]]).T
    places, expected = again.grid.ijk_to_ras @ corners, volume.grid.ijk_to_ras @ corners
    np.testing.assert_allclose(places, expected, atol=2e-3)  # mm; NIfTI keeps float32
