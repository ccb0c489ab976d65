from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medical_super_resolution import models, refinement
from medical_super_resolution.acquisition import acquisition_matrix
from medical_super_resolution.errors import Cancelled, DeviceError, SettingsError, VolumeError
from medical_super_resolution.inference import enhance
from medical_super_resolution.models import Model
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume


@pytest.fixture
def a_model(a_model_file: Path) -> Model:
    return models.load(a_model_file)


def measured_again(array: np.ndarray, source: Grid, factors: dict[str, float], thickness=1.0, profile="gaussian"):
    """The result through the acquisition model, axis by axis, in double precision."""
    for axis, factor in factors.items():
        at = "kji".index(axis)
        matrix = acquisition_matrix(source.shape_kji[at], array.shape[at], factor, profile=profile, thickness=thickness)
        array = np.moveaxis(np.tensordot(matrix, array.astype(np.float64), axes=(1, at)), 0, at)
    return array


def gaussian(**asked: object) -> EnhanceSettings:
    """Settings with a slice profile that is known."""
    return EnhanceSettings(slice_profile="gaussian", **asked)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def an_mr(grid: Grid, dtype: str = "float32") -> Volume:
    """A smooth head-like volume from 20 to 1000 with noise."""
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, count) for count in grid.shape_kji), indexing="ij")
    array = 900 * np.exp(-2 * (k**2 + j**2 + i**2)) * (1 + 0.3 * np.sin(9 * k + 5 * j))
    array += np.random.default_rng(0).normal(0, 10, array.shape)
    return Volume(np.clip(array, 20, None).astype(dtype), grid, modality="mr")


# Grid


@pytest.mark.parametrize("factor", [1.7, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("axis", ["i", "j", "k"])
def test_the_result_lies_on_the_refined_grid(a_volume: Volume, a_model: Model, axis: str, factor: float):
    result = enhance(a_volume, a_model, EnhanceSettings(factor=factor, axes=axis)).volume
    expected = a_volume.grid.refined(axis, factor)
    assert result.array.shape == expected.shape_kji
    np.testing.assert_allclose(result.grid.ijk_to_ras, expected.ijk_to_ras, atol=1e-12)


def test_a_left_handed_volume_stays_left_handed(a_volume: Volume, a_model: Model):
    mirrored = a_volume.grid.ijk_to_ras @ np.diag([1, -1, 1, 1])
    volume = replace(a_volume, grid=replace(a_volume.grid, ijk_to_ras=mirrored))
    result = enhance(volume, a_model, EnhanceSettings(factor=2)).volume
    assert np.linalg.det(result.grid.direction) == pytest.approx(-1)


@pytest.mark.parametrize("axis", ["i", "j", "k"])
def test_structures_stay_where_they_are(a_grid: Grid, a_model: Model, axis: str):
    """A gradient along the refined axis, seen at the places of the fine voxels, is the same gradient."""
    at = "kji".index(axis)
    ramp = np.arange(a_grid.shape_kji[at], dtype=np.float32) * 100
    array = np.broadcast_to(ramp.reshape([-1 if number == at else 1 for number in range(3)]), a_grid.shape_kji)
    settings = EnhanceSettings(factor=4, axes=axis)
    result = enhance(Volume(np.ascontiguousarray(array), a_grid, modality="mr"), a_model, settings).volume
    profile = np.moveaxis(result.array, at, 0).mean(axis=(1, 2))
    expected = ((np.arange(len(profile)) + 0.5) / 4 - 0.5) * 100
    np.testing.assert_allclose(
        profile[12:-12], expected[12:-12], atol=15
    )  # half a fine voxel of shift would be 12.5...
    assert np.mean(profile[12:-12] - expected[12:-12]) == pytest.approx(0, abs=3)  # ... everywhere


# Types


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"]
)
def test_values_come_back_in_the_type_they_came_in(a_grid: Grid, a_model: Model, dtype: str):
    volume = Volume((an_mr(a_grid).array / 12).astype(dtype), a_grid, modality="mr")
    result = enhance(volume, a_model, gaussian(factor=2)).volume
    assert result.array.dtype == np.dtype(dtype)
    again = measured_again(result.array, a_grid, {"k": 2.0})
    assert rms(again - volume.array) < 0.5  # and mean the same


@pytest.mark.parametrize(("dtype", "low", "high"), [
    ("int16", -1024, 3071),
    ("uint8", 0, 255),
    ("int8", -128, 127),
    ("uint16", 0, 65535),
    ("int16", -32768, 32767),
    ("int32", -(2**31), 2**31 - 1),
    ("uint32", 0, 2**32 - 1),
    ("int64", -(2**63), 2**63 - 1),
])  # fmt: skip
@pytest.mark.parametrize("factor", [2.0, 4.0])
def test_nothing_wraps_around_at_the_limits_of_a_type(a_grid: Grid, a_model: Model, dtype, low, high, factor: float):
    """Slices that jump from one limit to the other make every interpolation overshoot."""
    array = np.full(a_grid.shape_kji, low, dtype)
    array[3:6] = high
    array[:, :, 10:] = high
    array[:, :, 15:] = low
    volume = Volume(array, a_grid, modality="ct" if low == -1024 else "mr")
    result = enhance(volume, a_model, EnhanceSettings(factor=factor)).volume.array.astype(np.float64)
    fine = np.repeat(array, int(factor), axis=0).astype(np.float64)  # a wrapped voxel is off by about the whole range
    wrong = np.abs(result - fine) > 0.9 * (float(high) - float(low))
    assert not wrong.any()
    assert result[:, :, 17:].max() < float(low) + 0.2 * (float(high) - float(low))
    if dtype != "int16" or low != -1024:
        assert result.max() == pytest.approx(float(high))  # held at the limit


def test_whole_numbers_are_rounded_and_not_cut_off(a_grid: Grid, a_model: Model):
    volume = an_mr(a_grid, "int16")
    settings = EnhanceSettings(factor=2)
    whole = enhance(volume, a_model, settings).volume.array
    real = enhance(replace(volume, array=volume.array.astype(np.float32)), a_model, settings).volume.array
    assert np.abs(whole - real).max() <= 0.501
    assert abs(np.mean(whole - real)) < 0.02


def test_large_whole_numbers_keep_their_last_digits(a_grid: Grid, a_model: Model):
    base = 2_000_000_000
    small = an_mr(a_grid, "int32")
    large = replace(small, array=small.array + base)
    settings = EnhanceSettings(factor=2)
    expected = enhance(small, a_model, settings).volume.array
    result = enhance(large, a_model, settings).volume.array.astype(np.int64) - base
    assert np.abs(result - expected).max() <= 100  # float32 steps at this size are 128 units


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("value", [0, 7, 100])
@pytest.mark.parametrize("axes", ["k", "ijk"])
def test_a_constant_volume_stays_the_same_constant(a_grid: Grid, a_model: Model, dtype: str, value: int, axes: str):
    volume = Volume(np.full(a_grid.shape_kji, value, dtype), a_grid)
    result = enhance(volume, a_model, EnhanceSettings(factor=2, axes=axes)).volume
    np.testing.assert_array_equal(result.array, np.full(result.array.shape, value, dtype))


def test_a_constant_ct_stays_the_same_constant(a_grid: Grid, a_model: Model):
    volume = Volume(np.full(a_grid.shape_kji, -1000, np.int16), a_grid)
    result = enhance(volume, a_model, EnhanceSettings(factor=4)).volume
    np.testing.assert_array_equal(result.array, -1000)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_volume_of_no_known_kind_may_be_negative(a_grid: Grid, a_model: Model, dtype: str):
    """Such as a difference of two volumes, or a phase: there is no lowest value that means something."""
    volume = Volume((an_mr(a_grid).array - 500).astype(dtype), a_grid)
    result = enhance(volume, a_model, gaussian(factor=2)).volume.array
    assert result.dtype == np.dtype(dtype)
    assert rms(measured_again(result, a_grid, {"k": 2.0}) - volume.array) < 0.5


def test_air_is_not_made_darker_than_air(a_volume: Volume, a_model: Model):
    clipped = replace(a_volume, array=np.maximum(a_volume.array, -1024))
    assert enhance(clipped, a_model, EnhanceSettings(factor=4)).volume.array.min() >= -1024


def test_a_magnitude_does_not_become_negative(a_grid: Grid, a_model: Model):
    volume = an_mr(a_grid)
    black = replace(volume, array=np.where(volume.array < 200, 0, volume.array).astype(np.float32))
    assert enhance(black, a_model, EnhanceSettings(factor=4)).volume.array.min() >= 0


def test_the_input_is_left_as_it_was(a_volume: Volume, a_model: Model):
    before = a_volume.array.copy()
    enhance(a_volume, a_model, EnhanceSettings(factor=2, axes="ijk"))
    np.testing.assert_array_equal(a_volume.array, before)


# Tiles


@pytest.fixture
def tile_counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled with the number of tiles of each pass."""
    counts: list[int] = []
    tiles = refinement.tiles

    def counted(*arguments: object) -> list:
        cut = list(tiles(*arguments))
        counts.append(len(cut))
        return cut

    monkeypatch.setattr(refinement, "tiles", counted)
    return counts


def a_wide_generator():
    """Wide and deep enough that a tenth of a gigabyte holds a small tile only; weights that make a visible residual."""
    from medical_super_resolution.learning.generators.through_plane import ThroughPlaneConfig, ThroughPlaneGenerator

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = ThroughPlaneGenerator(
            ThroughPlaneConfig(channels=48, blocks=2, pairs=2, gate_channels=4, kernel_hidden=8)
        )
    return generator


@pytest.mark.parametrize(("axes", "consistency"), [("k", True), ("k", False), ("i", True), ("kj", True)])
def test_the_result_does_not_depend_on_the_tiles(tmp_path: Path, tile_counts: list[int], axes: str, consistency: bool):
    models.save(tmp_path / "wide.safetensors", "through-plane", a_wide_generator(), {})
    model = models.load(tmp_path / "wide.safetensors")
    shape = {"k": (6, 107, 131), "i": (107, 131, 6), "kj": (5, 61, 131)}[axes]
    volume = an_mr(Grid(shape, np.eye(4)))
    settings = EnhanceSettings(factor=2, axes=axes, consistency=consistency)
    cut = enhance(volume, model, replace(settings, memory_gb=0.1)).volume.array
    assert min(tile_counts) >= 4 if len(axes) == 1 else max(tile_counts) >= 2
    tile_counts.clear()
    whole = enhance(volume, model, replace(settings, memory_gb=8.0)).volume.array
    assert set(tile_counts) == {1}
    assert rms(whole - enhance(volume, zero_residual(model), settings).volume.array) > 0.1  # the network does something
    assert np.abs(cut - whole).max() <= 1e-3 * np.ptp(volume.array)


def test_air_that_is_left_out_changes_nothing(a_model: Model, monkeypatch: pytest.MonkeyPatch):
    """Where neighbours are all the same nothing is computed: the body here is a small box in the air."""
    array = np.full((14, 60, 70), 30, np.float32)
    array[4:9, 20:37, 31:45] = an_mr(Grid((5, 17, 14), np.eye(4))).array
    volume = Volume(array, Grid(array.shape, np.eye(4)), modality="mr")
    skipped = enhance(volume, a_model, gaussian(factor=2.5)).volume.array
    monkeypatch.setattr(refinement, "structured_box", lambda lr, margin: tuple(slice(0, count) for count in lr.shape))
    computed = enhance(volume, a_model, gaussian(factor=2.5)).volume.array
    np.testing.assert_allclose(skipped, computed, atol=1e-5 * np.ptp(array))


def zero_residual(model: Model) -> Model:
    """The same model with an upscaling kernel that writes nothing."""
    import copy

    silent = copy.deepcopy(model.generator)
    for parameter in silent.kernel.parameters():
        parameter.zero_()
    return replace(model, generator=silent)


# Axes


@pytest.mark.parametrize("axis", ["i", "j"])
@pytest.mark.parametrize("factor", [1.7, 4.0])
def test_the_direction_of_the_slices_in_the_file_does_not_matter(
    a_volume: Volume, a_model: Model, axis: str, factor: float
):
    """The same slices stored along j or i instead of k give the same result, stored along j or i."""
    at = "kji".index(axis)
    columns = {"j": [0, 2, 1, 3], "i": [2, 0, 1, 3]}[axis]  # k takes the place of j or i, the others keep their order
    moved = np.ascontiguousarray(np.moveaxis(a_volume.array, 0, at))
    volume = Volume(moved, Grid(moved.shape, a_volume.grid.ijk_to_ras[:, columns]), modality="ct")
    assert volume.grid.through_plane_axis == axis
    expected = enhance(a_volume, a_model, EnhanceSettings(factor=factor)).volume
    result = enhance(volume, a_model, EnhanceSettings(factor=factor)).volume
    np.testing.assert_array_equal(np.moveaxis(result.array, at, 0), expected.array)
    np.testing.assert_allclose(result.grid.ijk_to_ras, expected.grid.ijk_to_ras[:, columns], atol=1e-9)


@pytest.mark.parametrize("axes", ["ij", "in-plane", "ijk"])
def test_several_axes_in_one_call_give_the_grid_of_all(a_volume: Volume, a_model: Model, axes: str):
    enhanced = enhance(a_volume, a_model, EnhanceSettings(factor=2, axes=axes))
    k, j, i = a_volume.grid.shape_kji
    assert enhanced.volume.array.shape == ((2 * k if axes == "ijk" else k), 2 * j, 2 * i)
    for before, after in zip(a_volume.grid.bounds_ras_mm, enhanced.volume.grid.bounds_ras_mm, strict=True):
        np.testing.assert_allclose(after, before, atol=1e-9)


def test_several_axes_together_reproduce_the_measured_volume(a_grid: Grid, a_model: Model):
    volume = an_mr(a_grid)
    volume = replace(volume, array=volume.array + 1000)
    result = enhance(volume, a_model, gaussian(factor=2, axes="ijk")).volume
    again = measured_again(result.array, a_grid, {"k": 2.0, "j": 2.0, "i": 2.0})
    assert rms(again - volume.array) < 0.1


def test_a_target_spacing_is_reached(a_volume: Volume, a_model: Model):
    result = enhance(a_volume, a_model, EnhanceSettings(spacing_ijk_mm=(0.8, 0.5, 1.3))).volume
    assert result.grid.spacing_ijk_mm == pytest.approx((0.8, 0.5, 1.3))


# Measured data


def residuals(volume: Volume, model: Model, factor: float, inside: np.ndarray) -> tuple[float, float]:
    """RMS of what the result, measured again, differs from the input: with data consistency, and without."""
    found = []
    for consistency in (True, False):
        result = enhance(volume, model, gaussian(factor=factor, consistency=consistency)).volume
        found.append(rms((measured_again(result.array, volume.grid, {"k": factor}) - volume.array)[inside]))
    return found[0], found[1]


@pytest.mark.parametrize("factor", [1.7, 2.0, 4.0, 8.0])
def test_consistency_leaves_next_to_nothing_of_the_residual(a_grid: Grid, a_model: Model, factor: float):
    volume = an_mr(a_grid)
    bright = replace(volume, array=volume.array + 1000)  # far from 0, below which magnitudes are not let
    kept, plain = residuals(bright, a_model, factor, np.ones(bright.array.shape, bool))
    assert plain > 1
    assert kept <= plain / 1000


@pytest.mark.parametrize("factor", [1.7, 2.0, 4.0, 8.0])
def test_consistency_leaves_a_tenth_of_the_residual_at_most_inside_a_body_in_air(
    a_volume: Volume, a_model: Model, factor: float
):
    """Around the body the result is held at the value of air, at the price of the residual there."""
    kept, plain = residuals(a_volume, a_model, factor, a_volume.array > -900)
    assert kept <= plain / 10


@pytest.mark.parametrize("consistency", [True, False])
@pytest.mark.parametrize("profile", ["gaussian", "box"])
def test_the_reported_residual_is_that_of_the_file_that_is_written(
    a_volume: Volume, a_model: Model, consistency: bool, profile: str
):
    settings = EnhanceSettings(factor=4, slice_profile=profile, consistency=consistency)
    enhanced = enhance(a_volume, a_model, settings)
    again = measured_again(enhanced.volume.array, a_volume.grid, {"k": 4.0}, profile=profile)
    assert enhanced.report.slice_profile == profile
    assert enhanced.report.residual_rms == pytest.approx(rms(again - a_volume.array), rel=1e-3)


@pytest.mark.parametrize("profile", ["gaussian", "box"])
def test_the_slice_profile_that_is_asked_is_the_one_that_is_reproduced(a_grid: Grid, a_model: Model, profile: str):
    volume = an_mr(a_grid)
    volume = replace(volume, array=volume.array + 1000)
    result = enhance(volume, a_model, EnhanceSettings(factor=4, slice_profile=profile)).volume.array
    wrong = {"gaussian": "box", "box": "gaussian"}[profile]
    assert rms(measured_again(result, a_grid, {"k": 4.0}, profile=profile) - volume.array) < 0.1
    assert rms(measured_again(result, a_grid, {"k": 4.0}, profile=wrong) - volume.array) > 1


def test_without_wishes_the_profile_is_read_off_the_slices_and_reported(a_volume: Volume, a_model: Model):
    enhanced = enhance(a_volume, a_model, EnhanceSettings(factor=4))
    profile = enhanced.report.slice_profile
    assert profile in ("gaussian", "box")
    as_asked = enhance(a_volume, a_model, EnhanceSettings(factor=4, slice_profile=profile))
    np.testing.assert_array_equal(enhanced.volume.array, as_asked.volume.array)


@pytest.mark.parametrize("said", ["by the volume", "by the user"])
def test_the_slice_thickness_goes_into_the_acquisition_model(a_grid: Grid, a_model: Model, said: str):
    volume, settings = an_mr(a_grid), gaussian(factor=4)
    if said == "by the volume":
        volume = replace(volume, slice_thickness_mm=2.1)
    else:
        volume = replace(volume, slice_thickness_mm=3.3)
        settings = replace(settings, slice_thickness_mm=2.1)  # of 3 mm between slices
    enhanced = enhance(volume, a_model, settings)
    assert enhanced.report.slice_thickness_mm == 2.1
    again = measured_again(enhanced.volume.array, a_grid, {"k": 4.0}, thickness=0.7)
    assert rms(again - volume.array) < 0.1  # and not with the wrong thickness:
    assert rms(measured_again(enhanced.volume.array, a_grid, {"k": 4.0}, thickness=1.1) - volume.array) > 1


# Progress, refusals, report


@pytest.mark.parametrize("axes", ["k", "ijk"])
def test_progress_never_goes_back_and_ends_at_the_total(a_volume: Volume, a_model: Model, axes: str):
    steps: list[tuple[int, int]] = []
    enhance(a_volume, a_model, EnhanceSettings(factor=2, axes=axes), lambda *step: steps.append(step))
    done, totals = zip(*steps, strict=True)
    assert done[0] == 0
    assert list(done) == sorted(done)
    assert len(set(totals)) == 1
    assert done[-1] == totals[0]
    assert len(steps) >= 3


@pytest.mark.parametrize("after", [0, 1, 2])
def test_cancelling_passes_straight_through(a_volume: Volume, a_model: Model, after: int):
    calls = []

    def progress(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) > after:
            raise Cancelled

    with pytest.raises(Cancelled):
        enhance(a_volume, a_model, EnhanceSettings(factor=2), progress)
    assert len(calls) == after + 1


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(
    a_volume: Volume, a_model: Model, monkeypatch: pytest.MonkeyPatch, device: str
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="choose --device auto or cpu"):
        enhance(a_volume, a_model, EnhanceSettings(factor=2, device=device))


def test_without_a_graphics_card_the_cpu_is_used(a_volume: Volume, a_model: Model, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert enhance(a_volume, a_model, EnhanceSettings(factor=2)).report.device == "cpu"


def test_a_single_slice_along_the_asked_axis_is_refused(a_model: Model):
    volume = Volume(np.zeros((1, 20, 20), np.int16), Grid((1, 20, 20), np.eye(4)))
    with pytest.raises(VolumeError, match="single slice along k"):
        enhance(volume, a_model, EnhanceSettings(factor=2))


def test_a_volume_as_fine_as_asked_is_refused(a_model: Model):
    volume = Volume(np.zeros((9, 20, 20), np.int16), Grid((9, 20, 20), np.eye(4)))
    with pytest.raises(SettingsError, match="nothing to refine"):
        enhance(volume, a_model, EnhanceSettings())


def test_the_smallest_volume_that_can_be_refined_is_refined(a_model: Model):
    volume = Volume(np.array([[[0.0]], [[100.0]]], np.float32), Grid((2, 1, 1), np.eye(4)), modality="mr")
    result = enhance(volume, a_model, EnhanceSettings(factor=8)).volume
    assert result.array.shape == (16, 1, 1)
    assert np.isfinite(result.array).all()


def test_the_report_says_what_was_done(a_volume: Volume, a_model: Model):
    report = json.loads(json.dumps(enhance(a_volume, a_model, EnhanceSettings(factor=2, axes="jk")).report.as_dict()))
    assert report["model"] == "tiny"
    assert report["model_sha256"] == a_model.sha256
    assert report["modality"] == "ct"
    assert report["factor_ijk"] == [1, 2, 2]
    assert report["size_before_ijk"] == [20, 18, 9]
    assert report["size_after_ijk"] == [20, 36, 18]
    assert report["spacing_before_ijk_mm"] == pytest.approx([0.8, 0.8, 3.0])
    assert report["spacing_after_ijk_mm"] == pytest.approx([0.8, 0.4, 1.5])
    assert report["settings"] == dataclasses.asdict(EnhanceSettings(factor=2, axes="jk"))
    assert report["slice_thickness_mm"] == pytest.approx(3.0)
    assert report["seconds"] >= 0
    assert report["warnings"] == []


def test_a_volume_unlike_the_training_is_warned_about(a_volume: Volume, a_model: Model):
    card = {"trained_for": {"modalities": ["mr"], "thickness": [0.7, 1.3]}}
    volume = replace(a_volume, slice_thickness_mm=6.0)
    warnings = enhance(volume, replace(a_model, card=card), EnhanceSettings(factor=2)).report.warnings
    assert any("trained on MR, the volume is CT" in warning for warning in warnings)
    assert any("2.00 times as thick as they are apart along k" in warning for warning in warnings)
