"""Enhancing from the Python console, and the module's own self tests."""

from __future__ import annotations

import socket
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.settings import EnhanceSettings
from widget.helpers import check_passing, take_torch_away, volume_names, wait


def test_a_script_gets_the_node(the_module: Any, a_thick_volume: Any, a_runner: Any):
    logic = the_module.MedicalSuperResolutionLogic()
    heard = []
    node = logic.enhance(a_thick_volume, factor=2, progress=lambda *step: heard.append(step), device="cpu")
    assert node.GetImageData().GetDimensions() == (20, 18, 16)
    assert a_runner.settings == EnhanceSettings(factor=2, device="cpu")
    assert heard == [(1, 2)]
    assert a_runner.is_closed


def test_a_script_need_not_wait(the_module: Any, a_thick_volume: Any, a_runner: Any):
    logic = the_module.MedicalSuperResolutionLogic()
    running = logic.enhance(a_thick_volume, spacing=[1, 1, 1.5], wait=False)
    assert running.is_running
    a_runner.finish()
    wait(lambda: not running.is_running)
    assert volume_names() == ["Thick", "Thick 1.5 mm"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"volumeNode": "Thick"}, "'Thick' is no vtkMRMLVolumeNode; give a node"),
        ({"volumeNode": None}, "None is no vtkMRMLVolumeNode"),
        ({"outputVolume": "Mine"}, "'Mine' is no vtkMRMLVolumeNode"),
        ({"roi": "R"}, "'R' is no vtkMRMLMarkupsROINode"),
        ({"factor": "x"}, "factor must be a number, got 'x'"),
        ({"spacing": 1.0}, "three values in mm"),
        ({"spacing": ["a", 1, 1]}, "three values in mm"),
        ({"in_process": True, "wait": False}, "leave out one"),
    ],
    ids=str,
)
def test_what_only_a_script_can_pass_is_refused_in_a_sentence(
    the_module: Any, a_thick_volume: Any, options: Any, sentence: str
):
    logic = the_module.MedicalSuperResolutionLogic()
    with pytest.raises(SuperResolutionError, match=sentence):
        logic.enhance(**({"volumeNode": a_thick_volume} | options))
    assert volume_names() == ["Thick"]


@pytest.mark.parametrize(
    ("nodes", "spacing", "sentence"),
    [
        ("AB", None, "'A' is no vtkMRMLVolumeNode"),
        ((None, None), None, "None is no vtkMRMLVolumeNode"),
        (None, None, "None is no vtkMRMLVolumeNode"),
        (iter(()), None, "fusion needs 2 to 12 stacks"),
        ((), "x", "spacing_mm must be a number, got 'x'"),
        ((), -1, "must be above 0 mm, got -1"),
    ],
)
def test_what_a_script_cannot_fuse_is_refused_in_a_sentence(the_module: Any, nodes: Any, spacing: Any, sentence: str):
    with pytest.raises(SuperResolutionError, match=sentence):
        the_module.MedicalSuperResolutionLogic().fuse(nodes, spacing)


def test_one_volume_or_an_array_of_factors_is_refused_in_a_sentence(the_module: Any, a_thick_volume: Any):
    logic = the_module.MedicalSuperResolutionLogic()
    with pytest.raises(SuperResolutionError, match="fusion needs 2 to 12 stacks of one session, and 1 "):
        logic.fuse(a_thick_volume)
    with pytest.raises(SuperResolutionError, match="factor must be a number"):
        logic.enhance(a_thick_volume, factor=np.array([2, 2, 2]))


def test_a_script_exports_and_refines_nodes_only(the_module: Any, a_thick_volume: Any, tmp_path: Path):
    logic = the_module.MedicalSuperResolutionLogic()
    with pytest.raises(SuperResolutionError, match="'Thick' is no vtkMRMLVolumeNode"):
        logic.export_dicom("Thick", tmp_path)
    with pytest.raises(SuperResolutionError, match="'S' is no vtkMRMLSegmentationNode"):
        logic.refine_segmentation("S", a_thick_volume, a_thick_volume)


def test_numbers_of_numpy_are_numbers(the_module: Any, a_thick_volume: Any, a_runner: Any):
    logic = the_module.MedicalSuperResolutionLogic()
    numbers = {"factor": np.float32(2), "slice_thickness_mm": np.float32(3), "threads": np.int64(1)}
    node = logic.enhance(a_thick_volume, **numbers, uncertainty=np.bool_(False))
    assert node.GetImageData().GetDimensions() == (20, 18, 16)
    assert type(a_runner.settings.threads) is int


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
    check_passing(unittest.defaultTestLoader.loadTestsFromTestCase(the_module.MedicalSuperResolutionTest))
