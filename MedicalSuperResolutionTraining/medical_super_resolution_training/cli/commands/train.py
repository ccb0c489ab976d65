"""medsr-train train."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from medical_super_resolution.cli.parsing import whole_number
from medical_super_resolution.cli.settings import add_device
from medical_super_resolution.errors import SettingsError

if TYPE_CHECKING:
    from ...config.recipe import Recipe

HELP = "run a recipe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The recipe, the data, the folder of the run, and how to run it."""
    recipe_help = "name of a shipped recipe, or path of a TOML file; default with --resume: that of the run"
    parser.add_argument("recipe", nargs="?", help=recipe_help)
    parser.add_argument("--data", type=Path, help="manifest, from prepare; default with --resume: that of the run")
    parser.add_argument("--out", type=Path, help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="continue the run in the folder")
    add_device(parser)
    add_workers(parser)
    add_overrides(parser, "the recipe")
    log_help = "curves beside the CSV: tensorboard (where installed, the default), wandb or mlflow; repeat for several"
    parser.add_argument("--log", action="append", metavar="NAME", dest="loggers", help=log_help)
    parser.add_argument("--print-config", action="store_true", help="print every setting, and do nothing")


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add ``--workers``."""
    parser.add_argument("--workers", type=_count, default=0, help="processes that prepare batches (default: 0, none)")


def add_overrides(parser: argparse.ArgumentParser, which: str) -> None:
    """Add ``--set``, of the recipes that ``which`` names."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
        help=f"change a setting of {which}, such as steps=300 or loss.gradient=0.1; repeat for several",
    )  # fmt: skip


def run(chosen: argparse.Namespace) -> int:
    """Train from fresh weights, or from the newest checkpoint of the run."""
    from ...config.recipes import as_toml
    from ...workflows.run import run_recipe

    recipe = _recipe(chosen)
    if chosen.print_config:
        print(as_toml(recipe), end="")
        return 0
    if chosen.out is None or (chosen.data is None and not chosen.resume):
        raise SettingsError("a training needs --data MANIFEST.json and --out FOLDER")
    run_recipe(
        recipe,
        chosen.data,
        chosen.out,
        resume=chosen.resume,
        device=chosen.device,
        workers=chosen.workers,
        log=lambda line: print(line, flush=True),
        loggers=chosen.loggers,
    )
    return 0


def _recipe(chosen: argparse.Namespace) -> Recipe:
    """The recipe that is named; without a name, that of the run that is resumed, with the changes of --set."""
    from ...config.recipes import find_recipe, read_recipe, read_resolved

    if chosen.recipe is not None:
        return read_recipe(find_recipe(chosen.recipe), chosen.overrides)
    if not chosen.resume or chosen.out is None:
        raise SettingsError("name a recipe to train, or give --resume and --out FOLDER to continue a run")
    return read_resolved(chosen.out, chosen.overrides)


def _count(text: str) -> int:
    if (count := whole_number(text)) < 0:
        raise argparse.ArgumentTypeError(f"the number must be at least 0, got {count}")
    return count
