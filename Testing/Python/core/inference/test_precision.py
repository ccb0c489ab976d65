"""Half precision and 8-bit integers are as exact as promised, spare the measured data, and are reproducible."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.inference import context as context_module
from medical_super_resolution.inference import device
from medical_super_resolution.inference.context import ExecutionContext
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.refiners import throughplane
from medical_super_resolution.models import file as models
from medical_super_resolution.models.weight_interpolation import load_model
from medical_super_resolution.progress import ignore
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.intensity import HOUNSFIELD_RANGE
from medical_super_resolution.volumes.volume import Enhanced, Volume


@pytest.fixture(scope="module")
def a_volume() -> Volume:
    """A body with soft edges, bones and gas in it, and noise."""
    random = np.random.default_rng(0)
    z, y, x = np.mgrid[:10, :48, :48]
    array = np.where(((y - 24) / 20) ** 2 + ((x - 24) / 22) ** 2 < 1, 40.0, -1000.0)
    for value in (-900, 300, 1000, 1500):
        k, j, i = random.uniform((0, 12, 12), (10, 36, 36))
        array[((z - k) * 4) ** 2 + (y - j) ** 2 + (x - i) ** 2 < 25] = value
    array += random.normal(0, 15, array.shape)
    return Volume(array, Grid(array.shape, np.diag([0.8, 0.8, 3.2, 1.0])))


def enhanced(volume: Volume, model: models.Model, precision: str) -> Enhanced:
    settings = EnhanceSettings(factor=4, device="cpu", precision=precision, slice_profile="gaussian")
    return enhance(Volume(volume.array.astype(np.float32), volume.grid, modality="ct"), model, settings)


@pytest.fixture(scope="module", autouse=True)
def with_the_units_for_it() -> Iterator[None]:
    """A CPU without them computes the same, only slower."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context_module, "cpu_has_bfloat16", lambda: True)
        patch.setattr(context_module, "cpu_has_vnni", lambda: True)
        yield


@pytest.fixture(scope="module")
def exact(a_volume: Volume, the_shipped_model: models.Model) -> Enhanced:
    return enhanced(a_volume, the_shipped_model, "float32")


@pytest.fixture(scope="module")
def mixed(a_volume: Volume, the_shipped_model: models.Model, with_the_units_for_it: None) -> Enhanced:
    return enhanced(a_volume, the_shipped_model, "mixed")


@pytest.fixture(scope="module")
def in_8_bits(a_volume: Volume, the_shipped_model: models.Model, with_the_units_for_it: None) -> Enhanced:
    return enhanced(a_volume, the_shipped_model, "int8")


def test_8_bits_differ_by_less_than_one_percent_of_the_range(exact: Enhanced, in_8_bits: Enhanced):
    """In 99 of 100 voxels. Where bone borders on gas, features are larger than in training, and are cut off."""
    low, high = HOUNSFIELD_RANGE
    difference = np.abs(in_8_bits.volume.array - exact.volume.array) / (high - low)
    assert 0 < np.percentile(difference, 99) <= 1e-2
    assert difference.max() <= 0.1
    assert np.sqrt(np.mean(np.square(difference))) <= 3e-3
    assert in_8_bits.report.precision == "int8"
    assert in_8_bits.report.consistency_error_rms <= 1.2 * exact.report.consistency_error_rms + 1e-3


def test_8_bits_give_the_same_in_smaller_tiles(a_volume: Volume, the_shipped_model, in_8_bits: Enhanced, monkeypatch):
    monkeypatch.setattr(throughplane, "_LARGEST_SIDE", {"cpu": 20})
    tiled = enhanced(a_volume, the_shipped_model, "int8")
    np.testing.assert_allclose(tiled.volume.array, in_8_bits.volume.array, atol=0.01)


@pytest.mark.parametrize("value", [-1000, 40])
def test_8_bits_keep_a_constant(the_shipped_model, value: int):
    flat = Volume(np.full((8, 24, 24), value), Grid((8, 24, 24), np.diag([0.8, 0.8, 3.2, 1.0])))
    found, exact = (enhanced(flat, the_shipped_model, precision).volume.array for precision in ("int8", "float32"))
    np.testing.assert_array_equal(found, exact)


def test_8_bits_with_detail(a_volume: Volume):
    model = load_model("general", 1.0)
    settings = EnhanceSettings(factor=4, device="cpu", precision="int8", slice_profile="gaussian", detail=1.0)
    part = Volume(a_volume.array[:4], Grid((4, 48, 48), a_volume.grid.ijk_to_ras), modality="ct")
    assert enhance(part, model, settings).report.precision == "int8"


def test_a_model_that_was_not_prepared_for_8_bits_is_refused(a_volume: Volume, a_model: models.Model):
    with pytest.raises(SettingsError, match="tiny does not compute in precision int8; choose one of: float32, mixed"):
        enhanced(a_volume, a_model, "int8")


def test_mixed_precision_differs_by_less_than_half_a_percent_of_the_range(exact: Enhanced, mixed: Enhanced):
    """In 999 of 1000 voxels. The order of sums, which differs between CPUs, lets single voxels at edges differ more."""
    low, high = HOUNSFIELD_RANGE
    difference = np.abs(mixed.volume.array - exact.volume.array) / (high - low)
    assert 0 < np.percentile(difference, 99.9) <= 5e-3
    assert difference.max() <= 3e-2
    assert np.sqrt(np.mean(np.square(difference))) <= 5e-4
    assert (exact.report.precision, mixed.report.precision) == ("float32", "mixed")


@pytest.mark.parametrize(("precision", "units"), [("mixed", "cpu_has_bfloat16"), ("int8", "cpu_has_vnni")])
def test_a_cpu_without_the_units_stays_exact(
    a_volume: Volume, the_shipped_model, exact: Enhanced, monkeypatch, precision: str, units: str
):
    monkeypatch.setattr(context_module, units, lambda: False)
    found = enhanced(a_volume, the_shipped_model, precision)
    assert found.report.precision == "float32"
    np.testing.assert_array_equal(found.volume.array, exact.volume.array)


@pytest.mark.parametrize("has_it", [True, False])
def test_8_bits_need_pytorch_to_use_the_units(monkeypatch: pytest.MonkeyPatch, has_it: bool):
    monkeypatch.setattr(device, "_cpu_has", lambda *_: True)
    monkeypatch.setattr(device, "operator_is_exact", lambda: has_it)
    assert device.cpu_has_vnni() == has_it


def test_mixed_precision_reproduces_the_measured_slices_as_well(exact: Enhanced, mixed: Enhanced):
    assert mixed.report.consistency_error_rms <= 1.1 * exact.report.consistency_error_rms + 1e-3


def test_mixed_precision_gives_the_same_bytes_twice(a_volume: Volume, the_shipped_model, mixed: Enhanced):
    again = enhanced(a_volume, the_shipped_model, "mixed")
    assert again.volume.array.tobytes() == mixed.volume.array.tobytes()


def test_the_model_keeps_its_precision(the_shipped_model, mixed: Enhanced):
    assert mixed.report.precision == "mixed"
    assert {parameter.dtype for parameter in the_shipped_model.generator.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("asked", "device", "expected"),
    [
        ("auto", "cuda", "mixed"),
        ("auto", "cpu", "float32"),
        ("float32", "cuda", "float32"),
        ("mixed", "cpu", "mixed"),
        ("int8", "cpu", "int8"),
        ("int8", "cuda", "mixed"),
        ("mixed", "mps", "float32"),  # which nothing converts to
        ("int8", "mps", "float32"),
    ],
)
def test_a_graphics_card_computes_in_mixed_precision_by_default(asked: str, device: str, expected: str):
    context = ExecutionContext(EnhanceSettings(precision=asked), torch.device(device), 1, ignore)
    assert context.precision == expected


def test_an_unknown_precision_is_refused():
    with pytest.raises(SettingsError, match="unknown precision 'half'; use one of: auto, float32, mixed, int8"):
        EnhanceSettings(precision="half")


def test_mixed_precision_reads_the_same_slice_profile(a_volume: Volume, a_model: models.Model):
    found = set()
    for precision in ("float32", "mixed"):
        settings = EnhanceSettings(factor=4, device="cpu", precision=precision)
        found.add(enhance(a_volume, a_model, settings).report.slice_width_mm)
    assert len(found) == 1
