"""Reproduction of a shipped model from the folder of scans: its training stages, with fixed seeds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.inference.device import pick_device

from ..config.recipe import Recipe
from ..config.recipes import RESOURCES, find_recipe, read_recipe, read_resolved, read_toml
from ..data.manifest import of_split, read_manifest, sources
from ..data.preparation.layouts import scans_of
from ..data.preparation.prepare import Preparation, prepare
from ..training.objectives import perceptual_of
from .budget import fitted
from .export import export_run
from .resume import holds_training
from .run import run_recipe

_CARDS = RESOURCES / "Cards"
_OF_SHIPPED_WEIGHTS = ("how_trained", "validation")  # entries of a card that are not true of other weights


@dataclass(frozen=True)
class Stage:
    """One training: its recipe, the model file it makes, and the recipe whose model it starts from.

    Parameters
    ----------
    file
        Name of the file in the output folder; empty where only later stages need it.
    """

    recipe: str
    file: str = ""
    starts_from: str = ""


MODELS: dict[str, tuple[Stage, ...]] = {
    "general": (
        Stage("general"),
        Stage("general-finetune", starts_from="general"),
        Stage("general-polish", "general.safetensors", starts_from="general-finetune"),
        Stage("general-detail", "general-detail.safetensors", starts_from="general-polish"),
    ),
    "general-large": (Stage("general-large", "general-large.safetensors"),),
}


def reproduce(
    model: str,
    scans: Path,
    out: Path,
    *,
    overrides: list[str],
    device: str = "auto",
    workers: int = 0,
    budget: float | None = None,
    log: Callable[[str], object] = lambda line: None,
) -> list[Path]:
    """Prepare a folder of scans, train every stage of a model on all of them, and write its files with their cards.

    What is done already is not done again; a stage that was stopped continues from its last checkpoint.

    Parameters
    ----------
    scans
        Folder of volumes.
    out
        Folder for manifest, runs and model files.
    overrides
        ``key=value`` for every stage.
    workers
        Processes that prepare batches.
    budget
        Seconds for all trainings together; the steps of each stage are scaled to it. None trains the full recipes.

    Returns
    -------
    The model files.

    Raises
    ------
    SettingsError
        No shipped model has this name; or the folder holds a run of other scans or other settings.
    ModelError
        The weights of a stage's perceptual loss are missing.
    SuperResolutionError
        See `prepare` and `run_recipe`.
    """
    if model not in MODELS:
        raise SettingsError(f"{model!r} cannot be reproduced; choose one of {', '.join(MODELS)}")
    for stage in MODELS[model]:
        perceptual_of(read_recipe(find_recipe(stage.recipe), overrides), "cpu")  # not only after hours of training
    out.mkdir(parents=True, exist_ok=True)
    data = out / "data.json"
    if data.is_file():
        _check_scans(scans, data)
    else:
        entries = prepare(scans, data, Preparation(split="100"), log=log)
        log(f"{len(entries)} volumes in {data}")
    deadline = None if budget is None else time.monotonic() + budget
    made: dict[str, Path] = {}
    for stage in MODELS[model]:
        log(f"stage {stage.recipe}")
        run = out / stage.recipe
        recipe = read_recipe(find_recipe(stage.recipe), overrides)
        if stage.starts_from:  # a stage that was begun has its weights, wherever the folder was then
            started = read_resolved(run).start_from if holds_training(run) else str(made[stage.starts_from])
            recipe = replace(recipe, start_from=started)
        if deadline is not None:
            seconds = _share(stage, MODELS[model], overrides) * (deadline - time.monotonic())
            recipe = _within(recipe, seconds, data, run, device=device, workers=workers)
        run_recipe(recipe, data, run, resume=True, device=device, workers=workers, log=log)
        made[stage.recipe] = out / stage.file if stage.file else run / f"{stage.recipe}.safetensors"
        export_run(run, made[stage.recipe], also=_card_entries(made[stage.recipe], model), log=log)
    return [made[stage.recipe] for stage in MODELS[model] if stage.file]


def _check_scans(scans: Path, data: Path) -> None:
    """Refuse a folder whose scans have other names than those that were prepared."""
    different = sources(data) ^ {scan.source for scan in scans_of(scans, "volumes")}
    if different:
        raise SettingsError(
            f"{data} was made of other scans than those in {scans}: {min(different)} differs. Name the same folder, or"
            " reproduce into another one"
        )


def _share(stage: Stage, stages: tuple[Stage, ...], overrides: list[str]) -> float:
    """The steps of a stage over those of all that are left."""
    left = stages[stages.index(stage) :]
    steps = [read_recipe(find_recipe(one.recipe), overrides).steps for one in left]
    return steps[0] / sum(steps)


def _within(recipe: Recipe, seconds: float, data: Path, run: Path, *, device: str, workers: int) -> Recipe:
    """The recipe with steps for a time; of a run that was started, with its own steps."""
    if holds_training(run):
        own = read_resolved(run)
        adversarial = replace(recipe.adversarial, head_start=own.adversarial.head_start)
        return replace(
            recipe, steps=own.steps, warm_up_steps=own.warm_up_steps, halve_at=own.halve_at, adversarial=adversarial
        )
    entries = of_split(read_manifest(data), "train")
    return fitted(recipe, seconds, entries, pick_device(device), workers=workers)


def _card_entries(file: Path, model: str) -> dict[str, object]:
    """What the card of the shipped model says of any weights of this kind; the main file names its detail model."""
    card = _CARDS / f"{file.stem}.toml"
    shipped: dict[str, object] = read_toml(card) if card.is_file() else {}
    kept = {name: entry for name, entry in shipped.items() if name not in _OF_SHIPPED_WEIGHTS}
    detail_models = [Path(stage.file).stem for stage in MODELS[model] if stage.file not in ("", f"{model}.safetensors")]
    return kept | ({"detail_model": detail_models[0]} if detail_models and file.stem == model else {})
