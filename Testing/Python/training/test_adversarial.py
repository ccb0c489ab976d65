"""The steps of a discriminator and its judgment against their definitions, worked out by hand for one of one weight."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from medical_super_resolution.networks.contracts import Discriminator
from medical_super_resolution.objectives import losses
from medical_super_resolution_training.config.losses import AdversarialSettings, LossWeights
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.tasks.task import DiscriminatorInput
from medical_super_resolution_training.training.adversarial import (
    CRITIC_LOSSES,
    adversarial_terms,
    generator_loss,
    train_discriminator,
)
from medical_super_resolution_training.training.state import TrainingState, new_state
from training_runs import ALONE, CRITIC, plane_recipe


class Above(Discriminator):
    """Its score is the mean of a volume times its only weight, less three times that of the condition."""

    conditional = True

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight))

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        judged, condition = (one.flatten(1).mean(dim=1, keepdim=True) for one in volume.split(1, dim=1))
        return self.weight * judged - 3 * condition


class Scale(Discriminator):
    """Its score is the mean of a volume times its only weight, and its only feature the volume times this weight."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight))

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        return self.weight * volume.flatten(1).mean(dim=1, keepdim=True)

    def scores_and_features(self, volume: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        return self(volume), [self.weight * volume]


def judged(*means: float) -> torch.Tensor:
    """A flat volume of each mean, of 2 x 2 x 2 voxels."""
    return torch.tensor(means)[:, None, None, None, None].expand(-1, 1, 2, 2, 2).clone()


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def with_judge(state: TrainingState, weight: float) -> Scale:
    """Give the state a discriminator that makes plain steps of its gradient."""
    judge = Scale(weight)
    state.discriminator, state.discriminator_optimizer = judge, torch.optim.SGD(judge.parameters(), lr=0.1)
    return judge


def judging(kind: str, **settings: object) -> Recipe:
    return Recipe(batch_size=2, adversarial=AdversarialSettings(kind=kind, **settings))


def test_the_optimizer_of_a_discriminator_is_that_of_its_table():
    recipe = plane_recipe(adversarial=replace(CRITIC, betas=(0.25, 0.75), discriminator_learning_rate=3e-3))
    (group,) = new_state(recipe, "cpu").discriminator_optimizer.param_groups
    assert (group["betas"], group["lr"]) == ((0.25, 0.75), 3e-3)


def test_a_critic_goes_down_its_loss_and_the_weighed_penalty_once_per_step(a_state: TrainingState):
    judge, weight = with_judge(a_state, 2.0), 2.0
    volumes = DiscriminatorInput(judged(1.0, 2.0), judged(5.0, 6.0), judged(0.0, 0.0))
    values = train_discriminator(a_state, volumes, judging("wasserstein", penalty=3.0, steps=3), ALONE)
    root = math.sqrt(8)  # of the voxels: the score changes by weight / 8 with each, by weight / root in all
    for number in range(3):
        loss, penalty = weight * (1.5 - 5.5), (weight / root - 1) ** 2
        weight -= 0.1 * ((1.5 - 5.5) + 3 * 2 * (weight / root - 1) / root)
        assert number < 2 or float(values["discriminator"]) == pytest.approx(loss, rel=1e-5)
        assert number < 2 or float(values["penalty"]) == pytest.approx(penalty, rel=1e-4)
    assert float(judge.weight.detach()) == pytest.approx(weight, rel=1e-5)


def test_the_penalty_of_a_conditional_critic_is_that_of_its_slope_by_the_volume_and_not_by_the_condition(
    a_state: TrainingState,
):
    with_judge(a_state, 2.0)
    a_state.discriminator = Above(2.0)
    volumes = DiscriminatorInput(judged(1.0, 2.0), judged(5.0, 6.0), judged(0.5, 0.75))
    values = train_discriminator(a_state, volumes, judging("wasserstein"), ALONE)
    assert float(values["penalty"]) == pytest.approx((2 / math.sqrt(8) - 1) ** 2, rel=1e-4)


@pytest.mark.parametrize(("fake", "steps"), [(-1.0, 1), (0.9, 3)])
def test_an_adaptive_critic_makes_one_step_and_more_only_while_it_is_behind(
    a_state: TrainingState, fake: float, steps: int
):
    judge = with_judge(a_state, 1.0)
    volumes = DiscriminatorInput(judged(fake, fake), judged(1.0, 1.0), judged(0.0, 0.0))
    train_discriminator(a_state, volumes, judging("adaptive-wasserstein", penalty=0.0, steps=3), ALONE)
    assert float(judge.weight.detach()) == pytest.approx(1 + steps * 0.1 * (1 - fake), rel=1e-5)


def test_every_step_of_a_critic_mixes_by_numbers_of_its_own(a_state: TrainingState, monkeypatch: pytest.MonkeyPatch):
    with_judge(a_state, 1.0)
    volumes = DiscriminatorInput(judged(1.0, 2.0), judged(5.0, 6.0), judged(0.0, 0.0))
    mixtures = []
    monkeypatch.setattr(losses, "gradient_penalty", lambda *about: mixtures.append(about[-1]) or torch.zeros(()))
    for _ in range(2):
        train_discriminator(a_state, volumes, judging("wasserstein", steps=2), ALONE)
        a_state.step += 1
    shares = torch.cat(mixtures).tolist()
    assert len(set(shares)) == len(shares) == 8
    assert all(0 <= share < 1 for share in shares)


@pytest.mark.parametrize(
    ("kind", "of_separate", "of_mixed"),
    [
        ("gan", 0.5, 0.5),
        ("hinge", 0.5, 0.5),
        ("wasserstein", 1.0, 0.5),
        ("relativistic", 1.0, 0.5),
        ("relativistic-pairs", 1.0, 1.0),
    ],
)
def test_scores_are_judged_from_0_where_the_loss_fixes_it_else_from_their_middle_or_in_pairs(
    kind: str, of_separate: float, of_mixed: float
):
    """All scores are above 0."""
    separate = DiscriminatorInput(judged(1.0, 2.0), judged(5.0, 6.0), judged(0.0, 0.0))
    mixed = DiscriminatorInput(judged(1.0, 5.0), judged(2.0, 6.0), judged(0.0, 0.0))
    for volumes, accuracy in ((separate, of_separate), (mixed, of_mixed)):
        state = new_state(plane_recipe(loss=LossWeights()), "cpu")
        with_judge(state, 1.0)
        assert float(train_discriminator(state, volumes, judging(kind), ALONE)["accuracy"]) == accuracy


def test_the_zero_of_a_critic_follows_its_scores_slowly(a_state: TrainingState):
    with_judge(a_state, 1.0)
    volumes = DiscriminatorInput(judged(1.0, 2.0), judged(5.0, 6.0), judged(0.0, 0.0))
    recipe = judging("wasserstein")
    train_discriminator(a_state, volumes, recipe, ALONE)
    assert a_state.score_zero == pytest.approx(3.5)
    with_judge(a_state, 2.0)
    train_discriminator(a_state, volumes, recipe, ALONE)
    assert a_state.score_zero == pytest.approx(0.9 * 3.5 + 0.1 * 7.0)


@pytest.mark.parametrize(
    ("kind", "critic", "generator"),
    [
        ("wasserstein", 1.5 - 4, -1.5),
        ("adaptive-wasserstein", 1.5 - 4, -1.5),
        ("hinge", (2 + 3) / 2, -1.5),
        (
            "gan",
            (softplus(-3) + softplus(-5) + softplus(1) + softplus(2)) / 2,
            (softplus(-1) + softplus(-2)) / 2,
        ),
        (
            "relativistic",
            (softplus(1.5 - 3) + softplus(1.5 - 5) + softplus(1 - 4) + softplus(2 - 4)) / 2,
            (softplus(3 - 1.5) + softplus(5 - 1.5) + softplus(4 - 1) + softplus(4 - 2)) / 2,
        ),
        ("relativistic-pairs", (softplus(1 - 3) + softplus(2 - 5)) / 2, (softplus(3 - 1) + softplus(5 - 2)) / 2),
    ],
)
def test_both_networks_have_the_loss_of_the_kind_that_the_recipe_names(kind: str, critic: float, generator: float):
    real, fake = torch.tensor([[3.0], [5.0]]), torch.tensor([[1.0], [2.0]])
    assert float(CRITIC_LOSSES[kind](real, fake)) == pytest.approx(critic)
    assert float(generator_loss(kind, real, fake)) == pytest.approx(generator)


def test_the_judgment_is_weighed_and_teaches_the_generator_alone():
    judge = Scale(3.0)
    made = judged(1.0, 2.0).requires_grad_()
    volumes = DiscriminatorInput(made, judged(2.0, 5.0), judged(0.0, 0.0))
    recipe = plane_recipe(loss=LossWeights(adversarial=0.2, adversarial_features=0.5))
    terms = adversarial_terms(judge, volumes, recipe, ALONE)
    assert {name: float(term.detach()) for name, term in terms.items()} == {
        "adversarial": pytest.approx(0.2 * -4.5),
        "adversarial_features": pytest.approx(0.5 * (3**2 + 9**2) / 2),
    }
    torch.stack(list(terms.values())).sum().backward()
    assert made.grad is not None
    assert judge.weight.grad is None
    assert judge.weight.requires_grad  # again, for its next step
