"""The training loop: a batch, the terms of the loss, a step of the discriminator, a step of the generator."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ..config.recipe import Recipe
from ..data.unpaired import UnpairedBatch
from .adversarial import adversarial_terms, train_discriminator
from .degradation import degradation_step
from .distributed import Team
from .objectives import AnyBatch, Distance, answer, content_terms, gauge_loss
from .optimisation import precision, update_generator
from .state import TrainingState, set_learning_rates

AfterStep = Callable[[TrainingState, dict[str, Tensor]], None]
ALONE = Team()


def train(
    state: TrainingState,
    batches: Iterable[AnyBatch | UnpairedBatch],
    recipe: Recipe,
    device: torch.device,
    after_step: AfterStep,
    *,
    perceptual: Distance | None = None,
    team: Team = ALONE,
) -> None:
    """Run from ``state.step`` to the end of the batches.

    Parameters
    ----------
    batches : this process' share of the batch of each step that is left, see `loading.batches`.
    after_step : called after each step with the terms of its loss, for curves, checkpoints, validation and pictures.
    perceptual : the distance of the perceptual loss, where the recipe has one.
    team : the processes that train together.

    Raises
    ------
    SuperResolutionError : the loss is not finite any more; the weights are those before the step.
    """
    for batch in batches:
        set_learning_rates(state, recipe)
        if isinstance(batch, UnpairedBatch):
            terms = degradation_step(state, batch.to(str(device)), recipe, perceptual, team)
        else:
            terms = training_step(state, batch.to(str(device)), recipe, perceptual, team)
        state.step += 1
        after_step(state, terms)


def training_step(
    state: TrainingState, batch: AnyBatch, recipe: Recipe, perceptual: Distance | None, team: Team
) -> dict[str, Tensor]:
    """One step of the discriminator, in the adversarial stage, and one of the generator.

    Returns
    -------
    What the curves show: weighed terms of the generator's loss, and what `train_discriminator` saw.
    """
    seen: dict[str, Tensor] = {}
    with precision(recipe, batch.lr.device):
        if recipe.part == "gauge":
            terms = {"gauge": gauge_loss(state.generator, batch)}  # type: ignore[arg-type]  # new_state has checked
        else:
            made = answer(state.generator, batch, recipe)
            terms = content_terms(made, batch.hr, recipe)
    if state.step >= recipe.content_steps and state.discriminator is not None:
        seen = train_discriminator(state, batch, made.shown, recipe, team)
        with precision(recipe, batch.lr.device):
            if perceptual is not None:
                terms["perceptual"] = recipe.loss.perceptual * perceptual(made.shown, batch.hr)
            terms |= adversarial_terms(state.discriminator, batch, made.shown, recipe, team)
    return update_generator(state, terms, seen, batch.files, recipe, team)
