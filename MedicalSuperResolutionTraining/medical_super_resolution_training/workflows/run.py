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
from ..data.manifest import of_split, read_manifest, write_manifest
from ..training import tasks as parts
from ..training.callbacks import Observer
from ..training.checkpoints import checkpoints, restore_newest
from ..training.distributed import join, local_device
from ..training.objectives import perceptual_features
from ..training.state import TrainingState, new_state
from ..training.trainer import train
from ..training.validation import BEST
from .card import card

MANIFEST = "manifest.json"  # the copy that a run keeps
Say = Callable[[str], object]


def run_recipe(
    recipe: Recipe,
    data: Path,
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
    data : manifest; its split "train" is trained on, "validation" validated. run : folder that is written.
    workers : processes that prepare batches. say : takes lines about the progress.

    Raises
    ------
    SettingsError : the folder holds a run already, or the recipe cannot be trained on these volumes.
    """
    entries = read_manifest(data)
    chosen = local_device(pick_device(device))
    team = join(chosen)
    state = _begun(recipe, run, chosen, resume=resume)
    team.wait()  # nobody writes before all have looked for checkpoints
    if team.is_first:
        _write_down(recipe, data, run)
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
    )
    if team.is_first:
        observer.begin(state)
    left = batches(sampler, range(state.step, recipe.steps), workers=workers, rank=team.rank, world=team.world)
    try:
        train(
            state,
            left,
            recipe,
            chosen,
            observer if team.is_first else lambda state, terms: None,
            perceptual=perceptual,
            team=team,
        )
    except (SettingsError, VolumeError):
        raise  # the recipe does not fit the volumes: no training would mend that
    except SuperResolutionError as problem:
        good = checkpoints(run)
        kept = f"the last good checkpoint is {good[0]}" if good else "there is no checkpoint yet"
        raise SuperResolutionError(f"{problem}; {kept}; lower the learning rate and resume") from problem
    team.wait()
    return state


def _begun(recipe: Recipe, run: Path, device: torch.device, *, resume: bool) -> TrainingState:
    """The state to go on from."""
    if checkpoints(run) and not resume:
        raise SettingsError(f"{run} holds a run already; add --resume to go on with it, or choose another folder")
    state = new_state(recipe, device)
    if resume and (warning := restore_newest(run, state)):
        print(f"warning: {warning}", file=sys.stderr)  # noqa: T201
    return state


def _write_down(recipe: Recipe, data: Path, run: Path) -> None:
    run.mkdir(parents=True, exist_ok=True)
    write_resolved(recipe, run)
    write_manifest(read_manifest(data), run / MANIFEST)


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
