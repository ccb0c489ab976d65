"""Which volume is meant where a DICOM folder holds several."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy is not imported at the start of the program
    from ..volumes.dicom.reader import Selection


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the options that make a `Selection`."""
    parser.add_argument(
        "--series", metavar="N|UID", help="of a DICOM folder with several series, the one with this number or UID"
    )
    parser.add_argument(
        "--phase",
        type=_phase,
        metavar="N|all",
        help="of a DICOM series with several images at each place (echoes, phases, b-values), volume N from 1, or all"
        " into one file",
    )


def _phase(text: str) -> int | str:
    return text if text == "all" else int(text)


def selection_of(chosen: argparse.Namespace) -> Selection:
    """The options as a selection."""
    from ..volumes.dicom.reader import Selection

    return Selection(chosen.series, chosen.phase)
