"""Constant regions are skipped, without any approximation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.refiners import throughplane
from medical_super_resolution.inference.refiners import tile_stream as refinement
from medical_super_resolution.inference.refiners.foreground import foreground_box, where_slices_change
from medical_super_resolution.inference.refiners.tiling import tiles
from medical_super_resolution.models import file as models
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume


@pytest.fixture
def a_head_in_air() -> Volume:
    array = np.zeros((40, 60, 50), dtype=np.float32)
    array[18:24, 22:36, 8:24] = np.random.default_rng(0).uniform(100, 1000, (6, 14, 16))
    return Volume(array, Grid(array.shape, np.diag([1.0, 1.0, 3.0, 1.0])), modality="mr")


def test_the_box_holds_all_that_changes_and_its_margin():
    volume = torch.full((12, 20, 30), 7.0)
    volume[5, 10, 20] = 8.0

    assert foreground_box(volume.split(5), volume.shape, 3) == (
        slice(1, 10),
        slice(6, 15),
        slice(16, 25),
    )  # 4..6, 9..11, 19..21 change


def test_the_box_ends_with_the_volume():
    volume = torch.zeros(4, 5, 6)
    volume[0, 0, 5] = 1.0

    assert foreground_box(volume.split(5), volume.shape, 10) == (slice(0, 4), slice(0, 5), slice(0, 6))


def test_a_constant_volume_has_no_box():
    assert foreground_box([torch.full((4, 5, 6), 3.0)], (4, 5, 6), 2) is None


def test_a_single_slice_that_changes_has_a_box():
    volume = torch.zeros(1, 8, 8)
    volume[0, 4, 4] = 1.0

    assert foreground_box(volume.split(5), volume.shape, 1) == (slice(0, 1), slice(2, 7), slice(2, 7))


@pytest.mark.parametrize("size", [1, 5, 32])
def test_a_residual_stays_where_the_four_slices_around_differ_in_a_voxel_or_beside_it(size: int):
    slices = torch.zeros(8, 7, 7)
    slices[4:, 3, 3] = 1.0
    positions = (torch.arange(32) + 0.5) / 4 - 0.5
    (tile,) = tiles((7, 7), 10, 3)
    kept = [
        where_slices_change(torch.ones(len(part), 7, 7), lambda *ends: slices[slice(*ends)], 8, part, tile)
        for part in positions.split(size)
    ]

    expected = torch.zeros(32, 7, 7)
    expected[(positions > 2) & (positions < 5), 2:5, 2:5] = 1.0
    np.testing.assert_array_equal(torch.cat(kept), expected)


@pytest.mark.parametrize("side", [256, 20])
def test_neither_skipping_air_nor_tiles_change_the_result(a_head_in_air, a_model_file, monkeypatch, side):
    monkeypatch.setattr(throughplane, "_LARGEST_SIDE", {"cpu": side})
    model = models.load(a_model_file)
    model.generator.texture.fill_(0.1)  # which depends on the place of a voxel
    assert model.generator.reach < 17  # there is air before and after all that is computed
    settings = EnhanceSettings(factor=2.5, slice_profile="gaussian")
    skipped = enhance(a_head_in_air, model, settings).volume.array
    monkeypatch.setattr(refinement, "foreground_box", lambda parts, shape, margin: tuple(slice(0, n) for n in shape))
    monkeypatch.setattr(throughplane, "_LARGEST_SIDE", {"cpu": 256})
    whole = enhance(a_head_in_air, model, settings).volume.array

    np.testing.assert_allclose(skipped, whole, atol=1e-6 * 1000)


def test_air_is_not_computed(a_head_in_air, a_model_file, monkeypatch):
    model = models.load(a_model_file)
    seen = []
    features = model.generator.features
    monkeypatch.setattr(model.generator, "features", lambda lr, *rest: seen.append(lr.numel()) or features(lr, *rest))
    enhance(a_head_in_air, model, EnhanceSettings(factor=2, slice_profile="gaussian"))
    only_air = replace(a_head_in_air, array=np.zeros_like(a_head_in_air.array))
    computed = sum(seen)
    enhance(only_air, model, EnhanceSettings(factor=2, slice_profile="gaussian"))

    assert computed < 0.5 * a_head_in_air.array.size
    assert sum(seen) == computed
