from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from measuring import an_mr, gaussian, measured_again, rms
from medical_super_resolution.errors import ModelError
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.models import profile_estimator
from medical_super_resolution.models.file import Model
from medical_super_resolution.networks.profile_head import ProfileHead, ProfileHeadConfig
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume


def test_several_axes_together_reproduce_the_measured_volume(a_grid: Grid, a_model: Model):
    volume = an_mr(a_grid)
    volume = replace(volume, array=volume.array + 1000)
    result = enhance(volume, a_model, gaussian(factor=2, axes="ijk")).volume
    again = measured_again(result.array, a_grid, {"k": 2.0, "j": 2.0, "i": 2.0})
    assert rms(again - volume.array) < 0.1


def consistency_errors(volume: Volume, model: Model, factor: float, inside: np.ndarray) -> tuple[float, float]:
    """RMS of what the result, measured again, differs from the input: with data consistency, and without."""
    found = []
    for consistency in (True, False):
        result = enhance(volume, model, gaussian(factor=factor, consistency=consistency)).volume
        found.append(rms((measured_again(result.array, volume.grid, {"k": factor}) - volume.array)[inside]))
    return found[0], found[1]


@pytest.mark.parametrize("factor", [1.7, 2.0, 4.0, 8.0])
def test_consistency_reduces_the_consistency_error_to_almost_nothing(a_grid: Grid, a_model: Model, factor: float):
    volume = an_mr(a_grid)
    bright = replace(volume, array=volume.array + 1000)  # far from 0, below which magnitudes are not let
    kept, plain = consistency_errors(bright, a_model, factor, np.ones(bright.array.shape, bool))
    assert plain > 1
    assert kept <= plain / 1000


@pytest.mark.parametrize("factor", [1.7, 2.0, 4.0, 8.0])
def test_consistency_reduces_the_consistency_error_to_a_tenth_at_most_inside_a_body_in_air(
    a_volume: Volume, a_model: Model, factor: float
):
    """Around the body the result is held at the value of air, at the price of the consistency error there."""
    kept, plain = consistency_errors(a_volume, a_model, factor, a_volume.array > -900)
    assert kept <= plain / 10


@pytest.mark.parametrize("consistency", [True, False])
@pytest.mark.parametrize("profile", ["gaussian", "box"])
def test_the_reported_consistency_error_is_that_of_the_file_that_is_written(
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


def test_by_default_the_width_of_the_profile_is_estimated_with_its_error(a_volume: Volume, a_model: Model):
    report = enhance(a_volume, a_model, EnhanceSettings(factor=4)).report
    assert report.slice_profile == "gaussian"
    assert report.slice_profile_source in ("estimated", "assumed")
    assert report.slice_width_mm is not None
    assert 0 < report.slice_width_error_mm < report.slice_width_mm


def test_the_estimated_profile_is_the_one_that_is_reproduced(a_grid: Grid, a_model: Model):
    volume = an_mr(a_grid)
    volume = replace(volume, array=volume.array + 1000)
    estimated = enhance(volume, a_model, EnhanceSettings(factor=4))
    given = enhance(volume, a_model, gaussian(factor=4, slice_thickness_mm=estimated.report.slice_width_mm))
    np.testing.assert_array_equal(estimated.volume.array, given.volume.array)
    assert given.report.slice_profile_source == "given"


def test_the_consistency_error_is_also_reported_under_the_next_most_likely_profile(a_grid: Grid, a_model: Model):
    volume = an_mr(a_grid)
    enhanced = enhance(volume, a_model, gaussian(factor=4))
    assert enhanced.report.other_profile == "box 3 mm"
    again = measured_again(enhanced.volume.array, a_grid, {"k": 4.0}, profile="box")
    assert enhanced.report.other_consistency_error_rms == pytest.approx(rms(again - volume.array), rel=1e-3)


def test_no_other_profile_is_reported_where_the_slices_are_kept(a_grid: Grid, a_model: Model):
    report = enhance(an_mr(a_grid), a_model, EnhanceSettings(factor=2, axes="in-plane")).report
    assert (report.other_profile, report.other_consistency_error_rms) == ("", None)


def test_without_a_trained_estimator_a_profile_must_be_given(
    a_volume: Volume, a_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    profile_estimator.save(tmp_path / "fresh.safetensors", ProfileHead(ProfileHeadConfig()), None, {})
    estimator = profile_estimator.load
    monkeypatch.setattr(profile_estimator, "load", lambda: estimator(tmp_path / "fresh.safetensors"))
    with pytest.raises(ModelError, match="never trained; state the slice profile, Gaussian or box"):
        enhance(a_volume, a_model, EnhanceSettings(factor=4))
    assert enhance(a_volume, a_model, gaussian(factor=4)).report.slice_profile_source == "given"


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
