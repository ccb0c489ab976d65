"""README.md keeps its word: its commands exist, its scripts run, its sentences are said, its links lead somewhere."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from pathlib import Path

import pytest

import readme
from medical_super_resolution import __version__
from medical_super_resolution.cli import parser as arguments
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume
from medical_super_resolution_training.cli.main import VERBS

PRODUCT = [readme.REPOSITORY / "MedicalSuperResolution", readme.REPOSITORY / "MedicalSuperResolutionTraining"]


def training_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(exit_on_error=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, verb in VERBS.items():
        verb.add_arguments(verbs.add_parser(name))
    return parser


def said(tree: ast.AST) -> list[str]:
    """All text in a program, with an ellipsis for every value that is put into it."""
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(re.sub(r"\{[^}]*\}", "…", node.value))
        elif isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
            texts.append("".join(parts))
    return texts


@pytest.fixture(scope="module")
def every_sentence() -> str:
    paths = [path for folder in PRODUCT for path in folder.rglob("*.py")]
    return "\n".join(text for path in paths for text in said(ast.parse(path.read_text(encoding="utf-8"))))


def test_every_script_is_run_by_some_test():
    places = ("any Python", "the module", "the training module")
    assert sum(len(readme.scripts(place)) for place in places) == len(readme.blocks("python"))
    assert all(readme.scripts(place) for place in places)


@pytest.mark.parametrize("code", readme.scripts("any Python"))
def test_scripts_run_in_any_python(code: str, a_volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    files.write(a_volume, Path("thick.nii.gz"))
    exec(compile(code, "README.md", "exec"), {})
    if "thin.nii.gz" in code:
        assert files.read(Path("thin.nii.gz")).array.shape == (36, 18, 20)


@pytest.mark.parametrize("line", readme.commands("medsr"))
def test_command_lines_are_understood(line: str):
    arguments.parser("").parse_args(shlex.split(line, comments=True))


@pytest.mark.parametrize("line", readme.commands("medsr-train"))
def test_command_lines_of_the_training_are_understood(line: str):
    training_parser().parse_args(shlex.split(line, comments=True))


def test_other_programs_are_not_shown_unchecked():
    lines = [line for code in readme.blocks("sh") for line in code.splitlines()]
    assert len(lines) == len(readme.commands("medsr")) + len(readme.commands("medsr-train"))


@pytest.mark.parametrize("sentence", readme.sentences())
def test_every_sentence_of_the_table_is_said_by_the_program(sentence: str, every_sentence: str):
    assert sentence in every_sentence


def test_the_table_has_sentences():
    assert len(readme.sentences()) > 15


def test_every_link_leads_somewhere():
    text = readme.README.read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {"#" + re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}
    missing = [
        link
        for link in readme.links()
        if link not in anchors and not (readme.REPOSITORY / link.partition("#")[0]).exists()
    ]
    assert missing == []


def test_the_citation_is_of_this_version():
    citation = (readme.REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == __version__
    assert f"version = {{{__version__}}}" in readme.README.read_text(encoding="utf-8")
    changelog = (readme.REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{__version__}] - " + re.search(r"^date-released: (.*)$", citation, re.MULTILINE)[1] in changelog
