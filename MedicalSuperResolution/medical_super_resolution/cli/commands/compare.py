"""medsr compare."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "draw before, after and their difference"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The volumes, and the picture."""
    parser.add_argument("before", type=Path, metavar="BEFORE")
    parser.add_argument("after", type=Path, metavar="AFTER")
    parser.add_argument("reference", type=Path, nargs="?", metavar="REFERENCE", help="the true fine volume, if known")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PICTURE.png")


def run(chosen: argparse.Namespace) -> int:
    """Draw the picture, and print what it shows."""
    from ...volumes.io import files
    from ..figures import compare

    volumes = [files.read(path) for path in (chosen.before, chosen.after, chosen.reference) if path]
    for line in compare(*volumes, output=chosen.output):
        print(line)
    print(chosen.output)
    return 0
