from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.physics.degradation import PLANE_DEGRADATIONS
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.data.plane_degradation import with_noise
from medical_super_resolution_training.data.samplers import planes
from medical_super_resolution_training.data.samplers.planes import PlaneSampler, sequence_axes


@pytest.fixture
def a_recipe() -> Recipe:
    return Recipe(generator="srresnet", batch_size=4, patch_slices=3, patch_in_plane=16, noise_fraction=0.0, seed=7)


@pytest.fixture
def numbered(entries: list[Entry]) -> list[Entry]:
    """The same volumes with values that encode the position of a voxel: k + 100 j + 10000 i, in the network's range."""
    k, j, i = np.meshgrid(*map(np.arange, (40, 36, 34)), indexing="ij")
    for entry in entries:
        np.save(entry.array, (k + 100 * j + 10_000 * i).astype(np.float32))
    return [replace(entry, low=0.0, high=1.0, spacing_kji_mm=(1.0, 1.0, 1.0)) for entry in entries]


def test_a_batch_depends_on_the_seed_and_the_step_alone(entries: list[Entry], a_recipe: Recipe):
    recipe = replace(a_recipe, noise_fraction=1.0)
    used = PlaneSampler(entries, recipe)
    for step in range(3):
        used.batch(step)
    torch.manual_seed(99)
    one, other = used.batch(5), PlaneSampler(entries, recipe).batch(5)
    assert torch.equal(one.lr, other.lr)
    assert torch.equal(one.hr, other.hr)
    assert one.files == other.files
    assert not torch.equal(one.hr, used.batch(6).hr)
    assert not torch.equal(one.hr, PlaneSampler(entries, replace(recipe, seed=8)).batch(5).hr)


@pytest.mark.parametrize("world", [2, 4])
def test_the_shares_of_several_processes_are_the_whole_batch(entries: list[Entry], a_recipe: Recipe, world: int):
    sampler = PlaneSampler(entries, replace(a_recipe, noise_fraction=1.0))
    whole, shares = sampler.batch(3), [sampler.batch(3, rank, world) for rank in range(world)]
    assert torch.equal(torch.cat([share.lr for share in shares]), whole.lr)
    assert torch.equal(torch.cat([share.hr for share in shares]), whole.hr)
    assert sum((share.files for share in shares), ()) == whole.files


def test_a_batch_that_cannot_be_shared_out_is_refused(entries: list[Entry], a_recipe: Recipe):
    with pytest.raises(SettingsError, match="a batch of 4 cannot be shared by 3 processes"):
        PlaneSampler(entries, a_recipe).batch(0, 0, 3)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("degradation", ["bicubic", "area", "k-space", "measured"])
def test_a_patch_is_made_coarse_as_part_of_its_whole_slice(entries, a_recipe, degradation: str, factor: int):
    """No border of a patch may show: it is not there in a scan."""
    recipe = replace(
        a_recipe,
        degradation=degradation,
        generator_config={"factor": factor},
        patch_in_plane=12,
        thickness_range=(1.0, 1.0),
        box_fraction=0.0,
    )
    sampler = PlaneSampler(entries, recipe)
    random = np.random.default_rng(0)
    for _ in range(5):
        place = sampler._place(random)
        margins, outer = sampler._outer(place)
        shrunk = sampler.degradation.shrunk(in_network(sampler, place, outer), random)
        inner = planes._inner(shrunk, margins, 12 // factor)
        offsets = [start % factor for start in place.start_kji[1:]]
        ends = [
            size - (size - offset) % factor
            for size, offset in zip(
                (sampler.pool.arrays[place.which].shape[axis] for axis in place.axes[1:]), offsets, strict=True
            )
        ]
        whole = list(sampler._inside(place))
        for axis, offset, end in zip(place.axes[1:], offsets, ends, strict=True):
            whole[axis] = slice(offset, end)
        expected = PLANE_DEGRADATIONS[degradation].function(in_network(sampler, place, tuple(whole)), factor)
        first, second = (start // factor for start in place.start_kji[1:])
        expected = expected[..., first : first + 12 // factor, second : second + 12 // factor]
        np.testing.assert_allclose(inner, expected, atol=2e-5)


def in_network(sampler: PlaneSampler, place: planes._Place, where: tuple[slice, ...]) -> torch.Tensor:
    patch = sampler.pool.patch(place.which, where).transpose(place.axes)
    return torch.from_numpy(np.ascontiguousarray(patch))[None, None]


@pytest.mark.parametrize("degradation", ["area", "bicubic"])
def test_slices_are_consecutive_and_both_resolutions_show_the_same_place(numbered, a_recipe, monkeypatch, degradation):
    monkeypatch.setattr("medical_super_resolution_training.data.volume_sampler.GAIN_RANGE", (1.0, 1.0))
    sampler = PlaneSampler(numbered, replace(a_recipe, degradation=degradation))
    steps = set()
    for step in range(10):
        batch = sampler.batch(step)
        pooled = torch.nn.functional.avg_pool3d(batch.hr, (1, 2, 2))
        inner = (
            (..., slice(2, -2), slice(2, -2)) if degradation == "bicubic" else ...
        )  # beyond a slice it sees its edge
        np.testing.assert_allclose(pooled[inner], batch.lr[inner], rtol=1e-5, err_msg="where they are")
        for hr in batch.hr[:, 0]:
            for axis in range(3):
                along = hr.diff(dim=axis).round()
                assert along.unique().numel() == 1
                steps.add((axis, int(along[0, 0, 0])))
    assert {(0, 1), (0, -1), (0, 100), (0, 10_000)} <= steps  # mostly the acquired slices, flipped, and others
    assert {(1, 10_000), (2, 10_000)} <= steps  # rows and columns exchanged


def test_most_slices_are_those_of_the_scanner(numbered: list[Entry], a_recipe: Recipe):
    sampler = PlaneSampler(numbered, a_recipe)
    random = np.random.default_rng(0)
    axes = [sampler._place(random).axes[0] for _ in range(500)]
    assert 0.6 < axes.count(0) / 500 < 0.8
    assert 0.1 < axes.count(1) / 500 < 0.2


@pytest.mark.parametrize(
    ("spacing", "axes"),
    [
        ((1, 1, 1), [0, 1, 2]),
        ((5, 0.7, 0.7), [0]),
        ((0.9, 0.86, 0.86), [0, 1, 2]),
        ((0.8, 3, 0.8), [1]),
        ((1.5, 0.8, 0.7), [0]),
        ((2, 0.5, 1), [0]),
    ],
)
def test_slices_are_cut_where_voxels_are_almost_square(spacing, axes: list[int]):
    assert sequence_axes(spacing) == axes


def test_patches_show_structure(entries: list[Entry], a_recipe: Recipe):
    hr = PlaneSampler(entries, replace(a_recipe, batch_size=20)).batch(0).hr
    assert hr.dtype == torch.float32
    assert (hr.flatten(1).std(dim=1) > 0.02).all()


def test_volumes_too_small_for_a_patch_are_refused(entries: list[Entry], a_recipe: Recipe):
    with pytest.raises(SettingsError, match="too small for 64 slices of 16 x 16 voxels; lower patch_slices"):
        PlaneSampler(entries, replace(a_recipe, patch_slices=64)).batch(0)


def test_a_patch_that_the_factor_does_not_divide_is_refused(entries: list[Entry], a_recipe: Recipe):
    with pytest.raises(SettingsError, match="patch_in_plane must be a multiple of the factor 3, got 16"):
        PlaneSampler(entries, replace(a_recipe, generator_config={"factor": 3}))


def test_no_volumes_are_refused(a_recipe: Recipe):
    with pytest.raises(SettingsError, match="no volumes to train on"):
        PlaneSampler([], a_recipe)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"noise": "pink"}, "noise must be one of modality, .*, got 'pink'"),
        ({"degradation": "learned"}, "needs the file of its down-sampler as degradation_model"),
    ],
)
def test_degradations_without_meaning_are_refused(table: dict, message: str):
    with pytest.raises(SettingsError, match=message):
        Recipe(**table)


def test_a_degradation_that_is_not_there_is_refused_by_name(entries: list[Entry], a_recipe: Recipe):
    with pytest.raises(SettingsError, match="no degradation 'bicubik'; choose one of measured, bicubic, .*, learned"):
        PlaneSampler(entries, replace(a_recipe, degradation="bicubik"))


# Noise

FLAT = torch.full((1, 1, 4, 40, 40), 0.5)


@pytest.fixture
def noisy() -> Recipe:
    return Recipe(noise_fraction=1.0, noise_maximum=0.1)


def noises(volume: torch.Tensor, modality: str, recipe: Recipe) -> list[torch.Tensor]:
    return [with_noise(volume, modality, recipe, np.random.default_rng(seed)) - volume for seed in range(20)]


@pytest.mark.parametrize("modality", ["ct", "mr", "pet", "us"])
def test_noise_is_at_most_as_strong_as_the_recipe_says_and_not_always_the_same(modality: str, noisy: Recipe):
    deviations = [float(noise.std()) for noise in noises(FLAT, modality, noisy)]
    assert max(deviations) < 0.11
    assert max(deviations) > 5 * min(deviations)


@pytest.mark.parametrize("modality", ["ct", "mr", "pet"])
def test_noise_of_no_strength_changes_nothing(modality: str, noisy: Recipe):
    made = noises(FLAT, modality, replace(noisy, noise_maximum=0.0))
    assert max(float(one.abs().max()) for one in made) < 1e-4


def test_the_magnitude_of_mr_is_never_below_zero_and_lifts_the_background(noisy: Recipe):
    made = noises(torch.zeros_like(FLAT), "mr", noisy)
    assert all(float(one.min()) >= 0 and float(one.mean()) > 0 for one in made)
    lifted = [float(one.mean() / one.std()) for one in made]  # of a Rayleigh distribution
    np.testing.assert_allclose(lifted, np.sqrt(np.pi / (4 - np.pi)), rtol=0.1)


def test_counts_are_noisier_where_there_is_more(noisy: Recipe):
    ratios = [
        float(bright.std() / dark.std())
        for bright, dark in zip(noises(FLAT * 2, "pet", noisy), noises(FLAT / 2, "pet", noisy), strict=True)
    ]
    np.testing.assert_allclose(ratios, 2, rtol=0.15)


def test_volumes_that_go_below_zero_keep_their_values(noisy: Recipe):
    below = FLAT - 1
    for modality in ("mr", "pet"):
        quiet = replace(noisy, noise_maximum=1e-3)
        assert all(float(noise.abs().max()) < 0.02 for noise in noises(below, modality, quiet))


def test_a_recipe_may_name_the_noise(noisy: Recipe):
    made = noises(torch.zeros_like(FLAT), "ct", replace(noisy, noise="rician"))
    assert all(float(one.min()) >= 0 for one in made)


def test_without_a_share_there_is_no_noise(noisy: Recipe):
    assert with_noise(FLAT, "mr", replace(noisy, noise_fraction=0.0), np.random.default_rng(0)) is FLAT
