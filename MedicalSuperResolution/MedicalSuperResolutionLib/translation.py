"""Translation into the language of the application: ``from MedicalSuperResolutionLib.translation import tr as _``.

Outside of the application, as over slicer-core or in a child process, texts stay as they are. The package writes its
refusals and warnings in English, often in another process, and knows nothing of translation. A finished sentence is
therefore recognized by its template in a catalog, and its values are put into the translation.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter

CATALOG = Path(__file__).parents[1] / "Resources" / "Translations" / "MedicalSuperResolutionSentences.json"
_CONTEXT = CATALOG.stem  # under which Slicer's update_translations.py lists the strings of a JSON file


def tr(text: str) -> str:
    """Return the text unchanged."""
    return text


def translate(context: str, text: str) -> str:
    """Return the text unchanged. ``context`` : the name under which translators find it."""
    return text


if "slicer" in sys.modules:  # else importing it would take seconds
    with suppress(ImportError):
        from slicer.i18n import tr, translate  # noqa: F401 - for all others; `tr` finds the file of a text by itself


@dataclass(frozen=True)
class Template:
    """A sentence with a name in braces for each of its values.

    Attributes
    ----------
    text : str
        The sentence, "{path} is a folder; name a file".
    names : tuple of str
        Names of the values, in their order.
    literals : tuple of str
        What stands before, between and behind the values, one more than these.
    """

    text: str
    names: tuple[str, ...]
    literals: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Template:
        """Take a text apart; two braces in a row stand for one.

        Raises
        ------
        ValueError
            The braces of a translation do not match.
        """
        names, literals = [], [""]
        for literal, name, _, _ in Formatter().parse(text):
            literals[-1] += literal
            if name is not None:
                names.append(name)
                literals.append("")
        return cls(text, tuple(names), tuple(literals))

    def values(self, sentence: str) -> dict[str, str] | None:
        """The values in a finished sentence by their names; None where it is another sentence."""
        if not all(literal in sentence for literal in self.literals):  # cheaper than a regular expression
            return None
        found = re.fullmatch("(.*?)".join(map(re.escape, self.literals)), sentence, re.DOTALL)
        return None if found is None else dict(zip(self.names, found.groups(), strict=True))


def translated(sentence: str) -> str:
    """A sentence of the package in the language of the application.

    One that is not in the catalog, or has no translation with the same values, stays as it is. A value that is itself
    a sentence, such as the reason of a refusal, is translated, too.
    """
    for template in templates():
        values = template.values(sentence)
        if values is not None:
            return _filled(template, values) or sentence
    return sentence


@cache
def templates() -> tuple[Template, ...]:
    """The catalog, read when it is needed first; the most specific templates come first."""
    entries = json.loads(CATALOG.read_text(encoding="utf-8"))["sentences"]
    found = (Template.of(entry["text"]) for entry in entries)
    return tuple(sorted(found, key=lambda template: -len("".join(template.literals))))


def _filled(template: Template, values: dict[str, str]) -> str:
    """The translation with its values; empty where translators have mistyped a name."""
    text = translate(_CONTEXT, template.text)
    try:
        if set(Template.of(text).names) == set(template.names):
            return text.format(**{name: translated(value) for name, value in values.items()})
    except (ValueError, LookupError):
        pass
    return ""
