from __future__ import annotations

import multiprocessing
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import SettingsError
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.data.loader import batches
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.data.samplers.planes import PlaneSampler
from medical_super_resolution_training.data.samplers.sequences import PatchSampler

SAMPLERS = {"through-plane": PatchSampler, "in-plane": PlaneSampler}


@pytest.fixture(params=SAMPLERS)
def a_sampler(request, entries: list[Entry], a_recipe: Recipe):
    return SAMPLERS[request.param](entries, replace(a_recipe, noise_fraction=1.0))


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_neither_the_batches_nor_their_order(a_sampler, workers: int):
    alone = list(batches(a_sampler, range(4, 9), workers=0))
    beside = list(batches(a_sampler, range(4, 9), workers=workers))
    assert len(alone) == len(beside) == 5
    for one, other in zip(alone, beside, strict=True):
        np.testing.assert_allclose(one.lr, other.lr, atol=1e-6)
        assert torch.equal(one.hr, other.hr)
        assert one.files == other.files


def test_workers_share_a_batch_with_other_machines(a_sampler):
    (whole,) = batches(a_sampler, range(3, 4), workers=0)
    (second,) = batches(a_sampler, range(3, 4), workers=1, rank=1, world=2)
    assert torch.equal(second.hr, whole.hr[1:])


def test_loading_leaves_the_random_numbers_of_the_training_alone(a_sampler):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    list(batches(a_sampler, range(2), workers=1))
    assert torch.equal(torch.rand(3), expected)


def test_workers_end_when_nobody_listens_any_more(a_sampler):
    before = set(multiprocessing.active_children())
    loading = batches(a_sampler, range(100), workers=2)
    next(loading)
    assert len(set(multiprocessing.active_children()) - before) == 2
    loading.close()
    assert not set(multiprocessing.active_children()) - before


def test_a_sampler_travels_to_workers_that_do_not_share_memory(a_sampler):
    """As on Windows and macOS."""
    again = pickle.loads(pickle.dumps(a_sampler))
    assert torch.equal(again.batch(2).lr, a_sampler.batch(2).lr)


def test_a_known_error_in_a_worker_is_that_error(entries: list[Entry], a_recipe: Recipe, tmp_path: Path):
    np.save(tmp_path / "small.npy", np.zeros((4, 4, 4), np.int16))
    sampler = PatchSampler([replace(entries[0], array=str(tmp_path / "small.npy"))], a_recipe)
    with pytest.raises(SettingsError, match="^the volumes are too small for patches"):
        list(batches(sampler, range(2), workers=1))
