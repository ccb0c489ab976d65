"""A shipped model once more, from the raw training folder: the stages it was trained in, with their fixed seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medical_super_resolution.errors import SettingsError

from ..config.recipes import RESOURCES, find_recipe, read_recipe, read_toml
from ..data.preparation.prepare import Wishes, prepare
from .export import export_run
from .run import run_recipe

_CARDS = RESOURCES / "Cards"


@dataclass(frozen=True)
class Stage:
    """One training: its recipe, the model file it makes, and the recipe whose model it starts from.

    file : its name in the output folder; empty where only later stages need it.
    """

    recipe: str
    file: str = ""
    starts_from: str = ""


MODELS: dict[str, tuple[Stage, ...]] = {
    "general": (
        Stage("general"),
        Stage("general-finetune", starts_from="general"),
        Stage("general-polish", starts_from="general-finetune"),
        Stage("general-gauge", "general.safetensors", starts_from="general-polish"),
        Stage("general-sharp", "general-sharp.safetensors", starts_from="general-gauge"),
    ),
}


def reproduce(
    model: str,
    scans: Path,
    out: Path,
    *,
    overrides: list[str],
    device: str = "auto",
    log: Callable[[str], object] = lambda line: None,
) -> list[Path]:
    """Prepare a folder of scans, train every stage of a model on all of them, and write its files with their cards.

    What is done already is not done again; a stage that was stopped goes on from its last checkpoint.

    Parameters
    ----------
    scans : folder of volumes. out : folder for manifest, runs and model files.
    overrides : ``key=value`` for every stage.

    Returns
    -------
    The model files.
    """
    if model not in MODELS:
        raise SettingsError(f"there is no way to reproduce {model!r}; choose one of {', '.join(MODELS)}")
    out.mkdir(parents=True, exist_ok=True)
    data = out / "data.json"
    if not data.is_file():
        entries = prepare(scans, data, Wishes(split="100"), log=log)
        log(f"{len(entries)} volumes in {data}")
    made: dict[str, Path] = {}
    for stage in MODELS[model]:
        log(f"stage {stage.recipe}")
        run = out / stage.recipe
        changes = [f"start_from = {made[stage.starts_from].as_posix()!r}"] if stage.starts_from else []
        recipe = read_recipe(find_recipe(stage.recipe), [*overrides, *changes])
        run_recipe(recipe, data, run, resume=True, device=device, log=log)
        made[stage.recipe] = out / stage.file if stage.file else run / f"{stage.recipe}.safetensors"
        export_run(run, made[stage.recipe], also=_said_of(made[stage.recipe], model))
    return [made[stage.recipe] for stage in MODELS[model] if stage.file]


def _said_of(file: Path, model: str) -> dict[str, object]:
    """What the repository has to say of a model file in its card; the main file names its sharp twin."""
    card = _CARDS / f"{file.stem}.toml"
    said: dict[str, object] = read_toml(card) if card.is_file() else {}
    twins = [Path(stage.file).stem for stage in MODELS[model] if stage.file not in ("", f"{model}.safetensors")]
    return said | ({"sharp_twin": twins[0]} if twins and file.stem == model else {})
