"""medsr-train reproduce."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "train a shipped model once more, from a folder of scans"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, the scans and the folder to write."""
    parser.add_argument("model", help="general")
    parser.add_argument("scans", type=Path, help="folder of volumes")
    parser.add_argument("out", type=Path, help="folder for the manifest, the runs and the model files")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")


def run(chosen: argparse.Namespace) -> int:
    """Prepare the scans, train every stage, export the model with its card; a second call goes on where one stopped."""
    from ...workflows.reproduction import reproduce

    files = reproduce(
        chosen.model,
        chosen.scans,
        chosen.out,
        overrides=chosen.overrides,
        device=chosen.device,
        log=lambda line: print(line, flush=True),
    )
    for file in files:
        print(file)
    return 0
