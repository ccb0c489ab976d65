"""What the package says in English is recognized by its template, and said in the language of the application."""

from __future__ import annotations

import json
import runpy
import sys
from types import ModuleType

import pytest

import package_sentences
from medical_super_resolution.errors import SettingsError
from medical_super_resolution.settings import EnhanceSettings
from MedicalSuperResolutionLib import translation


def speak(monkeypatch: pytest.MonkeyPatch, translations: dict[str, str]) -> None:
    """Translate these templates, and no others."""
    monkeypatch.setattr(translation, "translate", lambda context, text: translations.get(text, text))


def test_translators_have_every_sentence_of_the_package():
    found = package_sentences.CATALOG.read_text(encoding="utf-8")
    assert found == package_sentences.catalog(), "a sentence is new, changed or gone: run `make sentences`"


def test_no_sentence_of_the_engine_names_an_option_of_the_command_line():
    """Slicer shows them, too, and the note of a result keeps its warnings; there, the options are controls."""
    folders = [package_sentences.CORE / name for name in ("inference", "models", "networks", "physics")]
    engine = [package_sentences.CORE / "settings.py", *(path for folder in folders for path in folder.rglob("*.py"))]
    said = [one for path in engine for one in package_sentences.templates_of(path.read_text(encoding="utf-8"))]
    assert len(said) > 50
    assert [one for one in said if " --" in one] == []


def test_the_schema_tells_slicer_which_strings_to_translate():
    schema = json.loads(translation.CATALOG.with_name(f"{translation.CATALOG.stem}-schema.json").read_text())
    entry = schema["properties"]["sentences"]["items"]["properties"]
    assert entry == {"text": {"type": "string", "translatable": True}}
    assert translation.CATALOG == package_sentences.CATALOG


@pytest.mark.parametrize(
    ("source", "template"),
    [
        (
            'raise VolumeError(f"{header.path} has {len(sizes)} of {len(wanted)} axes")',
            "{path} has {sizes} of {wanted} axes",
        ),
        ('found.append(f"{high:g} is far above {low:g}")', "{high} is far above {low}"),
        ('raise SettingsError(f"there is no {one.name} beside {two.name}")', "there is no {name} beside {name2}"),
        ('raise SettingsError(f"{name} is too long: {name}{hint}")', "{name} is too long: {name}"),
        ('raise SettingsError("write {} for an empty set")', "write {{}} for an empty set"),
    ],
)
def test_every_value_of_a_sentence_has_a_name(source: str, template: str):
    assert list(package_sentences.templates_of(source)) == [template]


@pytest.mark.parametrize(
    "source",
    [
        '"""A module of three words."""',
        'logger.info("the run is over")',
        'print(f"step {n} is done now")',
        'raise TypeError("write takes a volume")',
        'is_full = "not enough memory" in text',
        "def description(self): return {'profile': 'a box of one slice'}",
    ],
)
def test_what_no_panel_shows_is_not_for_translators(source: str):
    assert list(package_sentences.templates_of(source)) == []


@pytest.mark.parametrize(
    "text", ["unsigned long long int", "signed short int", ", and where it is missing", "; did you mean this?"]
)
def test_what_is_no_sentence_is_not_for_translators(text: str):
    assert list(package_sentences.templates_of(f"found = {text!r}")) == []


def test_every_template_recognizes_its_own_sentences(monkeypatch: pytest.MonkeyPatch):
    templates = translation.templates()
    assert len(templates) > 300
    speak(monkeypatch, {one.text: f"{number}: {one.text}" for number, one in enumerate(templates)})
    for number, one in enumerate(templates):
        said = one.text.format(**{name: f"<{name}>" for name in one.names})
        assert translation.translated(said) == f"{number}: {said}"


def test_a_refusal_is_translated_with_its_values(monkeypatch: pytest.MonkeyPatch):
    speak(monkeypatch, {"unknown device {device}; use one of: {devices}": "{devices} statt {device}"})
    with pytest.raises(SettingsError) as refusal:
        EnhanceSettings(device="abacus")
    assert translation.translated(str(refusal.value)) == "auto, cuda, mps, cpu statt 'abacus'"


def test_a_reason_inside_a_sentence_is_translated_too(monkeypatch: pytest.MonkeyPatch):
    whole = "{path} cannot be read as a volume: {what}; get it again"
    speak(monkeypatch, {whole: "{path}: {what}!", "it is empty": "leer"})
    assert translation.translated("/a b/scan.nii cannot be read as a volume: it is empty; get it again") == (
        "/a b/scan.nii: leer!"
    )


@pytest.mark.parametrize("mistyped", ["{Pfad}: ein Fehler", "ein Fehler", "{path: ein Fehler", "{path} {0}"])
def test_a_translation_that_loses_a_value_is_not_used(monkeypatch: pytest.MonkeyPatch, mistyped: str):
    speak(monkeypatch, {"{path} is a folder; name a file": mistyped})
    assert translation.translated("/scans is a folder; name a file") == "/scans is a folder; name a file"


def test_an_unknown_sentence_stays_as_it_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(translation, "translate", lambda context, text: "?")
    assert translation.translated("Choose a volume.") == "Choose a volume."


def test_in_the_application_texts_are_translated_by_slicer(monkeypatch: pytest.MonkeyPatch):
    slicers = ModuleType("slicer.i18n")
    slicers.tr, slicers.translate = str.upper, lambda context, text: f"{context}: {text}"
    monkeypatch.setitem(sys.modules, "slicer", ModuleType("slicer"))
    monkeypatch.setitem(sys.modules, "slicer.i18n", slicers)
    inside = runpy.run_path(translation.__file__)
    assert (inside["tr"], inside["translate"]) == (slicers.tr, slicers.translate)
