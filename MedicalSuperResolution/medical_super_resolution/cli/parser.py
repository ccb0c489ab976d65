"""What can be typed after ``medsr``."""

from __future__ import annotations

import argparse
from types import ModuleType

from ..station import command as station
from .commands import benchmark, compare, enhance, export_model, fuse, info, labels, models

COMMANDS: dict[str, ModuleType] = {
    "enhance": enhance,
    "fuse": fuse,
    "labels": labels,
    "compare": compare,
    "info": info,
    "models": models,
    "export-model": export_model,
    "benchmark": benchmark,
    "station": station,
}


def parser(description: str | None) -> argparse.ArgumentParser:
    """The command line; what it gives has the name of the chosen command as ``command``."""
    made = argparse.ArgumentParser(prog="medsr", description=description)
    choices = made.add_subparsers(required=True, dest="command", metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = choices.add_parser(
            name,
            help=command.HELP,
            description=getattr(command, "DESCRIPTION", command.HELP),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(one)
    return made
