"""A run from its recipe and manifest to its folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medical_super_resolution.errors import SettingsError, SuperResolutionError, VolumeError
from medical_super_resolution.inference.device import pick_device

from ..config.recipe import Recipe
from ..config.recipes import write_resolved
from ..data.loader import batches
from ..data.manifest import Entry, of_split, read_manifest, write_manifest
from ..tasks import task_of
from ..tasks.task import TrainingTask
from ..training.checkpoints import checkpoints, restore_newest
from ..training.distributed import DistributedContext, initialise, local_device
from ..training.monitoring.callbacks import RunCallbacks
from ..training.monitoring.loggers import chosen_loggers
from ..training.objectives import perceptual_features
from ..training.state import TrainingState, new_state
from ..training.trainer import train
from .resume import MANIFEST, entries_to_resume, holds_training, recipe_to_resume

Log = Callable[[str], object]


def run_recipe(
    recipe: Recipe | None,
    data: Path | None,
    run: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    workers: int = 0,
    log: Log = print,
    loggers: list[str] | None = None,
) -> TrainingState:
    """Train a recipe on the volumes of a manifest, from fresh weights or from the newest checkpoint of the run.

    Parameters
    ----------
    recipe, data
        What to train, and the manifest: its split "train" is trained on, "validation" validated. A run that is resumed
        takes its own where they are None, and refuses those that differ from its own in more than the steps.
    run
        Folder that is written.
    resume
        Whether to continue the run in the folder; one that has no checkpoint yet starts with fresh weights.
    device
        "auto", "cuda", "mps" or "cpu".
    workers
        Processes that prepare batches.
    log
        Takes lines about the progress.
    loggers
        Where the curves go beside the CSV, see `loggers.LOGGERS`; None for TensorBoard where it is installed.

    Raises
    ------
    SettingsError
        The folder holds a run already or another one, or the recipe cannot be trained on these volumes.
    """
    recipe, entries = _chosen(recipe, data, run, resume=resume)
    named = chosen_loggers(loggers)
    task = task_of(recipe)
    chosen = local_device(pick_device(device))
    context = initialise(chosen)
    state = _begun(recipe, run, chosen)
    context.barrier()  # no process writes before all have looked for checkpoints
    if context.is_first:
        run.mkdir(parents=True, exist_ok=True)
        write_resolved(recipe, run)
        write_manifest(entries, run / MANIFEST)
        log(header(task, state, entries, chosen))
    sampler = task.dataset(of_split(entries, "train"))
    callbacks = RunCallbacks(
        run,
        task,
        str(chosen),
        validation=of_split(entries, "validation"),
        sample=lambda: sampler.batch(0).to(chosen),
        log=log,
        context=context,
        loggers=named,
    )
    left = batches(sampler, range(state.step, recipe.steps), workers=workers, rank=context.rank, world=context.world)
    _train(task, state, left, callbacks, chosen, context)
    context.barrier()
    return state


def header(task: TrainingTask[Any], state: TrainingState, entries: list[Entry], device: torch.device) -> str:
    """One line on what is about to be trained: network, device, parameters, volumes, steps."""
    recipe = task.recipe
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    where = device.type if device.type == "mps" else name
    critic = ""
    if state.discriminator is not None:
        critic = f", discriminator {recipe.adversarial.discriminator} {_parameters(state.discriminator)}"
    counts = ", ".join(f"{len(of_split(entries, split))} {split}" for split in ("train", "validation"))
    start = f"from step {state.step} to {recipe.steps}" if state.step else f"{recipe.steps} steps"
    return f"{task.network_name} {_parameters(state.generator)}{critic}; volumes: {counts}; {start} on {where}"


def _parameters(network: nn.Module) -> str:
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    return f"with {trained:,} parameters"


def _train(
    task: TrainingTask[Any],
    state: TrainingState,
    left: Any,  # noqa: ANN401 - batches of the task
    callbacks: RunCallbacks,
    device: torch.device,
    context: DistributedContext,
) -> None:
    """Train to the end; what stops a run in the middle names its last good checkpoint."""
    recipe, run = task.recipe, callbacks.run
    perceptual = None
    if recipe.loss.perceptual and recipe.has_adversarial_stage:
        perceptual = perceptual_features(recipe.perceptual, str(device))
    callbacks.begin(state)
    try:
        train(task, state, left, callbacks, device=device, perceptual=perceptual, context=context)
    except (SettingsError, VolumeError):
        raise  # the recipe does not fit the volumes: more training would not help
    except SuperResolutionError as problem:
        good = checkpoints(run)
        kept = f"the last good checkpoint is {good[0]}" if good else "there is no checkpoint yet"
        raise SuperResolutionError(f"{problem}; {kept}; lower the learning rate and resume") from problem
    finally:
        callbacks.end()


def _chosen(recipe: Recipe | None, data: Path | None, run: Path, *, resume: bool) -> tuple[Recipe, list[Entry]]:
    """The recipe and the volumes of a run: those that are given, or its own where it is resumed."""
    if holds_training(run):
        if not resume:
            raise SettingsError(f"{run} holds a run already; add --resume to continue it, or choose another folder")
        return recipe_to_resume(run, recipe), entries_to_resume(run, data)
    if recipe is None or data is None:
        raise SettingsError(f"{run} holds no run to resume; give a recipe and --data MANIFEST.json to start one")
    return recipe, read_manifest(data)


def _begun(recipe: Recipe, run: Path, device: torch.device) -> TrainingState:
    """The state to continue from."""
    state = new_state(recipe, device)
    if warning := restore_newest(run, state):
        print(f"warning: {warning}", file=sys.stderr)  # noqa: T201
    return state
