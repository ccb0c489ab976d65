"""A run from its recipe and manifest to its folder, and from its folder to a model file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from medical_super_resolution.errors import SettingsError, SuperResolutionError, VolumeError
from medical_super_resolution.inference.device import pick_device

from ..config.recipe import Recipe
from ..config.recipes import read_resolved, write_resolved
from ..data.loader import batches
from ..data.manifest import Entry, of_split, read_manifest, write_manifest
from ..training import tasks as parts
from ..training.callbacks import Observer
from ..training.checkpoints import checkpoints, restore_newest
from ..training.distributed import join, local_device
from ..training.objectives import perceptual_features
from ..training.state import TrainingState, new_state
from ..training.trainer import train
from ..training.validation import BEST
from .card import card
from .resume import MANIFEST, entries_to_resume, holds_training, recipe_to_resume

Say = Callable[[str], object]


def run_recipe(
    recipe: Recipe | None,
    data: Path | None,
    run: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    workers: int = 0,
    say: Say = print,
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
    workers
        Processes that prepare batches.
    say
        Takes lines about the progress.

    Raises
    ------
    SettingsError
        The folder holds a run already or another one, or the recipe cannot be trained on these volumes.
    """
    recipe, entries = _chosen(recipe, data, run, resume=resume)
    chosen = local_device(pick_device(device))
    team = join(chosen)
    state = _begun(recipe, run, chosen)
    team.wait()  # nobody writes before all have looked for checkpoints
    if team.is_first:
        run.mkdir(parents=True, exist_ok=True)
        write_resolved(recipe, run)
        write_manifest(entries, run / MANIFEST)
    sampler = parts.sampler(recipe, of_split(entries, "train"))
    perceptual = None
    if recipe.loss.perceptual and recipe.has_adversarial_stage:
        perceptual = perceptual_features(recipe.perceptual, str(chosen))
    observer = Observer(
        run,
        recipe,
        str(chosen),
        validation=of_split(entries, "validation") if recipe.part in parts.OF_GENERATORS else [],
        sample=lambda: sampler.batch(0).to(str(chosen)),
        say=say,
        team=team,
    )
    observer.begin(state)
    left = batches(sampler, range(state.step, recipe.steps), workers=workers, rank=team.rank, world=team.world)
    try:
        train(state, left, recipe, chosen, observer, perceptual=perceptual, team=team)
    except (SettingsError, VolumeError):
        raise  # the recipe does not fit the volumes: no training would mend that
    except SuperResolutionError as problem:
        good = checkpoints(run)
        kept = f"the last good checkpoint is {good[0]}" if good else "there is no checkpoint yet"
        raise SuperResolutionError(f"{problem}; {kept}; lower the learning rate and resume") from problem
    team.wait()
    return state


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


def export_run(run: Path, output: Path, *, also: dict[str, Any] | None = None, best: bool = False) -> None:
    """Write the averaged weights of a run as the file that Slicer and ``medsr enhance`` load.

    Parameters
    ----------
    also : what else the model's card shall say. best : the weights that validated best, not the last ones.

    Raises
    ------
    SettingsError : the run has no such weights.
    """
    recipe = read_resolved(run)
    state = new_state(replace(recipe, start_from=""), "cpu")
    restore_newest(run, state)
    if not state.step:
        raise SettingsError(f"{run} has no checkpoint that can be read; train first")
    if best:
        if not (run / BEST).is_file():
            raise SettingsError(f"{run} has no {BEST}; its manifest has no volumes of the split validation")
        state.average.load_state_dict(load_file(str(run / BEST)))
    entries = of_split(read_manifest(run / MANIFEST), "train")
    parts.export(output, recipe, state.average, card(recipe, state, entries, also or {}))
