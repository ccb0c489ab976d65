"""Enhancing from the Python console, and the module's own self tests."""

from __future__ import annotations

import socket
import unittest
from typing import Any

import pytest

from medical_super_resolution.settings import EnhanceSettings
from widget.helpers import take_torch_away, volume_names, wait


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
    assert volume_names() == ["Thick", "Thick 1.5 mm"]


@pytest.mark.parametrize("torch", [True, False], ids=["with torch", "without torch"])
def test_the_self_tests_pass_without_network_and_main_window(
    the_module: Any, slicer_python: Any, a_panel: Any, monkeypatch: pytest.MonkeyPatch, torch: bool
):
    def connect(*address: Any) -> None:
        raise AssertionError("a self test asked the network")

    if not torch:
        take_torch_away(monkeypatch)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(slicer_python.util, "mainWindow", lambda: None)
    monkeypatch.setattr(slicer_python.util, "getModuleWidget", lambda name: a_panel)
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(the_module.MedicalSuperResolutionTest)
    result = unittest.TestResult()
    tests.run(result)
    assert result.testsRun > 1
    assert [text for _, text in result.errors + result.failures] == []
