"""Parser of both command lines: a refusal is one sentence, with the value and what to do."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """A parser that refuses wrong usage in one sentence. Its options of type `float` and `int` are `number`s."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - those of ArgumentParser
        super().__init__(*arguments, **options)
        self.register("type", float, number)
        self.register("type", int, whole_number)

    def parse_known_args(self, *arguments: Any, **options: Any) -> tuple[Any, list[str]]:  # noqa: ANN401
        """Parse; the parser of a command refuses what it does not know itself, so that its own help is named."""
        chosen, unknown = super().parse_known_args(*arguments, **options)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return chosen, unknown

    def error(self, message: str) -> NoReturn:
        """End the program with status 2."""
        dashed = next((word for word in sys.argv[1:] if word.startswith("-") and Path(word).exists()), None)
        if dashed:
            message = f"{dashed} was taken for an option; to name the file, write ./{dashed}"
        self.exit(2, f"error: {message}; `{self.prog} --help` describes the usage\n")


def number(text: str) -> float:
    """Read a number of the command line."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number; write it with a point, such as 1.5") from None


def whole_number(text: str) -> int:
    """Read a whole number of the command line."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def description_of(command: ModuleType) -> str:
    """What ``--help`` says of a command: its description, or else its line in the list as a sentence."""
    line = command.HELP
    return getattr(command, "DESCRIPTION", f"{line[0].upper()}{line[1:]}.")
