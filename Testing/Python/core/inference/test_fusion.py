from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from command_line import refused
from medical_super_resolution import fuse
from medical_super_resolution.api import fuse as api
from medical_super_resolution.errors import Cancelled, DeviceError, SettingsError, VolumeError
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.fusion import fuse as module
from medical_super_resolution.inference.fusion import prior
from medical_super_resolution.inference.fusion import stacks as sets
from medical_super_resolution.inference.fusion.fuse import Fusion
from medical_super_resolution.inference.fusion.settings import FusionSettings
from medical_super_resolution.models.file import load
from medical_super_resolution.progress import ignore
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.registration import described, rigid_motion
from medical_super_resolution.volumes.volume import MeasuredSlices, Volume

SIDE, FACTOR = 24, 4


@pytest.fixture
def a_model(a_model_file):
    return load(a_model_file)


def a_truth(side=SIDE) -> np.ndarray:
    """Smooth blobs over a background, positive."""
    random = np.random.default_rng(5)
    places = np.indices((side, side, side)).reshape(3, -1)
    truth = np.full(side**3, 50.0)
    for _ in range(12):
        middle, width = random.uniform(0.2, 0.8, (3, 1)) * side, random.uniform(0.08, 0.16) * side
        truth += random.uniform(200, 600) * np.exp(-((places - middle) ** 2).sum(axis=0) / (2 * width**2))
    return truth.reshape(side, side, side).astype(np.float32)


def a_stack(truth: np.ndarray, axis: int, dtype=np.float32) -> Volume:
    """Every four slices along one array axis averaged."""
    moved = np.moveaxis(truth, axis, 0)
    thick = np.moveaxis(moved.reshape(-1, FACTOR, *moved.shape[1:]).mean(axis=1), 0, axis)
    spacing = [1.0, 1.0, 1.0]
    spacing[2 - axis] = float(FACTOR)
    matrix = np.diag([*spacing, 1.0])
    matrix[2 - axis, 3] = (FACTOR - 1) / 2
    return Volume(np.ascontiguousarray(thick).astype(dtype), Grid(thick.shape, matrix), float(FACTOR), "mr")


def placed(stack: Volume, ijk_to_ras: np.ndarray) -> Volume:
    return replace(stack, grid=Grid(stack.grid.shape_kji, ijk_to_ras))


def three_stacks(dtype=np.float32) -> list[Volume]:
    truth = a_truth()
    return [a_stack(truth, axis, dtype) for axis in range(3)]


def error(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found.astype(float) - truth) ** 2)))


def test_a_single_stack_comes_out_as_enhancement_gives_it(a_model):
    stack = three_stacks()[0]
    settings = EnhanceSettings(slice_profile="gaussian")
    expected = enhance(stack, a_model, settings).volume
    found = Fusion([stack], a_model, FusionSettings(enhance=settings), ignore).result()
    assert found.shape == expected.array.shape
    span = float(stack.array.max() - stack.array.min())
    assert np.abs(found.numpy() - expected.array).max() < 1e-3 * span


def test_three_stacks_are_nearer_to_the_truth_than_any_one_of_them(a_model):
    stacks, truth = three_stacks(), a_truth()
    settings = EnhanceSettings(slice_profile="box")
    fused = fuse(stacks, a_model, register="none", enhance=settings)
    alone = [error(enhance(stack, a_model, settings).volume.array, truth) for stack in stacks]
    assert fused.array.shape == truth.shape
    assert error(fused.array, truth) < 0.5 * min(alone)


def test_a_second_round_still_reproduces_every_stack(a_model):
    stacks = three_stacks()[:2]
    options = {"register": "none", "iterations": 4, "full": True}
    once, twice = (fuse(stacks, a_model, rounds=rounds, **options) for rounds in (1, 2))
    assert not np.array_equal(once.volume.array, twice.volume.array)
    assert max(twice.report.consistency_error_rms) < 1.2 * max(once.report.consistency_error_rms)
    assert error(twice.volume.array, a_truth()) < 1.2 * error(once.volume.array, a_truth())


def test_the_model_and_the_detail_of_the_settings_count(a_model_file, monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[str, float]] = []

    def load_model(name: str, detail: float):
        asked.append((name, detail))
        return replace(load(a_model_file), detail=detail)

    monkeypatch.setattr(api, "load_model", load_model)
    settings = EnhanceSettings(model="general-large", detail=1.0)
    fuse(three_stacks()[:2], register="none", iterations=1, enhance=settings)
    fuse(three_stacks()[:2], "general", register="none", iterations=1, enhance=settings)
    assert asked == [("general-large", 1.0), ("general", 1.0)]


@pytest.mark.parametrize("rounds", [1, 2])
def test_the_slice_thickness_of_the_settings_is_that_of_every_stack(a_model, rounds: int):
    stacks = three_stacks()[:2]
    options = {"register": "none", "iterations": 2, "rounds": rounds}
    stated = fuse([replace(stack, slice_thickness_mm=3.0) for stack in stacks], a_model, **options)
    asked = fuse(stacks, a_model, enhance=EnhanceSettings(slice_thickness_mm=3.0), **options)
    np.testing.assert_array_equal(asked.array, stated.array)


def test_the_order_of_the_stacks_does_not_matter(a_model):
    stacks = three_stacks(np.int16)
    one, other = fuse(stacks, a_model, full=True), fuse([stacks[i] for i in (2, 0, 1)], a_model, full=True)
    assert np.array_equal(one.volume.array, other.volume.array)
    assert one.volume.grid == other.volume.grid
    assert [one.report.gain[i] for i in (2, 0, 1)] == list(other.report.gain)
    assert one.volume.array.dtype == np.int16


def test_constant_stacks_give_the_same_constant(a_model):
    stacks = [replace(stack, array=np.full_like(stack.array, 60 + 1e-3 * n)) for n, stack in enumerate(three_stacks())]
    assert np.abs(fuse(stacks, a_model, register="none").array - 60).max() < 0.1


@pytest.mark.parametrize("register", ["none", "rigid"])
def test_padding_is_no_measurement(a_model, register: str):
    """As around slices of a tilted gantry that were straightened."""
    stacks = three_stacks()
    k, j, _ = np.indices(stacks[0].array.shape)
    padding = j < 2 * k
    padded = replace(stacks[0], array=np.where(padding, 0, stacks[0].array), padding=padding)
    like = Volume(np.zeros((SIDE,) * 3), Grid((SIDE,) * 3, np.eye(4)))
    whole, partly = (
        fuse([one, *stacks[1:]], a_model, register=register, like=like, full=True) for one in (stacks[0], padded)
    )
    assert partly.report.gain == pytest.approx(whole.report.gain, rel=0.02)
    difference = np.abs(partly.volume.array - whole.volume.array)
    assert difference[padding.repeat(FACTOR, axis=0)].mean() < 15


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_slice_that_was_interpolated_is_no_measurement(a_model, rounds: int):
    first, *others = three_stacks()
    array, number = first.array.copy(), 3
    array[number] = (array[number - 1] + array[number + 1]) / 2
    places = np.delete(np.arange(len(array)), number)
    measured = MeasuredSlices(first.array[places], places.astype(float), np.ones(len(places)))
    known, unknown = (replace(first, array=array, measured=one) for one in (measured, None))
    like = Volume(a_truth(), Grid((SIDE,) * 3, np.eye(4)))
    found, misled = (
        fuse([one, *others], a_model, register="none", like=like, rounds=rounds).array for one in (known, unknown)
    )
    assert error(found, like.array) < 0.7 * error(misled, like.array)


def test_averaged_pixels_keep_the_measured_slices_and_their_padding():
    array = np.arange(5 * 8 * 8, dtype=np.float32).reshape(5, 8, 8)
    padding = array % 8 < 3
    places = np.array([0, 1, 3, 4])
    measured = MeasuredSlices(array[places], places.astype(float), np.ones(4), padding[places])
    grid = Grid((5, 8, 8), np.diag([1.0, 1.0, 4.0, 1.0]))
    coarse = sets.as_coarse_as(Volume(array, grid, modality="mr", padding=padding, measured=measured), 2.0)
    assert coarse.measured is not None
    np.testing.assert_array_equal(coarse.measured.array, coarse.array[places])
    np.testing.assert_array_equal(coarse.measured.padding, coarse.padding[places])
    np.testing.assert_array_equal(coarse.padding[0, 0], [True, True, False, False])
    np.testing.assert_array_equal(coarse.interpolated, [False, False, True, False, False])


@pytest.mark.parametrize("air", [-1000, -1024])
def test_nothing_is_darker_than_air_beside_padding(a_model, air: int):
    """A round field of view in CT, as in `enhance`."""
    stacks = []
    for stack in three_stacks():
        hounsfield = np.where(stack.array < 150, air, stack.array)  # an edge at which everything overshoots
        hounsfield[:2, :2, :2] = -2000
        stacks.append(replace(stack, array=hounsfield.astype(np.int16), modality="ct"))
    result = fuse(stacks, a_model, register="none").array
    assert result.min() == air


def test_a_stack_with_another_gain_is_matched(a_model):
    stacks = three_stacks()
    brighter = [stacks[0], replace(stacks[1], array=stacks[1].array * 1.5), stacks[2]]
    usual, matched = (fuse(some, a_model, register="none", full=True).report for some in (stacks, brighter))
    assert matched.gain[0] / matched.gain[1] == pytest.approx(1.5, rel=0.03)
    assert np.prod(matched.gain) == pytest.approx(1, rel=0.01)
    assert matched.consistency_error_rms[0] < 1.5 * usual.consistency_error_rms[0]


def test_the_shading_of_the_stacks_is_matched_unless_that_is_switched_off(a_model):
    one, other, _ = three_stacks()
    other = replace(other, array=other.array * np.exp(np.linspace(-0.3, 0.3, SIDE, dtype=np.float32)))
    by_default, without = (
        max(fuse([one, other], a_model, register="none", full=True, **options).report.consistency_error_rms)
        for options in ({}, {"shading": False})
    )
    assert by_default < 0.5 * without


def test_of_two_stacks_one_is_registered_to_the_other(a_model):
    first, second, _ = three_stacks()
    moved = second.grid.ijk_to_ras.copy()
    moved[:3, 3] += 1.0
    report = fuse([first, placed(second, moved)], a_model, iterations=1, full=True).report
    assert max(report.shift_mm) == pytest.approx(np.sqrt(3), abs=0.4)


def test_the_unit_of_the_values_does_not_matter(a_model):
    """Diffusivity in square meters per second is a billionth of an image in usual units."""
    first, second, third = three_stacks()
    moved = second.grid.ijk_to_ras.copy()
    moved[:3, 3] += 1.0
    stacks = [first, replace(second, array=second.array * 1.4, grid=Grid(second.grid.shape_kji, moved)), third]
    unit = np.float32(1e-9)
    usual = fuse(stacks, a_model, full=True)
    small = fuse([replace(one, array=one.array * unit) for one in stacks], a_model, full=True)
    assert max(usual.report.gain) > 1.05
    assert small.report.gain == pytest.approx(usual.report.gain, rel=0.01)
    assert small.report.shift_mm == pytest.approx(usual.report.shift_mm, abs=0.1)
    assert small.report.consistency_error_rms == pytest.approx(
        [1e-9 * e for e in usual.report.consistency_error_rms], 0.1
    )


def test_the_result_can_have_the_grid_of_a_stack_or_another_spacing(a_model):
    stacks = three_stacks()
    assert fuse(stacks, a_model, register="none", like=stacks[1]).grid == stacks[1].grid
    coarser = fuse(stacks, a_model, register="none", spacing_mm=2.0)
    assert coarser.grid.shape_kji == (12, 12, 12)
    assert coarser.grid.spacing_ijk_mm == pytest.approx((2.0, 2.0, 2.0))


def test_the_volume_whose_grid_is_taken_may_be_a_file(a_model, tmp_path):
    stacks = three_stacks()[:2]
    files.write(stacks[1], tmp_path / "like.nii.gz")
    options = {"register": "none", "iterations": 1}
    of_file, of_volume = (fuse(stacks, a_model, like=like, **options) for like in (tmp_path / "like.nii.gz", stacks[1]))
    np.testing.assert_allclose(of_file.array, of_volume.array, atol=1e-3)
    np.testing.assert_allclose(of_file.grid.ijk_to_ras, of_volume.grid.ijk_to_ras, atol=1e-5)


def test_a_region_is_that_part_of_the_whole(a_model):
    stacks = three_stacks()
    options = {"register": "none", "shading": False, "enhance": EnhanceSettings(slice_profile="box")}
    whole = fuse(stacks, a_model, **options)
    part = fuse(stacks, a_model, region_ras_mm=(3.6, 18.4, 3.6, 18.4, 5.6, 20.4), **options)
    assert part.array.shape == (15, 15, 15)
    assert part.grid.ijk_to_ras[:3, 3] == pytest.approx([4, 4, 6])
    inner = np.s_[4:-4, 4:-4, 4:-4]  # at the border of the region fewer slices count
    assert error(part.array[inner], whole.array[6:21, 4:19, 4:19][inner]) < 0.02 * float(np.ptp(whole.array))


def test_a_region_has_the_voxels_of_the_whole(a_model, monkeypatch: pytest.MonkeyPatch):
    """Although of the stacks only what lies near it is refined."""
    monkeypatch.setattr(sets, "_NARROWEST_MM", 8.0)
    monkeypatch.setattr(sets, "_MARGIN_MM", 2.0)
    options = {"register": "none", "iterations": 1, "spacing_mm": 1.5}
    whole = fuse(three_stacks(), a_model, **options).grid
    part = fuse(three_stacks(), a_model, region_ras_mm=(10, 20, 10, 20, 0, 20), **options).grid
    first_ijk = np.linalg.solve(whole.ijk_to_ras, part.ijk_to_ras)[:3, 3]
    np.testing.assert_allclose(first_ijk, np.rint(first_ijk), atol=1e-6)


def test_a_stack_that_is_fine_enough_keeps_the_profile_of_its_thickness(a_model):
    grid = Grid((8, 8, 8), np.diag([1.0, 1.0, 2.0, 1.0]), "k")
    stack = Volume(np.zeros(grid.shape_kji, np.float32), grid, slice_thickness_mm=3.0, modality="mr")
    assert prior.refined_stack(stack, 2.0, a_model, EnhanceSettings(), ignore).profile.width == 1.5


def test_what_lies_far_from_a_region_does_not_count():
    grid = Grid((40, 200, 30), np.diag([4.0, 1.0, 3.0, 1.0]), "k")
    stack = Volume(np.arange(40 * 200 * 30, dtype=np.float32).reshape(grid.shape_kji), grid)
    part = sets.near(stack, (40, 60, 100, 190, 30, 40))
    assert part.array.shape == (26, 110, 20)  # 75 mm from the border, 90 mm with 10 on each side, 80 mm
    i, j, k = np.rint(np.linalg.solve(grid.ijk_to_ras, part.grid.ijk_to_ras)[:3, 3]).astype(int)
    assert np.array_equal(part.array, stack.array[k : k + 26, j : j + 110, i : i + 20])
    assert part.grid.slice_axis == "k"
    assert sets.near(stack, (500, 600, 0, 90, 0, 90)) is stack


@pytest.mark.parametrize("axis", range(3))
def test_slices_stay_slices_where_their_plane_is_made_as_coarse(axis: int):
    spacing = [1.0, 1.0, 1.0]
    spacing[2 - axis] = 2.0
    shape = [12, 12, 12]
    shape[axis] = 5
    stack = Volume(np.zeros(shape, np.float32), Grid(tuple(shape), np.diag([*spacing, 1.0])), modality="mr")
    coarse = sets.as_coarse_as(stack, 2.0).grid
    assert coarse.spacing_ijk_mm == (2.0, 2.0, 2.0)
    assert coarse.through_plane_axis == "kji"[axis]
    assert coarse.count("kji"[axis]) == 5


def test_registration_finds_a_motion():
    truth = a_truth(40)
    grid = Grid(truth.shape, np.diag([2.0, 2.0, 2.0, 1.0]))
    motion = np.eye(4)
    motion[:3, 3] = (3.0, -2.0, 1.0)
    moved = Volume(truth, Grid(truth.shape, np.linalg.inv(motion) @ grid.ijk_to_ras))
    found = rigid_motion(Volume(truth, grid), moved)
    left = described(found @ np.linalg.inv(motion), Volume(truth, grid))
    assert left[0] < 0.5
    assert left[1] < 0.5


def test_stacks_that_cannot_be_fused_are_refused_in_one_sentence(a_model):
    stacks = three_stacks()
    far = stacks[1].grid.ijk_to_ras.copy()
    far[0, 3] += 500
    leaning = stacks[1].grid.ijk_to_ras.copy()
    leaning[0, 2] = 0.3
    cases = {
        "needs 2 to 12 stacks, got 1": stacks[:1],
        "needs 2 to 12 stacks, got 13": stacks[:1] * 13,
        "stacks 1 and 3 are the same scan": [stacks[0], stacks[1], stacks[0]],
        "different modality, CT and MR": [stacks[0], replace(stacks[1], modality="ct")],
        "axes of stack 2 are not at right angles": [stacks[0], placed(stacks[1], leaning)],
        "stack 1 overlaps with no other": [stacks[0], placed(stacks[1], far)],
    }
    for sentence, refused_stacks in cases.items():
        with pytest.raises(VolumeError, match=sentence):
            fuse(refused_stacks, a_model)
    with pytest.raises(VolumeError, match="no stack overlaps with the volume whose grid is asked for"):
        fuse(stacks, a_model, like=placed(stacks[1], far))


def test_a_label_map_is_no_stack(a_model):
    """Labels that are averaged give others, which nobody drew."""
    scan, other, _ = (replace(stack, modality=None) for stack in three_stacks())
    drawn = np.where(other.array > 300, 7, np.where(other.array > 150, 3, 0)).astype(np.uint8)
    stacks = [scan, replace(other, array=drawn)]
    with pytest.raises(VolumeError, match="stack 2 is a label map.*; if it is a scan, state its modality"):
        fuse(stacks, a_model)
    assert sets.check([replace(stack, modality="mr") for stack in stacks]) == "mr"


@pytest.mark.parametrize("nonsense", [{"spacing_mm": 0.0}, {"register": "affine"}, {"iterations": 0}, {"rounds": 0}])
def test_nonsense_is_refused(nonsense):
    with pytest.raises(SettingsError):
        FusionSettings(**nonsense)


def test_the_report_names_the_device_that_refined_the_stacks(a_model, monkeypatch: pytest.MonkeyPatch):
    def on_a_card(*arguments):
        enhanced = enhance(*arguments)
        return replace(enhanced, report=replace(enhanced.report, device="cuda"))

    options = {"register": "none", "iterations": 1, "full": True}
    assert fuse(three_stacks()[:2], a_model, **options).report.device == "cpu"
    monkeypatch.setattr(prior, "enhance", on_a_card)
    fused = fuse(three_stacks()[:2], a_model, **options)
    grid = fused.volume.grid
    assert (fused.report.device, fused.report.as_refinement(grid, grid).device) == ("cuda", "cuda")


def test_threads_hold_for_the_solver_too(a_model, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "solve", lambda prior, *_, **__: threads.append(torch.get_num_threads()) or prior)
    threads: list[int] = []
    before = torch.get_num_threads()
    for count in (1, 2):
        settings = FusionSettings(register="none", enhance=EnhanceSettings(threads=count))
        module.fuse_stacks(three_stacks(), a_model, settings, uncertainty=False)
    assert threads == [1, 2]
    assert torch.get_num_threads() == before


def test_too_little_memory_for_the_solver_is_said_in_one_sentence(a_model, monkeypatch: pytest.MonkeyPatch):
    def solve(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes")

    monkeypatch.setattr(module, "solve", solve)
    with pytest.raises(DeviceError, match="the computer ran out of memory"):
        fuse(three_stacks(), a_model, register="none")


def test_the_user_can_stop_it(a_model):
    def stop(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        fuse(three_stacks(), a_model, progress=stop)


def test_the_command_writes_volume_uncertainty_and_report(medsr, tmp_path, a_model_file):
    paths = [tmp_path / f"stack{number}.nii.gz" for number in range(3)]
    for stack, path in zip(three_stacks(np.int16), paths, strict=True):
        files.write(stack, path)
    written = [tmp_path / name for name in ("fused.nii.gz", "uncertainty.nii.gz", "report.json")]
    options = ("--model", a_model_file, "--register", "none", "--spacing", 1.0, "--slice-thickness", 4.0)
    status, _, err = medsr(
        "fuse", *paths, written[0], "--uncertainty", written[1], "--report", written[2], "--modality", "mr", *options
    )
    assert status == 0, err
    assert files.read(written[0]).array.shape == (SIDE, SIDE, SIDE)
    assert files.read(written[1]).grid == files.read(written[0]).grid
    report = json.loads(written[2].read_text())
    assert report["size_ijk"] == [SIDE, SIDE, SIDE]
    assert len(report["consistency_error_rms"]) == 3
    assert "2 to 12" in refused(medsr, tmp_path, "fuse", paths[0], tmp_path / "other.nii.gz")


def test_a_result_that_would_be_too_large_is_refused_before_the_work(a_model, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Fusion, "_refine", lambda self: pytest.fail("a stack was refined"))
    with pytest.raises(VolumeError, match="voxels; ask for a coarser spacing than 0.001"):
        fuse(three_stacks(), a_model, spacing_mm=0.001)


@pytest.mark.parametrize("like", [None, three_stacks()[0]])
def test_a_region_outside_the_stacks_is_refused_before_the_work(
    a_model, monkeypatch: pytest.MonkeyPatch, like: Volume | None
):
    monkeypatch.setattr(Fusion, "_refine", lambda self: pytest.fail("a stack was refined"))
    with pytest.raises(VolumeError, match="the region lies outside the stacks"):
        fuse(three_stacks(), a_model, like=like, region_ras_mm=(100, 120, 0, 9, 0, 9))
