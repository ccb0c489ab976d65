from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from medical_super_resolution.errors import ModelError, SettingsError, SuperResolutionError
from medical_super_resolution.networks.blocks import in_memory_order
from medical_super_resolution.networks.generators.through_plane import ThroughPlaneGenerator
from medical_super_resolution.objectives import losses
from medical_super_resolution_training.config.losses import AdversarialSettings, LossWeights, PerceptualSettings
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.data.samplers.sequences import PatchSampler
from medical_super_resolution_training.tasks import task_of
from medical_super_resolution_training.tasks.narrowing import narrow
from medical_super_resolution_training.tasks.task import DiscriminatorInput
from medical_super_resolution_training.training import optimization
from medical_super_resolution_training.training.adversarial import train_discriminator
from medical_super_resolution_training.training.checkpoints import restore_newest
from medical_super_resolution_training.training.objectives import perceptual_features
from medical_super_resolution_training.training.optimization import precision
from medical_super_resolution_training.training.state import (
    discriminator_learning_rate,
    learning_rate,
    new_state,
    set_learning_rates,
)
from medical_super_resolution_training.training.trainer import train
from training_runs import ALONE, CPU, assert_same_state, plane_recipe, saved, silent, trained


@pytest.mark.parametrize("weight", [0.0, 0.1])
def test_random_texture_is_trained_only_against_a_discriminator(weight: float):
    recipe = Recipe(
        generator_config={"channels": 8},
        loss=LossWeights(l1=1.0, adversarial=weight),
        adversarial=AdversarialSettings(discriminator="cuts"),
    )
    assert new_state(recipe, "cpu").generator.texture.requires_grad == (weight > 0)


# The learning rate


@pytest.fixture
def a_schedule() -> Recipe:
    return Recipe(steps=110, warm_up_steps=10, learning_rate=1e-2, final_learning_rate=1e-4)


def test_the_learning_rate_rises_in_a_line(a_schedule: Recipe):
    rates = [learning_rate(a_schedule, step) for step in range(10)]
    np.testing.assert_allclose(rates, np.arange(1, 11) * 1e-3)


def test_the_learning_rate_falls_as_half_a_cosine(a_schedule: Recipe):
    assert learning_rate(a_schedule, 10) == pytest.approx(1e-2)
    assert learning_rate(a_schedule, 60) == pytest.approx((1e-2 + 1e-4) / 2)
    assert learning_rate(a_schedule, 35) == pytest.approx(1e-4 + (1e-2 - 1e-4) * (1 + np.cos(np.pi / 4)) / 2)
    assert learning_rate(a_schedule, 110) == pytest.approx(1e-4)


def test_the_learning_rate_never_rises_again(a_schedule: Recipe):
    rates = [learning_rate(a_schedule, step) for step in range(10, 200)]
    assert all(after <= before for before, after in zip(rates[:-1], rates[1:], strict=True))


def test_a_peak_below_the_final_learning_rate_is_never_exceeded(a_schedule: Recipe):
    recipe = replace(a_schedule, learning_rate=1e-5)
    assert {learning_rate(recipe, step) for step in range(10, 200)} == {1e-5}


@pytest.mark.parametrize("warm_up", [0, 5])
def test_a_run_no_longer_than_its_warm_up_has_a_learning_rate_too(warm_up: int):
    recipe = Recipe(steps=5, warm_up_steps=warm_up, learning_rate=1e-2, final_learning_rate=1e-4)
    assert all(1e-4 <= learning_rate(recipe, step) <= 1e-2 for step in range(6))


def test_the_learning_rate_halves_at_the_given_steps():
    recipe = Recipe(steps=40, warm_up_steps=0, learning_rate=1e-4, schedule="halving", halve_at=(5, 10, 20, 30))
    rates = [learning_rate(recipe, step) for step in (0, 4, 5, 9, 10, 20, 30, 39)]
    np.testing.assert_allclose(rates, np.array([1, 1, 1 / 2, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16]) * 1e-4)


def test_the_adversarial_stage_begins_at_its_own_rate():
    adversarial = AdversarialSettings(discriminator="patch", learning_rate=1e-3, discriminator_learning_rate=4e-3)
    recipe = plane_recipe(steps=100, content_fraction=0.5, learning_rate=1e-2, adversarial=adversarial)
    assert learning_rate(recipe, 49) < 1e-4
    assert learning_rate(recipe, 50) == pytest.approx(1e-3)
    assert discriminator_learning_rate(recipe, 50) == pytest.approx(4e-3)
    assert learning_rate(recipe, 99) < 2e-5


@pytest.mark.parametrize("content_fraction", [0.0, 0.1])
def test_a_warm_up_in_the_adversarial_stage_rises_to_the_rate_of_that_stage(content_fraction: float):
    adversarial = AdversarialSettings(discriminator="patch", learning_rate=1e-3, discriminator_learning_rate=4e-3)
    settings = {"warm_up_steps": 20, "content_fraction": content_fraction, "learning_rate": 1e-2}
    recipe = plane_recipe(steps=100, adversarial=adversarial, **settings)
    assert learning_rate(recipe, 10) == pytest.approx(1e-3 * 11 / 20)
    assert discriminator_learning_rate(recipe, 19) == pytest.approx(4e-3)


# Losses and the average


def test_the_content_of_the_loss_is_the_weighed_sum_of_its_terms(entries, a_recipe: Recipe):
    recipe = replace(a_recipe, consistent_weight=0.0, loss=LossWeights(l1=2.0, mse=3.0))
    batch = PatchSampler(entries, recipe).batch(0)
    made = task_of(recipe).predict(new_state(recipe, "cpu").generator, batch)
    terms = made.terms
    difference = (made.sr - batch.hr).detach()
    assert terms.keys() == {"l1", "mse"}
    assert float(terms["l1"].detach()) == pytest.approx(2 * float(difference.abs().mean()), rel=1e-5)
    assert float(terms["mse"].detach()) == pytest.approx(3 * float(difference.square().mean()), rel=1e-5)


def test_the_consistent_part_of_the_loss_does_not_punish_what_the_projection_mends(entries, a_recipe: Recipe):
    """An error that the measured slices correct costs nothing after the projection."""

    class Wrong(torch.nn.Module):
        def forward(self, lr, positions, factor, thickness, *, seed):
            seen = torch.einsum("mk,nckji->ncmji", batch.consistency, torch.ones_like(lr))
            return batch.hr + 0.1 * seen

    batch = PatchSampler(entries, replace(a_recipe, noise_fraction=0.0, thickness_range=(0.9, 1.0))).batch(0)

    def loss(weight: float) -> float:
        recipe = replace(a_recipe, consistent_weight=weight)
        return float(task_of(recipe).predict(Wrong(), batch).terms["l1"])

    assert loss(0.0) > 0.05
    assert loss(1.0) < 1e-5


# The loop


def test_training_brings_the_loss_down(entries, a_recipe: Recipe):
    recipe = replace(a_recipe, steps=40, learning_rate=5e-3, batch_size=4)
    sampler = PatchSampler(entries, replace(recipe, seed=1234))
    state = new_state(recipe, "cpu")

    @torch.no_grad()
    def loss() -> float:
        drawn = [sampler.batch(step) for step in range(6)]
        terms = [task_of(recipe).predict(state.generator, batch).terms["l1"] for batch in drawn]
        return float(torch.stack(terms).mean())

    before = loss()
    trained(recipe, entries, state=state)
    assert loss() < 0.95 * before  # 0.66 to 0.84, depending on the seed


@pytest.mark.parametrize("kind", ["wasserstein", "adaptive-wasserstein", "gan", "relativistic"])
def test_the_discriminator_learns_to_tell_noisy_volumes_from_true_ones(entries, kind: str):
    adversarial = AdversarialSettings(
        discriminator="patch",
        discriminator_config={"channels": 4, "halvings": 1},
        kind=kind,
        discriminator_learning_rate=1e-2,
        steps=2,
    )
    recipe = plane_recipe(content_fraction=0.0, warm_up_steps=0, steps=80, adversarial=adversarial)
    state, sampler = new_state(recipe, "cpu"), task_of(recipe).dataset(entries)
    set_learning_rates(state, recipe)
    random = torch.Generator().manual_seed(0)
    accuracies = []
    for step in range(recipe.steps):
        batch = sampler.batch(step)
        made = batch.hr + 0.3 * torch.randn(batch.hr.shape, generator=random)
        judged = DiscriminatorInput(made, batch.hr, made)
        accuracies.append(float(train_discriminator(state, judged, recipe, ALONE)["accuracy"]))
    assert np.mean(accuracies[:3]) < 0.75
    assert np.mean(accuracies[-10:]) > 0.85


def test_the_content_stage_leaves_the_discriminator_alone(entries):
    recipe = plane_recipe()
    fresh = new_state(recipe, "cpu")
    state = trained(recipe, entries, steps=range(recipe.content_steps))
    for name, tensor in fresh.discriminator.state_dict().items():
        np.testing.assert_array_equal(state.discriminator.state_dict()[name], tensor)


def test_every_term_of_the_loss_is_reported(entries):
    recipe = plane_recipe(
        loss=LossWeights(
            mse=1.0,
            gradient=1.0,
            squared_gradient=1.0,
            gradient_difference=1.0,
            adversarial=0.1,
            adversarial_features=0.1,
        ),
        adversarial=AdversarialSettings(
            discriminator="vgg-style", kind="gan", discriminator_config={"channels": 2, "hidden": 4}
        ),
    )
    seen = []
    trained(recipe, entries, after_step=lambda state, terms: seen.append(set(terms)))
    content = {"l1", "mse", "gradient", "squared_gradient", "gradient_difference"}
    assert seen[0] == content
    assert seen[-1] == content | {"adversarial", "adversarial_features", "discriminator", "accuracy"}


@pytest.mark.parametrize("after", [1, 2, 4])
@pytest.mark.parametrize("is_plane", [False, True])
def test_a_run_that_was_broken_off_resumes_to_the_same_weights(entries, a_recipe, tmp_path, after: int, is_plane: bool):
    """With a discriminator: in the content stage, at its end, and in the adversarial stage."""
    recipe = plane_recipe() if is_plane else a_recipe
    whole = trained(recipe, entries)
    saved(tmp_path, trained(recipe, entries, steps=range(after)))
    resumed = new_state(replace(recipe, seed=recipe.seed + 1), "cpu")  # weights that must not matter
    assert restore_newest(tmp_path, resumed) is None
    assert resumed.step == after
    trained(recipe, entries, state=resumed)
    assert resumed.step == whole.step == recipe.steps
    assert resumed.score_zero == whole.score_zero
    assert_same_state(resumed, whole)


def gradient(network: nn.Module, result: Callable[[], torch.Tensor], *, is_mixed: bool) -> torch.Tensor:
    """Of all weights, while freed memory holds no numbers."""
    with precision(Recipe(mixed_precision=is_mixed), network):
        loss = result().float().square().sum()
    _ = [torch.full((2**power,), float("nan")) for power in range(4, 14) for _ in range(20)]  # freed at once
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    return torch.cat([found.flatten() for found in torch.autograd.grad(loss, weights)])


def test_gradients_on_a_cpu_are_those_of_float32_whatever_the_memory_held(monkeypatch: pytest.MonkeyPatch):
    """oneDNN's gradient in bfloat16 reads memory that it has not written where a volume has two slices."""
    monkeypatch.setattr(optimization, "cpu_has_amx", lambda: True)
    convolution = in_memory_order(nn.Conv3d(4, 4, 3, padding=1))
    volume = torch.rand(1, 4, 2, 8, 8)
    found, exact = (gradient(convolution, lambda: convolution(volume), is_mixed=one) for one in (True, False))
    assert torch.equal(found, exact)


@pytest.mark.parametrize("slices", [1, 2, 3, 8])
def test_gradients_of_the_through_plane_generator_in_bfloat16_are_close(
    a_tiny_generator: ThroughPlaneGenerator, slices: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(optimization, "cpu_has_amx", lambda: True)
    network = in_memory_order(a_tiny_generator).requires_grad_(True)
    network.texture.requires_grad_(False)
    thick = torch.rand(2, 1, slices, 12, 12, generator=torch.Generator().manual_seed(3))
    places = torch.linspace(-0.5, slices - 0.5, 2 * slices)
    found, exact = (
        gradient(network, lambda: network.residual(network.features(thick, 1.0), places, 2.0, 1.0), is_mixed=one)
        for one in (True, False)
    )
    assert 0 < (found - exact).norm() < 0.02 * exact.norm()


def test_a_device_needs_no_autocast_to_be_trained_on():
    """As Apple's graphics cards, for which PyTorch had none before 2.5; the meta device has none either."""
    volume = torch.ones(1, 1, 2, 8, 8, device="meta")
    with precision(Recipe(mixed_precision=True), nn.Linear(1, 1, device="meta")):
        assert nn.functional.avg_pool3d(volume, 2).dtype == torch.float32
    share = torch.ones(1, device="meta")
    assert losses.gradient_penalty(lambda one: one.mean(dim=(2, 3, 4)), volume, volume, share).shape == ()


def test_a_loss_that_is_not_finite_stops_the_run_and_names_step_and_patches(entries, a_recipe: Recipe):
    sampler = PatchSampler(entries, a_recipe)

    def corrupted():
        for step in range(a_recipe.steps):
            batch = sampler.batch(step)
            yield replace(batch, hr=batch.hr * float("nan")) if step == 2 else batch

    state = new_state(a_recipe, "cpu")
    with pytest.raises(SuperResolutionError, match=r"the loss is nan at step 2, on patches of (ct|mr)_1.nii.gz"):
        train(task_of(a_recipe), state, corrupted(), silent, device=CPU)
    assert all(bool(parameter.isfinite().all()) for parameter in state.generator.parameters())


def test_a_loss_without_a_term_is_refused(entries, a_recipe: Recipe):
    recipe = replace(a_recipe, loss=LossWeights(l1=0.0))
    with pytest.raises(SettingsError, match=r"the loss has no term at step 0; give loss\.l1"):
        trained(recipe, entries)


def test_shares_that_leave_out_all_volumes_are_refused(entries, a_recipe: Recipe):
    with pytest.raises(SettingsError, match="modality_shares leaves out all volumes to train on, which are ct, mr"):
        PatchSampler(entries, replace(a_recipe, modality_shares={"ct": 0, "mr": 0}))


# Perceptual features


def test_the_error_for_missing_vgg_weights_names_both_remedies(tmp_path):
    settings = PerceptualSettings(features="vgg", file=str(tmp_path / "vgg19-dcbb9e9d.pth"))
    with pytest.raises(ModelError, match="put torchvision's file .* or use the slice encoder"):
        perceptual_features(settings, "cpu")


def test_equal_volumes_are_at_no_distance_for_the_shipped_slice_encoder():
    volume = torch.rand(1, 1, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    distance = perceptual_features(PerceptualSettings(), "cpu")
    assert float(distance(volume, volume)) < 1e-6
    assert float(distance(1 - volume, volume)) > 0.01


# What cannot be trained


def test_a_network_that_is_not_there_is_refused_by_name():
    with pytest.raises(SettingsError, match="no generator 'srcn'"):
        new_state(Recipe(generator="srcn"), "cpu")
    adversarial = AdversarialSettings(discriminator="vgg")
    with pytest.raises(SettingsError, match="no discriminator 'vgg'"):
        new_state(plane_recipe(adversarial=adversarial), "cpu")


def test_features_of_a_discriminator_without_any_are_refused():
    loss = LossWeights(adversarial=0.1, adversarial_features=0.1)
    with pytest.raises(SettingsError, match="adversarial_features needs .* sequence-lstm does not"):
        new_state(plane_recipe(loss=loss), "cpu")


def test_the_weights_of_another_network_are_not_taken_over(entries, tmp_path):
    from medical_super_resolution.models import file as models

    recipe = plane_recipe()
    models.save(tmp_path / "small.safetensors", "srresnet", new_state(recipe, "cpu").average, {})
    larger = replace(
        recipe, generator_config={"factor": 2, "channels": 8}, start_from=str(tmp_path / "small.safetensors")
    )
    with pytest.raises(SettingsError, match=r"small.safetensors is another network \(srresnet\) or of another size"):
        new_state(larger, "cpu")


def test_the_weights_of_a_larger_generator_are_narrowed(entries: list[Entry], a_recipe: Recipe, tmp_path: Path):
    from medical_super_resolution.models import file as models

    larger = replace(a_recipe, generator_config={**a_recipe.generator_config, "channels": 6})
    large = new_state(larger, "cpu").average
    models.save(tmp_path / "large.safetensors", "through-plane", large, {})
    state = new_state(replace(a_recipe, start_from=str(tmp_path / "large.safetensors")), "cpu", entries)
    sampler, narrowed = task_of(a_recipe).dataset(entries), task_of(a_recipe).network()
    batches = [sampler.batch(step) for step in range(64 // a_recipe.batch_size)]
    narrow(large, narrowed, ((batch.lr, batch.profile_width) for batch in batches))
    torch.testing.assert_close(state.generator.state_dict(), narrowed.state_dict(), rtol=0, atol=0)


def test_the_sampler_fits_the_generator(entries, a_recipe: Recipe):
    assert type(task_of(a_recipe).dataset(entries)).__name__ == "PatchSampler"
    assert type(task_of(plane_recipe()).dataset(entries)).__name__ == "PlaneSampler"


@pytest.mark.parametrize(
    ("task", "weights", "users"),
    [
        ("in-plane", {"spectrum": 0.1}, "slice-sequence"),
        ("down-sampler", {"mse": 2.0}, "slice-sequence, in-plane, slice-encoder"),
        ("down-sampler", {"spectrum": 0.1}, "slice-sequence"),
        ("slice-encoder", {"adversarial": 0.1}, "slice-sequence, in-plane, down-sampler"),
        ("slice-encoder", {"perceptual": 0.1}, "slice-sequence, in-plane, down-sampler"),
        ("slice-profile", {"l1": 0.5}, "slice-sequence, in-plane, slice-encoder, down-sampler"),
        ("slice-profile", {"gradient": 1.0}, "slice-sequence, in-plane, slice-encoder"),
    ],
)
def test_weights_of_terms_that_a_loss_does_not_have_are_refused_with_the_tasks_that_have_them(task, weights, users):
    ((term, weight),) = weights.items()
    recipe = plane_recipe(task=task, loss=LossWeights(**weights), low_resolution="coarse.json")
    said = f"loss.{term} = {weight:g} has no effect on the task {task}, only on {users}; set it to 0"
    with pytest.raises(SettingsError, match=re.escape(said)):
        task_of(recipe)


def test_a_task_that_is_not_there_is_refused_by_name():
    with pytest.raises(SettingsError, match="there is no task 'gauging'; choose generator or one of slice-sequence"):
        task_of(Recipe(task="gauging"))
