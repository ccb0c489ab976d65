from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.inference.fusion.settings import FusionSettings
from medical_super_resolution.settings import EnhanceSettings


@pytest.mark.parametrize("factor", [1.0001, 1.7, 2, 8])
def test_any_factor_above_1_up_to_8_is_accepted(factor: float):
    assert EnhanceSettings(factor=factor).factor == factor


@pytest.mark.parametrize("factor", [0, -1, 0.5, 1, 8.001, 9, math.nan, math.inf, -math.inf])
def test_a_factor_outside_is_refused_with_its_value(factor: float):
    with pytest.raises(SettingsError, match=f"above 1 and at most 8, got {factor:g}"):
        EnhanceSettings(factor=factor)


@pytest.mark.parametrize(
    ("factor", "first", "second"), [(9, "3", "3"), (12, "3.46", "3.46821"), (64, "8", "8"), (64.1, None, None)]
)
def test_a_factor_that_two_steps_reach_is_refused_with_these(factor: float, first: str | None, second: str | None):
    with pytest.raises(SettingsError) as refused:
        EnhanceSettings(factor=factor)
    sentence = f"the factor must be above 1 and at most 8, got {factor:g}"
    two_steps = f"; make it in two steps, with the factor {first} and then with {second}"
    assert str(refused.value) == sentence + (two_steps if first else "")


def test_the_ends_of_a_range_belong_to_it():
    settings = EnhanceSettings(detail=1, memory_gb=0.1, threads=1)
    assert (settings.detail, settings.memory_gb, settings.threads) == (1, 0.1, 1)


@pytest.mark.parametrize("axes", ["k", "j", "i", "ij", "ji", "ijk", "kij", "through-plane", "in-plane"])
def test_axes_are_letters_or_names(axes: str):
    assert EnhanceSettings(factor=2, axes=axes).axes == axes


@pytest.mark.parametrize("axes", ["", "x", "kk", "ijkk", "K", "through", "i,j", " k"])
def test_other_axes_are_refused(axes: str):
    with pytest.raises(SettingsError, match="unknown axes .*i, j and k"):
        EnhanceSettings(factor=2, axes=axes)


def test_a_factor_and_a_spacing_together_are_refused():
    with pytest.raises(SettingsError, match="either a factor or a target spacing"):
        EnhanceSettings(factor=2, spacing_ijk_mm=(1, 1, 1))


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_spacing_without_meaning_is_refused(bad: float, place: int):
    spacing = [1.0, 1.0, 1.0]
    spacing[place] = bad
    with pytest.raises(SettingsError, match=f"above 0 mm, got {bad:g}"):
        EnhanceSettings(spacing_ijk_mm=tuple(spacing))


@pytest.mark.parametrize("thickness", [0.0, -2.0, math.nan, math.inf])
def test_a_slice_thickness_without_meaning_is_refused(thickness: float):
    with pytest.raises(SettingsError, match=f"slice thickness must be above 0 mm, got {thickness:g}"):
        EnhanceSettings(slice_thickness_mm=thickness)


def test_an_unknown_slice_profile_is_refused_with_those_there_are():
    with pytest.raises(SettingsError, match="'sinc'.*auto.*gaussian.*box"):
        EnhanceSettings(slice_profile="sinc")


def test_an_unknown_device_is_refused_with_those_there_are():
    with pytest.raises(SettingsError, match="'gpu'.*auto, cuda, mps, cpu"):
        EnhanceSettings(device="gpu")


@pytest.mark.parametrize("threads", [0, -1])
def test_no_threads_are_refused(threads: int):
    with pytest.raises(SettingsError, match=f"at least 1, got {threads}"):
        EnhanceSettings(threads=threads)


@pytest.mark.parametrize("memory", [0.0, 0.05, -1.0, math.nan, math.inf])
def test_too_little_memory_is_refused(memory: float):
    with pytest.raises(SettingsError, match="at least 0.1 GB"):
        EnhanceSettings(memory_gb=memory)


def test_settings_do_not_change_once_built():
    with pytest.raises(AttributeError):
        EnhanceSettings().factor = 3  # type: ignore[misc]


def test_numbers_and_arrays_of_numpy_are_taken_as_plain_ones_that_a_report_can_hold():
    """A report is written after the work, so one that is no JSON would lose it."""
    spacing = np.array([0.5, 1, 2], np.float32)
    settings = EnhanceSettings(
        spacing_ijk_mm=spacing, slice_thickness_mm=np.float32(2.5), threads=np.int64(2), detail=np.float16(0.5)
    )
    assert settings == EnhanceSettings(spacing_ijk_mm=(0.5, 1, 2), slice_thickness_mm=2.5, threads=2, detail=0.5)
    assert json.loads(json.dumps(asdict(settings)))["spacing_ijk_mm"] == [0.5, 1, 2]
    assert repr(EnhanceSettings(factor=np.int32(2), spacing_ijk_mm=None)) == "EnhanceSettings(factor=2)"

    region = np.array([-5, 5, -6, 6, -7, 7])
    fusion = FusionSettings(spacing_mm=np.float32(1), region_ras_mm=region, rounds=np.int8(2))
    assert fusion == FusionSettings(spacing_mm=1, region_ras_mm=(-5, 5, -6, 6, -7, 7), rounds=2)
    json.dumps(asdict(fusion))


def test_a_region_of_texts_is_refused():
    with pytest.raises(SettingsError, match="six values in mm"):
        FusionSettings(region_ras_mm=tuple("ababab"))


@pytest.mark.parametrize("name", ["uncertainty", "consistency", "exact_spacing"])
@pytest.mark.parametrize("value", [True, False])
def test_switches_of_numpy_are_taken_as_plain_ones_that_a_report_can_hold(name: str, value: bool):
    for given in (np.bool_(value), int(value)):
        settings = EnhanceSettings(spacing_ijk_mm=(1, 1, 1), **{name: given})
        assert getattr(settings, name) is value
        json.dumps(asdict(settings))
    assert FusionSettings(shading=np.bool_(value)).shading is value


@pytest.mark.parametrize("value", ["false", "", 2, None, 0.0, np.array([True, False])])
def test_other_switches_are_refused(value: object):
    for name in ("uncertainty", "consistency", "exact_spacing"):
        with pytest.raises(SettingsError, match=f"^{name} must be True or False, got "):
            EnhanceSettings(spacing_ijk_mm=(1, 1, 1), **{name: value})
    with pytest.raises(SettingsError, match="^shading must be True or False, got "):
        FusionSettings(shading=value)
