"""Training of the slice-profile estimator: scans whose slice profile is known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medical_super_resolution.models import profile_estimator
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.config.recipes import find_recipe, read_recipe
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.data.samplers import slice_profiles
from medical_super_resolution_training.data.samplers.slice_profiles import ProfileSampler
from medical_super_resolution_training.tasks import task_of
from medical_super_resolution_training.training.state import new_state
from medical_super_resolution_training.training.trainer import train


@pytest.fixture
def a_recipe_of_profiles() -> Recipe:
    return replace(
        read_recipe(find_recipe("slice-profile"), []),
        batch_size=2,
        steps=2,
        patch_slices=6,
        patch_in_plane=24,
        generator_config={"channels": 4, "layers": 2, "hidden": 4, "joint": 4},
    )


@pytest.fixture
def some_scans(tmp_path: Path) -> list[Entry]:
    """Two isotropic volumes of smooth noise."""
    entries = []
    for number in range(2):
        array = np.cumsum(np.random.default_rng(number).normal(size=(40, 50, 60)), axis=2).astype(np.float32)
        np.save(tmp_path / f"{number}.npy", array)
        path = str(tmp_path / f"{number}.npy")
        entries.append(Entry(f"scan {number}", path, "mr", (1.0, 1.0, 1.0), float(array.min()), float(array.max())))
    return entries


def test_a_batch_depends_on_seed_and_step_alone(some_scans: list[Entry], a_recipe_of_profiles: Recipe):
    one, same, other = (ProfileSampler(some_scans, a_recipe_of_profiles).batch(step) for step in (3, 3, 4))
    torch.testing.assert_close(one.lr, same.lr, rtol=0, atol=0)
    assert not torch.equal(one.log_width, other.log_width)


def test_processes_share_a_batch(some_scans: list[Entry], a_recipe_of_profiles: Recipe):
    sampler = ProfileSampler(some_scans, a_recipe_of_profiles)
    whole, second = sampler.batch(0), sampler.batch(0, 1, 2)
    torch.testing.assert_close(whole.lr[1:], second.lr)


def test_widths_stay_within_what_the_recipe_says(some_scans: list[Entry], a_recipe_of_profiles: Recipe):
    sampler = ProfileSampler(some_scans, replace(a_recipe_of_profiles, batch_size=8, box_fraction=0.0))
    widths = sampler.batch(0).log_width.exp()
    assert ((widths >= 0.5) & (widths <= 1.4)).all()
    assert widths.std() > 0.01


@pytest.mark.parametrize("box_fraction", [0.0, 1.0])
def test_the_width_is_that_of_the_gaussian_that_blurs_like_the_profile(
    some_scans: list[Entry], a_recipe_of_profiles: Recipe, box_fraction: float
):
    recipe = replace(a_recipe_of_profiles, box_fraction=box_fraction, thickness_range=(0.8, 0.8))
    torch.testing.assert_close(ProfileSampler(some_scans, recipe).batch(0).log_width.exp(), torch.tensor([0.8, 0.8]))


def test_of_thick_slices_the_width_includes_their_own(some_scans: list[Entry], a_recipe_of_profiles: Recipe):
    """They stay the slices; 4 mm thick, they were blurred by as much more than their pixels of 1 mm."""
    thick = [replace(entry, spacing_kji_mm=(4.0, 1.0, 1.0)) for entry in some_scans]
    recipe = replace(
        a_recipe_of_profiles,
        box_fraction=0.0,
        thickness_range=(1.0, 1.0),
        factors=(2.0,),
        factor_weights=(1.0,),
        any_factor_weight=0.0,
    )
    expected = math.sqrt(1 + (4**2 - 1**2) / (2 * 4) ** 2)
    torch.testing.assert_close(ProfileSampler(thick, recipe).batch(0).log_width.exp(), torch.full((2,), expected))


def test_what_lies_beyond_a_short_cut_is_marked_as_not_known(some_scans: list[Entry], a_recipe_of_profiles: Recipe):
    batch = ProfileSampler(some_scans, replace(a_recipe_of_profiles, patch_slices=40)).batch(0)
    slices = batch.known.any(dim=-1)  # (N, G, P, K)
    assert slices.sum(dim=-1).amin() > 0
    assert slices.sum(dim=-1).amax() < 40
    for lr, known in zip(batch.lr.flatten(0, 2), slices.flatten(0, 2), strict=True):
        last = int(known.sum()) - 1
        assert known[: last + 1].all()
        assert (lr[last:] == lr[last]).all()


def test_a_smooth_scan_is_equally_smooth_along_all_axes_in_mm():
    impulse, spacing = np.zeros((41, 81, 81), np.float32), (2.0, 1.0, 1.0)
    impulse[20, 40, 40] = 1
    drawn = (slice_profiles._smooth(np.random.default_rng(seed), impulse, 4.0, spacing) for seed in range(99))
    made = next(one for one in drawn if one is not impulse)
    offsets = np.meshgrid(
        *(mm * np.arange(-(n // 2), n // 2 + 1) for mm, n in zip(spacing, made.shape, strict=True)), indexing="ij"
    )
    variances = [float((made * offset**2).sum() / made.sum()) for offset in offsets]
    assert variances == pytest.approx([variances[1]] * 3, rel=0.05)


def test_noise_is_as_strong_where_a_kernel_has_softened_it(some_scans: list[Entry], a_recipe_of_profiles: Recipe):
    recipe = replace(a_recipe_of_profiles, noise_fraction=1.0, noise_maximum=0.1)
    sampler, nothing = ProfileSampler(some_scans, recipe), np.zeros((8, 40, 40), np.float32)
    drawn = [sampler._noisy(np.random.default_rng(seed), nothing) for seed in range(60)]
    soft = [one.std() for one in drawn if np.diff(one).std() < 1.2 * one.std()]
    assert 0.085 < max(soft) < 0.11


def test_cuts_are_stretched_by_the_spacing_of_their_own_axis(
    some_scans: list[Entry], a_recipe_of_profiles: Recipe, monkeypatch: pytest.MonkeyPatch
):
    ratios, cut = [], slice_profiles.cuts
    monkeypatch.setattr(
        slice_profiles, "cuts", lambda slices, two, scale: ratios.append(two) or cut(slices, two, scale)
    )
    thick = [replace(entry, spacing_kji_mm=(4.0, 1.0, 2.0)) for entry in some_scans]
    ProfileSampler(thick, a_recipe_of_profiles).batch(0)
    assert [along_j / along_i for along_j, along_i in ratios] == [2, 2]


def test_two_steps_change_the_weights_and_the_file_can_be_used(
    some_scans: list[Entry], a_recipe_of_profiles: Recipe, tmp_path: Path
):
    state = new_state(a_recipe_of_profiles, "cpu")
    before = {name: tensor.clone() for name, tensor in state.generator.state_dict().items()}
    task = task_of(a_recipe_of_profiles)
    sampler = task.dataset(some_scans)
    terms = []
    batches = [sampler.batch(step) for step in range(2)]
    train(task, state, batches, lambda _, found: terms.append(found), device=torch.device("cpu"))
    assert set(terms[0]) >= {"slice_profile"}
    assert any(not torch.equal(tensor, before[name]) for name, tensor in state.generator.state_dict().items())
    task.export(tmp_path / "mine.safetensors", state.average, {"summary": "mine"})
    assert profile_estimator.load(tmp_path / "mine.safetensors").calibration.width_range == (0.5, 1.4)


def test_the_loss_is_least_where_the_width_is_right_and_the_error_is_known(
    some_scans: list[Entry], a_recipe_of_profiles: Recipe
):
    batch = ProfileSampler(some_scans, a_recipe_of_profiles).batch(0)

    def loss(off: float, error: float) -> float:
        def estimator(_lr: torch.Tensor, _known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return batch.log_width + off, torch.full_like(batch.log_width, error).log()

        terms = task_of(a_recipe_of_profiles).predict(estimator, batch).terms  # type: ignore[arg-type]
        return terms["slice_profile"].item()

    assert loss(0.1, 0.1) == pytest.approx(3 * (0.1 - 0.04) + 0.5 + math.log(0.1), abs=1e-5)
    assert loss(0.0, 0.1) < loss(0.1, 0.1) < loss(0.1, 0.02)
