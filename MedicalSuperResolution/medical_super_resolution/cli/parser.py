"""What can be typed after ``medsr``."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from types import ModuleType

from .. import __version__
from ..station import command as station
from ..viewer import command as viewer
from .commands import benchmark, cohort, compare, demo, enhance, export_model, fuse, info, labels, models

COMMANDS: dict[str, ModuleType] = {
    "enhance": enhance,
    "cohort": cohort,
    "fuse": fuse,
    "labels": labels,
    "compare": compare,
    "info": info,
    "models": models,
    "export-model": export_model,
    "benchmark": benchmark,
    "demo": demo,
    "station": station,
    "view": viewer,
}


_EXAMPLES = """examples:
  medsr enhance thick.nii.gz thin.nii.gz                 through plane, to the in-plane spacing
  medsr enhance scan.nrrd fine.nrrd --factor 2 --axes in-plane
  medsr enhance DICOM_FOLDER NEW_FOLDER                  a derived DICOM series

`medsr COMMAND --help` describes a command. To complete commands and options with the Tab key, install the extra
`completion` and add to the start file of your shell: eval "$(register-python-argcomplete medsr)"
"""


def complete(made: argparse.ArgumentParser) -> None:
    """Answer a shell that asks how a line could go on, where argcomplete is installed; then the program ends."""
    if "_ARGCOMPLETE" in os.environ:
        with suppress(ImportError):  # the extra `completion`
            import argcomplete

            argcomplete.autocomplete(made)


def parser(description: str | None) -> argparse.ArgumentParser:
    """Make the parser of the command line; the name of the chosen command is its ``command``."""
    made = argparse.ArgumentParser(
        prog="medsr",
        description=description,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"medsr {__version__}")
    choices = made.add_subparsers(required=True, dest="command", metavar="COMMAND", title="commands")
    for name, command in COMMANDS.items():
        one = choices.add_parser(
            name,
            help=command.HELP,
            description=getattr(command, "DESCRIPTION", command.HELP),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(one)
    return made
