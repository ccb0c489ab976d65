"""In-plane models through the same interface: correct grid, measured data kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.inference import context as context_module
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.refiners import inplane
from medical_super_resolution.models import file as models
from medical_super_resolution.networks.generators.disgan import DisganConfig, DisganGenerator
from medical_super_resolution.networks.generators.srcnn import SrcnnConfig, SrcnnGenerator
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume


@pytest.fixture
def an_in_plane_model(tmp_path) -> models.Model:
    torch.manual_seed(0)
    path = tmp_path / "plane.safetensors"
    models.save(path, "srcnn", SrcnnGenerator(SrcnnConfig(factor=2, channels=(8, 4))), {})
    return models.load(path)


def a_smooth_volume(axis: int) -> Volume:
    """Six slices of 20 x 16 across an array axis."""
    j, i = np.meshgrid(np.arange(20), np.arange(16), indexing="ij")
    array = np.stack([500 + 300 * np.sin(j / 4 + n) * np.cos(i / 5) for n in range(6)]).astype(np.int16)
    spacing = np.ones(3)
    spacing[2 - axis] = 4.0
    array = np.ascontiguousarray(np.moveaxis(array, 0, axis))
    return Volume(array, Grid(array.shape, np.diag([*spacing, 1.0])), modality="mr")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_both_in_plane_axes_become_finer_and_the_slices_stay(an_in_plane_model, axis):
    volume = a_smooth_volume(axis)

    result = enhance(volume, an_in_plane_model, EnhanceSettings()).volume

    expected = [2 * count for count in volume.array.shape]
    expected[axis] = 6
    assert result.array.shape == tuple(expected)
    np.testing.assert_allclose(result.grid.bounds_ras_mm, volume.grid.bounds_ras_mm)


def test_the_measured_pixels_are_reproduced(an_in_plane_model):
    volume = a_smooth_volume(0)
    kept = enhance(volume, an_in_plane_model, EnhanceSettings()).report.consistency_error_rms
    free = enhance(volume, an_in_plane_model, EnhanceSettings(consistency=False)).report.consistency_error_rms

    assert kept < 0.5  # rounding to integers
    assert free > 4 * kept


def test_the_result_does_not_depend_on_how_many_slices_go_at_once(tmp_path, monkeypatch):
    """Of a network that sees neighboring slices, too."""
    torch.manual_seed(0)
    generator = DisganGenerator(DisganConfig(factor=2, channels=4, growth=2, blocks=1))
    models.save(tmp_path / "spatial.safetensors", "disgan", generator, {})
    volume, model = a_smooth_volume(0), models.load(tmp_path / "spatial.safetensors")
    many = enhance(volume, model, EnhanceSettings()).volume.array
    monkeypatch.setattr(inplane, "_WORKING_BYTES_A_FINE_PIXEL", 1e9)
    few = enhance(volume, model, EnhanceSettings()).volume.array

    np.testing.assert_allclose(many, few, atol=1)


def test_a_cpu_that_computes_in_float32_does_not_report_half_precision(an_in_plane_model, monkeypatch):
    monkeypatch.setattr(context_module, "cpu_has_bfloat16", lambda: True)
    volume = a_smooth_volume(0)
    mixed, exact = (
        enhance(volume, an_in_plane_model, EnhanceSettings(device="cpu", precision=precision))
        for precision in ("mixed", "float32")
    )
    np.testing.assert_array_equal(mixed.volume.array, exact.volume.array)
    assert mixed.report.precision == "float32"


@pytest.mark.parametrize(
    "asked", [{"factor": 4.0, "axes": "in-plane"}, {"factor": 2.0}, {"factor": 2.0, "axes": "ijk"}]
)
def test_anything_else_is_refused_with_what_to_ask_for(an_in_plane_model, asked):
    with pytest.raises(SettingsError, match="ask for in-plane refinement by 2"):
        enhance(a_smooth_volume(0), an_in_plane_model, EnhanceSettings(**asked))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_axes_that_are_named_are_refined_however_thick_the_slices_are(an_in_plane_model, axis):
    """After coarser pixels, the slices can be the thinnest axis."""
    volume = a_smooth_volume(axis)
    as_thin = Volume(volume.array, Grid(volume.array.shape, np.eye(4)), modality="mr")
    axes = "kji".replace("kji"[axis], "")

    by_thickness = enhance(volume, an_in_plane_model, EnhanceSettings()).volume.array
    by_name = enhance(as_thin, an_in_plane_model, EnhanceSettings(factor=2, axes=axes)).volume.array

    np.testing.assert_array_equal(by_name, by_thickness)
