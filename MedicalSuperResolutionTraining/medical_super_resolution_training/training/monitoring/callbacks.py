"""Callbacks after the steps of a run: curves, checkpoints, validation, pictures, progress."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from medical_super_resolution.networks.contracts import Generator

from ...data.batch import Batch
from ...data.manifest import Entry
from ...tasks.task import TrainingTask
from ..checkpoints import save_checkpoint
from ..distributed import DistributedContext
from ..state import TrainingState, learning_rate
from .curves import CURVES, Means, append_row, cut_after
from .loggers import Logger, started
from .sample_pictures import remove_after, write_sample
from .validation import BEST, VALIDATION, append_validation, keep_best, validated

REPORT_EVERY = 50  # steps
FIRST_REPORTS = (1, 2, 5, 10, 20)  # steps, so that the first numbers come soon
FIRST_PICTURES = (10, 50, 100, 250)  # each costs less than a step


class RunCallbacks:
    """Called after every step; see `trainer.train`.

    Every process validates its share of the volumes, so that none waits for the first; all else the first one does.

    Parameters
    ----------
    run
        Folder of the run.
    validation
        Volumes to validate on.
    sample
        Gives the batch that pictures are made of.
    log
        Takes a line of progress.
    loggers
        Names in `loggers.LOGGERS`.
    """

    def __init__(
        self,
        run: Path,
        task: TrainingTask[Any],
        device: str,
        *,
        validation: list[Entry],
        sample: Callable[[], Batch],
        log: Callable[[str], object],
        context: DistributedContext,
        loggers: list[str],
    ) -> None:
        self.run, self.task, self.recipe, self.device = run, task, task.recipe, device
        self.case = task.validation_case()
        self.validation = validation if self.case is not None else []
        self.sample, self.log, self.context = sample, log, context
        self._names = loggers
        self.loggers: list[Logger] = []

    def begin(self, state: TrainingState) -> None:
        """Before the first step: what an earlier run wrote after the last checkpoint is removed."""
        self.means = Means(state.unreported)
        self.reported_step = state.step
        self.reported_at = self.saved_at = time.monotonic()
        if not self.context.is_first:
            return
        if not state.step:
            (self.run / BEST).unlink(missing_ok=True)
        for name in (CURVES, VALIDATION):
            cut_after(self.run / name, state.step)
        remove_after(self.run, state.step)
        settings = dataclasses.asdict(self.recipe)
        self.loggers = [started(name, self.run, settings, state.step) for name in self._names]

    def end(self) -> None:
        """After the last step, also of a run that failed."""
        for logger in self.loggers:
            logger.close()

    def __call__(self, state: TrainingState, terms: dict[str, Tensor]) -> None:
        """After a step."""
        recipe = self.recipe
        is_last = state.step == recipe.steps
        if self.context.is_first:
            self.means.add(terms)
            if state.step % REPORT_EVERY == 0 or state.step in FIRST_REPORTS or is_last:
                self.report(state)
        is_long = recipe.steps >= recipe.validate_every  # a trial of a few steps would mostly validate
        if self.validation and _is_due(state.step, recipe.validate_every, is_last and is_long):
            self.validate(state)
        if self.context.is_first:
            self.keep(state, is_last=is_last)

    def keep(self, state: TrainingState, *, is_last: bool) -> None:
        """Pictures and checkpoints that are due."""
        every = self.recipe.sample_every
        if _is_due(state.step, every, is_last or state.step in FIRST_PICTURES):
            write_sample(self.run, state.step, self.task.pictures(state.average, self.sample()))
        if is_last or time.monotonic() - self.saved_at > 60 * self.recipe.checkpoint_minutes:
            state.unreported = self.means.pending()
            save_checkpoint(self.run, state)
            self.saved_at = time.monotonic()

    def report(self, state: TrainingState) -> None:
        """A row of the curves, and a line."""
        rate, means = learning_rate(self.recipe, state.step - 1), self.means.taken()
        append_row(self.run, state.step, rate, means)
        for logger in self.loggers:
            logger.add(state.step, means | {"learning_rate": rate})
        seconds = (time.monotonic() - self.reported_at) / max(1, state.step - self.reported_step)
        self.reported_at, self.reported_step = time.monotonic(), state.step
        left = seconds * (self.recipe.steps - state.step) / 60
        accuracy = f"  accuracy {means['accuracy']:.2f}" if "accuracy" in means else ""
        self.log(
            f"step {state.step} of {self.recipe.steps}  loss {means['loss']:.5f}{accuracy}"
            f"  {seconds:.2f} s a step  {left:.0f} min left"
        )

    def validate(self, state: TrainingState) -> None:
        """Scores of the averaged weights on whole volumes; the best are kept."""
        assert self.case is not None  # there are no validation volumes otherwise
        network = cast("Generator", state.average)
        share = self.validation[self.context.rank :: self.context.world]
        scores = self.context.gather(validated(network, share, self.case, self.device))
        if not scores:
            self.validation = []
        if not self.context.is_first:
            return
        if not scores:
            self.log("validation volumes are too small for the factor of this recipe, or empty; there is no validation")
            return
        mean = append_validation(self.run, state.step, scores)
        for logger in self.loggers:
            logger.add(state.step, {"validation_psnr_db": mean})
        is_adversarial = state.step > self.recipe.content_steps
        is_best = keep_best(self.run, network, state.step, mean, is_adversarial=is_adversarial)
        self.log(f"step {state.step}  validation {mean:.2f} dB{' (best)' if is_best else ''}")


def _is_due(step: int, every: int, is_wanted: bool) -> bool:
    """Whether something is due that is not switched off, by ``every`` = 0: every so many steps, or as it is wanted."""
    return every > 0 and (is_wanted or step % every == 0)
