from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medical_super_resolution.errors import ModelError, SettingsError
from medical_super_resolution.models import file as models
from medical_super_resolution.networks.down_sampler import DownSampler, DownSamplerConfig
from medical_super_resolution.objectives.spectrum import low_frequency_loss
from medical_super_resolution.physics.degradation import bicubic_decimated
from medical_super_resolution_training.cli.main import main
from medical_super_resolution_training.config.losses import AdversarialSettings, LossWeights
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.data.down_sampler_file import load_down_sampler, save_down_sampler
from medical_super_resolution_training.data.manifest import Entry, write_manifest
from medical_super_resolution_training.data.preparation.prepare import prepare
from medical_super_resolution_training.data.samplers.planes import PlaneSampler, UnpairedSampler
from medical_super_resolution_training.tasks import task_of
from medical_super_resolution_training.training.state import new_state
from medical_super_resolution_training.training.trainer import training_step


@pytest.fixture
def coarse_data(a_dataset: Path, tmp_path: Path) -> Path:
    """Coarse scans that are much noisier than shrinking would make them: (20, 26, 26) of another patient."""
    random = np.random.default_rng(9)
    folder = tmp_path / "coarse"
    folder.mkdir()
    blocks = random.normal(0.5, 0.25, (20, 6, 6)).repeat(5, axis=1).repeat(5, axis=2)[:, :26, :26]
    array = 1000 * (blocks + random.normal(0, 0.15, blocks.shape))
    sitk.WriteImage(sitk.GetImageFromArray(array.clip(0).astype(np.int16)), str(folder / "noisy.nii.gz"))
    prepare(folder, tmp_path / "coarse_scans.json")
    return tmp_path / "coarse_scans.json"


@pytest.fixture
def a_recipe(coarse_data: Path) -> Recipe:
    return Recipe(
        task="down-sampler",
        low_resolution=str(coarse_data),
        generator_config={"factor": 2, "channels": 8, "blocks": 1},
        loss=LossWeights(l1=1.0, adversarial=0.02),
        adversarial=AdversarialSettings(
            discriminator="patch",
            discriminator_config={"channels": 8, "halvings": 1},
            kind="gan",
            learning_rate=3e-3,
            discriminator_learning_rate=3e-3,
        ),
        content_fraction=0.0,
        steps=120,
        warm_up_steps=1,
        learning_rate=3e-3,
        batch_size=8,
        patch_slices=1,
        patch_in_plane=24,
        noise_fraction=0.0,
        seed=3,
    )


def test_fine_and_coarse_slices_come_from_their_own_scans(entries: list[Entry], a_recipe: Recipe):
    sampler = UnpairedSampler(entries, a_recipe)
    batch = sampler.batch(2)
    assert batch.hr.shape == (8, 1, 1, 24, 24)
    assert batch.lr.shape == (8, 1, 1, 12, 12)
    assert set(batch.files[8:]) == {"noisy.nii.gz"}
    assert set(batch.files[:8]) <= {"ct_1.nii.gz", "mr_1.nii.gz"}
    again, share = UnpairedSampler(entries, a_recipe).batch(2), sampler.batch(2, 1, 2)
    assert torch.equal(again.lr, batch.lr)
    assert torch.equal(share.lr, batch.lr[4:])
    assert torch.equal(share.hr, batch.hr[4:])


def test_fine_and_coarse_places_are_drawn_from_sequences_of_their_own(
    entries: list[Entry], a_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
):
    sampler = UnpairedSampler(entries, a_recipe)
    begun, draw = [], np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: begun.append(draw(seed).random()) or draw(seed))
    sampler.batch(2)
    assert len(set(begun)) == len(begun) == 2 * a_recipe.batch_size


def roughness(volume: torch.Tensor) -> float:
    """Mean absolute second difference along I: noise has much of it."""
    return float(volume.diff(n=2, dim=-1).abs().mean())


def test_a_down_sampler_learns_the_noise_of_the_coarse_scans_and_keeps_the_picture(entries, a_recipe: Recipe):
    sampler, state = UnpairedSampler(entries, a_recipe), new_state(a_recipe, "cpu")
    for _ in range(a_recipe.steps):
        training_step(task_of(a_recipe), state, sampler.batch(state.step))
        state.step += 1
    batch = sampler.batch(10_000)
    with torch.no_grad():
        made, shrunk = state.average(batch.hr), bicubic_decimated(batch.hr, 2)
    rough = [roughness(volume) for volume in (shrunk, made, batch.lr)]
    assert rough[0] < 0.5 * rough[2]
    assert 1.3 * rough[0] < rough[1]
    assert float(low_frequency_loss(made, shrunk)) < 0.06


def test_without_a_discriminator_it_shrinks_as_bicubic_does(entries: list[Entry], a_recipe: Recipe):
    recipe = replace(a_recipe, loss=LossWeights(l1=1.0))
    state, sampler = new_state(recipe, "cpu"), UnpairedSampler(entries, recipe)
    terms = training_step(task_of(recipe), state, sampler.batch(0))
    assert set(terms) == {"l1"}
    assert float(terms["l1"]) < 0.05


def test_a_missing_manifest_of_coarse_scans_is_asked_for():
    with pytest.raises(SettingsError, match="needs the manifest of measured coarse scans as low_resolution"):
        task_of(Recipe(task="down-sampler"))


def test_coarse_scans_that_are_all_for_testing_are_refused(entries: list[Entry], a_recipe: Recipe, tmp_path: Path):
    write_manifest([replace(entries[0], split="test")], tmp_path / "other.json")
    recipe = replace(a_recipe, low_resolution=str(tmp_path / "other.json"))
    with pytest.raises(SettingsError, match="has no volumes of the split train"):
        UnpairedSampler(entries, recipe)


# From the recipe to its use

TINY = [
    "steps=3",
    "warm_up_steps=1",
    "batch_size=2",
    "patch_in_plane=24",
    "generator_config={channels=4,blocks=1,factor=2}",
    "adversarial.discriminator_config={channels=4,halvings=1}",
]


def settings(*texts: str) -> list[str]:
    return [word for text in texts for word in ("--set", text)]


def test_the_shipped_recipe_makes_a_file_that_in_plane_recipes_learn_from(a_dataset, coarse_data: Path, tmp_path: Path):
    data, run, file = tmp_path / "fine.json", tmp_path / "run", tmp_path / "down-sampler.safetensors"
    assert main(["prepare", str(a_dataset), str(data)]) == 0
    train = ["train", "learned-degradation", "--data", str(data), "--out", str(run), "--device", "cpu"]
    assert main([*train, *settings(*TINY, f"low_resolution='{coarse_data.as_posix()}'")]) == 0
    assert (run / "curve.csv").read_text().count("\n") == 4  # the header, and the first reports
    assert main(["export", str(run), "-o", str(file)]) == 0
    use = [f"degradation_model='{file.as_posix()}'", "degradation='learned'", "steps=2", "batch_size=2"]
    small = ["patch_in_plane=16", "validate_every=0", "generator_config.channels=[4,4]"]
    train = ["train", "srcnn", "--data", str(data), "--out", str(tmp_path / "run-2"), "--device", "cpu"]
    assert main([*train, *settings(*use, *small)]) == 0


def test_learned_slices_are_what_the_file_makes_of_the_whole_slice(entries: list[Entry], tmp_path: Path):
    torch.manual_seed(0)
    down_sampler = DownSampler(DownSamplerConfig(channels=4, blocks=1)).eval()
    save_down_sampler(tmp_path / "some.safetensors", down_sampler, {})
    recipe = Recipe(
        degradation="learned",
        degradation_model=str(tmp_path / "some.safetensors"),
        patch_in_plane=8,
        patch_slices=1,
        noise_fraction=0.0,
    )
    sampler, random = PlaneSampler(entries, recipe), np.random.default_rng(1)
    for _ in range(5):
        place = sampler._place(random)
        margins, outer = sampler._outer(place)
        patch = sampler.pool.patch(place.which, outer).transpose(place.axes)
        part = torch.from_numpy(np.ascontiguousarray(patch))[None, None]
        made = sampler.degradation.shrunk(part, random)[..., margins[0] :, margins[1] :][..., :4, :4]
        where = list(outer)
        for axis, start in zip(place.axes[1:], place.start_kji[1:], strict=True):
            size = sampler.pool.arrays[place.which].shape[axis]
            where[axis] = slice(start % 2, size - (size - start) % 2)
        whole = sampler.pool.patch(place.which, tuple(where)).transpose(place.axes)
        with torch.no_grad():
            expected = down_sampler(torch.from_numpy(np.ascontiguousarray(whole))[None, None])
        first, second = (start // 2 for start in place.start_kji[1:])
        np.testing.assert_allclose(made, expected[..., first : first + 4, second : second + 4], atol=1e-5)


# Files


@pytest.fixture
def a_file(tmp_path: Path) -> Path:
    save_down_sampler(tmp_path / "some.safetensors", DownSampler(DownSamplerConfig(channels=4, blocks=2)), {})
    return tmp_path / "some.safetensors"


def test_a_down_sampler_survives_its_file(a_file: Path):
    down_sampler = load_down_sampler(a_file)
    assert (down_sampler.config.channels, down_sampler.config.blocks, down_sampler.factor) == (4, 2, 2)
    assert not any(weight.requires_grad for weight in down_sampler.parameters())


def test_a_down_sampler_is_no_model_that_refines(a_file: Path):
    with pytest.raises(ModelError, match="holds a learned down-sampler, and no network"):
        models.load(a_file)


def test_a_down_sampler_for_another_factor_is_refused(entries: list[Entry], a_file: Path):
    recipe = Recipe(degradation="learned", degradation_model=str(a_file), generator_config={"factor": 4})
    with pytest.raises(SettingsError, match="makes slices 2 times coarser, the recipe wants 4 times"):
        PlaneSampler(entries, recipe)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("missing", "train one with the recipe learned-degradation"),
        ("empty", "damaged"),
        ("model", "is not a learned down-sampler"),
        ("cut", "damaged"),
    ],
)
def test_files_that_are_no_down_sampler_are_refused(a_file: Path, a_model_file, content: str, message: str):
    if content == "missing":
        a_file.unlink()
    else:
        whole = a_file.read_bytes()
        a_file.write_bytes({"empty": b"", "model": a_model_file.read_bytes(), "cut": whole[:-10]}[content])
    with pytest.raises(ModelError, match=message):
        load_down_sampler(a_file)
