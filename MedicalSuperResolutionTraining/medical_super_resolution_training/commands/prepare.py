"""medsr-train prepare."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "make a manifest from a folder of volumes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder and the manifest."""
    parser.add_argument("dataset", type=Path)
    parser.add_argument("manifest", type=Path)


def run(chosen: argparse.Namespace) -> int:
    """Check and convert the volumes, and write the manifest."""
    from ..manifest import prepare

    entries = prepare(chosen.dataset, chosen.manifest)
    print(f"{len(entries)} volumes in {chosen.manifest}")
    return 0
