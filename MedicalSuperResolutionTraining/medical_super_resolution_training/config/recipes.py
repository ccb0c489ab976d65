"""Recipe files: finding, reading and printing them, and the copy that a run keeps."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.system.paths import is_file
from medical_super_resolution.system.temp_dirs import write_whole

from .checks import check_sizes, check_types
from .losses import AdversarialSettings, LossWeights, PerceptualSettings
from .recipe import Recipe

_BESIDE = Path(__file__).parents[2] / "Resources"  # in the repository, and in Slicer


def _resources() -> Path:
    """The folder of recipes and cards; pip puts it below the folder that it installs into, of a user as of all."""
    installed = (above / "share" / "medical-super-resolution" for above in Path(__file__).parents)
    return next((folder for folder in (_BESIDE, *installed) if (folder / "Recipes").is_dir()), _BESIDE)


RESOURCES = _resources()
FOLDER = RESOURCES / "Recipes"
_TABLES: dict[str, Any] = {"loss": LossWeights, "perceptual": PerceptualSettings, "adversarial": AdversarialSettings}
_RESOLVED = "recipe.json"
_SENTENCE = re.compile(r".*?[.](?=\s+(?:[A-Z]|medsr)|$)")  # "et al. 2016" does not end one


def shipped() -> list[Path]:
    """The recipes of this software, by name."""
    return sorted(FOLDER.glob("*.toml"))


def find_recipe(name: str) -> Path:
    """The file of a recipe given by its shipped name or by its path.

    Raises
    ------
    SettingsError
        There is none.
    """
    if name.endswith(".toml") or is_file(Path(name)):
        if not is_file(Path(name)):
            raise SettingsError(f"there is no recipe {name}")
        return Path(name)
    path = FOLDER / f"{name}.toml"
    if not is_file(path):
        known = ", ".join(recipe.stem for recipe in shipped()) or "none"
        raise SettingsError(f"there is no recipe {name!r}; shipped: {known}; or give the path of a TOML file")
    return path


def explanation_of(path: Path) -> str:
    """The first sentence of the comment at the head of a recipe; empty where none is."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    comment = (line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), lines))
    found = _SENTENCE.match(" ".join(comment))
    return found.group().replace("`", "") if found else ""


def read_recipe(path: Path, overrides: list[str]) -> Recipe:
    """Read a TOML recipe and apply ``key=value`` overrides, whose values are TOML too and whose keys may be dotted.

    Raises
    ------
    SettingsError
        There is no such file, it or an override cannot be read, or see `recipe_from`.
    """
    if not path.is_file():
        raise SettingsError(f"there is no recipe {path}")
    return recipe_from(_changed(read_toml(path), overrides))


def _changed(table: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """A table with ``key=value`` changes."""
    for override in overrides:
        try:
            table = _merged(table, tomllib.loads(override))
        except tomllib.TOMLDecodeError as problem:
            raise SettingsError(
                f"cannot read the setting {override!r}: {problem}; write key=value, text in quotes"
            ) from problem
    return table


def recipe_from(table: dict[str, Any]) -> Recipe:
    """A recipe from the table of a TOML file.

    Raises
    ------
    SettingsError
        A key is not known, in which case its neighbor is named; or see `Recipe`.
    """
    settings = _known(table, Recipe, "a recipe")
    for name, kind in _TABLES.items():
        if name in settings:
            if not isinstance(settings[name], dict):
                raise SettingsError(f"the setting {name} must be a table of settings, got {settings[name]!r}")
            settings[name] = kind(**_known(settings[name], kind, f"the table {name}"))
    return Recipe(**settings)


def network_config(kind: type, table: dict[str, Any], what: str) -> Any:  # noqa: ANN401 - any network's dataclass
    """The configuration of a network from its table.

    Raises
    ------
    SettingsError
        A key is not known, in which case its neighbor is named; or a value is of another type or outside its range.
    """
    values = _known(table, kind, what)
    check_types(kind, values, "")
    try:
        config = kind(**values)
    except TypeError as problem:
        raise SettingsError(f"{what} cannot be built: {problem}") from problem
    check_sizes(config, what)
    return config


def _known(table: dict[str, Any], kind: type, what: str) -> dict[str, Any]:
    """The table with tuples for lists, once all its keys are known to be fields of a dataclass."""
    names = {entry.name for entry in dataclasses.fields(kind)}
    for key in table:
        if key not in names:
            close = difflib.get_close_matches(key, names, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(sorted(names)) or 'none'}"
            raise SettingsError(f"{what} has no setting {key!r}{hint}")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _merged(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The table with changes; tables inside it keep what is not changed."""
    merged = dict(table)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def as_toml(recipe: Recipe) -> str:
    """Every setting of a recipe, one a line, in a form that `read_recipe` reads."""
    return "\n".join(_lines(dataclasses.asdict(recipe))) + "\n"


def _lines(table: dict[str, Any], above: str = "") -> list[str]:
    """The values of a table, then the tables inside it; ``above`` are the names that lead to it."""
    lines = [f"{key} = {_toml(value)}" for key, value in table.items() if not isinstance(value, dict)]
    for key, value in table.items():
        if isinstance(value, dict):
            lines += ["", f"[{above}{key}]", *_lines(value, f"{above}{key}.")]
    return lines


def _toml(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)  # the same for all values that recipes have


def read_toml(path: Path) -> dict[str, Any]:
    """The table of a TOML file.

    Raises
    ------
    SettingsError
        The file is missing or damaged.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # with the mark of Windows' Notepad
    except FileNotFoundError as problem:
        raise SettingsError(f"there is no file {path}") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{path} cannot be read: {problem}") from problem


def as_json(recipe: Recipe) -> str:
    """Every setting of a recipe as a JSON object."""
    return json.dumps(dataclasses.asdict(recipe), indent=1) + "\n"


def write_resolved(recipe: Recipe, run: Path) -> None:
    """Write every setting of a run into its folder; after a full disk the former ones are still there."""
    write_whole(run / _RESOLVED, as_json(recipe).encode())


def read_resolved(run: Path, overrides: list[str] | None = None) -> Recipe:
    """The recipe of a run, with ``key=value`` changes.

    Raises
    ------
    SettingsError
        The folder holds no run, a damaged one, or one of another version; or a change cannot be made.
    """
    try:
        table = json.loads((run / _RESOLVED).read_text())
        own = recipe_from(table)
    except FileNotFoundError as problem:
        raise SettingsError(f"{run} is no folder of a training run: it has no {_RESOLVED}") from problem
    except ValueError as problem:
        raise SettingsError(
            f"{run / _RESOLVED} is damaged; put it back from a copy, or train in another folder"
        ) from problem
    except SettingsError as problem:
        raise SettingsError(
            f"{run} holds a run of another version of medsr-train; continue it with that one, or train in another"
            f" folder: {problem}"
        ) from problem
    return recipe_from(_changed(table, overrides)) if overrides else own
