"""Unevenly spaced slices: the result reproduces each at its true position."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.refiners import fine_slices, throughplane
from medical_super_resolution.models.file import Model
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.dicom.places import resampled
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.memmap import disk_allocator
from medical_super_resolution.volumes.volume import Enhanced, MeasuredSlices, Volume

FACTOR = 4
FINE = 96  # samples of the truth, 1 mm apart
EVEN = np.arange(24.0)
STACKS = {  # places and thickness of slices, in even slices
    "one missing": (np.delete(EVEN, 11), np.ones(23)),
    "two zones": (np.r_[EVEN[:12], 11 + 2 * np.arange(1, 7)], np.ones(18)),
    "two zones, thick": (np.r_[EVEN[:12], 12.5 + 2 * np.arange(6)], np.r_[np.ones(12), np.full(6, 2.0)]),
    "displaced": (EVEN + 0.2 * np.sin(EVEN) * (np.abs(EVEN - 11.5) < 11), np.ones(24)),
}


def a_truth() -> np.ndarray:
    """Smooth and fine structure across the slices, (96, 16, 12), in HU."""
    k, j, i = np.meshgrid(np.arange(FINE), np.arange(16), np.arange(12), indexing="ij")
    return 60 + 150 * np.sin(k / 3.1 + j / 4) + 120 * np.cos(k / 5.3 - i / 3) + 40 * np.sin(i * j / 20)


def rows_of(places: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    """The mean over each slice, its ends in part, (N, 96)."""
    away = np.abs((np.arange(FINE) + 0.5) / FACTOR - 0.5 - places[:, None])
    rows = np.clip((thickness[:, None] / 2 - away) * FACTOR + 0.5, 0, 1)
    return rows / rows.sum(axis=1, keepdims=True)


def a_stack(name: str) -> Volume:
    """The truth as measured, interpolated to even positions for the network."""
    places, thickness = STACKS[name]
    measured = np.tensordot(rows_of(places, thickness), a_truth(), 1).astype(np.float32)
    even = resampled(measured, places, EVEN)
    grid = Grid(even.shape, np.diag([1.0, 1, FACTOR, 1]), "k")
    return Volume(even, grid, 4.0, "ct", measured=MeasuredSlices(measured, places, thickness))


def refined(volume: Volume, model: Model, allocator=None, **more) -> Enhanced:
    settings = EnhanceSettings(factor=FACTOR, slice_profile="box", slice_thickness_mm=4.0, **more)
    return enhance(volume, model, settings, allocator=allocator)


def error_at_the_slices(fine: np.ndarray, volume: Volume) -> float:
    slices = volume.measured
    assert slices is not None
    again = np.tensordot(rows_of(slices.places, slices.thickness), fine.astype(np.float64), 1)
    return float(np.sqrt(np.mean((again - slices.array) ** 2)))


@pytest.mark.parametrize("name", STACKS)
def test_made_thick_at_the_true_places_the_result_is_what_was_measured(a_model: Model, name: str):
    volume = a_stack(name)
    even = np.tensordot(rows_of(EVEN, np.ones(24)), a_truth(), 1).astype(np.float32)
    usual = refined(replace(volume, array=even, measured=None), a_model).report.consistency_error_rms
    done = refined(volume, a_model)
    assert error_at_the_slices(done.volume.array, volume) < usual + 0.01
    assert done.report.consistency_error_rms == pytest.approx(error_at_the_slices(done.volume.array, volume), abs=1e-3)
    assert done.volume.measured is None


@pytest.mark.parametrize("name", ["two zones, thick", "displaced"])
def test_the_result_is_nearer_to_the_truth_than_from_slices_interpolated_first(a_model: Model, name: str):
    volume = a_stack(name)
    first = refined(replace(volume, measured=None), a_model).volume.array
    errors = [np.square(fine - a_truth()) for fine in (refined(volume, a_model).volume.array, first)]
    assert errors[0].mean() < 0.98 * errors[1].mean()
    if (gap := volume.interpolated) is not None:
        fine_gap = np.repeat(gap, FACTOR)
        assert errors[0][fine_gap].mean() < errors[1][fine_gap].mean()
    assert error_at_the_slices(first, volume) > 1


def test_parts_on_the_disk_and_small_tiles_give_the_same(
    tmp_path: Path, a_model: Model, monkeypatch: pytest.MonkeyPatch
):
    volume = a_stack("two zones, thick")
    expected = refined(volume, a_model).volume.array
    monkeypatch.setattr(throughplane, "_LARGEST_SIDE", {"cpu": 7})
    monkeypatch.setattr(fine_slices, "FINE_SLICES", 5)
    with disk_allocator(tmp_path) as allocator:
        np.testing.assert_allclose(refined(volume, a_model, allocator).volume.array, expected, atol=1e-2)


@pytest.mark.parametrize("is_marked", [True, False])
def test_padding_is_put_back_and_the_slices_beside_it_are_reproduced(a_model: Model, *, is_marked: bool):
    volume = a_stack("displaced")
    slices = volume.measured
    assert slices is not None
    outside = np.zeros(slices.array.shape, bool)
    outside[:, :4, :5] = True
    even_outside = np.broadcast_to(outside[0], volume.array.shape)
    padded = replace(
        volume,
        array=np.where(even_outside, -3024, volume.array),
        padding=even_outside if is_marked else None,
        measured=replace(slices, array=np.where(outside, -3024, slices.array), padding=outside if is_marked else None),
    )
    done = refined(padded, a_model)
    assert (done.volume.array[:, :4, :5] == -3024).all()
    plain = refined(volume, a_model).volume.array
    np.testing.assert_allclose(done.volume.array[:, 6:, 7:], plain[:, 6:, 7:], atol=8)
    assert done.report.consistency_error_rms < 0.1


def test_mirror_images_keep_the_true_places(a_model: Model):
    volume = a_stack("two zones, thick")
    best = refined(volume, a_model, quality="best")
    assert error_at_the_slices(best.volume.array, volume) < 0.1


def test_averaging_in_the_plane_averages_the_measured_slices_too(a_model: Model):
    volume = a_stack("two zones")
    known = {"slice_profile": "box", "slice_thickness_mm": 4.0}
    done = enhance(volume, a_model, EnhanceSettings(spacing_ijk_mm=(2, 2, 1), exact_spacing=True, **known))
    assert done.volume.array.shape == (96, 8, 6)
    assert done.report.consistency_error_rms < 0.1
