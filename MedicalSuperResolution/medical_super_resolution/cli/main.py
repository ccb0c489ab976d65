"""Thin slices from thick ones in CT and MR. For research. Not for diagnosis."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from types import ModuleType

from ..system.identity import __version__
from ..system.process import end_tidily, wait_passively
from .commands import (
    benchmark,
    cohort,
    compare,
    demo,
    enhance,
    export_model,
    fuse,
    info,
    labels,
    models,
    station,
    view,
)
from .parsing import Parser, description_of
from .terminal import quiet_on_broken_pipe, status_of

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
    "view": view,
}
_EXAMPLES = """examples:
  medsr enhance thick.nii.gz thin.nii.gz  through plane, to the in-plane spacing
  medsr enhance scan.nrrd fine.nrrd --factor 2 --axes in-plane
  medsr enhance DICOM_FOLDER NEW_FOLDER   a derived DICOM series

`medsr COMMAND --help` describes a command. To complete commands and options
with the Tab key, install the extra `completion` and add to the start file of
your shell: eval "$(register-python-argcomplete medsr)"
"""


def complete(made: argparse.ArgumentParser) -> None:
    """Complete a command line for the shell, if argcomplete is installed and asks; the program then ends."""
    if "_ARGCOMPLETE" in os.environ:
        with suppress(ImportError):  # the extra `completion`
            import argcomplete

            argcomplete.autocomplete(made)


def parser(description: str | None, only: str | None = None) -> argparse.ArgumentParser:
    """Make the parser of the command line; the name of the chosen command is its ``command``.

    Parameters
    ----------
    description : str or None
        For ``--help``.
    only : str or None
        The command whose options are added; None adds those of all.
    """
    made = Parser(
        prog="medsr",
        description=description,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"medsr {__version__}")
    choices = made.add_subparsers(required=True, dest="command", metavar="COMMAND", title="commands")
    for name, command in COMMANDS.items():
        one = choices.add_parser(name, help=command.HELP, description=description_of(command))
        if only in (None, name):
            command.add_arguments(one)
    return made


@quiet_on_broken_pipe
def main(typed: list[str] | None = None) -> int:
    """Run the command line; return the exit status: 0 done, 1 failed, 2 usage, 130 interrupted, 141 output closed."""
    wait_passively()
    asked = sys.argv[1:] if typed is None else typed
    made = parser(__doc__, next((word for word in asked if word in COMMANDS), None))
    complete(made)
    chosen = made.parse_args(asked)
    end_tidily()
    return status_of(lambda: COMMANDS[chosen.command].run(chosen))
