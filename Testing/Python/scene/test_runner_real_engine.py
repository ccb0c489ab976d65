"""The command line of this package as the child of `Runner`, with a tiny model."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

from medical_super_resolution.errors import Cancelled, SuperResolutionError
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.volume import Volume
from MedicalSuperResolutionLib.process.runner import Runner

pytestmark = pytest.mark.usefixtures("temporary_folder")
posix_only = pytest.mark.skipif(os.name != "posix", reason="signals are a matter of POSIX")


def test_the_real_engine_gives_the_same_in_the_child_as_here_and_refuses_in_its_words(a_volume, a_grid, a_model_file):
    from medical_super_resolution.inference import enhance as inference
    from medical_super_resolution.models import file as models

    flat = Volume(np.zeros((1, 4, 5), np.int16), dataclasses.replace(a_grid, shape_kji=(1, 4, 5)))
    settings = EnhanceSettings(factor=2.5, model=str(a_model_file), device="cpu", threads=1, uncertainty=True)
    volume = dataclasses.replace(a_volume, slice_thickness_mm=2.0)
    steps = []
    runner = Runner()
    enhanced = runner.run(volume, settings, lambda done, total: steps.append((done, total)))
    with pytest.raises(SuperResolutionError, match="a single slice along k"):
        runner.run(flat, settings)
    runner.close()
    here = inference.enhance(volume, models.load(a_model_file), settings)
    np.testing.assert_array_equal(enhanced.volume.array, here.volume.array)
    np.testing.assert_allclose(enhanced.volume.grid.ijk_to_ras, here.volume.grid.ijk_to_ras, atol=1e-9)
    assert enhanced.uncertainty.array.dtype == np.float32
    np.testing.assert_array_equal(enhanced.uncertainty.array, here.uncertainty.array)
    timing = {"seconds": here.report.seconds, "stages": here.report.stages}
    assert dataclasses.replace(enhanced.report, **timing) == here.report
    assert steps[-1][0] == steps[-1][1] > 1


def test_the_slice_profile_of_another_item_of_a_sequence_is_that_of_this_one(a_volume, a_model_file):
    settings = EnhanceSettings(factor=2, model=str(a_model_file), device="cpu", threads=1)
    runner = Runner()
    first = runner.run(a_volume, settings).report
    facts = {"slice_profile": "gaussian", "slice_width_mm": 2.2, "slice_width_error_mm": 1.5, "slice_noise": 0.4}
    known = dataclasses.replace(first, slice_profile_source="estimated", **facts)
    report = runner.run(a_volume, settings, profile_of=known).report
    runner.close()
    assert {name: getattr(report, name) for name in facts} == pytest.approx(facts)
    assert (report.slice_profile_source, report.slice_thickness_mm) == ("estimated", first.slice_thickness_mm)
    assert report.other_consistency_error_rms is not None
    assert "the slice profile is uncertain: 2.2 +- 2 mm" in report.warnings[0]
    assert "noise makes up 40%" in report.warnings[1]
    assert report.settings == first.settings


@posix_only
def test_the_real_engine_can_be_cancelled(a_volume, a_model_file):
    def stop(done, total):
        if done > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        Runner().run(a_volume, EnhanceSettings(factor=2, model=str(a_model_file)), stop)
