"""The tests that ctest runs inside Slicer also pass here, which keeps them up to date."""

from __future__ import annotations

import importlib
import types
from typing import Any

import pytest

from widget.helpers import process_events, run_tests_of_slicer


@pytest.fixture
def a_main_window(
    a_training_panel: Any, a_slicer: Any, slicer_python: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As much of it as these tests ask for."""
    enhance = types.SimpleNamespace(
        logic=importlib.import_module("MedicalSuperResolution").MedicalSuperResolutionLogic()
    )
    widgets = {"MedicalSuperResolutionTraining": a_training_panel, "MedicalSuperResolution": enhance}
    monkeypatch.setattr(a_slicer, "processEvents", lambda: process_events(0.01, lambda: False))
    monkeypatch.setattr(slicer_python.util, "selectModule", lambda name: a_training_panel.enter())
    monkeypatch.setattr(slicer_python.util, "getModuleWidget", lambda name: widgets[name])


def test_the_tests_inside_slicer_pass(a_main_window: None):
    run_tests_of_slicer("MedicalSuperResolutionTrainingWidgetTest")
