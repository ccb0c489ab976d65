"""The benchmark says what it promises. How fast this machine is, no test may ask."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

from command_line import Medsr
from medical_super_resolution import models
from medical_super_resolution.learning.generators.srcnn import SrcnnConfig, SrcnnGenerator
from medical_super_resolution.learning.generators.through_plane import ThroughPlaneGenerator

SMALL = ("--side", 24, "--slices", 4, "--threads", 1, "--device", "cpu")


def test_the_benchmark_measures_each_stage_and_each_ratio(
    medsr: Medsr, a_model_file: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "monai", None)  # as if it were not installed
    monkeypatch.setitem(sys.modules, "monai.inferers", None)
    status, out, err = medsr("benchmark", "--model", a_model_file, *SMALL, "--json")
    assert (status, err) == (0, "")
    facts = json.loads(out)
    stages = facts["program_stages_seconds"]
    assert set(stages) == {"read", "transfer", "network", "interpolation", "consistency", "output", "write"}
    for name in ("overhead_ratio", "air_ratio", "growth_ratio", "arithmetic_floor_seconds", "part_of_the_larger_floor"):
        assert math.isfinite(facts[name])
        assert facts[name] > 0
    assert facts["precision"] == "float32"
    assert facts["engine_seam"] < 1e-5
    assert "pip install medical-super-resolution[benchmark]" in facts["monai"]


def test_a_model_of_another_kind_gets_one_sentence(medsr: Medsr, tmp_path: Path):
    path = tmp_path / "plane.safetensors"
    models.save(path, "srcnn", SrcnnGenerator(SrcnnConfig(factor=2, channels=(8, 4))), {})
    status, out, err = medsr("benchmark", "--model", path, *SMALL)
    assert (status, out) == (1, "")
    assert err.startswith("error: the benchmark measures models that refine slice sequences")


def test_the_shipped_model_is_one_that_can_be_measured():
    assert isinstance(models.load(models.find("general")).generator, ThroughPlaneGenerator)
