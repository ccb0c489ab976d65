"""What a recipe may say: one frozen dataclass, read from TOML, with every default in this file."""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from medical_super_resolution.errors import SettingsError

PARTS = ("generator", "gauge")
_KINDS: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "dict": dict, "tuple": tuple}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run.

    part : what is trained: "generator", or "gauge", its blur gauge on frozen features.
    start_from : a model file to take the weights from; empty for fresh ones.
    generator : name in GENERATORS; generator_config : its settings, the rest keep their defaults.
    steps, warm_up_steps : number of optimiser steps, and of those with a rising learning rate.
    batch_size : patches a step. patch_slices : thick slices in a patch. patch_in_plane : voxels of its side.
    learning_rate, final_learning_rate : peak and end of the cosine decay. average_decay : of the weight average.
    gradient_clip : largest norm of the gradient.
    factors, factor_weights : refinement factors that are drawn as they are, with these relative weights;
    any_factor_weight : relative weight of any factor in [1.25, 8].
    modality_shares : relative share of patches of each modality that the data have, 1 where it is not said.
    contrast_range : of the exponent of a power law that changes the contrast of a patch, as another scanner would.
    thickness_range : slice thickness over slice distance. box_fraction : share of box profiles, the rest are Gaussian.
    noise_fraction, noise_maximum : share of batches with noise on the slices, and its largest standard deviation
    (fraction of the intensity range). thick_in_plane_fraction : share of batches whose slices are themselves thick
    along one of their axes, as the second of two passes meets them.
    consistent_weight : weight of the loss after the data-consistency projection; the rest is on the raw output.
    squared_weight : share of the squared error in the loss, the rest is absolute.
    seed : of weights and patches. checkpoint_minutes : time between checkpoints.
    """

    part: str = "generator"
    start_from: str = ""
    generator: str = "through-plane"
    generator_config: dict[str, Any] = field(default_factory=dict)
    steps: int = 10_000
    warm_up_steps: int = 200
    batch_size: int = 8
    patch_slices: int = 8
    patch_in_plane: int = 40
    learning_rate: float = 2e-3
    final_learning_rate: float = 1e-5
    average_decay: float = 0.999
    gradient_clip: float = 1.0
    factors: tuple[float, ...] = (2.0, 4.0)
    factor_weights: tuple[float, ...] = (0.3, 0.4)
    any_factor_weight: float = 0.3
    modality_shares: dict[str, float] = field(default_factory=dict)
    contrast_range: tuple[float, float] = (1.0, 1.0)
    thickness_range: tuple[float, float] = (0.7, 1.3)
    box_fraction: float = 0.3
    noise_fraction: float = 0.2
    noise_maximum: float = 0.01
    thick_in_plane_fraction: float = 0.2
    consistent_weight: float = 0.5
    squared_weight: float = 0.0
    seed: int = 0
    checkpoint_minutes: float = 3.0

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            value, kind = getattr(self, entry.name), _KINDS[str(entry.type).partition("[")[0]]
            if not isinstance(value, kind) or (
                kind is tuple and not all(isinstance(one, (int, float)) for one in value)
            ):
                raise SettingsError(f"the setting {entry.name} must be of type {entry.type}, got {value!r}")
        for name in ("steps", "batch_size", "patch_slices", "patch_in_plane", "learning_rate"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.part not in PARTS:
            raise SettingsError(f"part must be one of {', '.join(PARTS)}, got {self.part!r}")
        if len(self.factors) != len(self.factor_weights):
            raise SettingsError(
                f"factors and factor_weights must have the same length, got {len(self.factors)} and"
                f" {len(self.factor_weights)}"
            )


def recipe_from(table: dict[str, Any]) -> Recipe:
    """A recipe from the table of a TOML file; a key it does not know is refused with its neighbour."""
    known = {entry.name for entry in dataclasses.fields(Recipe)}
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise SettingsError(f"a recipe has no setting {key!r}{hint}")
    settings: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return Recipe(**settings)


def read_recipe(path: Path, overrides: list[str]) -> Recipe:
    """Read a TOML recipe and apply ``key=value`` overrides, whose values are TOML too."""
    if not path.is_file():
        raise SettingsError(f"there is no recipe {path}")
    table = read_toml(path)
    for override in overrides:
        try:
            table |= tomllib.loads(override)
        except tomllib.TOMLDecodeError as problem:
            raise SettingsError(
                f"cannot read the setting {override!r}: {problem}; write key=value, text in quotes"
            ) from problem
    return recipe_from(table)


def read_toml(path: Path) -> dict[str, Any]:
    """The table of a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as problem:
        raise SettingsError(f"there is no file {path}") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{path} cannot be read: {problem}") from problem


_RESOLVED = "recipe.json"


def write_resolved(recipe: Recipe, run: Path) -> None:
    """Keep, in the folder of a run, every setting it runs with."""
    (run / _RESOLVED).write_text(json.dumps(dataclasses.asdict(recipe), indent=1) + "\n")


def read_resolved(run: Path) -> Recipe:
    """The recipe of a run."""
    try:
        return recipe_from(json.loads((run / _RESOLVED).read_text()))
    except FileNotFoundError as problem:
        raise SettingsError(f"{run} is no folder of a training run: it has no {_RESOLVED}") from problem
