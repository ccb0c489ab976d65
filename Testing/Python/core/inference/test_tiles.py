from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from measuring import an_mr, rms
from medical_super_resolution.inference import context as workbench
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.refiners import throughplane as refinement
from medical_super_resolution.models import file as models
from medical_super_resolution.models.file import Model
from medical_super_resolution.physics.projection import SliceBuffer
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid


@pytest.fixture
def tile_counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled with the number of tiles of each pass."""
    counts: list[int] = []
    tiles = refinement.tiles

    def counted(*arguments: object) -> list:
        cut = list(tiles(*arguments))
        counts.append(len(cut))
        return cut

    monkeypatch.setattr(refinement, "tiles", counted)
    return counts


def a_wide_generator():
    """Wide and deep enough that ten megabytes hold a small tile only; weights that make a visible residual."""
    from medical_super_resolution.networks.generators.through_plane import ThroughPlaneConfig, ThroughPlaneGenerator

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = ThroughPlaneGenerator(
            ThroughPlaneConfig(channels=16, blocks=2, pairs=2, gate_channels=4, kernel_hidden=8)
        )
    return generator


@pytest.mark.parametrize(("axes", "consistency"), [("k", True), ("k", False), ("i", True), ("kj", True)])
def test_the_result_does_not_depend_on_the_tiles(
    tmp_path: Path, tile_counts: list[int], axes: str, consistency: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        refinement, "_LARGEST_SIDE", dict.fromkeys(refinement._LARGEST_SIDE, 1000)
    )  # the memory alone decides
    monkeypatch.setattr(workbench, "_LEAST_BYTES", 1e7)
    models.save(tmp_path / "wide.safetensors", "through-plane", a_wide_generator(), {})
    model = models.load(tmp_path / "wide.safetensors")
    shape = {"k": (4, 43, 61), "i": (43, 61, 4), "kj": (4, 21, 61)}[axes]
    volume = an_mr(Grid(shape, np.eye(4)))
    settings = EnhanceSettings(factor=2, axes=axes, consistency=consistency)
    cut = enhance(volume, model, replace(settings, memory_gb=0.1)).volume.array
    assert min(tile_counts) >= 4 if len(axes) == 1 else max(tile_counts) >= 2
    tile_counts.clear()
    whole = enhance(volume, model, replace(settings, memory_gb=8.0)).volume.array
    assert set(tile_counts) == {1}
    added = whole - enhance(volume, zero_residual(model), settings).volume.array
    slices_first = np.moveaxis(added, "kji".index(axes[0]), 0)
    assert min(rms(one) for one in slices_first) > 0.1  # the network does something, in every fine slice
    assert np.abs(cut - whole).max() <= 1e-3 * np.ptp(volume.array)


def test_a_body_that_only_the_margins_of_tiles_hold_is_no_different_in_tiles(
    tmp_path: Path, tile_counts: list[int], monkeypatch: pytest.MonkeyPatch
):
    models.save(tmp_path / "wide.safetensors", "through-plane", a_wide_generator(), {})
    model = models.load(tmp_path / "wide.safetensors")
    volume = an_mr(Grid((4, 43, 61), np.eye(4)))
    volume.array[:, :33], volume.array[..., :50] = (
        20,
        20,
    )  # all but a corner, which begins behind the cores at 29 and 46
    settings = EnhanceSettings(factor=2, axes="k")
    whole = enhance(volume, model, settings).volume.array
    monkeypatch.setattr(refinement, "_SMALLEST_SIDE", 16)
    monkeypatch.setattr(refinement, "_LARGEST_SIDE", dict.fromkeys(refinement._LARGEST_SIDE, 16))
    cut = enhance(volume, model, settings).volume.array
    assert tile_counts == [1, 12]
    assert np.abs(cut - whole).max() <= 1e-3 * np.ptp(volume.array)


def test_of_a_long_volume_some_slices_are_held_at_a_time(a_model: Model, monkeypatch: pytest.MonkeyPatch):
    held: list[int] = []
    add = SliceBuffer.add

    def noted(buffer: SliceBuffer, slices: torch.Tensor) -> None:
        add(buffer, slices)
        held.append(len(buffer._slices))

    monkeypatch.setattr(SliceBuffer, "add", noted)
    volume = an_mr(Grid((400, 12, 12), np.eye(4)))
    enhance(volume, a_model, EnhanceSettings(factor=2, axes="k", slice_profile="gaussian"))
    assert max(held) < 200


def zero_residual(model: Model) -> Model:
    """The same model with an upscaling kernel that writes nothing."""
    import copy

    silent = copy.deepcopy(model.generator)
    for parameter in silent.kernel.parameters():
        parameter.zero_()
    return replace(model, generator=silent)
