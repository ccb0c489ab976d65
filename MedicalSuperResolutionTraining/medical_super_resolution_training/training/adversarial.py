"""The discriminator's steps, and what it makes the generator pay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from medical_super_resolution.networks.discriminators import Discriminator, to_judge
from medical_super_resolution.networks.discriminators.vgg_style import VggStyleDiscriminator
from medical_super_resolution.objectives import losses

from ..config.recipe import Recipe
from ..data.volume_sampler import share_of
from .distributed import Team
from .objectives import AnyBatch, interpolated
from .optimisation import precision
from .state import TrainingState

_INERTIA = 0.9  # of the zero from which a critic's accuracy is counted
_WASSERSTEIN = ("wasserstein", "adaptive-wasserstein")

CRITIC_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "wasserstein": losses.wasserstein_critic_loss,
    "adaptive-wasserstein": losses.wasserstein_critic_loss,
    "gan": losses.gan_critic_loss,
    "relativistic": losses.relativistic_critic_loss,
}


def generator_loss(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """What the scores cost the generator."""
    if kind in _WASSERSTEIN:
        return losses.wasserstein_generator_loss(fake)
    if kind == "gan":
        return losses.gan_generator_loss(fake)
    return losses.relativistic_generator_loss(real, fake)


def train_discriminator(
    state: TrainingState, batch: AnyBatch, made: Tensor, recipe: Recipe, team: Team
) -> dict[str, Tensor]:
    """As many steps of the discriminator as the recipe says, on a batch and what was made of it.

    Returns
    -------
    Means of the last step for the curves: its loss ("discriminator"), the gradient "penalty" and its "accuracy".
    """
    discriminator, optimizer = state.discriminator, state.discriminator_optimizer
    assert discriminator is not None  # noqa: S101 - the recipe has an adversarial stage
    assert optimizer is not None  # noqa: S101
    settings, condition = recipe.adversarial, interpolated(batch)
    real, fake = (to_judge(discriminator, one, condition) for one in (batch.hr, made.detach()))
    seen: dict[str, Tensor] = {}
    for number in range(settings.steps):
        with precision(recipe, made.device):
            scores = [team.all_scores(discriminator(one).float()) for one in (real, fake)]
            loss = CRITIC_LOSSES[settings.kind](*scores)
        is_behind = settings.kind != "adaptive-wasserstein" or losses.wasserstein_critic_is_behind(*scores)
        seen = {"discriminator": loss.detach(), "accuracy": _accuracy(state, settings.kind, *scores)}
        if number and not is_behind:
            break
        loss = loss * team.world  # see Team.all_scores
        if settings.kind in _WASSERSTEIN:
            mixture = _mixture(recipe, state.step, number, team).to(made.device)
            penalty = losses.gradient_penalty(discriminator, real, fake, mixture)
            loss = loss + settings.penalty * penalty
            seen["penalty"] = penalty.detach()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        team.average_gradients(discriminator.parameters())
        optimizer.step()
    return seen


def adversarial_terms(
    discriminator: Discriminator, batch: AnyBatch, made: Tensor, recipe: Recipe, team: Team
) -> dict[str, Tensor]:
    """The terms of the generator's loss that a discriminator gives, weighed, by name."""
    condition = interpolated(batch)
    discriminator.requires_grad_(False)
    fake_scores = discriminator(to_judge(discriminator, made, condition)).float()
    with torch.no_grad():
        real_scores = discriminator(to_judge(discriminator, batch.hr, condition)).float()
    loss = generator_loss(recipe.adversarial.kind, team.all_scores(real_scores), team.all_scores(fake_scores))
    terms = {"adversarial": recipe.loss.adversarial * loss}
    if recipe.loss.adversarial_features and isinstance(discriminator, VggStyleDiscriminator):
        with torch.no_grad():
            real = discriminator.features(batch.hr)
        distance = losses.adversarial_feature_loss(real, discriminator.features(made))
        terms["adversarial_features"] = recipe.loss.adversarial_features * distance
    discriminator.requires_grad_(True)
    return terms


def _mixture(recipe: Recipe, step: int, number: int, team: Team) -> Tensor:
    """The shares of real volumes in the mixtures: of the whole batch, whoever computes; this process' part of them."""
    whole = np.random.default_rng((recipe.seed, step, number)).random(recipe.batch_size, dtype=np.float32)
    return torch.from_numpy(whole[share_of(recipe.batch_size, team.rank, team.world)])


def _accuracy(state: TrainingState, kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """Share of right judgements. Scores of critics have no zero of their own: the middle of earlier ones serves."""
    real, fake = real.detach(), fake.detach()
    if kind == "gan":
        return torch.tensor(losses.discriminator_accuracy(real, fake))
    middle = float(real.mean() + fake.mean()) / 2
    state.score_zero = middle if not state.score_zero else _INERTIA * state.score_zero + (1 - _INERTIA) * middle
    return torch.tensor(losses.discriminator_accuracy(real, fake, zero=state.score_zero))
