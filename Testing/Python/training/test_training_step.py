"""One step of either network against its definition, worked out by hand for networks of one weight."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.networks.discriminators import Discriminator
from medical_super_resolution.objectives import losses
from medical_super_resolution.objectives.spectrum import spectrum_error
from medical_super_resolution_training.config.losses import AdversarialSettings, LossWeights
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.data.manifest import Entry
from medical_super_resolution_training.tasks import task_of
from medical_super_resolution_training.tasks.task import DiscriminatorInput, Prediction
from medical_super_resolution_training.training.adversarial import (
    CRITIC_LOSSES,
    adversarial_terms,
    generator_loss,
    train_discriminator,
)
from medical_super_resolution_training.training.distributed import DistributedContext
from medical_super_resolution_training.training.objectives import appearance_terms
from medical_super_resolution_training.training.optimization import update_generator
from medical_super_resolution_training.training.state import (
    TrainingState,
    discriminator_learning_rate,
    learning_rate,
    new_state,
)
from medical_super_resolution_training.training.trainer import training_step
from training_runs import CRITIC, plane_recipe, trained

ALONE = DistributedContext()


# The generator


@pytest.fixture
def a_state() -> TrainingState:
    return new_state(plane_recipe(loss=LossWeights()), "cpu")


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


# The discriminator


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
