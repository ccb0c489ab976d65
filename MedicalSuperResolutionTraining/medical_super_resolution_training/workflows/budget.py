"""Fits the number of steps of a recipe into a time budget, by timing a few steps first."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import torch

from medical_super_resolution.errors import SettingsError

from ..config.recipe import Recipe
from ..data.loader import READY_BATCHES, batches
from ..data.manifest import Entry
from ..tasks import task_of
from ..training.objectives import perceptual_of
from ..training.state import TrainingState, new_state
from ..training.trainer import train

_UNITS = {"s": 1, "m": 60, "h": 3600}
_UNMEASURED, _MEASURED = 2, 8  # steps: the first ones prepare kernels and memory
_RESERVE = 0.9  # of the time is planned for: starting, checkpoints and pictures take some


def parse_budget(text: str) -> float:
    """Seconds from "90s", "10m" or "2h".

    Raises
    ------
    SettingsError
        No such time.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if not found or not float(found[1]):
        raise SettingsError(f"cannot read the time {text!r}; write a number with a unit, such as 90s, 10m or 2h")
    return float(found[1]) * _UNITS[found[2]]


def fitted(recipe: Recipe, seconds: float, entries: list[Entry], device: torch.device, *, workers: int = 0) -> Recipe:
    """A recipe whose training takes a given time; it never becomes longer than it was.

    Warm-up, the head start of the discriminator, and the steps at which the learning rate is halved shrink with the
    number of steps.

    Parameters
    ----------
    seconds
        Time for the training, with the measurement.
    entries
        Volumes to train on.
    """
    started = time.monotonic()
    each = seconds_a_step(recipe, entries, device, workers=workers)
    left = _RESERVE * (seconds - (time.monotonic() - started))
    return _shortened(recipe, max(1, min(recipe.steps, int(left / each))))


def _shortened(recipe: Recipe, steps: int) -> Recipe:
    """A recipe with other steps, in the proportions that it had."""
    share = steps / recipe.steps
    return replace(
        recipe,
        steps=steps,
        warm_up_steps=round(share * recipe.warm_up_steps),
        halve_at=tuple(round(share * step) for step in recipe.halve_at),
        adversarial=replace(recipe.adversarial, head_start=round(share * recipe.adversarial.head_start)),
    )


def seconds_a_step(recipe: Recipe, entries: list[Entry], device: torch.device, *, workers: int = 0) -> float:
    """Mean time of a step, measured on a few, with the recipe's share of steps of the adversarial stage."""
    unmeasured = _UNMEASURED + READY_BATCHES * workers  # batches that are ready hide the time that they take
    measured = _MEASURED + -_MEASURED % max(1, workers)  # as many of each worker
    probe = _shortened(recipe, measured)
    task, state = task_of(probe), new_state(replace(probe, start_from=""), device)
    times: list[float] = []

    def note(state: TrainingState, terms: dict[str, torch.Tensor]) -> None:  # as after every step
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.monotonic())
        if len(times) == unmeasured:
            state.step = 0  # a whole training follows, with its share of each stage

    drawn = batches(task.dataset(entries), range(unmeasured + measured), workers=workers)
    train(task, state, drawn, note, device=device, perceptual=perceptual_of(probe, str(device)))
    return (times[-1] - times[unmeasured - 1]) / measured
