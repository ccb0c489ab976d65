"""medsr demo."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..terminal import progress_of_kind

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
    progress = progress_of_kind("auto")
    progress.stage("starting")  # PyTorch and the template take seconds
    from ..demo import main

    main(chosen.folder, progress, overwrite=chosen.overwrite)
    return 0
