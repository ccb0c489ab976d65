"""A training run: recipe and manifest in, a folder with checkpoints and curves out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medical_super_resolution.errors import DeviceError, SettingsError, SuperResolutionError, VolumeError
from medical_super_resolution.inference.device import is_out_of_main_memory, is_out_of_memory, pick_device
from medical_super_resolution.system.temp_dirs import folder_lock

from ..config.recipe import Recipe
from ..config.recipes import write_resolved
from ..data.loader import batches
from ..data.manifest import Entry, of_split, read_manifest, write_manifest
from ..tasks import task_of
from ..tasks.task import TrainingTask
from ..training.checkpoints import checkpoints, restore_newest
from ..training.distributed import DistributedContext, initialize, local_device
from ..training.monitoring.callbacks import RunCallbacks
from ..training.monitoring.loggers import chosen_loggers
from ..training.objectives import Distance, perceptual_of
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
        The recipe, and the manifest with the splits "train" and "validation". A run that is resumed uses its own where
        they are None, and refuses ones that differ from its own in more than the number of steps.
    run
        Folder of the run.
    resume
        Whether to continue the run in the folder; one that has no checkpoint yet starts with fresh weights.
    device
        "auto", "cuda", "mps" or "cpu".
    workers
        Processes that prepare batches.
    log
        Called with lines about the progress.
    loggers
        Where the curves go beside the CSV, see `loggers.LOGGERS`; None for TensorBoard where it is installed.

    Raises
    ------
    SettingsError
        The folder holds a run already, or one of another recipe, or another process trains in it; or the recipe cannot
        be trained on these volumes.
    VolumeError
        The manifest or one of its arrays is missing or damaged.
    DeviceError
        The device is absent or ran out of memory.
    SuperResolutionError
        The loss is not finite any more, or a checkpoint or model file that the run takes cannot be read.
    """
    recipe, entries = _recipe_and_entries(recipe, data, run, resume=resume)
    selected_loggers = chosen_loggers(loggers)
    task = task_of(recipe)
    torch_device = local_device(pick_device(device))
    context = initialize(torch_device)
    state = _initial_state(recipe, of_split(entries, "train"), run, torch_device)
    context.barrier()  # no process writes before all have searched for checkpoints
    if state.step >= recipe.steps:
        if context.is_first:
            log(f"the run in {run} has done {state.step} steps already; to go on, give more, by --set steps=N")
        return state
    sampler = task.dataset(of_split(entries, "train"))
    perceptual = perceptual_of(recipe, str(torch_device))
    with _alone_in(run, context):  # after all that may refuse the recipe or the volumes
        if context.is_first:
            write_resolved(recipe, run)
            write_manifest(entries, run / MANIFEST)
            log(header(task, state, entries, torch_device))
        callbacks = RunCallbacks(
            run,
            task,
            str(torch_device),
            validation=of_split(entries, "validation"),
            sample=lambda: sampler.batch(0).to(torch_device),
            log=log,
            context=context,
            loggers=selected_loggers,
        )
        remaining = batches(
            sampler, range(state.step, recipe.steps), workers=workers, rank=context.rank, world=context.world
        )
        _train(task, state, remaining, callbacks, torch_device, perceptual=perceptual, context=context)
        context.barrier()
    return state


@contextmanager
def _alone_in(run: Path, context: DistributedContext) -> Iterator[None]:
    """Make the folder of a run, and refuse any other training in it meanwhile, where a folder can be locked."""
    if context.is_first:
        run.mkdir(parents=True, exist_ok=True)
    with folder_lock(run, attempts=1) if context.is_first else nullcontext(True) as is_ours:
        if not all(context.gather({str(context.rank): is_ours}).values()):  # all processes end by the same sentence
            raise SettingsError(f"another training is under way in {run}; wait for it, or choose another folder")
        yield


def header(task: TrainingTask[Any], state: TrainingState, entries: list[Entry], device: torch.device) -> str:
    """One line about the run: network, parameters, volumes, steps, device."""
    recipe = task.recipe
    threads = torch.get_num_threads()
    cpu = f"{threads} CPU thread{'s' if threads != 1 else ''}"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu
    where = device.type if device.type == "mps" else name
    critic = ""
    if state.discriminator is not None:
        critic = f", discriminator {recipe.adversarial.discriminator} {_parameters(state.discriminator)}"
    counts = ", ".join(f"{len(of_split(entries, split))} {split}" for split in ("train", "validation"))
    start = f"steps {state.step} to {recipe.steps}" if state.step else f"{recipe.steps} steps"
    return f"{task.network_name} {_parameters(state.generator)}{critic}; volumes: {counts}; {start} on {where}"


def _parameters(network: nn.Module) -> str:
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    return f"with {trained:,} parameters"


def _train(
    task: TrainingTask[Any],
    state: TrainingState,
    remaining: Any,  # noqa: ANN401 - batches of the task
    callbacks: RunCallbacks,
    device: torch.device,
    *,
    perceptual: Distance | None,
    context: DistributedContext,
) -> None:
    """Train to the end; if training fails, the error names the last good checkpoint."""
    callbacks.begin(state)
    try:
        train(task, state, remaining, callbacks, device=device, perceptual=perceptual, context=context)
    except (RuntimeError, MemoryError) as problem:
        if is_out_of_memory(problem):
            raise DeviceError(
                "the graphics card ran out of memory; close other programs, or lower batch_size or patch_in_plane of"
                " the recipe"
            ) from problem
        if is_out_of_main_memory(problem):
            raise DeviceError(
                "the computer ran out of memory; close other programs, or lower batch_size or patch_in_plane of the"
                " recipe"
            ) from problem
        raise
    except (SettingsError, VolumeError, DeviceError):
        raise  # the recipe does not fit the volumes or the device, so a lower learning rate would not help
    except SuperResolutionError as problem:
        good = checkpoints(callbacks.run)
        kept = f"the last good checkpoint is {good[0]}" if good else "there is no checkpoint yet"
        raise SuperResolutionError(
            f"{problem}; {kept}; train in another folder with a lower learning_rate"
        ) from problem
    finally:
        callbacks.end()


def _recipe_and_entries(
    recipe: Recipe | None, data: Path | None, run: Path, *, resume: bool
) -> tuple[Recipe, list[Entry]]:
    """The recipe and the volumes of a run: the given ones, or those kept in its folder if it is resumed."""
    if holds_training(run):
        if not resume:
            raise SettingsError(f"{run} holds a run already; add --resume to continue it, or choose another folder")
        return recipe_to_resume(run, recipe), entries_to_resume(run, data)
    if recipe is None or data is None:
        raise SettingsError(f"{run} holds no run to resume; give a recipe and --data MANIFEST.json to start one")
    return recipe, read_manifest(data)


def _initial_state(recipe: Recipe, entries: list[Entry], run: Path, device: torch.device) -> TrainingState:
    """The state to train on: that of the newest checkpoint of the run, or a new one."""
    begun = holds_training(run)  # the checkpoint has all weights: the model that they started from may be gone
    state = new_state(replace(recipe, start_from="") if begun else recipe, device, entries)
    if warning := restore_newest(run, state):
        print(f"warning: {warning}", file=sys.stderr)  # noqa: T201
    return state
