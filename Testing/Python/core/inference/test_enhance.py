from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import Cancelled, DeviceError, SettingsError, VolumeError
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.models.file import Model
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.intensity import WRAPPED_PHASES
from medical_super_resolution.volumes.volume import Volume


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


def test_a_target_spacing_is_reached(a_volume: Volume, a_model: Model):
    result = enhance(a_volume, a_model, EnhanceSettings(spacing_ijk_mm=(0.8, 0.5, 1.3))).volume
    assert result.grid.spacing_ijk_mm == pytest.approx((0.8, 0.5, 1.3))


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
    with pytest.raises(DeviceError, match="choose another device"):
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
    assert report["settings"] == dataclasses.asdict(EnhanceSettings(factor=2, axes="jk", model="tiny"))
    assert report["slice_thickness_mm"] == pytest.approx(3.0)
    assert report["seconds"] >= 0
    uncertain, inconsistent = report["warnings"]  # few slices; random weights, and air is no lower than -1000
    assert "the slice profile is uncertain" in uncertain
    error = report["consistency_error_rms"]
    assert f"differs from the input by {error:.3g} (RMS), {error / 2000:.1%} of the range" in inconsistent


@pytest.mark.parametrize(
    ("half_turn", "dtype"), [(np.pi, "float32"), (4096, "int16"), (3142, "int16"), (3.0, "float64")]
)
def test_phases_that_wrap_around_are_warned_about(a_grid: Grid, a_model: Model, half_turn: float, dtype: str):
    k, j, i = np.indices(a_grid.shape_kji)
    phases = np.angle(np.exp(1j * (k + j * i / 9))) / np.pi * half_turn
    phases[0, 0, :2] = -half_turn, half_turn
    volume = Volume(phases.clip(-4096, 4095).astype(dtype), a_grid)
    for notes in ((), (WRAPPED_PHASES,)):  # a DICOM header may have said so
        warnings = enhance(replace(volume, notes=notes), a_model, EnhanceSettings(factor=2)).report.warnings
        assert warnings.count(WRAPPED_PHASES) == (half_turn != 3.0 or len(notes))


def test_a_volume_unlike_the_training_is_warned_about(a_volume: Volume, a_model: Model):
    card = {"trained_for": {"modalities": ["mr"], "thickness": [0.7, 1.3]}}
    volume = replace(a_volume, slice_thickness_mm=6.0)
    warnings = enhance(volume, replace(a_model, card=card), EnhanceSettings(factor=2)).report.warnings
    assert any("trained on MR, the volume is CT" in warning for warning in warnings)
    assert any("2.00 times as thick as they are apart along k" in warning for warning in warnings)
