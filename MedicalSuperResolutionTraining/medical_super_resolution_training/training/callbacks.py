"""What is written down while a run goes on: curves, checkpoints, validation, pictures, a line of progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from torch import Tensor

from medical_super_resolution.networks.generators import Generator

from ..config.recipe import Recipe
from ..data.manifest import Entry
from .checkpoints import save_checkpoint
from .curves import CURVES, Means, append_row, cut_after
from .distributed import Team
from .objectives import AnyBatch
from .sample_pictures import write_sample
from .state import TrainingState, learning_rate
from .validation import VALIDATION, append_validation, case_of, keep_best, validated

REPORT_EVERY = 50  # steps


class Observer:
    """Called after every step; see `trainer.train`.

    Every process validates its share of the volumes, so that none waits for the first; all else the first one does.

    run : folder of the run. validation : volumes to validate on. sample : gives the batch that pictures are made of.
    say : takes a line for the person who waits. team : the processes that train together.
    """

    def __init__(
        self,
        run: Path,
        recipe: Recipe,
        device: str,
        *,
        validation: list[Entry],
        sample: Callable[[], AnyBatch],
        say: Callable[[str], object],
        team: Team,
    ) -> None:
        self.run, self.recipe, self.device = run, recipe, device
        self.validation, self.sample, self.say, self.team = validation, sample, say, team
        self.means = Means()
        self.reported_at = self.saved_at = time.monotonic()
        self.reported_step = 0

    def begin(self, state: TrainingState) -> None:
        """Before the first step: a run that is resumed forgets what it had written down after its checkpoint."""
        self.reported_step = state.step
        if not self.team.is_first:
            return
        for name in (CURVES, VALIDATION):
            cut_after(self.run / name, state.step)

    def __call__(self, state: TrainingState, terms: dict[str, Tensor]) -> None:
        """After a step."""
        recipe = self.recipe
        is_last = state.step == recipe.steps
        if self.team.is_first:
            self.means.add(terms)
            if state.step % REPORT_EVERY == 0 or is_last:
                self.report(state)
        is_long = recipe.steps >= recipe.validate_every  # a trial of a few steps would mostly validate
        if self.validation and _is_due(state.step, recipe.validate_every, is_last and is_long):
            self.validate(state)
        if self.team.is_first:
            self.keep(state, is_last=is_last)

    def keep(self, state: TrainingState, *, is_last: bool) -> None:
        """Pictures and checkpoints that are due."""
        if _is_due(state.step, self.recipe.sample_every, is_last):
            write_sample(self.run, state, self.sample(), self.recipe)
        if is_last or time.monotonic() - self.saved_at > 60 * self.recipe.checkpoint_minutes:
            save_checkpoint(self.run, state)
            self.saved_at = time.monotonic()

    def report(self, state: TrainingState) -> None:
        """A row of the curves, and a line."""
        means = self.means.taken()
        append_row(self.run, state.step, learning_rate(self.recipe, state.step - 1), means)
        seconds = (time.monotonic() - self.reported_at) / max(1, state.step - self.reported_step)
        self.reported_at, self.reported_step = time.monotonic(), state.step
        left = seconds * (self.recipe.steps - state.step) / 60
        accuracy = f"  accuracy {means['accuracy']:.2f}" if "accuracy" in means else ""
        self.say(
            f"step {state.step} of {self.recipe.steps}  loss {means['loss']:.5f}{accuracy}"
            f"  {seconds:.2f} s a step  {left:.0f} min left"
        )

    def validate(self, state: TrainingState) -> None:
        """Scores of the averaged weights on whole volumes; the best are kept."""
        generator = cast("Generator", state.average)  # other parts are not validated
        share = self.validation[self.team.rank :: self.team.world]
        found = validated(generator, share, case_of(self.recipe, generator), self.device)
        scores = self.team.gathered(found)
        if not scores:
            if self.team.is_first:
                self.say("validation volumes are too small for the factor of this recipe; there is no validation")
            self.validation = []
            return
        if not self.team.is_first:
            return
        mean = append_validation(self.run, state.step, scores)
        is_adversarial = state.step > self.recipe.content_steps
        is_best = keep_best(self.run, generator, state.step, mean, is_adversarial=is_adversarial)
        self.say(f"step {state.step}  validation {mean:.2f} dB{' (best)' if is_best else ''}")


def _is_due(step: int, every: int, is_last: bool) -> bool:
    return every > 0 and (is_last or step % every == 0)
