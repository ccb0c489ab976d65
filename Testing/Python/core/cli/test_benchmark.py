"""The benchmark reports what it promises; no test depends on the speed of this machine."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from command_line import Medsr
from medical_super_resolution.cli.benchmark import roofline, timing, workloads
from medical_super_resolution.cli.commands import benchmark as command
from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.inference.context import ExecutionContext
from medical_super_resolution.inference.refiners import throughplane
from medical_super_resolution.inference.refiners.tiling import Tile, tiles
from medical_super_resolution.models import file as models
from medical_super_resolution.models import store
from medical_super_resolution.networks.generators.srcnn import SrcnnConfig, SrcnnGenerator
from medical_super_resolution.networks.generators.through_plane import ThroughPlaneConfig, ThroughPlaneGenerator
from medical_super_resolution.progress import ignore
from medical_super_resolution.settings import EnhanceSettings

SMALL = ("--side", 24, "--slices", 4, "--threads", 1, "--device", "cpu")


def test_the_benchmark_measures_each_stage_and_each_ratio(
    medsr: Medsr, a_model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("monai", "monai.inferers"):
        monkeypatch.setitem(sys.modules, name, None)
    history = tmp_path / "history.jsonl"
    history.write_text('{"an": "earlier line"}\n')
    status, out, err = medsr("benchmark", "--model", a_model_file, *SMALL, "--json", "--append", history)
    assert status == 0
    lines = err.splitlines()
    assert all(line.startswith("measuring ") for line in lines)
    assert lines[0].startswith("measuring the whole program")
    assert any(line.startswith("measuring the bare network, half of the slices, again") for line in lines)
    facts = json.loads(out)
    stages = facts["program_stages_seconds"]
    assert set(stages) == {"read", "profile", "transfer", "network", "interpolation", "consistency", "output", "write"}
    for name in (
        "overhead_ratio",
        "air_ratio",
        "growth_ratio",
        "arithmetic_floor_seconds",
        "part_of_the_larger_floor",
    ):
        assert math.isfinite(facts[name])
        assert facts[name] > 0
    assert 0 < facts["program_seconds_to_first_line"] <= facts["program_seconds_to_first_voxels"]
    assert facts["program_seconds_to_first_voxels"] < facts["program_seconds"]
    assert ("memory_ratio" in facts) == (facts["program_peak_memory_mb"] is not None)
    assert facts["precision"] == "float32"
    assert facts["engine_seam"] < 1e-5
    assert 'pip install "medical-super-resolution[benchmark]"' in facts["monai"]
    earlier, line = history.read_text().splitlines()
    assert earlier == '{"an": "earlier line"}'
    again = json.loads(line)
    assert (again["date"], again["threads"], again["engine"]) == (facts["date"], 1, facts["engine"])
    assert again["engine_seconds"] == pytest.approx(facts["engine_seconds"], rel=1e-3)


def test_the_quickest_round_of_each_work_counts(monkeypatch: pytest.MonkeyPatch):
    clock = iter([0, 3, 10, 14, 20, 25, 30, 31])  # begin and end of: first, second; first, second
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    results = iter("abcd")
    works = dict.fromkeys(["first", "second"], lambda: next(results))
    assert timing.quickest(works, lambda line: None) == [(3, "a"), (1, "d")]


def test_a_slow_machine_measures_once_to_end_within_two_minutes(monkeypatch: pytest.MonkeyPatch):
    clock = iter([0, 12, 12, 31])  # begin and end of: first, second
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    shown: list[str] = []
    assert timing.quickest(dict.fromkeys(["first", "second"], lambda: None), shown.append) == [(12, None), (19, None)]
    assert shown == ["measuring first", "measuring second"]


def test_the_table_says_machine_engine_and_date_and_leaves_out_what_was_not_measured():
    facts = {
        "date": "2026-11-30", "version": "0.1.0", "engine": "torch 2.13.0", "processor": "one of a kind",
        "model": "general", "device": "cpu", "precision": "float32", "threads": 2, "volume": "24x24x8, x4",
        "microseconds_per_measured_voxel": 7.504, "part_of_the_larger_floor": 0.34, "program_peak_memory_mb": None,
        "stages_seconds": {"network": 1.5}, "program_stages_seconds": {"read": 0.25},
    }  # fmt: skip
    lines = command.table(facts).splitlines()
    assert facts["engine"] in lines[0]
    assert facts["date"] in lines[0]
    assert lines[1] == f"{facts['processor']}, 2 threads, on cpu in float32"
    assert any(line.split()[-2:] == ["7.50", "µs"] for line in lines)
    assert any(line.endswith("34%") for line in lines)
    assert not any("peak memory" in line for line in lines)
    assert lines[-1] == "Whole program, seconds: read 0.25"


def test_the_seam_is_measured_between_many_tiles_whatever_memory_there_is(
    a_model_file: Path, monkeypatch: pytest.MonkeyPatch
):
    model, volume = models.load(a_model_file), workloads.corner_of(workloads.synthetic_ct(48, 4))
    settings = EnhanceSettings(factor=4, axes="k", device="cpu", memory_gb=100)
    network = workloads.NetworkAlone(model, volume, ExecutionContext(settings, torch.device("cpu"), 1, ignore))
    found: list[Tile] = []
    monkeypatch.setattr(throughplane, "tiles", lambda *place: found.extend(tiles(*place)) or found)
    tiled = network.tiled(volume.grid)
    assert len(found) == 9
    np.testing.assert_allclose(tiled, network.whole()[0, 0].numpy(), atol=1e-5)


def test_a_history_that_cannot_be_written_gets_one_sentence(tmp_path: Path):
    with pytest.raises(SuperResolutionError, match="could not be written"):
        command.append_to_history(tmp_path / "no" / "history.jsonl", {})


@pytest.mark.parametrize(
    ("name", "said"), [("no/history.jsonl", "the folder {} does not exist; make it first"), ("no", "{} is a folder")]
)
def test_a_history_that_cannot_be_is_refused_before_anything_is_measured(
    medsr: Medsr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
):
    monkeypatch.setattr(
        "medical_super_resolution.cli.benchmark.run.run", lambda *_, **__: pytest.fail("it was measured")
    )
    if name == "no":
        (tmp_path / "no").mkdir()
    status, out, err = medsr("benchmark", "--append", tmp_path / name)
    assert (status, out) == (1, "")
    assert err.startswith(f"error: {said.format(tmp_path / 'no')}")


def test_the_floor_counts_what_pytorch_counts():
    generator, factor = ThroughPlaneGenerator(ThroughPlaneConfig(channels=8, blocks=2, pairs=2)), 4.0
    lr = torch.rand(1, 1, 6, 7, 9)
    with FlopCounterMode(display=False) as counter:
        generator.features(lr, 1.0)
    operations, values = roofline.work_a_voxel(generator, factor)
    head = 4 * 8 * factor
    assert operations - head == pytest.approx(counter.get_total_flops() / lr.numel(), rel=1e-3)
    assert 2 * 8 * 10 < values < operations


def test_a_volume_too_small_to_measure_gets_one_sentence(medsr: Medsr, a_model_file: Path):
    status, out, err = medsr("benchmark", "--model", a_model_file, "--side", 24, "--slices", 3)
    assert (status, out) == (1, "")
    assert err == "error: the benchmark needs 4 slices of 16 rows and columns at least\n"


def test_a_model_of_another_kind_gets_one_sentence(medsr: Medsr, tmp_path: Path):
    path = tmp_path / "plane.safetensors"
    models.save(path, "srcnn", SrcnnGenerator(SrcnnConfig(factor=2, channels=(8, 4))), {})
    status, out, err = medsr("benchmark", "--model", path, *SMALL)
    assert (status, out) == (1, "")
    assert err.startswith("error: the benchmark measures models that refine slice sequences")


def test_the_shipped_model_is_one_that_can_be_measured():
    assert isinstance(models.load(store.find("general")).generator, ThroughPlaneGenerator)
