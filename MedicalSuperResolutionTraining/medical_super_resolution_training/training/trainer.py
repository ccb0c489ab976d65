"""The training loop: a batch, the terms of the loss, a step of the discriminator, a step of the generator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ..data.batch import Batch
from ..tasks.task import TrainingTask
from .adversarial import adversarial_terms, train_discriminator
from .distributed import DistributedContext
from .objectives import Distance, appearance_terms
from .optimization import precision, update_generator
from .state import TrainingState, set_learning_rates

AfterStep = Callable[[TrainingState, dict[str, Tensor]], None]
SINGLE = DistributedContext()


def train(
    task: TrainingTask[Any],
    state: TrainingState,
    batches: Iterable[Batch],
    after_step: AfterStep,
    *,
    device: torch.device,
    perceptual: Distance | None = None,
    context: DistributedContext = SINGLE,
) -> None:
    """Run from ``state.step`` to the end of the batches.

    Parameters
    ----------
    batches
        This process's share of the batch of each remaining step, see `loader.batches`.
    after_step
        Called after each step with the terms of its loss, for curves, checkpoints, validation and pictures.
    device
        Where the networks are.
    perceptual
        The distance of the perceptual loss, where the recipe has one.
    context
        The processes that train together.

    Raises
    ------
    SuperResolutionError
        The loss is not finite any more; the generator's weights are those before the step.
    """
    for batch in batches:
        set_learning_rates(state, task.recipe)
        terms = training_step(task, state, batch.to(device), perceptual=perceptual, context=context)
        state.step += 1
        after_step(state, terms)


def training_step(
    task: TrainingTask[Any],
    state: TrainingState,
    batch: Batch,
    *,
    perceptual: Distance | None = None,
    context: DistributedContext = SINGLE,
) -> dict[str, Tensor]:
    """One step of the discriminator, in the adversarial stage, and one of the generator.

    Returns
    -------
    What the curves show: weighted terms of the generator's loss, and what `train_discriminator` gives.
    """
    recipe = task.recipe
    discriminator_values: dict[str, Tensor] = {}
    with precision(recipe, state.generator):
        prediction = task.predict(state.generator, batch)
        terms = prediction.terms
    if state.step >= recipe.content_steps and state.discriminator is not None:
        volumes = task.discriminator_input(prediction, batch)
        discriminator_values = train_discriminator(state, volumes, recipe, context)
        with precision(recipe, state.discriminator):
            terms = terms | appearance_terms(prediction, recipe, perceptual)
            if state.step >= recipe.content_steps + recipe.adversarial.head_start:
                terms |= adversarial_terms(state.discriminator, volumes, recipe, context)
    return update_generator(state, terms, discriminator_values, batch.files, recipe, context)
