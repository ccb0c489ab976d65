"""One step of the generator and its average against their definitions, and the terms of each stage."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.objectives.spectrum import spectrum_error
from medical_super_resolution_training.config.losses import LossWeights
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.tasks import task_of
from medical_super_resolution_training.tasks.task import Prediction
from medical_super_resolution_training.training.objectives import appearance_terms
from medical_super_resolution_training.training.optimization import update_generator
from medical_super_resolution_training.training.state import (
    TrainingState,
    discriminator_learning_rate,
    learning_rate,
    new_state,
)
from medical_super_resolution_training.training.trainer import training_step
from training_runs import ALONE, CRITIC, plane_recipe, trained

# The generator


def weights_of(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def updated(state: TrainingState, slope: float, recipe: Recipe) -> None:
    """One step down a loss that has the same slope along every weight."""
    total = torch.stack([weight.sum() for weight in state.generator.parameters()]).sum()
    update_generator(state, {"l1": slope * total}, {}, (), recipe, ALONE)


def test_a_step_is_that_of_adam_down_the_clipped_gradient():
    recipe = plane_recipe(
        loss=LossWeights(), learning_rate=0.5, betas=(0.6, 0.8), epsilon=0.25, gradient_clip=3.0, average_decay=0.0
    )
    state = new_state(recipe, "cpu")
    before = weights_of(state.generator).double()
    first = 3 / math.sqrt(len(before))  # each part of a gradient of norm 3
    updated(state, 1000.0, recipe)
    once = before - 0.5 * first / (first + 0.25)
    torch.testing.assert_close(weights_of(state.generator).double(), once, rtol=0, atol=1e-6)

    second = -0.1 * first  # of norm 0.3: not clipped
    updated(state, second, recipe)
    mean = (0.6 * 0.4 * first + 0.4 * second) / (1 - 0.6**2)
    square = (0.8 * 0.2 * first**2 + 0.2 * second**2) / (1 - 0.8**2)
    twice = once - 0.5 * mean / (math.sqrt(square) + 0.25)
    torch.testing.assert_close(weights_of(state.generator).double(), twice, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("decay", "shares"), [(0.999, (9 / 11, 9 / 12)), (0.2, (9 / 11, 0.8)), (0.0, (1.0, 1.0))])
def test_the_average_begins_with_the_weights_and_forgets_its_first_steps_sooner(decay: float, shares: tuple):
    recipe = plane_recipe(loss=LossWeights(), average_decay=decay)
    state = new_state(recipe, "cpu")
    updated(state, 1.0, recipe)
    average = weights_of(state.generator)
    torch.testing.assert_close(weights_of(state.average), average, rtol=0, atol=0)
    for share in shares:
        updated(state, 1.0, recipe)
        average = average + share * (weights_of(state.generator) - average)
        torch.testing.assert_close(weights_of(state.average), average, rtol=0, atol=1e-7)


def test_the_number_of_steps_is_read_once_for_all_weights(a_state: TrainingState, monkeypatch: pytest.MonkeyPatch):
    """Reading a number waits until a graphics card is done with all before it."""
    updated(a_state, 1.0, plane_recipe())
    read: list[torch.Tensor] = []
    real = torch.Tensor.__int__
    monkeypatch.setattr(torch.Tensor, "__int__", lambda tensor: read.append(tensor) or real(tensor))
    a_state.averaged.update_parameters(a_state.generator)
    assert len(read) == 1


def test_the_average_is_neither_trained_nor_in_training_mode(a_state: TrainingState):
    assert not any(weight.requires_grad for weight in a_state.averaged.parameters())
    assert not any(part.training for part in a_state.average.modules())


@pytest.mark.parametrize("which", ["gradient", "discriminator"])
def test_a_gradient_or_a_discriminator_that_is_not_finite_leaves_the_weights(a_state: TrainingState, which: str):
    before = weights_of(a_state.generator)
    nothing = 0 * torch.stack([weight.sum() for weight in a_state.generator.parameters()]).sum()
    terms = {"l1": nothing.sqrt() if which == "gradient" else nothing}  # a root is infinitely steep at 0
    values = {"discriminator": torch.tensor(float("inf"))} if which == "discriminator" else {}
    with pytest.raises(SuperResolutionError, match=r"the loss is (nan|inf) at step 0, on patches of one\.nii"):
        update_generator(a_state, terms, values, ("one.nii",), plane_recipe(), ALONE)
    torch.testing.assert_close(weights_of(a_state.generator), before, rtol=0, atol=0)


# The stages


def test_each_step_has_the_terms_of_its_stage_and_the_rates_of_its_number(entries: list[Entry]):
    adversarial = replace(CRITIC, head_start=1, learning_rate=2e-3, discriminator_learning_rate=8e-3)
    recipe = plane_recipe(loss=LossWeights(adversarial=0.1), adversarial=adversarial)  # content: 2 of 5 steps
    seen, rates = [], []

    def watch(state: TrainingState, terms: dict[str, torch.Tensor]) -> None:
        seen.append(set(terms))
        rates.append([one.param_groups[0]["lr"] for one in (state.optimizer, state.discriminator_optimizer)])

    trained(recipe, entries, after_step=watch)
    judged_too = {"l1", "discriminator", "penalty", "accuracy"}
    assert seen == [{"l1"}, {"l1"}, judged_too, judged_too | {"adversarial"}, judged_too | {"adversarial"}]
    assert rates == [[learning_rate(recipe, step), discriminator_learning_rate(recipe, step)] for step in range(5)]
    assert rates[2] == pytest.approx([2e-3, 8e-3])


def absolute(sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
    return (sr - hr).abs().mean()


def test_appearance_is_weighed_and_has_a_spectrum_along_a_sequence_alone():
    random = torch.Generator().manual_seed(0)
    sr, hr = (torch.rand(1, 1, 16, 4, 4, generator=random) for _ in range(2))
    recipe = Recipe(loss=LossWeights(perceptual=0.3, spectrum=0.7))
    terms = appearance_terms(Prediction({}, sr, hr, factor_k=4.0), recipe, absolute)
    expected = {"perceptual": 0.3 * absolute(sr, hr), "spectrum": 0.7 * spectrum_error(sr, hr, 4.0)}
    assert {name: float(term) for name, term in terms.items()} == pytest.approx(
        {name: float(term) for name, term in expected.items()}
    )
    assert appearance_terms(Prediction({}, sr, hr), recipe, absolute).keys() == {"perceptual"}
    assert appearance_terms(Prediction({}), recipe, absolute) == {}


def test_appearance_counts_from_the_first_step_of_the_adversarial_stage_on(entries: list[Entry]):
    recipe = plane_recipe(loss=LossWeights(perceptual=0.3, adversarial=0.1))
    state, task = new_state(recipe, "cpu"), task_of(recipe)
    batch = task.dataset(entries).batch(0)
    for state.step in (1, 2):
        terms = training_step(task, state, batch, perceptual=absolute)
        assert ("perceptual" in terms) == (state.step == 2)
