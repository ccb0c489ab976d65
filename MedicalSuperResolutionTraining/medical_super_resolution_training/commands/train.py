"""medsr-train train."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from medical_super_resolution.errors import SettingsError

HELP = "run a recipe"
MANIFEST = "manifest.json"  # the copy that a run keeps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The recipe, the data, the folder of the run, and how to run it."""
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="manifest")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")


def run(chosen: argparse.Namespace) -> int:
    """Train from fresh weights, or from the newest checkpoint of the run."""
    from ..checkpoints import checkpoints, restore_newest, save_checkpoint
    from ..config import read_recipe, write_resolved
    from ..data import PatchSampler
    from ..manifest import read_manifest
    from ..trainer import new_state, train

    recipe = read_recipe(chosen.recipe, chosen.overrides)
    entries = read_manifest(chosen.data)
    chosen.out.mkdir(parents=True, exist_ok=True)
    if checkpoints(chosen.out) and not chosen.resume:
        raise SettingsError(
            f"{chosen.out} holds a run already; add --resume to go on with it, or choose another folder"
        )
    write_resolved(recipe, chosen.out)
    shutil.copyfile(chosen.data, chosen.out / MANIFEST)
    state = new_state(recipe, chosen.device)
    if chosen.resume and (warning := restore_newest(chosen.out, state)):
        print(f"warning: {warning}", file=sys.stderr)
    started, first = time.monotonic(), state.step

    def report(step: int, loss: float) -> None:
        seconds = (time.monotonic() - started) / (step - first)
        left = seconds * (recipe.steps - step) / 60
        print(
            f"step {step} of {recipe.steps}  loss {loss:.5f}  {seconds:.2f} s a step  {left:.0f} min left", flush=True
        )

    sampler = PatchSampler(entries, recipe)
    train(
        state,
        sampler,
        recipe,
        chosen.device,
        chosen.out,
        checkpoint=lambda: save_checkpoint(chosen.out, state),
        report=report,
    )
    return 0
