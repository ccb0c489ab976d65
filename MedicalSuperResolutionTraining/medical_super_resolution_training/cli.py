"""medsr-train: prepare volumes, train a recipe, export a model."""

from __future__ import annotations

import argparse
import sys

from medical_super_resolution.errors import SuperResolutionError

from .commands import export, prepare, train

VERBS = {"prepare": prepare, "train": train, "export": export}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 done, 1 known failure, 2 usage."""
    parser = argparse.ArgumentParser(prog="medsr-train", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, verb in VERBS.items():
        verb.add_arguments(verbs.add_parser(name, help=verb.HELP, description=verb.__doc__))
    chosen = parser.parse_args(arguments)
    try:
        return VERBS[chosen.verb].run(chosen)
    except SuperResolutionError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
