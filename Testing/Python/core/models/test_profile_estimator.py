"""The file of a slice-profile estimator: what it holds, and when it is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import ModelError
from medical_super_resolution.models import profile_estimator, store
from medical_super_resolution.networks.profile_head import ProfileHead, ProfileHeadConfig
from medical_super_resolution.physics.slice_profile import ProfileCalibration


@pytest.fixture
def a_head() -> ProfileHead:
    torch.manual_seed(0)
    return ProfileHead(ProfileHeadConfig(channels=4, layers=2, hidden=4, joint=4))


def test_an_estimator_is_read_as_it_was_saved(a_head: ProfileHead, tmp_path: Path):
    calibration = ProfileCalibration(spread=0.07, width_range=(0.6, 1.4))
    profile_estimator.save(tmp_path / "one.safetensors", a_head, calibration, {"summary": "for tests"})
    again = profile_estimator.load(tmp_path / "one.safetensors")
    assert again.calibration == calibration
    cuts = torch.randn(1, 3, 2, 8, 24)
    for found, expected in zip(again.head(cuts), a_head(cuts), strict=True):
        np.testing.assert_array_equal(found, expected.detach())
    assert not any(parameter.requires_grad for parameter in again.head.parameters())


def test_the_shipped_estimator_says_within_what_it_was_trained():
    low, high = profile_estimator.load().calibration.width_range
    assert low < 0.7 < 1.0 < high


def test_an_estimator_that_was_never_trained_is_refused_with_what_to_do(a_head: ProfileHead, tmp_path: Path):
    profile_estimator.save(tmp_path / "fresh.safetensors", a_head, None, {})
    with pytest.raises(ModelError, match="was never trained; state the slice profile, Gaussian or box"):
        profile_estimator.load(tmp_path / "fresh.safetensors")


def test_a_missing_estimator_is_refused_with_what_to_do(tmp_path: Path):
    with pytest.raises(ModelError, match="there is no file .*none.safetensors; state the slice profile"):
        profile_estimator.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize("calibration", [ProfileCalibration(spread=0.0), ProfileCalibration(width_range=(1.5, 0.5))])
def test_a_calibration_without_meaning_is_refused(a_head: ProfileHead, tmp_path: Path, calibration: ProfileCalibration):
    profile_estimator.save(tmp_path / "odd.safetensors", a_head, calibration, {})
    with pytest.raises(ModelError, match="damaged"):
        profile_estimator.load(tmp_path / "odd.safetensors")


def test_a_model_is_no_estimator(a_model_file: Path):
    with pytest.raises(ModelError, match="is not a slice-profile estimator"):
        profile_estimator.load(a_model_file)


def test_a_file_cut_short_is_refused(a_head: ProfileHead, tmp_path: Path):
    path = tmp_path / "short.safetensors"
    profile_estimator.save(path, a_head, ProfileCalibration(), {})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match="damaged or not a safetensors file"):
        profile_estimator.load(path)


def test_the_shipped_estimator_is_no_model():
    with pytest.raises(ModelError, match="holds a slice-profile estimator, and no network that refines volumes"):
        store.read_header(profile_estimator.SHIPPED)
