"""Enhancing from the Python console, and the module's own self tests."""

from __future__ import annotations

from typing import Any

from medical_super_resolution.settings import EnhanceSettings
from widget.helpers import volume_names, wait


def test_a_script_gets_the_node(the_module: Any, a_thick_volume: Any, a_runner: Any):
    logic = the_module.MedicalSuperResolutionLogic()
    heard = []
    node = logic.enhance(a_thick_volume, factor=2, progress=lambda *step: heard.append(step), device="cpu")
    assert node.GetImageData().GetDimensions() == (20, 18, 16)
    assert a_runner.settings == EnhanceSettings(factor=2, device="cpu")
    assert heard == [(1, 2)]


def test_a_script_need_not_wait(the_module: Any, a_thick_volume: Any, a_runner: Any):
    logic = the_module.MedicalSuperResolutionLogic()
    running = logic.enhance(a_thick_volume, spacing=[1, 1, 1.5], wait=False)
    assert running.is_running
    a_runner.finish()
    wait(lambda: not running.is_running)
    assert volume_names() == ["Thick", "Thick enhanced"]


def test_the_self_tests_pass(the_module: Any, slicer_python: Any, a_panel: Any, monkeypatch: Any):
    """As far as they can outside Slicer: the panel's."""
    monkeypatch.setattr(slicer_python.util, "getModuleWidget", lambda name: a_panel)
    test = the_module.MedicalSuperResolutionTest("test_the_panel_says_what_enhance_will_do")
    test.setUp()
    test.test_the_panel_says_what_enhance_will_do()
