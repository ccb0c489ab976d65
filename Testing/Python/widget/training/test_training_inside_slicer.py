"""The tests that ctest runs inside Slicer also pass here, which keeps them up to date."""

from __future__ import annotations

import importlib
import importlib.util
import types
import unittest
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "Slicer" / "MedicalSuperResolutionTrainingWidgetTest.py"


@pytest.fixture
def a_main_window(
    a_training_panel: Any, a_slicer: Any, slicer_python: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As much of it as these tests ask for."""
    from widget.helpers import process_events

    enhance = types.SimpleNamespace(
        logic=importlib.import_module("MedicalSuperResolution").MedicalSuperResolutionLogic()
    )
    widgets = {"MedicalSuperResolutionTraining": a_training_panel, "MedicalSuperResolution": enhance}
    monkeypatch.setattr(a_slicer, "processEvents", lambda: process_events(0.01, lambda: False))
    monkeypatch.setattr(slicer_python.util, "selectModule", lambda name: a_training_panel.enter())
    monkeypatch.setattr(slicer_python.util, "getModuleWidget", lambda name: widgets[name])


def test_the_tests_inside_slicer_pass(a_main_window: None):
    specification = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromModule(script).run(result)
    assert result.testsRun > 4
    assert [text for _, text in result.errors + result.failures] == []
