"""From a run, or a recipe that is still to be trained, to the model file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.models.store import SUFFIX

from ..config.recipes import find_recipe, read_recipe, read_resolved
from ..data.manifest import of_split, read_manifest
from ..tasks import task_of
from ..training.checkpoints import CHECKPOINTS, restore_average
from ..training.monitoring.validation import BEST, restore_best
from .card import card
from .resume import MANIFEST, entries_to_resume
from .run import run_recipe


def export_run(
    run: Path,
    output: Path,
    *,
    also: dict[str, Any] | None = None,
    best: bool = False,
    log: Callable[[str], object] = print,
) -> None:
    """Write the averaged weights of a run as the file that Slicer and ``medsr enhance`` load.

    Parameters
    ----------
    also
        Further entries of the model's card.
    best
        Whether to take the weights that validated best, not the last ones.

    Raises
    ------
    SettingsError
        The run has no such weights, or ``output`` is not named like a model file, or like one that the run keeps.
    SuperResolutionError
        A file of the run is missing or damaged.
    """
    if output.suffix != SUFFIX:
        raise SettingsError(f"{output} does not end in {SUFFIX}, by which a model file is recognized; change its name")
    if output.resolve().parent == run.resolve() and (output.name == BEST or output.match(CHECKPOINTS)):
        raise SettingsError(f"{output} is where the run keeps its own weights; choose another name for the model file")
    task = task_of(read_resolved(run))
    network = task.network()
    step = restore_average(run, network)
    if not step:
        raise SettingsError(f"{run} has no checkpoint that can be read; train first")
    if best:
        step = restore_best(run, network)
    entries = of_split(read_manifest(run / MANIFEST), "train")
    network.eval().requires_grad_(False)
    task.calibrate(network, entries, log)
    task.export(output, network, card(task, step, entries, also or {}))


def trained(
    name: str,
    overrides: list[str],
    data: Path,
    folder: Path,
    *,
    device: str = "auto",
    workers: int = 0,
    log: Callable[[str], object] = print,
) -> Path:
    """The model file of a recipe, folder/name.safetensors, trained in folder/name where it is not there.

    Raises
    ------
    SettingsError
        There is no such recipe or setting, or the folder holds a run of another recipe or other volumes.
    """
    recipe = read_recipe(find_recipe(name), overrides)
    run, model = folder / name, folder / f"{name}.safetensors"
    if model.is_file() and read_resolved(run) == recipe:
        entries_to_resume(run, data)
        log(f"{name}: trained already, {model}")
        return model
    log(f"{name}: training for {recipe.steps} steps")
    run_recipe(recipe, data, run, resume=True, device=device, workers=workers, log=log)
    export_run(run, model, log=log)
    return model
