"""medsr-train: prepare volumes, train a recipe, export a model."""

from __future__ import annotations

import argparse
import sys

from medical_super_resolution.cli.parsing import Parser, description_of
from medical_super_resolution.cli.terminal import quiet_on_broken_pipe, status_of
from medical_super_resolution.system.process import end_tidily, end_with_parent, wait_passively

from .commands import ablate, evaluate, export, prepare, recipes, reproduce, train

VERBS = {
    "prepare": prepare,
    "train": train,
    "evaluate": evaluate,
    "ablate": ablate,
    "export": export,
    "recipes": recipes,
    "reproduce": reproduce,
}


@quiet_on_broken_pipe
def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status: 0 done, 1 failed, 2 usage, 130 interrupted, 141 output closed."""
    wait_passively()
    parser = Parser(prog="medsr-train", description=__doc__)
    parser.add_argument("--end-with-parent", action="store_true", help=argparse.SUPPRESS)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, verb in VERBS.items():
        verb.add_arguments(verbs.add_parser(name, help=verb.HELP, description=description_of(verb)))
    chosen = parser.parse_args(arguments)
    end_tidily()
    if chosen.end_with_parent:
        end_with_parent()
    return status_of(lambda: VERBS[chosen.verb].run(chosen), interrupted="what was finished before is kept")


if __name__ == "__main__":
    sys.exit(main())
