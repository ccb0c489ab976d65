"""The steps of the discriminator, and the terms of the loss that it gives the generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from medical_super_resolution.networks.contracts import Discriminator
from medical_super_resolution.objectives import losses

from ..config.recipe import Recipe
from ..data.volume_sampler import share_of
from ..tasks.task import DiscriminatorInput
from .distributed import DistributedContext
from .optimization import precision
from .state import TrainingState

_INERTIA = 0.9  # of the moving average that serves as the zero of a critic
_WASSERSTEIN = ("wasserstein", "adaptive-wasserstein")

CRITIC_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "wasserstein": losses.wasserstein_critic_loss,
    "adaptive-wasserstein": losses.wasserstein_critic_loss,
    "gan": losses.gan_critic_loss,
    "hinge": losses.hinge_critic_loss,
    "relativistic": losses.relativistic_critic_loss,
    "relativistic-pairs": losses.paired_relativistic_critic_loss,
}


def generator_loss(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """The adversarial term of the generator, from the scores of real and generated volumes."""
    if kind in (*_WASSERSTEIN, "hinge"):
        return losses.wasserstein_generator_loss(fake)
    if kind == "gan":
        return losses.gan_generator_loss(fake)
    if kind == "relativistic-pairs":
        return losses.paired_relativistic_generator_loss(real, fake)
    return losses.relativistic_generator_loss(real, fake)


def train_discriminator(
    state: TrainingState, volumes: DiscriminatorInput, recipe: Recipe, context: DistributedContext
) -> dict[str, Tensor]:
    """Train the discriminator for as many steps as the recipe sets for each step of the generator.

    Returns
    -------
    Means of the last step for the curves: its loss ("discriminator"), the gradient "penalty" and its "accuracy".
    """
    discriminator, optimizer = state.discriminator, state.discriminator_optimizer
    assert discriminator is not None  # the recipe has an adversarial stage
    assert optimizer is not None
    settings, device = recipe.adversarial, volumes.made.device

    def critic(volume: Tensor) -> Tensor:
        return discriminator(discriminator.with_condition(volume, volumes.condition))

    values: dict[str, Tensor] = {}
    for number in range(settings.steps):
        with precision(recipe, discriminator):
            scores = [context.gather_scores(critic(one).float()) for one in (volumes.real, volumes.made.detach())]
            loss = CRITIC_LOSSES[settings.kind](*scores)
        is_behind = settings.kind != "adaptive-wasserstein" or losses.wasserstein_critic_is_behind(*scores)
        values = {"discriminator": loss.detach(), "accuracy": _accuracy(state, settings.kind, *scores)}
        if number and not is_behind:
            break
        loss = loss * context.world  # see DistributedContext.gather_scores
        if settings.kind in _WASSERSTEIN:
            mixture = _mixture(recipe, state.step, number, context).to(device)
            penalty = losses.gradient_penalty(critic, volumes.real, volumes.made, mixture)
            loss = loss + settings.penalty * penalty
            values["penalty"] = penalty.detach()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        context.average_gradients(discriminator.parameters())
        optimizer.step()
    return values


def adversarial_terms(
    discriminator: Discriminator, volumes: DiscriminatorInput, recipe: Recipe, context: DistributedContext
) -> dict[str, Tensor]:
    """The terms of the generator's loss that a discriminator gives, weighted, by name."""
    discriminator.requires_grad_(False)
    fake_scores, fake_features = discriminator.scores_and_features(
        discriminator.with_condition(volumes.made, volumes.condition)
    )
    real_scores, real_features = discriminator.scores_and_features(
        discriminator.with_condition(volumes.real, volumes.condition)
    )
    loss = generator_loss(
        recipe.adversarial.kind, context.gather_scores(real_scores.float()), context.gather_scores(fake_scores.float())
    )
    terms = {"adversarial": recipe.loss.adversarial * loss}
    if recipe.loss.adversarial_features:
        distance = losses.adversarial_feature_loss(real_features, fake_features)
        terms["adversarial_features"] = recipe.loss.adversarial_features * distance
    discriminator.requires_grad_(True)
    return terms


def _mixture(recipe: Recipe, step: int, number: int, context: DistributedContext) -> Tensor:
    """Shares of real volumes in the mixtures of this process, drawn for the whole batch."""
    random = np.random.default_rng((recipe.seed, step, number, 1))  # the first three are those of a patch
    whole = random.random(recipe.batch_size, dtype=np.float32)
    return torch.from_numpy(whole[share_of(recipe.batch_size, context.rank, context.world)])


def _accuracy(state: TrainingState, kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """Share of correct judgments. Scores of critics have no fixed zero: the middle of earlier scores is used."""
    real, fake = real.detach(), fake.detach()
    if kind == "relativistic-pairs":
        return (real > fake).float().mean()
    if kind in ("gan", "hinge"):
        return torch.tensor(losses.discriminator_accuracy(real, fake))
    middle = float(real.mean() + fake.mean()) / 2
    state.score_zero = middle if not state.score_zero else _INERTIA * state.score_zero + (1 - _INERTIA) * middle
    return torch.tensor(losses.discriminator_accuracy(real, fake, zero=state.score_zero))
