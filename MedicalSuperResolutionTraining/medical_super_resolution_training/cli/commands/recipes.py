"""medsr-train recipes."""

from __future__ import annotations

import argparse

HELP = "list the shipped recipes, or print one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The recipe, and how much of it."""
    parser.add_argument("recipe", nargs="?", help="name of a shipped recipe, or path of a TOML file; none lists them")
    parser.add_argument("--print-config", action="store_true", help="every setting with its value, defaults too")


def run(chosen: argparse.Namespace) -> int:
    """List the recipes with what they are for, or print one as it is written, or every setting of it."""
    from ...config.recipe import Recipe
    from ...config.recipes import as_toml, explanation_of, find_recipe, read_recipe, shipped

    if chosen.recipe is None and chosen.print_config:
        print(as_toml(Recipe()), end="")
    elif chosen.recipe is None:
        width = max(len(path.stem) for path in shipped())
        for path in shipped():
            print(f"{path.stem:{width}} {explanation_of(path)}")
    elif chosen.print_config:
        print(as_toml(read_recipe(find_recipe(chosen.recipe), [])), end="")
    else:
        print(find_recipe(chosen.recipe).read_text(encoding="utf-8"), end="")
    return 0
