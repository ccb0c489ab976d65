"""The training loop."""

from __future__ import annotations

import copy
import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from medical_super_resolution import models
from medical_super_resolution.errors import SettingsError, SuperResolutionError
from medical_super_resolution.learning.blocks import in_memory_order
from medical_super_resolution.learning.generators import GENERATORS
from medical_super_resolution.learning.generators.through_plane import ThroughPlaneGenerator
from medical_super_resolution.learning.interpolation import apply_along_sequence

from .config import Recipe
from .data import Batch, PatchSampler

Report = Callable[[int, float], None]
_REPORT_EVERY = 50


@dataclass
class TrainingState:
    """All that changes during a run."""

    generator: ThroughPlaneGenerator
    average: ThroughPlaneGenerator
    optimizer: torch.optim.Optimizer
    step: int = 0


def new_state(recipe: Recipe, device: str) -> TrainingState:
    """Fresh weights from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    config_class, generator_class = GENERATORS[recipe.generator]
    generator = in_memory_order(generator_class(config_class(**recipe.generator_config)).to(device))
    if not isinstance(generator, ThroughPlaneGenerator):
        raise SettingsError(f"this trainer refines slice sequences; the generator {recipe.generator!r} refines planes")
    if recipe.start_from:
        generator.load_state_dict(models.load(Path(recipe.start_from)).generator.state_dict())
    for name, parameter in generator.named_parameters():
        parameter.requires_grad_(name.startswith("gauge.") == (recipe.part == "gauge"))
    trained = [parameter for parameter in generator.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=recipe.learning_rate, betas=(0.9, 0.99))
    return TrainingState(generator, copy.deepcopy(generator).eval().requires_grad_(False), optimizer)


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then half a cosine down to the final rate."""
    if step < recipe.warm_up_steps:
        return recipe.learning_rate * (step + 1) / recipe.warm_up_steps
    done = (step - recipe.warm_up_steps) / max(1, recipe.steps - recipe.warm_up_steps)
    low, high = recipe.final_learning_rate, recipe.learning_rate
    return low + (high - low) * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def content_loss(sr: Tensor, hr: Tensor, squared_weight: float) -> Tensor:
    """Mean absolute error, mixed with the mean squared error (scaled to be of its size near convergence)."""
    difference = sr - hr
    return (1 - squared_weight) * difference.abs().mean() + squared_weight * 10 * difference.square().mean()


def generator_loss(generator: ThroughPlaneGenerator, batch: Batch, recipe: Recipe) -> Tensor:
    """Loss of the raw output and of the output that reproduces the measured slices."""
    sr = generator(batch.lr, batch.positions, batch.factor, batch.thickness)
    missing = batch.lr - apply_along_sequence(batch.acquisition, sr)
    consistent = sr + apply_along_sequence(batch.consistency, missing)
    raw = content_loss(sr, batch.hr, recipe.squared_weight)
    kept = content_loss(consistent, batch.hr, recipe.squared_weight)
    return (1 - recipe.consistent_weight) * raw + recipe.consistent_weight * kept


def gauge_loss(generator: ThroughPlaneGenerator, batch: Batch, recipe: Recipe) -> Tensor:
    """Squared error of the blur gauge on features that are not trained."""
    with torch.no_grad():
        features = generator.features(batch.lr, batch.thickness)
    return (generator.gauge(features.detach()) - batch.width).square().mean()


LOSSES = {"generator": generator_loss, "gauge": gauge_loss}


def update_average(average: nn.Module, generator: nn.Module, decay: float) -> None:
    """Exponential moving average of the weights: what is validated and shipped."""
    with torch.no_grad():
        for mean, value in zip(average.parameters(), generator.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)


def train(
    state: TrainingState,
    sampler: PatchSampler,
    recipe: Recipe,
    device: str,
    run: Path,
    *,
    checkpoint: Callable[[], object],
    report: Report,
) -> None:
    """Run from ``state.step`` to ``recipe.steps``; curves go to ``run/curve.csv``."""
    kind = torch.device(device).type
    saved_at = time.monotonic()
    losses: list[Tensor] = []
    while state.step < recipe.steps:
        batch = sampler.batch(state.step).to(device)
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, state.step)
        with torch.autocast(kind, dtype=torch.bfloat16):
            loss = LOSSES[recipe.part](state.generator, batch, recipe)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(state.generator.parameters(), recipe.gradient_clip)
        if not torch.isfinite(loss):
            raise SuperResolutionError(
                f"the loss is {loss.item()} at step {state.step}; lower the learning rate and resume"
            )
        state.optimizer.step()
        decay = min(recipe.average_decay, (1 + state.step) / (10 + state.step))
        update_average(state.average, state.generator, decay)
        state.step += 1
        losses.append(loss.detach())
        if state.step % _REPORT_EVERY == 0:
            mean = float(torch.stack(losses).mean())
            losses.clear()
            with (run / "curve.csv").open("a", newline="") as file:
                csv.writer(file).writerow([state.step, f"{mean:.6f}"])
            report(state.step, mean)
        if time.monotonic() - saved_at > 60 * recipe.checkpoint_minutes:
            checkpoint()
            saved_at = time.monotonic()
    checkpoint()
