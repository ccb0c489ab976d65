"""medsr-train recipes."""

from __future__ import annotations

import argparse

HELP = "list the shipped recipes, or print one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The recipe, and how much of it."""
    parser.add_argument("recipe", nargs="?", help="name of a shipped recipe, or path of a TOML file; none lists them")
    parser.add_argument("--print-config", action="store_true", help="every setting with its value, defaults too")


def run(chosen: argparse.Namespace) -> int:
    """List the recipes with their first comment, or print one as it is written, or every setting of it."""
    from ...config.recipe import Recipe
    from ...config.recipes import as_toml, find_recipe, read_recipe, shipped

    if chosen.recipe is None and chosen.print_config:
        print(as_toml(Recipe()), end="")
    elif chosen.recipe is None:
        for path in shipped():
            first = path.read_text(encoding="utf-8").splitlines()[0]
            print(f"{path.stem:18} {first.removeprefix('#').strip()}")
    elif chosen.print_config:
        print(as_toml(read_recipe(find_recipe(chosen.recipe), [])), end="")
    else:
        print(find_recipe(chosen.recipe).read_text(encoding="utf-8"), end="")
    return 0
