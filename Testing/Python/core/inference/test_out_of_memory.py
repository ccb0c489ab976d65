"""When a graphics card runs out of memory: smaller tiles, then the CPU, one line each, and the same result.

The card is simulated: the context names a card, and the CPU does its work once it no longer "runs out of memory".
"""

from __future__ import annotations

import logging
import weakref

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import DeviceError
from medical_super_resolution.inference.context import ExecutionContext
from medical_super_resolution.inference.device import device_errors
from medical_super_resolution.inference.enhance import enhance, refiner_of
from medical_super_resolution.inference.planning import plan
from medical_super_resolution.inference.refiners.axis_request import AxisRequest, Denormalizer, VolumeRequest
from medical_super_resolution.inference.refiners.throughplane import SequenceRefiner
from medical_super_resolution.models import file as models
from medical_super_resolution.networks.generators import GENERATORS
from medical_super_resolution.physics.acquisition import SliceProfile
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.intensity import IntensityRange
from medical_super_resolution.volumes.volume import Volume

EVERYTHING = (-np.inf, np.inf)  # a window of normalized values
CUDA_FAILURE = torch.cuda.OutOfMemoryError("CUDA out of memory")
MPS_FAILURE = RuntimeError("MPS backend out of memory (MPS allocated: 5.56 GB, max allowed: 6.80 GB)")
SETTINGS = EnhanceSettings(factor=2, axes="k", device="cpu", slice_profile="gaussian")


def refined_on_a_card(
    volume: Volume,
    model: models.Model,
    monkeypatch: pytest.MonkeyPatch,
    failures: int,
    card: str = "cuda",
    problem: Exception = CUDA_FAILURE,
) -> np.ndarray:
    """What a refiner gives on a card that runs out of memory the first ``failures`` times."""
    context = ExecutionContext(SETTINGS, torch.device("cpu"), 1, lambda done, total: None)
    refiner = SequenceRefiner(model.generator, context)
    really, left = SequenceRefiner._refine, [failures]

    def refine(self, *arguments, **keywords):
        if context.device.type == card and left[0]:
            left[0] -= 1
            raise problem
        context.device = torch.device("cpu")
        really(self, *arguments, **keywords)

    monkeypatch.setattr(SequenceRefiner, "_refine", refine)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (400_000_000, 400_000_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
    context.device = torch.device(card)
    axis_pass = plan(volume.grid, SETTINGS).passes[0]
    result = np.empty(axis_pass.target.shape_kji, np.float32)

    refiner.refine(AxisRequest(volume.array.astype(np.float32) / 1000, axis_pass, result, SliceProfile(), EVERYTHING))
    return result


@pytest.mark.parametrize("failures", [1, 100])
def test_the_result_is_the_same_however_often_the_card_fails(a_volume: Volume, a_model, monkeypatch, failures: int):
    with pytest.MonkeyPatch.context() as never_fails:
        expected = refined_on_a_card(a_volume, a_model, never_fails, 0)

    result = refined_on_a_card(a_volume, a_model, monkeypatch, failures)

    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize(("card", "problem"), [("cuda", CUDA_FAILURE), ("mps", MPS_FAILURE)])
def test_each_step_down_is_logged_in_one_line(a_volume: Volume, a_model, monkeypatch, caplog, card: str, problem):
    with caplog.at_level(logging.WARNING):
        refined_on_a_card(a_volume, a_model, monkeypatch, 100, card, problem)

    lines = [record.getMessage() for record in caplog.records]
    sides = [int(line.split()[-2]) for line in lines[:-1]]
    assert lines[-1].endswith("going on with the CPU")
    assert len(sides) > 1
    assert all(after <= before / 2 for before, after in zip(sides[:-1], sides[1:], strict=True))


def test_another_failure_of_the_card_is_not_tried_again(a_volume: Volume, a_model, monkeypatch):
    with pytest.raises(RuntimeError, match="MPS backend failed"):
        refined_on_a_card(a_volume, a_model, monkeypatch, 1, "mps", RuntimeError("MPS backend failed"))


def test_what_apples_card_keeps_is_freed_before_the_next_attempt(a_volume: Volume, a_model, monkeypatch):
    freed = []
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: freed.append(1))
    refined_on_a_card(a_volume, a_model, monkeypatch, 3, "mps", MPS_FAILURE)
    assert freed == [1, 1, 1]


def test_free_memory_is_read_after_the_failed_attempt_is_gone():
    """The traceback of a failure holds its frames, and those hold the tensors that filled the card."""
    context = ExecutionContext(SETTINGS, torch.device("cpu"), 1, lambda done, total: None)
    context.device = torch.device("cuda")
    alive: list[weakref.ref] = []

    def attempt() -> None:
        tensor = torch.zeros(4)
        if not alive:
            alive.append(weakref.ref(tensor))
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    alive_at_retry = []
    context.retry_with_less_memory(attempt, lambda: alive_at_retry.append(alive[0]()))

    assert alive_at_retry == [None]


@pytest.mark.parametrize("failures", [0, 1, 100])
def test_an_in_plane_model_takes_fewer_slices_and_then_the_cpu(failures: int, monkeypatch, caplog):
    config_class, generator_class = GENERATORS["srcnn"]
    torch.manual_seed(0)
    generator = generator_class(config_class(channels=(4, 4), kernels=(3, 1, 3))).eval()
    array = np.random.default_rng(0).normal(size=(9, 8, 10)).astype(np.float32)
    grid = Grid(array.shape, np.diag([2.0, 2.0, 4.0, 1.0]))
    planned = plan(grid, EnhanceSettings(factor=2, axes="in-plane"))
    denormalizer = Denormalizer(IntensityRange(0, 1), np.dtype(np.float32), None)
    context = ExecutionContext(SETTINGS, torch.device("cpu"), 1, lambda done, total: None)
    refiner = refiner_of(generator, context)
    really, left = type(refiner)._refine, [failures]
    request = VolumeRequest(array, planned, {}, EVERYTHING, denormalizer)
    expected = refiner.refined(request, np.empty)

    def refine(self, *arguments):
        if context.device.type == "cuda" and left[0]:
            left[0] -= 1
            self._slices = self._slices_at_a_time(320, len(array))
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        context.device = torch.device("cpu")
        really(self, *arguments)

    monkeypatch.setattr(type(refiner), "_refine", refine)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (400_000_000, 400_000_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
    context.device = torch.device("cuda")
    with caplog.at_level(logging.WARNING):
        found = refiner.refined(request, np.empty)

    np.testing.assert_allclose(found, expected, atol=1e-5)
    said = [record.getMessage().partition("going on with ")[2] for record in caplog.records]
    every = ["4 slices at a time", "2 slices at a time", "1 slices at a time", "the CPU"]
    assert said == every[:failures]


def test_a_cpu_that_runs_out_of_memory_is_not_tried_again(a_volume: Volume, a_model, monkeypatch):
    asked = []

    def fail(*_, **__):
        asked.append(1)
        raise torch.cuda.OutOfMemoryError("out of memory")

    monkeypatch.setattr(SequenceRefiner, "_refine", fail)
    with pytest.raises(DeviceError):
        enhance(a_volume, a_model, SETTINGS)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (CUDA_FAILURE, "graphics card ran out of memory"),
        (MPS_FAILURE, "graphics card ran out of memory"),
        (
            RuntimeError("CUDA error: unspecified launch failure\nmore"),
            r"failed \(CUDA error: unspecified launch failure\)",
        ),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "the computer ran out of memory"),
        (RuntimeError("can't start new thread"), "no further thread; close other programs, or compute with fewer"),
    ],
)
def test_a_failure_of_the_device_becomes_a_sentence(raised: Exception, said: str):
    with pytest.raises(DeviceError, match=said), device_errors():
        raise raised


def test_an_error_of_the_program_is_not_taken_for_a_failure_of_the_device():
    with pytest.raises(RuntimeError, match="shapes"), device_errors():
        raise RuntimeError("shapes do not fit")


@pytest.mark.parametrize(
    ("voxels", "asked", "computer", "expected"),
    [
        (256 * 256 * 32, None, 24e9, 0.6e9),
        (512 * 512 * 100, None, 24e9, 1e9),  # long work gets larger tiles
        (512 * 512 * 100, None, 2e9, 0.6 * 2e9 - 0.35e9 - 0.2e9),  # as far as the computer has room
        (512 * 512 * 100, 2, 24e9, 2e9 - 0.35e9 - 0.2e9),  # what was allowed is used, of the whole program
        (256 * 256 * 32, None, 0.9e9, 0.1e9),
    ],
)
def test_the_work_gets_memory_by_its_size_as_far_as_there_is_any(
    monkeypatch: pytest.MonkeyPatch, voxels: int, asked: float | None, computer: float, expected: float
):
    monkeypatch.setattr("medical_super_resolution.inference.cost.physical_bytes", lambda: computer)
    monkeypatch.setattr(torch.version, "cuda", None)
    context = ExecutionContext(EnhanceSettings(memory_gb=asked), torch.device("cpu"), voxels, lambda done, total: None)
    context.held_bytes = 200_000_000
    assert context.working_bytes() == pytest.approx(expected)
    monkeypatch.setattr(torch.version, "cuda", "12.8")  # its libraries take memory, too
    assert expected - 0.1e9 - 1 <= context.working_bytes() <= expected
