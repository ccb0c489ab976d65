"""When a graphics card runs out of memory: smaller tiles, then the CPU, one line each, and the same result.

The card is played: the workbench names a card, whose work the CPU does once it no longer "runs out of memory".
"""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import DeviceError
from medical_super_resolution.inference.context import ExecutionContext
from medical_super_resolution.inference.device import failures_in_words
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.planning import plan
from medical_super_resolution.inference.throughplane import AxisRequest, Refiner
from medical_super_resolution.models import file as models
from medical_super_resolution.physics.acquisition import SliceProfile
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.volume import Volume

SETTINGS = EnhanceSettings(factor=2, axes="k", device="cpu", slice_profile="gaussian")


@pytest.fixture
def a_model(a_model_file) -> models.Model:
    return models.load(a_model_file)


def refined_on_a_card(
    volume: Volume, model: models.Model, monkeypatch: pytest.MonkeyPatch, failures: int
) -> np.ndarray:
    """What a refiner gives on a card that runs out of memory the first ``failures`` times."""
    context = ExecutionContext(SETTINGS, torch.device("cpu"), 1, lambda done, total: None)
    refiner = Refiner(model.generator, context)
    really, left = Refiner._refine, [failures]

    def refine(self, *arguments, **keywords):
        if context.device.type == "cuda" and left[0]:
            left[0] -= 1
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        context.device = torch.device("cpu")
        really(self, *arguments, **keywords)

    monkeypatch.setattr(Refiner, "_refine", refine)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (400_000_000, 400_000_000))
    context.device = torch.device("cuda")
    one = plan(volume.grid, SETTINGS).passes[0]
    into = np.empty(one.target.shape_kji, np.float32)

    refiner.refine(AxisRequest(volume.array.astype(np.float32) / 1000, one, into, SliceProfile()))
    return into


@pytest.mark.parametrize("failures", [0, 1, 100])
def test_the_result_is_the_same_however_often_the_card_fails(a_volume: Volume, a_model, monkeypatch, failures: int):
    with pytest.MonkeyPatch.context() as never_fails:
        expected = refined_on_a_card(a_volume, a_model, never_fails, 0)

    result = refined_on_a_card(a_volume, a_model, monkeypatch, failures)

    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_each_step_down_is_said_in_one_line(a_volume: Volume, a_model, monkeypatch, caplog):
    with caplog.at_level(logging.WARNING):
        refined_on_a_card(a_volume, a_model, monkeypatch, 100)

    lines = [record.getMessage() for record in caplog.records]
    sides = [int(line.split()[-2]) for line in lines[:-1]]
    assert lines[-1].endswith("going on with the CPU")
    assert len(sides) > 1
    assert all(after <= before / 2 for before, after in zip(sides[:-1], sides[1:], strict=True))


def test_a_cpu_that_runs_out_of_memory_is_not_asked_again(a_volume: Volume, a_model, monkeypatch):
    asked = []

    def fail(*_, **__):
        asked.append(1)
        raise torch.cuda.OutOfMemoryError("out of memory")

    monkeypatch.setattr(Refiner, "_refine", fail)
    with pytest.raises(DeviceError):
        enhance(a_volume, a_model, SETTINGS)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), "graphics card ran out of memory"),
        (
            RuntimeError("CUDA error: unspecified launch failure\nmore"),
            r"failed \(CUDA error: unspecified launch failure\)",
        ),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "the computer ran out of memory"),
    ],
)
def test_a_device_that_fails_is_said_in_words(raised: Exception, said: str):
    with pytest.raises(DeviceError, match=said), failures_in_words():
        raise raised


def test_a_mistake_of_ours_is_not_taken_for_the_device():
    with pytest.raises(RuntimeError, match="shapes"), failures_in_words():
        raise RuntimeError("shapes do not fit")
