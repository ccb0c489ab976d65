"""The sentences of the package that a user of Slicer can meet, as templates with a name for every value.

``python Testing/Python/package_sentences.py`` (`make sentences`) writes the catalog that translators are given.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from medical_super_resolution_training.config.recipes import explanation_of, shipped

REPOSITORY = Path(__file__).parents[2]
CORE = REPOSITORY / "MedicalSuperResolution" / "medical_super_resolution"
TRAINING = REPOSITORY / "MedicalSuperResolutionTraining" / "medical_super_resolution_training"
CATALOG = REPOSITORY / "MedicalSuperResolution/Resources/Translations/MedicalSuperResolutionSentences.json"

EXCLUDED = (  # their sentences are for the command line, for Python and for servers, and appear in no panel
    CORE / "api",
    CORE / "cli",
    CORE / "cohort",
    CORE / "models" / "card.py",
    CORE / "models" / "export",
    CORE / "station",
    CORE / "viewer",
    TRAINING / "cli",
    TRAINING / "evaluation",
    CORE / "volumes" / "dicom" / "derived" / "derivation.py",  # and these are written into files
    CORE / "volumes" / "dicom" / "derived" / "codes.py",
    CORE / "volumes" / "io" / "encode.py",
    CORE / "volumes" / "segmentations" / "terminology.py",
    TRAINING / "workflows" / "card.py",
)
ALSO = (CORE / "cohort" / "single.py",)  # by which `medsr enhance` runs
_FEWEST_WORDS = 3  # shorter texts are names and keys
_WORD = re.compile(r"(?<![^ (])[a-z]{2,}(?![^ ,;:.?)])")
_PART = re.compile(r"[ ,;(]")  # how what is only the end of a sentence begins
_NUMBER_TYPE = re.compile(r"((un)?signed|char|short|int|long| )+")
_NOT_SHOWN = {  # what takes texts that go to a terminal or a log, to the reference of recipes, or to programmers
    "print",
    "print_line",
    "info",
    "debug",
    "warning",
    "log",
    "LossTerm",
    "AttributeError",
    "TypeError",
    "ValueError",
}
_STORED = {"__repr__", "description"}  # functions whose texts programmers see, or cards of models keep
_NO_NAMES = {
    "None",
    "as_posix",
    "get",
    "join",
    "len",
    "list",
    "map",
    "max",
    "min",
    "round",
    "sorted",
    "str",
    "sum",
    "upper",
}


def catalog() -> str:
    """The catalog as it should be: one template a line, in the order of their words."""
    found = {_shape(template): template for template in sorted(templates(), reverse=True)}
    lines = ",\n".join("  " + json.dumps({"text": template}) for template in sorted(found.values()))
    return f'{{\n "sentences": [\n{lines}\n ]\n}}\n'


def templates() -> Iterator[str]:
    """Every sentence of the source files that can reach a panel, and the explanation of every recipe."""
    for path in sorted([*CORE.rglob("*.py"), *TRAINING.rglob("*.py")]):
        if path in ALSO or not any(path.is_relative_to(folder) for folder in EXCLUDED):
            yield from templates_of(path.read_text(encoding="utf-8"))
    yield from (_escaped(explanation_of(path)) for path in shipped())


def templates_of(source: str) -> Iterator[str]:
    """The sentences in one source file."""
    tree = ast.parse(source)
    aside = {id(node) for node in _aside(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in aside:
            template = _template(node)
            if _is_sentence(template):
                yield template


def _is_sentence(template: str) -> bool:
    """Whether a text is a sentence, or a part of one that has a meaning of its own."""
    return (
        len(_WORD.findall(template)) >= _FEWEST_WORDS
        and "\n" not in template
        and not _PART.match(template)
        and not _NUMBER_TYPE.fullmatch(template)
    )


def _aside(tree: ast.AST) -> Iterator[ast.AST]:
    """Texts that are no sentence of their own, or that no panel shows.

    Docstrings, parts of an f-string, the log, what another text is compared with, descriptions that a file keeps.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield from node.values
            yield from (part.format_spec for part in node.values if isinstance(part, ast.FormattedValue))
        elif isinstance(node, ast.Call) and {*_words(node.func)} & _NOT_SHOWN:
            yield from node.args
        elif isinstance(node, ast.Compare):
            yield from (node.left, *node.comparators)
        elif isinstance(node, ast.keyword) and node.arg == "series_description":
            yield node.value
        elif isinstance(node, ast.FunctionDef) and node.name in _STORED:
            yield from ast.walk(node)


def _template(node: ast.Constant | ast.JoinedStr) -> str:
    """A text with its values in braces, two neighboring ones as one."""
    if isinstance(node, ast.Constant):
        return _escaped(node.value) if isinstance(node.value, str) else ""
    text, names = "", {}
    for before, part in pairwise([None, *node.values]):
        if isinstance(part, ast.Constant):
            text += _escaped(part.value)
        elif not isinstance(before, ast.FormattedValue):
            text += "{" + _name(part, names) + "}"
    return text


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _name(value: ast.FormattedValue, names: dict[str, str]) -> str:
    """A name for a value, by the last word of its expression; numbered where two differ."""
    written = ast.dump(value)
    if written not in names:
        words = [word.strip("_").lower() for word in _words(value.value) if word not in _NO_NAMES]
        name = (words or ["value"])[-1]
        same = sum(re.fullmatch(rf"{name}\d*", taken) is not None for taken in names.values())
        names[written] = f"{name}{same + 1}" if same else name
    return names[written]


def _words(expression: ast.AST) -> Iterator[str]:
    """The names of variables, attributes and keys, in their order, which is the same in every version of Python."""
    for child in ast.iter_child_nodes(expression):
        yield from _words(child)
    if isinstance(expression, ast.Name):
        yield expression.id
    elif isinstance(expression, ast.Attribute):
        yield expression.attr
    elif isinstance(expression, ast.Constant) and str(expression.value).isidentifier():
        yield str(expression.value)


def _shape(template: str) -> str:
    """A template without the names of its values."""
    return re.sub(r"(?<!\{)\{\w+\}(?!\})", "{}", template)


if __name__ == "__main__":
    CATALOG.write_text(catalog(), encoding="utf-8")
