from __future__ import annotations

import argparse

import pytest

from medical_super_resolution.cli import main as medsr
from medical_super_resolution.cli.parsing import Parser, description_of
from medical_super_resolution_training.cli.main import VERBS


@pytest.fixture(scope="module")
def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command of both programs, and of ``medsr`` itself."""
    made = {"medsr": medsr.parser(medsr.__doc__)}
    choices = next(action.choices for action in made["medsr"]._actions if isinstance(action.choices, dict))
    made |= {f"medsr {name}": one for name, one in choices.items()}
    for name, verb in VERBS.items():
        made[f"medsr-train {name}"] = Parser(prog=f"medsr-train {name}", description=description_of(verb))
        verb.add_arguments(made[f"medsr-train {name}"])
    return made


def test_the_help_of_every_command_fits_a_terminal_of_80_columns(
    parsers: dict[str, argparse.ArgumentParser], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line for parser in parsers.values() for line in parser.format_help().splitlines()]
    assert [line for line in lines if len(line) > 80] == []


def test_every_argument_says_what_it_is_for(parsers: dict[str, argparse.ArgumentParser]):
    told = {
        f"{name} {action.dest}": action.help or ""
        for name, parser in parsers.items()
        for action in parser._actions
        if not isinstance(action.choices, dict)
    }
    assert [argument for argument, text in told.items() if not text or text.startswith("default")] == []


def test_the_description_of_a_command_is_a_sentence(parsers: dict[str, argparse.ArgumentParser]):
    assert [name for name, parser in parsers.items() if not (parser.description or "a")[0].isupper()] == []
