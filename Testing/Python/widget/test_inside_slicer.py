"""The tests that ctest runs inside Slicer also pass here, which keeps them up to date."""

from __future__ import annotations

import types
from typing import Any

import pytest

from widget.helpers import process_events, run_tests_of_slicer


@pytest.fixture
def the_real_runner(a_panel: Any, the_module: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Child processes, as in Slicer."""
    from MedicalSuperResolutionLib.process.runner import Runner

    monkeypatch.setattr(the_module, "Runner", Runner)


@pytest.fixture
def a_main_window(
    a_panel: Any, a_slicer: Any, slicer_python: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As much of it as these tests ask for: modules, slice views and files."""
    import slicer_host
    from widget import slicer_widgets

    util, scene, manager = slicer_python.util, slicer_python.mrmlScene, slicer_widgets.LayoutManager(a_slicer)
    monkeypatch.setattr(a_slicer, "layoutManager", lambda: manager)
    monkeypatch.setattr(a_slicer, "processEvents", lambda: process_events(0.01, lambda: False))
    monkeypatch.setattr(util, "selectModule", lambda name: a_panel.enter())
    monkeypatch.setattr(util, "getModuleWidget", lambda name: a_panel)
    monkeypatch.setattr(util, "saveScene", lambda path: slicer_host.save_bundle(scene, path) or True)
    monkeypatch.setattr(util, "loadScene", lambda path: slicer_host.load_bundle(scene, path))


@pytest.mark.parametrize("name", ["MedicalSuperResolutionWidgetTest", "MedicalSuperResolutionCompareTest"])
def test_the_tests_inside_slicer_pass(the_real_runner: None, a_main_window: None, name: str):
    run_tests_of_slicer(name)
