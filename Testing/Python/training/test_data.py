from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.config.recipes import read_recipe, shipped
from medical_super_resolution_training.data.batch import SequenceBatch
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.data.patch_size import fits, sequence_patch, too_small, trains_sequences
from medical_super_resolution_training.data.samplers.sequences import PatchSampler
from medical_super_resolution_training.tasks import task_of
from medical_super_resolution_training.tasks.slice_sequence import SliceSequenceTask


def same(one: SequenceBatch, other: SequenceBatch) -> bool:
    pairs = [(getattr(one, entry.name), getattr(other, entry.name)) for entry in dataclasses.fields(SequenceBatch)]
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


def test_a_batch_depends_on_the_seed_and_the_step_alone(entries: list[Entry], a_recipe: Recipe):
    used = PatchSampler(entries, a_recipe)
    for step in range(3):
        used.batch(step)
    np.random.default_rng(1).random()
    torch.manual_seed(99)
    assert same(used.batch(5), PatchSampler(entries, a_recipe).batch(5))


def test_other_steps_and_other_seeds_give_other_batches(entries: list[Entry], a_recipe: Recipe):
    batch = PatchSampler(entries, a_recipe).batch(5)
    assert not same(batch, PatchSampler(entries, a_recipe).batch(6))
    assert not same(batch, PatchSampler(entries, replace(a_recipe, seed=8)).batch(5))


def test_batch_and_patches_draw_from_sequences_of_their_own(
    entries: list[Entry], a_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
):
    begun, draw = [], np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: begun.append(draw(seed).random()) or draw(seed))
    PatchSampler(entries, a_recipe).batch(5)
    assert len(set(begun)) == len(begun) == 1 + a_recipe.batch_size


@pytest.mark.parametrize("step", range(6))
def test_thick_slices_are_what_the_scanner_would_measure_of_the_fine_ones(entries, a_recipe: Recipe, step: int):
    batch = PatchSampler(entries, replace(a_recipe, noise_fraction=0.0)).batch(step)
    again = np.einsum("km,ncmji->nckji", batch.acquisition.double(), batch.hr.double())
    np.testing.assert_allclose(batch.lr, again, atol=1e-5)


@pytest.mark.parametrize("step", range(6))
def test_places_belong_to_the_fine_slices(entries: list[Entry], a_recipe: Recipe, step: int):
    batch = PatchSampler(entries, a_recipe).batch(step)
    assert len(batch.positions) == batch.hr.shape[2] == round(batch.lr.shape[2] * batch.factor)
    expected = (np.arange(len(batch.positions)) + 0.5) / batch.factor - 0.5
    np.testing.assert_allclose(batch.positions, expected, atol=1e-5)


def test_the_matrices_of_a_batch_undo_each_other(entries: list[Entry], a_recipe: Recipe):
    batch = PatchSampler(entries, replace(a_recipe, thickness_range=(0.9, 1.0))).batch(0)
    identity = batch.acquisition.double() @ batch.consistency.double()
    np.testing.assert_allclose(identity, np.eye(len(identity)), atol=1e-4)


def test_noise_is_added_to_the_slices_where_the_recipe_says_so(entries: list[Entry], a_recipe: Recipe):
    noisy = PatchSampler(entries, replace(a_recipe, noise_fraction=1.0, noise_maximum=0.1)).batch(0)
    clean = torch.einsum("km,ncmji->nckji", noisy.acquisition, noisy.hr)
    noise = noisy.lr - clean
    assert 0 < noise.std() < 0.11
    assert abs(torch.corrcoef(noise.flatten(1))[0, 1]) < 0.2  # of each patch its own


def test_factors_and_thicknesses_stay_in_the_recipe(entries: list[Entry], a_recipe: Recipe):
    sampler = PatchSampler(entries, replace(a_recipe, box_fraction=0.0))  # of Gaussians, the width is the thickness
    batches = [sampler.batch(step) for step in range(12)]
    assert {batch.factor for batch in batches} == {2.0, 4.0}
    assert all(0.7 <= batch.profile_width <= 1.3 for batch in batches)


def test_patches_show_structure_in_the_range_of_the_network(entries: list[Entry], a_recipe: Recipe):
    sampler = PatchSampler(entries, a_recipe)
    for step in range(4):
        hr = sampler.batch(step).hr
        assert hr.dtype == torch.float32
        assert hr.std() > 0.02
        assert -0.7 < hr.quantile(0.01) < hr.quantile(0.99) < 2


@pytest.fixture
def impatient() -> Iterator[None]:
    """A test that hangs fails after a minute."""
    if os.name == "nt":
        pytest.skip("signals of Unix")

    def ring(number: int, frame: object) -> None:
        raise AssertionError("still searching after a minute")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_of_small_volumes_and_large_factors_sequences_are_short(entries: list[Entry], a_recipe: Recipe):
    """Their longest axis has 40 voxels."""
    batch = PatchSampler(entries, replace(a_recipe, factors=(8.0,), factor_weights=(1.0,))).batch(0)
    assert batch.lr.shape[2:] == (5, 16, 16)
    assert batch.hr.shape[2:] == (40, 16, 16)


def stored(shape: tuple[int, int, int], folder: Path) -> Entry:
    """A volume of these voxels along k, j and i, of noise."""
    path = folder / f"{'x'.join(map(str, shape))}.npy"
    np.save(path, np.random.default_rng(0).normal(size=shape).astype(np.float32))
    return Entry("noise", str(path), "mr", (1.0, 1.0, 1.0), 0.0, 1.0)


def test_patches_are_flipped_along_each_axis_half_of_the_time(a_recipe: Recipe, tmp_path: Path):
    ramp = sum(np.meshgrid(*3 * [np.arange(40, dtype=np.float32)], indexing="ij"))
    np.save(tmp_path / "ramp.npy", ramp)
    sampler = PatchSampler([Entry("ramp", str(tmp_path / "ramp.npy"), "mr", (1.0, 1.0, 1.0), 0.0, 100.0)], a_recipe)
    hr = torch.cat([sampler.batch(step).hr[..., :8, :8, :8] for step in range(8)])
    rising = torch.stack([hr.diff(dim=axis).flatten(1).mean(dim=1) > 0 for axis in (2, 3, 4)])
    assert ((rising.float().mean(dim=1) - 0.5).abs() < 0.4).all()


def test_the_contrast_of_patches_is_varied_by_a_power_and_a_gain(a_recipe: Recipe, tmp_path: Path):
    entry = stored((40, 40, 40), tmp_path)
    np.save(entry.array, np.random.default_rng(0).choice(np.float32([-0.5, 0, 0.5]), (40, 40, 40)))
    batch = PatchSampler([entry], replace(a_recipe, contrast_range=(2.0, 2.0))).batch(0)
    highest = batch.hr.amax(dim=(1, 2, 3, 4))
    assert ((highest >= 0.7 * 0.25) & (highest <= 1.4 * 0.25)).all()
    assert highest[0] != highest[1]
    assert torch.equal(batch.hr.amin(dim=(1, 2, 3, 4)), -highest)


@pytest.mark.usefixtures("impatient")
def test_volumes_too_small_for_a_patch_are_refused(a_recipe: Recipe, tmp_path: Path):
    sampler = PatchSampler([stored((10, 60, 60), tmp_path)], a_recipe)
    with pytest.raises(SuperResolutionError, match="too small for patches of 16 slices of 16 x 16 voxels"):
        sampler.batch(0)


@pytest.mark.parametrize("factor", [2.0, 4.0, 7.5])
def test_where_all_volumes_are_small_patches_are_narrower(a_recipe: Recipe, tmp_path: Path, factor: float):
    recipe = Recipe(factors=(factor,), factor_weights=(1.0,), any_factor_weight=0.0, thick_in_plane_fraction=1.0)
    small, large = (stored(shape, tmp_path) for shape in ((20, 60, 60), (120, 120, 120)))
    fine, *sides = PatchSampler([small], recipe).batch(0).hr.shape[2:]
    assert (fine <= 60, sides) == (True, [20, 20])
    assert PatchSampler([small, large], recipe).batch(0).hr.shape[-1] in (28, 36)


def test_patches_are_as_narrow_as_the_volumes_that_are_long_enough():
    volumes = [(20, 20, 100), (50, 50, 50)]
    slices, side = sequence_patch(Recipe(), 4.0, volumes)
    assert 4 * slices > 50
    assert fits((4 * slices, side, side), volumes[0])


def test_volumes_that_no_patch_fits_into_are_counted():
    thin, flat, large = (20, 256, 256), (8, 50, 50), (96, 96, 96)
    assert too_small(Recipe(), [thin, flat, large]) == 2
    assert too_small(Recipe(), [thin, flat]) == 1  # patches are narrower there
    assert too_small(Recipe(generator="srresnet"), [thin, flat, large]) == 0  # 8 slices of 40 x 40 voxels
    assert too_small(Recipe(generator="srresnet"), [(8, 39, 50)]) == 1
    assert too_small(Recipe(factors=(), factor_weights=()), [thin, large]) == 1  # any factor is drawn


def test_it_is_known_without_torch_which_recipes_train_sequences():
    recipes = [read_recipe(path, []) for path in shipped()]
    tasks = [task_of(recipe) for recipe in recipes]
    assert [trains_sequences(recipe) for recipe in recipes] == [isinstance(task, SliceSequenceTask) for task in tasks]


@pytest.mark.parametrize("world", [2, 4])
def test_each_process_draws_its_share_of_a_batch_and_no_more(entries, a_recipe: Recipe, world: int, monkeypatch):
    sampler = PatchSampler(entries, replace(a_recipe, batch_size=4, noise_fraction=1.0))
    whole = sampler.batch(3)
    drawn = []
    draw = sampler._patch
    monkeypatch.setattr(sampler, "_patch", lambda random, shape: drawn.append(shape) or draw(random, shape))
    shares = [sampler.batch(3, rank, world) for rank in range(world)]
    assert len(drawn) == 4
    assert torch.equal(torch.cat([share.lr for share in shares]), whole.lr)
    assert torch.equal(torch.cat([share.hr for share in shares]), whole.hr)
    assert sum((share.files for share in shares), ()) == whole.files
