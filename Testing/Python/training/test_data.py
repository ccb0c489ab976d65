from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.data.batch import SequenceBatch
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.data.samplers.sequences import PatchSampler


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
    assert 0 < (noisy.lr - clean).std() < 0.11


def test_factors_and_thicknesses_stay_in_the_recipe(entries: list[Entry], a_recipe: Recipe):
    sampler = PatchSampler(entries, a_recipe)
    batches = [sampler.batch(step) for step in range(12)]
    assert {batch.factor for batch in batches} == {2.0, 4.0}
    assert all(0.7 <= batch.thickness <= 1.3 for batch in batches)


def test_patches_show_structure_in_the_range_of_the_network(entries: list[Entry], a_recipe: Recipe):
    sampler = PatchSampler(entries, a_recipe)
    for step in range(4):
        hr = sampler.batch(step).hr
        assert hr.dtype == torch.float32
        assert hr.std() > 0.02
        assert -0.7 < hr.quantile(0.01) < hr.quantile(0.99) < 2


@pytest.fixture
def impatient() -> Iterator[None]:
    """What hangs fails after ten seconds."""
    if os.name == "nt":
        pytest.skip("signals of Unix")

    def ring(number: int, frame: object) -> None:
        raise AssertionError("still searching after ten seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_of_small_volumes_and_large_factors_sequences_are_short(entries: list[Entry], a_recipe: Recipe):
    """Their longest axis has 40 voxels."""
    batch = PatchSampler(entries, replace(a_recipe, factors=(8.0,), factor_weights=(1.0,))).batch(0)
    assert batch.lr.shape[2:] == (5, 16, 16)
    assert batch.hr.shape[2:] == (40, 16, 16)


@pytest.mark.usefixtures("impatient")
def test_volumes_too_small_for_a_patch_are_refused(entries: list[Entry], a_recipe: Recipe):
    sampler = PatchSampler(entries, replace(a_recipe, patch_in_plane=64))
    with pytest.raises(SuperResolutionError, match="large|small"):
        sampler.batch(0)


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
