from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from measuring import an_mr, gaussian, measured_again, rms
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.refiners.throughplane import SequenceRefiner
from medical_super_resolution.models.file import Model
from medical_super_resolution.physics.acquisition import PROFILES
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume


def test_several_axes_together_reproduce_the_measured_volume(a_grid: Grid, a_model: Model):
    volume = an_mr(a_grid)
    volume = replace(volume, array=volume.array + 1000)
    result = enhance(volume, a_model, gaussian(factor=2, axes="ijk")).volume
    again = measured_again(result.array, a_grid, {"k": 2.0, "j": 2.0, "i": 2.0})
    assert rms(again - volume.array) < 0.1


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
    assert enhanced.report.consistency_error_rms == pytest.approx(rms(again - a_volume.array), rel=1e-3)


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
    assert profile in PROFILES
    as_asked = enhance(a_volume, a_model, EnhanceSettings(factor=4, slice_profile=profile))
    np.testing.assert_array_equal(enhanced.volume.array, as_asked.volume.array)


@pytest.mark.parametrize(("width", "thickness", "profile"), [
    (0.95, 1.0, "gaussian"), (0.85, 1.0, "between"), (0.75, 1.0, "box"),
    (0.80, 0.8, "gaussian"), (0.70, 0.8, "box"), (1.00, 1.2, "gaussian"), (0.90, 1.2, "box"),
])  # fmt: skip
def test_thin_and_thick_slices_are_told_apart_by_their_own_measure(
    a_volume: Volume, a_model: Model, monkeypatch: pytest.MonkeyPatch, width: float, thickness: float, profile: str
):
    monkeypatch.setattr(SequenceRefiner, "profile_width", lambda *_: width)
    thickness_mm = thickness * a_volume.grid.through_plane_spacing_mm
    enhanced = enhance(a_volume, a_model, EnhanceSettings(factor=2, slice_thickness_mm=thickness_mm))
    assert enhanced.report.slice_profile == profile


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
