"""Validation is shared by the processes of a training, and takes the slice profile that it has made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from medical_super_resolution.errors import VolumeError
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.evaluation.cases import Case
from medical_super_resolution_training.tasks import task_of
from medical_super_resolution_training.training.distributed import DistributedContext
from medical_super_resolution_training.training.monitoring import validation
from medical_super_resolution_training.training.monitoring.callbacks import RunCallbacks
from medical_super_resolution_training.training.state import new_state


@dataclass(frozen=True)
class Apart(DistributedContext):
    """One of several processes; the others have found nothing."""

    def gather(self, found: dict[str, float]) -> dict[str, float]:
        return found


@pytest.mark.parametrize("rank", [0, 1])
def test_each_process_validates_its_share_and_the_first_writes(
    entries: list[Entry], a_recipe: Recipe, tmp_path: Path, monkeypatch, rank: int
):
    seen: list[str] = []
    monkeypatch.setattr(
        "medical_super_resolution_training.training.monitoring.callbacks.validated",
        lambda network, share, case, device: seen.extend(one.source for one in share) or dict.fromkeys(seen, 30.0),
    )
    volumes = [replace(entries[0], source=name) for name in "abcde"]
    callbacks = RunCallbacks(
        tmp_path,
        task_of(a_recipe),
        "cpu",
        validation=volumes,
        sample=lambda: None,
        log=lambda line: None,
        context=Apart(rank, 2),
        loggers=[],
    )
    callbacks.validate(new_state(a_recipe, "cpu"))
    assert seen == (["a", "c", "e"] if rank == 0 else ["b", "d"])
    assert (tmp_path / "validation.csv").exists() == (rank == 0)


@pytest.mark.parametrize("profile", ["gaussian", "box"])
def test_the_engine_is_given_the_profile_that_made_the_volume(entries, a_recipe: Recipe, monkeypatch, profile: str):
    given = []
    enhance = validation.enhance
    monkeypatch.setattr(
        validation,
        "enhance",
        lambda volume, model, settings: given.append(settings) or enhance(volume, model, settings),
    )
    network = new_state(a_recipe, "cpu").average
    found = validation.validated(network, entries[1:], Case("k", 2.0, profile), "cpu")
    assert [settings.slice_profile for settings in given] == [profile]
    assert 15 < found["mr_1.nii.gz"] < 60


def test_a_damaged_array_is_refused_in_validation_too(entries: list[Entry], a_recipe: Recipe):
    path = Path(entries[0].array)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(VolumeError, match="is damaged; run medsr-train prepare again"):
        validation.validated(new_state(a_recipe, "cpu").average, entries, Case("k", 2.0), "cpu")


def test_a_volume_without_a_body_is_left_out_of_validation(entries: list[Entry], a_recipe: Recipe):
    array = np.load(entries[0].array)
    np.save(entries[0].array, np.full_like(array, -1000))
    network = new_state(a_recipe, "cpu").average
    assert set(validation.validated(network, entries, Case("k", 2.0), "cpu")) == {"mr_1.nii.gz"}
