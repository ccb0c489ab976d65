"""What lies outside the field of view, and values that no network was trained with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from measuring import gaussian, measured_again
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.inference.refiners.axis_request import SliceReader
from medical_super_resolution.inference.refiners.padding import Padding, fill_along_sequence
from medical_super_resolution.inference.request import make_request
from medical_super_resolution.models.file import Model
from medical_super_resolution.networks.generators.through_plane import ThroughPlaneGenerator
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.intensity import intensity_range
from medical_super_resolution.volumes.memmap import disk_allocator
from medical_super_resolution.volumes.volume import Volume

PADDING = (-2000, -2048, -3024, -8192, -9999, -32768)


def corners(volume: Volume) -> np.ndarray:
    """The voxels outside a round field of view, the same in every slice, (K, J, I) bool."""
    _, rows, columns = volume.array.shape
    j, i = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    return np.broadcast_to(j**2 + i**2 > 1, volume.array.shape)


def padded(volume: Volume, outside: np.ndarray, value: float, dtype: str = "int16") -> Volume:
    return replace(volume, array=np.where(outside, value, volume.array).astype(dtype))


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("factor", [2, 3.3])
def test_slices_that_are_all_the_same_come_back_the_same(a_volume: Volume, a_model: Model, dtype: str, factor: float):
    array = np.repeat(a_volume.array[4:5].clip(-1000), 9, axis=0).astype(dtype)
    fine = enhance(replace(a_volume, array=array), a_model, gaussian(factor=factor)).volume.array
    np.testing.assert_allclose(fine, np.broadcast_to(array[4], fine.shape), atol=1e-2)


@pytest.mark.parametrize("value", PADDING)
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_tissue_is_refined_as_if_there_were_air_where_the_padding_is(
    a_volume: Volume, a_model: Model, value: int, dtype: str
):
    outside = corners(a_volume)
    a_volume = replace(a_volume, modality=None)
    fine, in_air = (
        enhance(padded(a_volume, outside, number, dtype), a_model, gaussian(factor=2)) for number in (value, -1000)
    )
    inside = ~np.repeat(outside, 2, axis=0)
    np.testing.assert_array_equal(fine.volume.array[inside], in_air.volume.array[inside])
    assert (fine.volume.array[~inside] == value).all()
    assert fine.report.modality == "ct"


@pytest.mark.parametrize(("factor", "axes"), [(2, "k"), (2.5, "k"), (3, "jk")])
def test_padding_that_moves_from_slice_to_slice_is_put_back_where_its_slice_had_it(
    a_volume: Volume, a_model: Model, factor: float, axes: str
):
    outside = np.random.default_rng(1).random(a_volume.array.shape) < 0.2
    fine = enhance(padded(a_volume, outside, -3024), a_model, gaussian(factor=factor, axes=axes)).volume.array
    expected = outside
    for axis, count in enumerate(fine.shape):
        nearest = np.floor((np.arange(count) + 0.5) * outside.shape[axis] / count + 1e-6).astype(int)
        expected = np.take(expected, np.minimum(nearest, outside.shape[axis] - 1), axis=axis)
    if factor != 2.5:  # else the far end of the volume moves by part of a voxel
        np.testing.assert_array_equal(fine == -3024, expected)
    assert fine[fine != -3024].min() >= -1100


def test_what_the_reader_marks_is_padding_too(a_volume: Volume, a_model: Model):
    outside = corners(a_volume)
    marked = padded(a_volume, outside, -1100)
    marked = replace(marked, padding=np.array(outside))
    fine = enhance(marked, a_model, gaussian(factor=2))
    assert (fine.volume.array[np.repeat(outside, 2, axis=0)] == -1100).all()
    plateau = enhance(padded(a_volume, outside, -3024), a_model, gaussian(factor=2))
    inside = ~np.repeat(outside, 2, axis=0)
    np.testing.assert_allclose(fine.volume.array[inside], plateau.volume.array[inside], atol=1)
    assert fine.volume.padding is None  # of the coarse grid, it does not fit the fine one
    of_mr = make_request(replace(marked, modality="mr"), a_model, gaussian(factor=2)).measured
    measured = intensity_range(marked.array[~outside], "mr")
    assert (of_mr.low, of_mr.high) == (measured.low, measured.high)


def test_padding_does_not_depend_on_tiles_nor_on_where_the_voxels_are(a_volume: Volume, a_model: Model, tmp_path):
    volume = padded(a_volume, corners(a_volume), -2000)
    expected = enhance(volume, a_model, gaussian(factor=2)).volume.array
    with disk_allocator(tmp_path) as allocator:
        array = allocator(volume.array.shape, volume.array.dtype)
        array[...] = volume.array
        settings = gaussian(factor=2, memory_gb=0.1)
        found = enhance(replace(volume, array=array), a_model, settings, allocator=allocator).volume.array
        np.testing.assert_allclose(found, expected, atol=1)


def test_metal_is_kept_though_the_network_does_not_see_it(
    a_volume: Volume, a_model: Model, monkeypatch: pytest.MonkeyPatch
):
    seen = []
    features = ThroughPlaneGenerator.features

    def watched(self, lr, *arguments, **named):
        seen.extend([float(lr.min()), float(lr.max())] if lr.numel() else [])
        return features(self, lr, *arguments, **named)

    monkeypatch.setattr(ThroughPlaneGenerator, "features", watched)
    array = a_volume.array.copy()
    array[3:6, 8:11, 8:11] = 15_000
    enhanced = enhance(replace(a_volume, array=array), a_model, gaussian(factor=3))
    assert min(seen) >= (-1024 + 1000) / 2000 - 1e-6
    assert max(seen) <= (3071 + 1000) / 2000 + 1e-6
    assert abs(enhanced.volume.array[13, 9, 9] - 15_000) < 3000
    again = measured_again(enhanced.volume.array, a_volume.grid, {"k": 3.0})
    assert abs(again[4, 9, 9] - 15_000) < 5


@pytest.mark.parametrize("value", [-3024, -1100])
def test_the_uncertainty_of_padding_is_0(a_volume: Volume, a_model: Model, value: int):
    outside = corners(a_volume) & (np.arange(a_volume.array.shape[2]) < 12)  # not the same in mirror images
    outside[:3] = False
    volume = replace(padded(a_volume, outside, value), padding=outside if value == -1100 else None)
    sure = enhance(volume, a_model, gaussian(factor=2, axes="k", uncertainty=True)).uncertainty.array
    fine = np.repeat(outside, 2, axis=0)
    assert (sure[fine] == 0).all()
    assert 0 < sure[~fine].max() < 1000


def test_the_consistency_error_is_that_of_what_was_measured(a_volume: Volume, a_model: Model):
    outside = corners(a_volume)
    padded_error, free = (
        enhance(padded(a_volume, outside, value), a_model, gaussian(factor=2)).report.consistency_error_rms
        for value in (-32768, -1000)
    )
    inside = (~outside).mean()
    assert padded_error == pytest.approx(free / np.sqrt(inside), rel=0.05)


def test_a_result_that_does_not_reproduce_the_slices_is_warned_of(a_volume: Volume, a_model: Model):
    """The random weights of the small model make air that lies below air, which the result may not hold."""
    report = enhance(a_volume, a_model, gaussian(factor=4)).report
    assert report.consistency_error_rms > 20
    assert any("look at the result with care" in warning and "% of the range" in warning for warning in report.warnings)


def test_measured_slices_go_on_into_padding_and_meet_halfway():
    slices = np.array([1, 9, 9, 9, 5, 9], float)[:, None, None]
    is_padding = np.array([False, True, True, True, False, True])[:, None, None]
    np.testing.assert_array_equal(fill_along_sequence(slices, is_padding).ravel(), [1, 1, 3, 5, 5, 5])


@pytest.mark.parametrize("count", [1, 7, 40])
def test_slices_read_a_few_at_a_time_go_on_into_padding_like_all_at_once(count: int):
    slices = np.random.default_rng(0).random((40, 3, 2), np.float32)
    is_padding = np.random.default_rng(1).random(slices.shape) < 0.8
    padding = Padding(slices, Grid(slices.shape, np.eye(4)), (), is_padding)
    read = SliceReader(slices, None, padding.along(padding.grid, "k"))
    parts = [read(start, min(start + count, 40), slice(None), slice(None)) for start in range(0, 40, count)]
    np.testing.assert_array_equal(np.concatenate(parts), fill_along_sequence(slices, is_padding))


def test_padding_far_from_all_slices_is_air():
    slices = np.full((20, 1, 1), -7.0)
    is_padding = np.ones((20, 1, 1), bool)
    is_padding[0] = False
    filled = fill_along_sequence(slices, is_padding).ravel()
    np.testing.assert_array_equal(filled, [-7.0] * 9 + [0.0] * 11)
