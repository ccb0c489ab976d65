"""medsr-train: prepare volumes, train a recipe, export a model."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from medical_super_resolution.errors import SettingsError, SuperResolutionError

MANIFEST = "manifest.json"  # the copy that a run keeps


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 done, 1 known failure, 2 usage."""
    parser = argparse.ArgumentParser(prog="medsr-train", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    prepare = verbs.add_parser("prepare", help="make a manifest from a folder of volumes")
    prepare.add_argument("dataset", type=Path)
    prepare.add_argument("manifest", type=Path)
    train = verbs.add_parser("train", help="run a recipe")
    train.add_argument("recipe", type=Path)
    train.add_argument("--data", type=Path, required=True, help="manifest")
    train.add_argument("--out", type=Path, required=True, help="folder of the run")
    train.add_argument("--resume", action="store_true")
    train.add_argument("--device", default="cpu")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    export = verbs.add_parser("export", help="write the averaged weights as a model file")
    export.add_argument("run", type=Path)
    export.add_argument("--card", type=Path, metavar="FILE.toml", help="what else the model's card shall say")
    export.add_argument("-o", "--output", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    try:
        return {"prepare": _prepare, "train": _train, "export": _export}[chosen.verb](chosen)
    except SuperResolutionError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1


def _prepare(chosen: argparse.Namespace) -> int:
    from .manifest import prepare

    entries = prepare(chosen.dataset, chosen.manifest)
    print(f"{len(entries)} volumes in {chosen.manifest}")
    return 0


def _train(chosen: argparse.Namespace) -> int:
    from .checkpoints import checkpoints, restore_newest, save_checkpoint
    from .config import read_recipe, write_resolved
    from .data import PatchSampler
    from .manifest import read_manifest
    from .trainer import new_state, train

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


def _export(chosen: argparse.Namespace) -> int:
    from medical_super_resolution import models

    from .card import card
    from .checkpoints import restore_newest
    from .config import read_resolved
    from .manifest import read_manifest
    from .trainer import new_state

    recipe = read_resolved(chosen.run)
    state = new_state(recipe, "cpu")
    restore_newest(chosen.run, state)
    if not state.step:
        raise SettingsError(f"{chosen.run} has no checkpoint that can be read; train first")
    entries = read_manifest(chosen.run / MANIFEST)
    models.save(chosen.output, recipe.generator, state.average, card(recipe, state.step, entries, chosen.card))
    print(chosen.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
