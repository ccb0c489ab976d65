"""medsr demo."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "enhance a head template that comes with a package, and compare with the truth"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder for volumes and picture."""
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("demonstration"),
        metavar="FOLDER",
        help="a new folder; default: %(default)s",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the files of an earlier demonstration")


def run(chosen: argparse.Namespace) -> int:
    """Write volumes and a picture, print a table."""
    from ..demo import main

    main(chosen.folder, overwrite=chosen.overwrite)
    return 0
