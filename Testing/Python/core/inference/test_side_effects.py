"""Enhancing changes neither the threads of the process nor the caller's model, and no setting of PyTorch changes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import Cancelled
from medical_super_resolution.inference.context import ExecutionContext
from medical_super_resolution.inference.enhance import enhance, refiner_of
from medical_super_resolution.inference.fusion.fuse import fuse_stacks
from medical_super_resolution.inference.fusion.settings import FusionSettings
from medical_super_resolution.models.file import Model, load
from medical_super_resolution.networks.contracts import Generator
from medical_super_resolution.networks.generators import GENERATORS
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume

TWICE = EnhanceSettings(factor=2, axes="k", slice_profile="gaussian", device="cpu")


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_threads_hold_for_one_call(a_volume: Volume, a_model: Model, three_threads):
    inside = []
    enhance(a_volume, a_model, replace(TWICE, threads=1), lambda done, total: inside.append(torch.get_num_threads()))

    assert inside[-1] == 1
    assert torch.get_num_threads() == 3


def test_threads_come_back_after_a_run_that_was_cancelled(a_volume: Volume, a_model: Model, three_threads):
    def cancel(done: int, total: int) -> None:
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        enhance(a_volume, a_model, replace(TWICE, threads=1), cancel)

    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("precision", ["float32", "mixed"])
def test_the_model_keeps_its_device_type_and_layout(a_volume: Volume, a_model: Model, precision: str):
    def state() -> list[tuple[object, ...]]:
        return [(one.device, one.dtype, one.stride(), one.data_ptr()) for one in a_model.generator.parameters()]

    before = state()
    enhance(a_volume, a_model, replace(TWICE, precision=precision))

    assert state() == before


@contextmanager
def a_default_type(kind: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def test_what_a_caller_has_set_changes_no_result(a_volume: Volume, a_model_file: Path):
    across = Grid(a_volume.array.shape[::-1], a_volume.grid.ijk_to_ras[:, [2, 1, 0, 3]])
    stacks = [a_volume, replace(a_volume, array=a_volume.array.transpose(2, 1, 0).copy(), grid=across)]
    settings = FusionSettings(register="slices", spacing_mm=3.0, iterations=2, enhance=EnhanceSettings(threads=1))

    def results() -> list[np.ndarray]:
        model = load(a_model_file)
        model.generator.texture.fill_(0.1)
        enhanced = enhance(a_volume, model, replace(TWICE, threads=1, slice_profile="auto"))
        fused = fuse_stacks(stacks, model, settings)
        return [enhanced.volume.array, fused.volume.array, fused.uncertainty.array]

    expected = results()
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        torch.device("meta"),
        a_default_type(torch.float16),
        np.errstate(all="raise"),
    ):
        found = results()

    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_loading_and_enhancing_draw_no_random_numbers_of_the_caller(a_volume: Volume, a_model_file: Path):
    before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002 - the caller's
    enhance(a_volume, load(a_model_file), replace(TWICE, slice_profile="auto"))

    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_a_refiner_works_on_another_device_with_a_copy(a_tiny_generator: Generator):
    planar = GENERATORS["srcnn"][1](GENERATORS["srcnn"][0]())
    for generator in (a_tiny_generator, planar):
        context = ExecutionContext(TWICE, torch.device("meta"), 1, lambda done, total: None)
        refiner = refiner_of(generator, context)

        assert {one.device.type for one in refiner.generator.parameters()} == {"meta"}
        assert {one.device.type for one in generator.parameters()} == {"cpu"}


def test_every_generator_states_what_it_can_do():
    for name, (config_class, generator_class) in GENERATORS.items():
        able = generator_class(config_class()).capabilities
        assert able.precisions == ("float32", "mixed"), name
        assert able.in_one_pass == (able.axes == "in-plane") == bool(able.factors), name
        assert able.needs_profile == (name == "through-plane")
