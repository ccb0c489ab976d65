"""One model of an ablation: trained, resumed, or reused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..config.recipes import find_recipe, read_recipe, read_resolved
from .export import export_run
from .run import run_recipe


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
        log(f"{name}: trained already, {model}")
        return model
    log(f"{name}: training for {recipe.steps} steps")
    run_recipe(recipe, data, run, resume=True, device=device, workers=workers, log=log)
    export_run(run, model)
    return model
