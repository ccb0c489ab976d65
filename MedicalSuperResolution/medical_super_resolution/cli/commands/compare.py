"""medsr compare."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ...errors import SettingsError
from ...system.temp_dirs import check_replaceable

_PLANES = ("axial", "coronal", "sagittal")

HELP = "draw before, after and their difference"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the volumes, the picture, and what it shows."""
    parser.add_argument("before", type=Path, metavar="BEFORE", help="the measured volume")
    parser.add_argument("after", type=Path, metavar="AFTER", help="the enhanced volume")
    parser.add_argument("reference", type=Path, nargs="?", metavar="REFERENCE", help="the true fine volume, if known")
    parser.add_argument(
        "--window",
        nargs="+",
        metavar="W",
        help="width and level, such as 400 40, or lung, bone or soft; default: as the values are",
    )
    parser.add_argument(
        "--slice",
        nargs="+",
        default=[],
        metavar="PLANE=N",
        help="slices of AFTER to show, from 0, such as coronal=120 axial=40; default: the middle ones",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PICTURE.png", help="the picture to write")
    parser.add_argument("--overwrite", action="store_true", help="replace the picture if it exists")


def run(chosen: argparse.Namespace) -> int:
    """Draw the picture, and print what it shows."""
    from ...volumes.io import files
    from ..figures import compare

    check_replaceable(chosen.output, overwrite=chosen.overwrite)
    volumes = [files.read(path) for path in (chosen.before, chosen.after, chosen.reference) if path]
    window, slices = _window(chosen.window), _slices(chosen.slice)
    for line in compare(*volumes, output=chosen.output, window=window, slices=slices):
        print(line)
    print(chosen.output)
    return 0


def _window(typed: list[str] | None) -> tuple[float, float] | None:
    from ...volumes.intensity import CT_WINDOWS

    if typed is None or (len(typed) == 1 and typed[0] in CT_WINDOWS):
        return CT_WINDOWS[typed[0]] if typed else None
    try:
        width, level = map(float, typed)
    except ValueError:
        width, level = 0.0, 0.0
    if not (math.isfinite(level) and 0 < width < math.inf):
        raise SettingsError(
            f"unknown window {' '.join(typed)!r}; give a width above 0 and a level, or one of: {', '.join(CT_WINDOWS)}"
        )
    return level - width / 2, level + width / 2


def _slices(typed: list[str]) -> dict[str, int]:
    found = {}
    for one in typed:
        plane, _, number = one.partition("=")
        if plane not in _PLANES or not number.isdecimal():
            raise SettingsError(f"unknown slice {one!r}; give a plane and a number, such as coronal=120")
        found[plane] = int(number)
    return found
