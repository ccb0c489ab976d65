from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.training.checkpoints import (
    read_tensors,
    restore_newest,
    save_checkpoint,
    write_tensors,
)
from medical_super_resolution_training.training.state import TrainingState, new_state


@pytest.fixture
def a_state(a_recipe: Recipe) -> TrainingState:
    """A run after one step on made-up gradients, so that the optimizer has moments."""
    state = new_state(a_recipe, "cpu")
    random = torch.Generator().manual_seed(0)
    for parameter in state.generator.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn(parameter.shape, generator=random)
    state.optimizer.step()
    state.step = 1
    return state


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_restored_state_is_the_saved_one(tmp_path: Path, a_state: TrainingState, a_recipe: Recipe):
    save_checkpoint(tmp_path, a_state)
    again = new_state(replace(a_recipe, seed=a_recipe.seed + 1), "cpu")  # weights that must not matter
    assert restore_newest(tmp_path, again) is None
    assert again.step == 1
    for part in ("generator", "average"):
        saved, restored = getattr(a_state, part).state_dict(), getattr(again, part).state_dict()
        for name, tensor in saved.items():
            np.testing.assert_array_equal(restored[name], tensor)
    for saved, restored in zip(a_state.generator.parameters(), again.generator.parameters(), strict=True):
        moments = a_state.optimizer.state.get(saved, {})
        assert {key: value.tolist() for key, value in again.optimizer.state.get(restored, {}).items()} == {
            key: value.tolist() for key, value in moments.items()
        }


def test_the_last_two_checkpoints_are_kept(tmp_path: Path, a_state: TrainingState):
    for step in (5, 20, 100, 1000):
        a_state.step = step
        save_checkpoint(tmp_path, a_state)
    assert names(tmp_path) == ["checkpoint-00000100.safetensors", "checkpoint-00001000.safetensors"]


def test_a_checkpoint_has_the_permissions_of_any_new_file(tmp_path: Path, a_state: TrainingState):
    other = tmp_path / "other"
    other.touch()
    assert save_checkpoint(tmp_path, a_state).stat().st_mode == other.stat().st_mode


def test_the_newest_checkpoint_is_restored(tmp_path: Path, a_state: TrainingState, a_recipe: Recipe):
    for step in (9, 10):
        a_state.step = step
        save_checkpoint(tmp_path, a_state)
    again = new_state(a_recipe, "cpu")
    restore_newest(tmp_path, again)
    assert again.step == 10


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "foreign", "number"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, a_state: TrainingState, a_recipe: Recipe, damage: str
):
    save_checkpoint(tmp_path, a_state)
    a_state.step = 2
    newest = save_checkpoint(tmp_path, a_state)
    if damage == "cut":
        newest.write_bytes(newest.read_bytes()[:-100])
    elif damage == "foreign":
        save_file({"other": torch.zeros(2)}, str(newest))
    elif damage == "number":
        newest.write_bytes(newest.read_bytes().replace(b'"step":"2"', b'"step":"r"'))
    else:
        newest.write_bytes({"empty": b"", "text": b"no weights"}[damage])
    again = new_state(a_recipe, "cpu")
    warning = restore_newest(tmp_path, again)
    assert again.step == 1
    assert "checkpoint-00000002.safetensors is damaged" in warning


def test_a_folder_without_checkpoints_leaves_the_state_as_it_is(tmp_path: Path, a_state: TrainingState):
    before = {name: tensor.clone() for name, tensor in a_state.generator.state_dict().items()}
    assert restore_newest(tmp_path, a_state) is None
    assert a_state.step == 1
    for name, tensor in a_state.generator.state_dict().items():
        np.testing.assert_array_equal(tensor, before[name])


def test_a_full_disk_spoils_neither_the_old_checkpoint_nor_leaves_half_a_new_one(
    tmp_path: Path, a_state: TrainingState, a_recipe: Recipe
):
    resource = pytest.importorskip("resource")

    save_checkpoint(tmp_path, a_state)
    a_state.step = 2
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(OSError, match="File too large"):
            save_checkpoint(tmp_path, a_state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == ["checkpoint-00000001.safetensors"]
    again = new_state(a_recipe, "cpu")
    assert restore_newest(tmp_path, again) is None
    assert again.step == 1


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc")
def test_tensors_that_were_read_do_not_keep_their_file_open(tmp_path: Path):
    """On Windows, a file that is open cannot be removed: the training would end when its checkpoint is the oldest."""
    file = tmp_path / "weights.safetensors"
    write_tensors(file, {"weight": torch.ones(5)}, {})
    tensors, _ = read_tensors(file)
    assert str(file) not in Path("/proc/self/maps").read_text(errors="replace")
    assert tensors["weight"].tolist() == [1] * 5
