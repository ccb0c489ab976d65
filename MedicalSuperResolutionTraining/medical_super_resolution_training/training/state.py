"""State of a training run: networks, their average, optimizers, the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import PARAM_LIST, AveragedModel

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.models.weight_interpolation import load_model
from medical_super_resolution.networks.blocks import in_memory_order
from medical_super_resolution.networks.contracts import Discriminator
from medical_super_resolution.networks.discriminators import DISCRIMINATORS

from ..config.recipe import Recipe
from ..config.recipes import network_config
from ..data.manifest import Entry
from ..tasks import task_of
from ..tasks.task import TrainingTask


@dataclass(eq=False)
class TrainingState:
    """The state that a checkpoint stores.

    Parameters
    ----------
    generator
        The network that is trained.
    averaged
        Exponential moving average of its weights.
    score_zero
        The middle between the recent scores of real and made volumes, from which the accuracy of a critic is counted.
    step
        Number of steps done.
    unreported
        (N,) float32, the terms of the steps since the last row of the curves, by name; see `curves.Means`.
    """

    generator: nn.Module
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    discriminator: Discriminator | None = None
    discriminator_optimizer: torch.optim.Optimizer | None = None
    score_zero: float = 0.0
    step: int = 0
    unreported: dict[str, Tensor] = field(default_factory=dict)

    @property
    def average(self) -> nn.Module:
        """The network with averaged weights, which is validated and exported."""
        return self.averaged.module


def new_state(recipe: Recipe, device: str | torch.device, entries: Sequence[Entry] = ()) -> TrainingState:
    """Fresh weights from the recipe's seed, or those of the model that it starts from.

    ``entries`` are the volumes of the run, by which the weights of a larger model are narrowed.
    """
    task = task_of(recipe)
    torch.manual_seed(recipe.seed)
    generator = in_memory_order(task.network()).to(device)
    if recipe.start_from:
        _load_start_weights(task, generator, list(entries))
    if not recipe.has_adversarial_stage:
        for name in getattr(generator, "adversarial_weights", ()):
            generator.get_parameter(name).requires_grad_(False)
    weights, betas = generator.parameters(), _pair(recipe.betas)
    optimizer = torch.optim.Adam(weights, lr=recipe.learning_rate, betas=betas, eps=recipe.epsilon)
    state = TrainingState(generator, _averaged(generator, recipe.average_decay), optimizer)
    if recipe.has_adversarial_stage:
        _add_discriminator(state, recipe, device)
    return state


def _averaged(network: nn.Module, decay: float) -> AveragedModel:
    """The average of a network's weights; the first steps, which change much, are forgotten sooner."""

    def average(means: PARAM_LIST, values: PARAM_LIST, count: Tensor | int) -> None:
        number = int(count)  # once for all weights: each time, a graphics card is waited for
        weight = 1 - min(decay, (1 + number) / (10 + number))
        for mean, value in zip(means, values, strict=True):
            mean.lerp_(value, weight)

    averaged = AveragedModel(network, multi_avg_fn=average)
    averaged.module.eval().requires_grad_(False)
    return averaged


def _add_discriminator(state: TrainingState, recipe: Recipe, device: str | torch.device) -> None:
    settings = recipe.adversarial
    name = settings.discriminator
    if name not in DISCRIMINATORS:
        raise SettingsError(f"there is no discriminator {name!r}; choose one of {', '.join(DISCRIMINATORS)}")
    config_class, network_class = DISCRIMINATORS[name]
    built: Any = network_class(network_config(config_class, settings.discriminator_config, f"the discriminator {name}"))
    if recipe.loss.adversarial_features and not built.has_features:
        raise SettingsError(
            f"loss.adversarial_features needs a discriminator that shows its stages, such as vgg-style; {name} does not"
        )
    state.discriminator = in_memory_order(built).to(device)
    state.discriminator_optimizer = torch.optim.Adam(
        built.parameters(), lr=settings.discriminator_learning_rate, betas=_pair(settings.betas)
    )


def _load_start_weights(task: TrainingTask[Any], generator: nn.Module, entries: list[Entry]) -> None:
    """Take the weights of the model to start from."""
    recipe = task.recipe
    model = load_model(recipe.start_from)
    try:
        task.take_weights(generator, model.generator, entries)
    except RuntimeError as problem:
        raise SettingsError(
            f"{Path(recipe.start_from).name} is another network ({model.generator_name}) or of another size than the"
            f" recipe's {recipe.generator}; change generator_config, or start from another model"
        ) from problem


def _pair(betas: tuple[float, ...]) -> tuple[float, float]:
    first, second = betas
    return first, second


def learning_rate(recipe: Recipe, step: int) -> float:
    """The generator's rate: linear warm-up, then the schedule; the adversarial stage has its own peak and length."""
    first, stop, peak = recipe.warm_up_steps, recipe.content_steps, recipe.learning_rate
    if step >= recipe.content_steps and recipe.has_adversarial_stage:
        first, stop, peak = recipe.content_steps, recipe.steps, recipe.adversarial.learning_rate
    if step < recipe.warm_up_steps:
        return peak * (step + 1) / recipe.warm_up_steps
    if recipe.schedule == "halving":
        return peak * 0.5 ** sum(step >= one for one in recipe.halve_at)
    low = min(recipe.final_learning_rate, peak)
    done = (step - first) / max(1, stop - first)
    return low + (peak - low) * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def discriminator_learning_rate(recipe: Recipe, step: int) -> float:
    """The discriminator's rate follows the generator's, from its own peak."""
    return (
        recipe.adversarial.discriminator_learning_rate * learning_rate(recipe, step) / recipe.adversarial.learning_rate
    )


def set_learning_rates(state: TrainingState, recipe: Recipe) -> None:
    """Give both optimizers the rates of the step."""
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(recipe, state.step)
    if state.discriminator_optimizer is not None:
        for group in state.discriminator_optimizer.param_groups:
            group["lr"] = discriminator_learning_rate(recipe, state.step)
