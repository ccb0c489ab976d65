"""From the choices of the panel to commands of medsr-train, or to the reason why they cannot run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slicer.i18n import tr as _

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.system.paths import exists, is_file, is_folder
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.config.recipes import find_recipe, read_recipe, shipped

PREPARED = "data.json"  # in the folder of a run: the manifest of the volumes that were prepared for it
CHECKPOINTS, BEST = "checkpoint-*.safetensors", "best.safetensors"  # as the trainer, which needs torch, names them


@dataclass(frozen=True, kw_only=True)
class Choices:
    """One training, as the user wants it.

    Parameters
    ----------
    recipe
        A shipped name, or a file.
    data
        A manifest, or a folder of volumes that is prepared first.
    layout
        How that folder is laid out, None for a manifest.
    run
        The folder of the run.
    steps
        None takes the recipe's.
    """

    recipe: str
    data: Path
    layout: str | None
    run: Path
    steps: int | None = None
    device: str = "auto"


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with the module."""
    return [path.stem for path in shipped()]


def holds_a_run(folder: Path) -> bool:
    """Whether a training was begun in this folder, which can go on."""
    return any(_checkpoints(folder))


def recipe_for_data(choices: Choices) -> Recipe:
    """The recipe as it will run, as far as recipe and data are chosen.

    Raises
    ------
    SettingsError
        They are missing or wrong.
    """
    if not choices.recipe:
        raise SettingsError(_("choose a recipe first"))
    if choices.data == Path():
        raise SettingsError(_("choose the data first: a manifest, or a folder of volumes"))
    if choices.layout is None and not is_file(choices.data):
        raise SettingsError(_("there is no manifest {path}").format(path=choices.data))
    if choices.layout is not None and not is_folder(choices.data):
        raise SettingsError(_("there is no folder {path}").format(path=choices.data))
    return read_recipe(find_recipe(choices.recipe), _overrides(choices))


def checked(choices: Choices) -> Recipe:
    """The recipe as it will run.

    Raises
    ------
    SettingsError
        The training cannot be started, for the reason in the message.
    """
    recipe = recipe_for_data(choices)
    if choices.run == Path():
        raise SettingsError(_("choose a folder for the run first"))
    if exists(choices.run) and not is_folder(choices.run):
        raise SettingsError(_("{path} is a file; choose a folder for the run").format(path=choices.run))
    return recipe


def latest_step(folder: Path) -> int:
    """The step of the newest checkpoint of a run, by its name; 0 where there is none."""
    steps = (path.stem.rpartition("-")[2] for path in _checkpoints(folder))
    return max((int(step) for step in steps if step.isdecimal()), default=0)


def describe(choices: Choices) -> str:
    """One line: what Start would do.

    Raises
    ------
    SettingsError
        See `checked`; or the run has done its steps already.
    """
    steps, folder = checked(choices).steps, choices.run
    if latest_step(folder) >= steps:
        done = _("the run in {folder} has done its {steps:,} steps; choose more steps, or another folder for the run")
        raise SettingsError(done.format(folder=folder, steps=steps))
    if holds_a_run(folder):
        text = _("{recipe}: continues the run in {folder}, up to step {steps:,}")
    else:
        text = _("{recipe}: {steps:,} steps, into {folder}")
    return text.format(recipe=Path(choices.recipe).stem, steps=steps, folder=folder)


def manifest_of(choices: Choices) -> Path | None:
    """The manifest that will be trained on; None where a folder of volumes has to be prepared first."""
    if choices.layout is None:
        return choices.data
    prepared = choices.run / PREPARED
    return prepared if choices.run != Path() and holds_a_run(choices.run) and is_file(prepared) else None


def training(choices: Choices) -> list[list[str]]:
    """The commands, one after the other, as arguments of medsr-train. Paths are absolute: it works elsewhere."""
    recipe, data, run = (str(path.absolute()) for path in (find_recipe(choices.recipe), choices.data, choices.run))
    before = []
    if choices.layout is not None:
        prepared = str(choices.run.absolute() / PREPARED)
        if manifest_of(choices) is None:
            before = [["prepare", data, prepared, "--layout", choices.layout]]
        data = prepared
    train = ["train", recipe, "--data", data, "--out", run, "--device", choices.device]
    for override in _overrides(choices):
        train += ["--set", override]
    return [*before, [*train, "--resume"] if holds_a_run(choices.run) else train]


def export(run: Path, model_file: Path, *, best: bool) -> list[list[str]]:
    """The command that writes the model file of a run: of the weights that validated ``best``, if it did validate.

    One that was written earlier is replaced.
    """
    written = ["export", str(run.absolute()), "--overwrite", "-o", str(model_file.absolute())]
    return [[*written, "--best"] if best and (run / BEST).is_file() else written]


def _checkpoints(folder: Path) -> list[Path]:
    return list(folder.glob(CHECKPOINTS)) if is_folder(folder) else []


def _overrides(choices: Choices) -> list[str]:
    return [] if choices.steps is None else [f"steps = {choices.steps}"]
