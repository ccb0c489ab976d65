"""medsr-train export."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from medical_super_resolution.system.temp_dirs import check_replaceable

HELP = "write the averaged weights of a run as a model file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, the card and the model file."""
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--card", type=Path, metavar="FILE.toml", help="further entries of the model's card")
    parser.add_argument("--best", action="store_true", help="the weights that validated best, not the last ones")
    parser.add_argument("-o", "--output", type=Path, required=True, help="model file to write, .safetensors")
    parser.add_argument("--overwrite", action="store_true", help="replace the model file if it exists")


def run(chosen: argparse.Namespace) -> int:
    """Write the model file that Slicer and ``medsr enhance`` load."""
    from ...config.recipes import read_toml
    from ...workflows.export import export_run

    check_replaceable(chosen.output, overwrite=chosen.overwrite)
    also = read_toml(chosen.card) if chosen.card else {}
    export_run(chosen.run, chosen.output, also=also, best=chosen.best, log=partial(print, file=sys.stderr))
    print(chosen.output)
    return 0
