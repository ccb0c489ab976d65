"""On a graphics card: the same result as on the CPU, in tiles or whole, after a real lack of memory, and measured.

Run with ``python -m pytest -m gpu``; it takes a few minutes on one card.
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from medical_super_resolution.cli.benchmark.run import run as run_benchmark
from medical_super_resolution.cli.benchmark.workloads import synthetic_ct
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.refiners import throughplane
from medical_super_resolution.models.file import Model
from medical_super_resolution.networks.generators import GENERATORS
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.intensity import HOUNSFIELD_RANGE
from medical_super_resolution.volumes.volume import Volume

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card that PyTorch can use with CUDA"),
]
ON_CUDA = EnhanceSettings(factor=4, axes="k", device="cuda", slice_profile="gaussian", precision="float32")
RANGE = HOUNSFIELD_RANGE[1] - HOUNSFIELD_RANGE[0]


@pytest.fixture(scope="module")
def a_body() -> Volume:
    """16 x 192 x 192 voxels, without rounding."""
    volume = synthetic_ct(192, 16)
    return replace(volume, array=volume.array.astype(np.float32))


@pytest.fixture
def limited_memory():
    """Let torch use a small part of the card only; what is free beside it is not known to the program."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory

    def limit(size: float) -> None:
        torch.cuda.set_per_process_memory_fraction(min(1.0, size / total))

    yield limit
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def difference(one: Volume, other: Volume) -> np.ndarray:
    """As parts of the range."""
    return np.abs(one.array - other.array) / RANGE


@pytest.mark.parametrize("axes", ["k", "ij"])
def test_cpu_and_cuda_agree(a_body: Volume, the_shipped_model: Model, axes: str):
    small = Volume(a_body.array[:8, :64, :64].copy(), replace(a_body.grid, shape_kji=(8, 64, 64)), modality="ct")
    settings = replace(ON_CUDA, axes=axes, factor=2)
    on_cuda = enhance(small, the_shipped_model, settings)
    on_cpu = enhance(small, the_shipped_model, replace(settings, device="cpu"))

    assert on_cuda.report.device.startswith("cuda")
    assert difference(on_cuda.volume, on_cpu.volume).max() <= 1e-3
    assert on_cuda.report.consistency_error_rms == pytest.approx(on_cpu.report.consistency_error_rms, abs=1e-3 * RANGE)


def test_mixed_precision_is_the_default_and_near_to_the_cpu(a_body: Volume, the_shipped_model: Model):
    mixed = enhance(a_body, the_shipped_model, replace(ON_CUDA, precision="auto"))
    exact = enhance(a_body, the_shipped_model, replace(ON_CUDA, device="cpu"))

    assert mixed.report.precision == "mixed"
    assert 0 < difference(mixed.volume, exact.volume).max() <= 5e-3


def test_every_in_plane_generator_gives_the_same_on_both(a_body: Volume, the_shipped_model: Model):
    small = Volume(a_body.array[:3, :48, :48].copy(), replace(a_body.grid, shape_kji=(3, 48, 48)), modality="ct")
    settings = EnhanceSettings(precision="float32", device="cuda")
    for name, (config_class, generator_class) in GENERATORS.items():
        torch.manual_seed(0)
        generator = generator_class(config_class()).eval().requires_grad_(False)
        if not generator.capabilities.in_one_pass:
            continue
        model = replace(the_shipped_model, name=name, generator=generator)
        on_cuda, on_cpu = (enhance(small, model, replace(settings, device=one)).volume for one in ("cuda", "cpu"))
        assert difference(on_cuda, on_cpu).max() <= 1e-3, name


def test_the_result_does_not_depend_on_the_tiles(a_body: Volume, the_shipped_model: Model, monkeypatch):
    whole = enhance(a_body, the_shipped_model, ON_CUDA)
    monkeypatch.setattr(throughplane, "_LARGEST_SIDE", dict.fromkeys(throughplane._LARGEST_SIDE, 48))
    tiled = enhance(a_body, the_shipped_model, ON_CUDA)

    assert difference(whole.volume, tiled.volume).max() <= 1e-4


def test_the_same_run_twice_gives_the_same_bytes(a_body: Volume, the_shipped_model: Model):
    first, second = (enhance(a_body, the_shipped_model, ON_CUDA).volume.array.tobytes() for _ in range(2))

    assert first == second


def test_after_a_real_lack_of_memory_smaller_tiles_give_the_same(
    a_body: Volume, the_shipped_model: Model, limited_memory, caplog
):
    expected = enhance(a_body, the_shipped_model, ON_CUDA)
    used = torch.cuda.max_memory_allocated()
    torch.cuda.empty_cache()
    limited_memory(0.5 * used)
    with caplog.at_level(logging.WARNING):
        found = enhance(a_body, the_shipped_model, ON_CUDA)

    lines = [record.getMessage() for record in caplog.records]
    assert any("going on with tiles of" in line for line in lines)
    assert found.report.device.startswith("cuda")
    assert difference(found.volume, expected.volume).max() <= 1e-4


def test_a_card_that_is_too_small_leaves_the_work_to_the_cpu(
    a_body: Volume, the_shipped_model: Model, limited_memory, caplog
):
    small = Volume(a_body.array[:8, :64, :64].copy(), replace(a_body.grid, shape_kji=(8, 64, 64)), modality="ct")
    expected = enhance(small, the_shipped_model, replace(ON_CUDA, device="cpu"))
    limited_memory(4e6)
    with caplog.at_level(logging.WARNING):
        found = enhance(small, the_shipped_model, ON_CUDA)

    assert caplog.records[-1].getMessage().endswith("going on with the CPU")
    assert found.report.device == "cpu"
    assert difference(found.volume, expected.volume).max() <= 1e-4


def test_the_model_of_the_caller_stays_on_the_cpu(a_body: Volume, the_shipped_model: Model):
    enhance(a_body, the_shipped_model, ON_CUDA)

    assert {one.device.type for one in the_shipped_model.generator.parameters()} == {"cpu"}


def test_the_benchmark_measures_the_card_and_finds_no_seams(monkeypatch):
    """Its ratios are measured and not judged: they compare a card with the processor and the bus beside it."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for its child process, where nothing is installed
    facts = run_benchmark("general", EnhanceSettings(device="cuda"), side=256, slices=32, show=lambda line: None)

    assert facts["device"] == torch.cuda.get_device_name()
    assert facts["precision"] == "mixed"
    assert facts["engine_seam"] <= 5e-3
    assert 0 < facts["part_of_the_larger_floor"] <= 1
    assert min(facts[name] for name in ("overhead_ratio", "air_ratio", "growth_ratio")) > 0
