"""medsr-train train."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "run a recipe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The recipe, the data, the folder of the run, and how to run it."""
    parser.add_argument("recipe", help="name of a shipped recipe, or path of a TOML file")
    parser.add_argument("--data", type=Path, help="manifest, from medsr-train prepare")
    parser.add_argument("--out", type=Path, help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare batches (default: 0, none)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--print-config", action="store_true", help="print every setting, and do nothing")


def run(chosen: argparse.Namespace) -> int:
    """Train from fresh weights, or from the newest checkpoint of the run."""
    from medical_super_resolution.errors import SettingsError

    from ...config.recipes import as_toml, find_recipe, read_recipe
    from ...workflows.run import run_recipe

    recipe = read_recipe(find_recipe(chosen.recipe), chosen.overrides)
    if chosen.print_config:
        print(as_toml(recipe), end="")
        return 0
    if chosen.data is None or chosen.out is None:
        raise SettingsError("a training needs --data MANIFEST.json and --out FOLDER")
    run_recipe(
        recipe,
        chosen.data,
        chosen.out,
        resume=chosen.resume,
        device=chosen.device,
        workers=chosen.workers,
        say=lambda line: print(line, flush=True),
    )
    return 0
