"""The documentation is true: commands exist, scripts run, error sentences are in the source, links lead somewhere."""

from __future__ import annotations

import argparse
import ast
import json
import re
import runpy
import shlex
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import documentation
import medical_super_resolution
from medical_super_resolution import __version__
from medical_super_resolution.cli import main as arguments
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume
from medical_super_resolution_training.cli.main import VERBS

PRODUCT = [
    documentation.REPOSITORY / "MedicalSuperResolution",
    documentation.REPOSITORY / "MedicalSuperResolutionTraining",
]


def training_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(exit_on_error=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, verb in VERBS.items():
        verb.add_arguments(verbs.add_parser(name))
    return parser


def said(tree: ast.AST) -> list[str]:
    """All texts of a program, with an ellipsis for every value."""
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
    assert {code for place in places for code in documentation.scripts(place)} == set(documentation.blocks("python"))
    assert all(documentation.scripts(place) for place in places)


def test_the_notebook_runs_as_it_shows_and_the_enhancement_beats_interpolation(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    cells = json.loads(documentation.NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        exec(compile(cell["source"], documentation.NOTEBOOK.name, "exec"), names)
        for shown in (output["data"]["text/plain"] for output in cell["outputs"] if "text/plain" in output["data"]):
            assert ast.literal_eval(shown) == eval(cell["source"].splitlines()[-1], names)
    assert names["thin"].shape == (48, 40, 40)
    assert np.abs(names["again"] - names["thick"]).max() < 0.01
    assert names["error"]["general"] < names["error"]["linear"]


@pytest.mark.parametrize("code", documentation.scripts("any Python"))
def test_scripts_run_in_any_python(code: str, a_volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    files.write(a_volume, Path("thick.nii.gz"))
    exec(compile(code, "documentation", "exec"), {})
    if "thin.nii.gz" in code:
        assert files.read(Path("thin.nii.gz")).array.shape == (36, 18, 20)


@pytest.mark.parametrize("line", documentation.commands("medsr"))
def test_command_lines_are_understood(line: str):
    arguments.parser("").parse_args(shlex.split(line, comments=True))


@pytest.mark.parametrize("line", documentation.commands("medsr-train"))
def test_command_lines_of_the_training_are_understood(line: str):
    training_parser().parse_args(shlex.split(line, comments=True))


def test_other_programs_are_not_shown_unchecked():
    assert {line.split()[0] for line in documentation.command_lines()} == {"medsr", "medsr-train"}


@pytest.mark.parametrize("sentence", documentation.sentences())
def test_every_sentence_of_the_table_exists_in_the_program(sentence: str, every_sentence: str):
    assert sentence in every_sentence


def test_what_the_pages_name_in_the_section_set_up_is_there():
    pages = "".join(page.read_text(encoding="utf-8") for page in documentation.PAGES)
    panel = (PRODUCT[0] / "Resources" / "UI" / "MedicalSuperResolution.ui").read_text(encoding="utf-8")
    named = set(re.findall(r"\*Set-up > ([^*]+)\*", pages))
    assert named
    assert {name for name in named if f"<string>{name}</string>" not in panel} == set()


def test_the_table_has_sentences():
    assert len(documentation.sentences()) > 15


@pytest.mark.parametrize("page", documentation.PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere_in_the_repository_too(page: Path):
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {"#" + re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}
    missing = []
    for link in documentation.links(page):
        target = link.partition("#")[0]
        if link not in anchors and not (page.parent / target).exists():
            missing.append(link)
    assert missing == []


def test_the_python_reference_lists_what_the_package_offers():
    reference = (documentation.DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    listed = {line.rpartition(".")[2] for line in reference.splitlines() if line.startswith("::: ")}
    assert set(medical_super_resolution.__all__) - {"__version__"} <= listed


@pytest.mark.parametrize("is_assembled", [False, True])
def test_the_site_invites_to_the_demonstration_page_where_it_was_assembled(tmp_path: Path, is_assembled: bool):
    pytest.importorskip("mkdocs", reason="extra docs")
    hooks = runpy.run_path(str(documentation.REPOSITORY / "docs" / "hooks.py"))
    docs, site = tmp_path / "docs", str(tmp_path / "site")
    if is_assembled:
        (tmp_path / "build" / "demo").mkdir(parents=True)
    config = SimpleNamespace(docs_dir=str(docs), site_dir=site)
    pages = hooks["Files"]([hooks["File"](name, str(docs), site, False) for name in ("index.md", "demo/index.html")])
    assert ("demo/index.html" in hooks["on_files"](pages, config).src_uris) == is_assembled
    text = (documentation.REPOSITORY / "docs" / "index.md").read_text(encoding="utf-8")
    shown = hooks["on_page_markdown"](text, None, config, pages)
    assert ("demo/" in shown) == is_assembled
    assert "## Where to start" in shown


def test_a_link_on_the_site_is_told_from_the_text_by_more_than_its_color():
    site = documentation.REPOSITORY / "mkdocs.yml"
    styles = re.search(r"^extra_css: \[(.*)\]$", site.read_text(encoding="utf-8"), re.MULTILINE)
    assert "text-decoration: underline" in (documentation.DOCS / styles[1]).read_text(encoding="utf-8")


def test_the_citation_is_of_this_version():
    citation = (documentation.REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == __version__
    assert f"version = {{{__version__}}}" in documentation.README.read_text(encoding="utf-8")
    changelog = (documentation.REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{__version__}] - " + re.search(r"^date-released: (.*)$", citation, re.MULTILINE)[1] in changelog


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_alone_lists_its_targets_and_installs_nothing():
    command = ["make", "--no-print-directory"]
    shown = subprocess.run(command, cwd=documentation.REPOSITORY, capture_output=True, text=True, check=True).stdout
    makefile = (documentation.REPOSITORY / "Makefile").read_text(encoding="utf-8")
    _, *targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    assert {line.split()[1] for line in shown.splitlines()} == set(targets)
