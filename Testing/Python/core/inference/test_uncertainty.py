"""The spread over mirror images: exact arithmetic, and zero where nothing can differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.planning import plan
from medical_super_resolution.inference.uncertainty import mirror_statistics, raise_in_gaps
from medical_super_resolution.models import file as models
from medical_super_resolution.models.file import Model
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.volume import MeasuredSlices, Volume

TWICE = EnhanceSettings(factor=2, axes="k", slice_profile="gaussian")
WITH_UNCERTAINTY = replace(TWICE, uncertainty=True)


def test_there_are_eight_mirrors_the_unchanged_one_first(a_volume: Volume):
    found = plan(a_volume.grid, TWICE).mirrors

    assert found[0] == ()
    assert len(set(found)) == 8


def test_an_axis_that_is_not_filled_exactly_has_no_mirror(a_volume: Volume):
    uneven = EnhanceSettings(factor=1.7, axes="k")  # 9 slices become 15.3

    assert plan(a_volume.grid, uneven).mirrors == [(), (1,), (2,), (2, 1)]


def test_mean_and_standard_deviation_are_those_over_the_mirrors(a_volume: Volume):
    planned = plan(a_volume.grid, TWICE)
    ramp = np.arange(planned.target.shape_kji[0], dtype=np.float32)[:, None, None]

    def refine(array: np.ndarray) -> np.ndarray:  # an answer that depends on where things lie in the array
        return np.repeat(array, 2, axis=0).astype(np.float32) + ramp

    answers = [np.flip(refine(np.flip(a_volume.array, axes)), axes) for axes in planned.mirrors]
    mean, deviation = mirror_statistics(answers[0], lambda axes: refine(np.flip(a_volume.array, axes)), planned)

    np.testing.assert_allclose(mean, np.mean(np.stack(answers).astype(np.float64), axis=0), rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(deviation, np.std(np.stack(answers).astype(np.float64), axis=0), rtol=1e-3, atol=1e-2)


def test_the_enhanced_volume_is_the_same_with_and_without(a_volume: Volume, a_model_file):
    model = models.load(a_model_file)
    plain = enhance(a_volume, model, TWICE)
    asked = enhance(a_volume, model, WITH_UNCERTAINTY)

    assert plain.uncertainty is None
    assert asked.uncertainty is not None
    np.testing.assert_array_equal(asked.volume.array, plain.volume.array)
    np.testing.assert_allclose(asked.uncertainty.grid.ijk_to_ras, asked.volume.grid.ijk_to_ras)
    assert asked.uncertainty.array.max() > 1  # an untrained network guesses


def test_where_all_answers_agree_rounding_adds_no_uncertainty(a_volume: Volume, a_model_file):
    """A network without weights interpolates, which is the same in every mirror; the result is rounded."""
    model = models.load(a_model_file)
    for parameter in model.generator.parameters():
        parameter.zero_()
    assert a_volume.array.dtype.kind == "i"

    found = enhance(a_volume, model, WITH_UNCERTAINTY).uncertainty

    assert found is not None
    assert found.array.max() < 0.01  # units of the volume; a rounded answer among others would differ by up to 0.16


def test_the_best_quality_is_the_mean_of_the_mirror_images_and_reproduces_the_slices(a_volume: Volume, a_model_file):
    model = models.load(a_model_file)
    scan = replace(a_volume, array=a_volume.array.astype(np.float32), modality="mr")  # nothing is clipped
    mirrored = []
    for axes in plan(scan.grid, TWICE).mirrors:
        answer = enhance(replace(scan, array=np.ascontiguousarray(np.flip(scan.array, axes))), model, TWICE)
        mirrored.append(np.flip(answer.volume.array, axes))

    best = enhance(scan, model, replace(TWICE, quality="best"))

    np.testing.assert_allclose(best.volume.array, np.mean(mirrored, axis=0), atol=0.02)  # units of the volume
    assert np.abs(best.volume.array - mirrored[0]).max() > 1  # an untrained network guesses
    assert best.report.consistency_error_rms < 0.01
    assert best.uncertainty is None
    uncertain = enhance(scan, model, replace(WITH_UNCERTAINTY, quality="best"))
    np.testing.assert_array_equal(uncertain.volume.array, best.volume.array)
    assert uncertain.uncertainty is not None


def test_the_best_quality_is_refused_with_detail_which_a_mean_would_take_away():
    with pytest.raises(SettingsError, match=r"removes the detail 0\.5"):
        replace(TWICE, quality="best", detail=0.5)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_the_uncertainty_does_not_depend_on_the_type_of_the_voxels(a_volume: Volume, a_model_file, dtype: type):
    model = models.load(a_model_file)
    shifted = replace(a_volume, array=np.clip(a_volume.array + 1000, 0, 250).astype(np.int16), modality="mr")
    expected = enhance(shifted, model, WITH_UNCERTAINTY).uncertainty.array

    found = enhance(replace(shifted, array=shifted.array.astype(dtype)), model, WITH_UNCERTAINTY)

    assert found.volume.array.dtype == dtype
    np.testing.assert_allclose(found.uncertainty.array, expected, rtol=1e-3, atol=1e-3)


def test_a_constant_is_certain(a_volume: Volume, a_model_file):
    constant = replace(a_volume, array=np.full_like(a_volume.array, 37))

    found = enhance(constant, models.load(a_model_file), WITH_UNCERTAINTY).uncertainty

    assert found is not None
    assert found.array.max() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("asked", [{"uncertainty": True}, {"quality": "best"}])
def test_a_scan_without_a_mirror_image_is_refused(a_volume: Volume, a_model: Model, asked: dict[str, object]):
    for axes in ("ij", "k"):  # the axes that are kept have mirrors
        enhance(a_volume, a_model, EnhanceSettings(factor=1.27, axes=axes, **asked))
    with pytest.raises(SettingsError, match="with the factors 1.27, 1.27 and 1.27 along i, j and k"):
        enhance(a_volume, a_model, EnhanceSettings(factor=1.27, axes="ijk", **asked))


def test_progress_reaches_its_total_once(a_volume: Volume, a_model_file):
    steps: list[tuple[int, int]] = []
    enhance(a_volume, models.load(a_model_file), WITH_UNCERTAINTY, lambda *step: steps.append(step))

    assert steps[-1][0] == steps[-1][1]
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert sum(done == total for done, total in steps) == 1


def all_but_the_fifth(volume: Volume) -> MeasuredSlices:
    there = np.delete(np.arange(9), 4)
    return MeasuredSlices(volume.array[there], there, np.ones(8))


def test_where_a_slice_is_missing_half_the_difference_of_its_neighbors_is_added(a_volume: Volume):
    volume = replace(a_volume, measured=all_but_the_fifth(a_volume))
    deviation = np.full((18, 18, 20), 3, np.float32)
    raise_in_gaps(deviation, volume, plan(volume.grid, TWICE).target)
    half = np.abs(volume.array[5].astype(float) - volume.array[3]) / 2
    np.testing.assert_allclose(deviation[8], np.hypot(3, half), rtol=1e-5)
    np.testing.assert_array_equal(deviation[9], deviation[8])
    assert (np.delete(deviation, (8, 9), axis=0) == 3).all()


def test_a_missing_slice_is_less_certain_than_the_others_and_the_report_says_so(a_volume: Volume, a_model: Model):
    done = enhance(replace(a_volume, measured=all_but_the_fifth(a_volume)), a_model, WITH_UNCERTAINTY)
    half = np.abs(a_volume.array[5].astype(float) - a_volume.array[3]) / 2
    assert done.uncertainty is not None
    assert (done.uncertainty.array[8:10] >= half - 0.01).all()
    assert (done.uncertainty.array[6:8] < half).any()
    assert "where a slice is missing" in done.report.uncertainty
    assert done.volume.measured is None


def test_a_missing_slice_is_not_less_certain_for_a_neighbor_that_is_padding(a_volume: Volume, a_model: Model):
    outside = np.zeros(a_volume.array.shape, bool)
    outside[5:, :, :5] = True  # the field of view moves where the slice is missing
    outside[4, :, :3] = True
    array = np.where(outside, -3024, a_volume.array).astype(np.int16)
    measured = all_but_the_fifth(replace(a_volume, array=array))
    measured = replace(measured, padding=np.delete(outside, 4, axis=0))
    done = enhance(replace(a_volume, array=array, padding=outside, measured=measured), a_model, WITH_UNCERTAINTY)
    half = np.abs(array[5].astype(float) - array[3]) / 2

    assert done.uncertainty is not None
    found = done.uncertainty.array[8:10]
    assert (found[..., :3] == 0).all()  # padding in the result, too
    assert found[..., 3:5].max() < half[:, 3:5].min() / 2
    assert (found[..., 5:] >= half[:, 5:] - 0.01).all()
