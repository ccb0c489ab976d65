from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.models import file as models
from medical_super_resolution.models import perceptual_weights, store
from medical_super_resolution.objectives.perceptual import SliceEncoder, perceptual_distance
from medical_super_resolution_training.cli.main import main
from medical_super_resolution_training.config.losses import PerceptualSettings
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.data.samplers import encoder
from medical_super_resolution_training.data.samplers.encoder import CorruptedSampler, corrupted
from medical_super_resolution_training.tasks import task_of
from medical_super_resolution_training.training.objectives import perceptual_features


@pytest.fixture(scope="module")
def shipped() -> SliceEncoder:
    return perceptual_weights.load_encoder(perceptual_weights.SHIPPED_ENCODER)


@pytest.fixture(scope="module", params=["soft", "edged"])
def slices(request) -> torch.Tensor:
    """(1, 1, 2, 48, 48): smooth structure, or discs with sharp borders, in the range of the network."""
    random = np.random.default_rng(5)
    noise = torch.from_numpy(random.normal(size=(1, 1, 2, 48, 48)).astype(np.float32))
    if request.param == "soft":
        smooth = encoder._blurred(noise, 2.0)
        return 0.5 + 0.2 * smooth / smooth.std()
    j, i = np.mgrid[:48, :48]
    picture = np.zeros((48, 48), np.float32)
    for row, column, radius in random.integers((6, 6, 2), (42, 42, 9), (12, 3)):
        picture[(j - row) ** 2 + (i - column) ** 2 < radius**2] = random.uniform(0.2, 1)
    return torch.from_numpy(picture).expand(1, 1, 2, 48, 48).contiguous()


def test_corruptions_and_slices_are_drawn_from_sequences_of_their_own(
    entries: list[Entry], a_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
):
    sampler = CorruptedSampler(entries, replace(a_recipe, generator="srresnet"))
    begun, draw = [], np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: begun.append(draw(seed).random()) or draw(seed))
    sampler.batch(5)
    assert len(set(begun)) == len(begun) == 2 * a_recipe.batch_size


def distances(shipped: SliceEncoder, changed: list[torch.Tensor], slices: torch.Tensor) -> list[float]:
    return [float(perceptual_distance(shipped, one, slices)) for one in changed]


def test_more_blur_lies_farther(shipped: SliceEncoder, slices: torch.Tensor):
    found = distances(shipped, [slices, *(encoder._blurred(slices, width) for width in (0.5, 1, 2, 4))], slices)
    assert found[0] < 1e-6
    assert found == sorted(found)
    assert found[2] > 2 * found[1]


def test_more_noise_lies_farther(shipped: SliceEncoder, slices: torch.Tensor):
    noise = torch.randn(slices.shape, generator=torch.Generator().manual_seed(0))
    found = distances(shipped, [slices + deviation * noise for deviation in (0.01, 0.03, 0.1, 0.3)], slices)
    assert found == sorted(found)
    assert found[0] > 1e-5


def test_larger_holes_lie_farther(shipped: SliceEncoder, slices: torch.Tensor):
    changed = []
    for side in (4, 10, 20):
        holed = slices.clone()
        holed[..., 10 : 10 + side, 10 : 10 + side] = 0.5
        changed.append(holed)
    found = distances(shipped, changed, slices)
    assert found == sorted(found)


def test_what_nobody_sees_lies_nearer_than_blur(shipped: SliceEncoder, slices: torch.Tensor):
    """A tenth more brightness changes voxels more than blur does, and the picture less."""
    brighter, blurred = 1.1 * slices, encoder._blurred(slices, 1.5)
    of_brightness, of_blur = distances(shipped, [brighter, blurred], slices)
    assert of_brightness < of_blur / 3


def test_the_shipped_encoder_has_a_description_and_is_no_model(shipped: SliceEncoder):
    path = perceptual_weights.SHIPPED_ENCODER
    assert shipped.config.widths == (32, 64, 128)
    assert path.stat().st_size < 2e6
    assert path not in store.installed()
    with pytest.raises(models.ModelError, match="holds a slice encoder, and no network"):
        models.load(path)


# The pretext task


@pytest.fixture
def sampler(entries: list[Entry], a_recipe: Recipe) -> CorruptedSampler:
    return CorruptedSampler(entries, replace(a_recipe, task="slice-encoder", patch_slices=2, batch_size=4))


def test_slices_are_spoilt_the_same_way_every_time_and_on_every_machine(sampler: CorruptedSampler):
    whole, again = sampler.batch(3), sampler.batch(3)
    assert torch.equal(whole.lr, again.lr)
    halves = [sampler.batch(3, rank, 2) for rank in (0, 1)]
    assert torch.equal(torch.cat([half.lr for half in halves]), whole.lr)
    assert torch.equal(torch.cat([half.hr for half in halves]), whole.hr)
    assert not torch.equal(whole.lr, sampler.batch(4).lr)
    assert whole.lr.shape == whole.hr.shape == (4, 1, 2, 16, 16)


def test_no_slice_stays_as_it_was(sampler: CorruptedSampler):
    for step in range(5):
        batch = sampler.batch(step)
        changed = (batch.lr - batch.hr).abs().flatten(1).mean(dim=1)
        assert (changed > 1e-4).all()
        assert torch.isfinite(batch.lr).all()


def test_blur_keeps_the_mean_and_holes_keep_the_rest(slices: torch.Tensor):
    assert float(encoder._blurred(slices, 1.0).mean()) == pytest.approx(float(slices.mean()), abs=0.02)
    holed = encoder._with_holes(slices, np.random.default_rng(0))
    changed = holed != slices
    assert 0.01 < changed.float().mean() < 0.6
    assert torch.allclose(holed[changed], slices.mean(), rtol=0.15)


def test_each_kind_of_harm_is_done(slices: torch.Tensor):
    made = [corrupted(slices, np.random.default_rng(seed)) for seed in range(40)]
    rough = [float((one.diff(dim=-1)).abs().mean() / slices.diff(dim=-1).abs().mean()) for one in made]
    assert min(rough) < 0.95  # blurred and not noisy
    assert max(rough) > 1.2  # noisy
    assert not any(torch.equal(one, slices) for one in made)


def test_the_shipped_recipe_makes_a_file_that_perceptual_losses_read(a_dataset: Path, tmp_path: Path):
    data, run, file = tmp_path / "data.json", tmp_path / "run", tmp_path / "mine.safetensors"
    assert main(["prepare", str(a_dataset), str(data)]) == 0
    small = ["steps=2", "batch_size=2", "patch_in_plane=16", "generator_config.widths=[4,6,8]"]
    train = ["train", "slice-encoder", "--data", str(data), "--out", str(run), "--device", "cpu"]
    assert main([*train, *(word for text in small for word in ("--set", text))]) == 0
    assert main(["export", str(run), "-o", str(file)]) == 0
    distance = perceptual_features(PerceptualSettings(file=str(file)), "cpu")
    volume = torch.rand(1, 1, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    assert float(distance(volume, volume)) < 1e-9 < float(distance(volume.flip(-1), volume))


def test_a_recipe_across_slices_refuses_degradations_inside_them(entries: list[Entry], a_recipe: Recipe):
    with pytest.raises(SettingsError, match="is for recipes that refine inside slices"):
        task_of(replace(a_recipe, degradation="bicubic")).dataset(entries)
