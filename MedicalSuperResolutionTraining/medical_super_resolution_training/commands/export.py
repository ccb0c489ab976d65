"""medsr-train export."""

from __future__ import annotations

import argparse
from pathlib import Path

from medical_super_resolution.errors import SettingsError

HELP = "write the averaged weights of a run as a model file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, the card and the model file."""
    parser.add_argument("run", type=Path)
    parser.add_argument("--card", type=Path, metavar="FILE.toml", help="what else the model's card shall say")
    parser.add_argument("-o", "--output", type=Path, required=True)


def run(chosen: argparse.Namespace) -> int:
    """Write the model file that Slicer and ``medsr enhance`` load."""
    from medical_super_resolution import models

    from ..card import card
    from ..checkpoints import restore_newest
    from ..config import read_resolved
    from ..manifest import read_manifest
    from ..trainer import new_state
    from .train import MANIFEST

    recipe = read_resolved(chosen.run)
    state = new_state(recipe, "cpu")
    restore_newest(chosen.run, state)
    if not state.step:
        raise SettingsError(f"{chosen.run} has no checkpoint that can be read; train first")
    entries = read_manifest(chosen.run / MANIFEST)
    models.save(chosen.output, recipe.generator, state.average, card(recipe, state.step, entries, chosen.card))
    print(chosen.output)
    return 0
