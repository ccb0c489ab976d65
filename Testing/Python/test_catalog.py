"""The entry for Slicer's catalog of extensions fits its schema and CMakeLists.txt."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json#"
)
KINDS = {  # of the schema, version 1.0.2
    "$schema": str,
    "category": str,
    "scm_url": str,
    "scm_revision": str,
    "scm_type": str,
    "build_dependencies": list,
    "dicom_support_rule": str,
    "build_subdirectory": str,
    "enabled": bool,
    "tier": int,
}
REQUIRED = {"$schema", "category", "scm_url"}


@pytest.fixture
def an_entry() -> dict[str, Any]:
    return json.loads((REPOSITORY / "Resources" / "Catalog" / "MedicalSuperResolution.json").read_text())


@pytest.fixture
def a_description() -> str:
    """The extension's CMakeLists.txt."""
    return (REPOSITORY / "CMakeLists.txt").read_text()


def test_the_entry_keeps_to_its_schema(an_entry: dict[str, Any]):
    assert an_entry["$schema"] == SCHEMA
    assert REQUIRED <= an_entry.keys() <= KINDS.keys()
    assert [key for key, value in an_entry.items() if type(value) is not KINDS[key]] == []
    assert all(isinstance(name, str) for name in an_entry["build_dependencies"])
    assert 1 <= an_entry["tier"] <= 5
    assert an_entry.get("scm_type", "git") in ("git", "local")


def test_the_entry_leads_to_this_extension(an_entry: dict[str, Any]):
    """As long as the repository has no public address, by the way on this disk."""
    if an_entry.get("scm_type", "git") == "local":
        home = REPOSITORY / "Resources" / "Catalog" / an_entry["scm_url"]
        assert home.resolve() == REPOSITORY
    else:
        assert re.fullmatch(r"https://\S+", an_entry["scm_url"])


def test_the_entry_depends_on_what_the_extension_depends_on(an_entry: dict[str, Any], a_description: str):
    depends = re.search(r"set\(EXTENSION_DEPENDS ([^)]*)\)", a_description)[1]
    assert an_entry["build_dependencies"] == re.findall(r"[\w-]+", depends)


def test_the_entry_has_the_name_and_category_of_the_module(an_entry: dict[str, Any], a_description: str):
    assert re.search(r"project\((\w+)\)", a_description)[1] == "MedicalSuperResolution"
    module = (REPOSITORY / "MedicalSuperResolution" / "MedicalSuperResolution.py").read_text()
    assert f'"{an_entry["category"]}")]' in module


def test_the_catalog_finds_a_license_and_the_listed_files():
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text()
    assert (REPOSITORY / "Resources" / "MedicalSuperResolution.png").is_file()
    assert len(list((REPOSITORY / "Resources" / "Screenshots").glob("slicer*.png"))) == 3
