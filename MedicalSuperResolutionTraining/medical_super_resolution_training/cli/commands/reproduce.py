"""medsr-train reproduce."""

from __future__ import annotations

import argparse
from pathlib import Path

from medical_super_resolution.cli.settings import add_device

from .train import add_overrides, add_workers

HELP = "train a shipped model once more, from a folder of scans"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, the scans and the folder to write."""
    parser.add_argument("model", help="general or general-large")
    parser.add_argument("scans", type=Path, help="folder of volumes")
    parser.add_argument("out", type=Path, help="folder for the manifest, the runs and the model files")
    add_device(parser)
    add_workers(parser)
    budget_help = "time for all trainings together, such as 90s, 10m or 2h: the steps are scaled to it"
    parser.add_argument("--budget", metavar="TIME", help=budget_help)
    add_overrides(parser, "every recipe")


def run(chosen: argparse.Namespace) -> int:
    """Prepare the scans, train every stage, export the model; a second call continues where one stopped."""
    from ...workflows.budget import parse_budget
    from ...workflows.reproduction import reproduce

    files = reproduce(
        chosen.model,
        chosen.scans,
        chosen.out,
        overrides=chosen.overrides,
        device=chosen.device,
        workers=chosen.workers,
        budget=parse_budget(chosen.budget) if chosen.budget else None,
        log=lambda line: print(line, flush=True),
    )
    for file in files:
        print(file)
    return 0
