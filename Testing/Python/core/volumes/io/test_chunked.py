"""Volumes in temporary files: the same files and values as through memory, and no files left behind."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from command_line import contents
from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes import memmap as mapped
from medical_super_resolution.volumes.io import files, formats
from medical_super_resolution.volumes.memmap import disk_allocator, every, extremes, is_on_disk
from medical_super_resolution.volumes.resampling import to_image
from medical_super_resolution.volumes.volume import Volume
from volume_samples import a_grid_in, numbers

TYPES = ("int16", "uint16", "uint8", "float32", "float64", "int32")


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
@pytest.mark.parametrize("dtype", TYPES)
def test_what_was_written_from_the_disk_reads_like_what_was_written_from_memory(
    tmp_path: Path, suffix: str, dtype: str
):
    volume = Volume(numbers(dtype), a_grid_in(np.eye(3)))
    files.write(volume, tmp_path / f"memory{suffix}", compress=False)
    with disk_allocator(tmp_path) as allocator:
        array = allocator(volume.array.shape, volume.array.dtype)
        array[...] = volume.array
        files.write(Volume(array, volume.grid), tmp_path / f"disk{suffix}", compress=False)
    memory, disk = (files.read(tmp_path / f"{name}{suffix}") for name in ("memory", "disk"))
    np.testing.assert_array_equal(disk.array, memory.array)
    assert disk.array.dtype == memory.array.dtype
    np.testing.assert_array_equal(disk.grid.ijk_to_ras, memory.grid.ijk_to_ras)
    for path in tmp_path.glob("disk*"):
        other = path.with_name(path.name.replace("disk", "memory"))
        unpack = gzip.decompress if suffix == ".nii.gz" else bytes
        assert unpack(path.read_bytes()).replace(b"disk.raw", b"memory.raw") == unpack(other.read_bytes())


@pytest.mark.parametrize(("name", "line"), [("fine.nrrd", b"encoding: gzip"), ("fine.mha", b"CompressedData = True")])
def test_an_array_that_a_user_keeps_on_the_disk_is_compressed_like_others(tmp_path: Path, name: str, line: bytes):
    array = np.memmap(tmp_path / "voxels", np.int16, "w+", shape=numbers("int16").shape)
    files.write(Volume(array, a_grid_in(np.eye(3))), tmp_path / name)
    assert line in (tmp_path / name).read_bytes()


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
@pytest.mark.parametrize("compress", [False, True])
def test_a_file_read_plane_by_plane_is_the_file_read_at_once(tmp_path: Path, suffix: str, compress: bool):
    path = tmp_path / f"scan{suffix}"
    files.write(Volume(numbers("int16"), a_grid_in(np.eye(3))), path, compress=compress)
    expected = files.read(path)
    with disk_allocator(tmp_path) as allocator:
        volume = files.read(path, allocator=allocator)
        assert is_on_disk(volume.array)
        np.testing.assert_array_equal(volume.array, expected.array)
        assert volume.array.dtype == expected.array.dtype
        np.testing.assert_array_equal(volume.grid.ijk_to_ras, expected.grid.ijk_to_ras)


def test_integers_that_a_nifti_header_scales_become_what_itk_makes_of_them(tmp_path: Path):
    path = tmp_path / "scan.nii"
    files.write(Volume(numbers("int16"), a_grid_in(np.eye(3))), path)
    header = bytearray(path.read_bytes())
    header[112:120] = np.array([0.5, -3.0], "<f4").tobytes()
    path.write_bytes(header)
    expected = files.read(path).array
    with disk_allocator(tmp_path) as allocator:
        array = files.read(path, allocator=allocator).array
        assert array.dtype == expected.dtype
        np.testing.assert_allclose(array, expected, rtol=1e-6)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
def test_a_large_file_cut_short_is_refused(tmp_path: Path, suffix: str):
    path = tmp_path / f"scan{suffix}"
    files.write(Volume(numbers("int16"), a_grid_in(np.eye(3))), path, compress=suffix == ".nii.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(VolumeError), disk_allocator(tmp_path) as allocator:
        files.read(path, allocator=allocator)


@pytest.mark.parametrize("suffix", [".nii", ".mha"])
def test_a_large_file_with_values_that_are_not_finite_is_refused(tmp_path: Path, suffix: str):
    array = numbers("float32").copy()
    array[1, 1, 1] = np.nan
    sitk.WriteImage(to_image(Volume(array, a_grid_in(np.eye(3)))), str(tmp_path / f"scan{suffix}"))
    with pytest.raises(VolumeError, match="slice 1 .*not finite"), disk_allocator(tmp_path) as allocator:
        files.read(tmp_path / f"scan{suffix}", allocator=allocator)


def test_a_failing_write_from_the_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(arrays: object, grid: object, part: Path, **options: object) -> None:
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "encode", full)
    with disk_allocator(tmp_path) as allocator:
        array = allocator((4, 6, 5), np.dtype(np.int16))
        with pytest.raises(VolumeError, match="could not be written"):
            files.write(Volume(array, a_grid_in(np.eye(3))), tmp_path / "scan.nii")
    assert contents(tmp_path) == {}


def test_a_full_disk_is_found_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mapped.os, "posix_fallocate", full, raising=False)
    with (
        pytest.raises(VolumeError, match=r"GB are needed temporarily on the disk, .*No space left"),
        disk_allocator(tmp_path) as allocator,
    ):
        allocator((4, 5, 6), np.dtype(np.int16))
    assert contents(tmp_path) == {}


def test_room_on_the_disk_is_gone_afterwards_also_when_the_work_fails(tmp_path: Path):
    def stopped() -> None:
        with disk_allocator(tmp_path) as allocator:
            allocator((4, 5, 6), np.dtype(np.int16))[...] = 7
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert contents(tmp_path) == {}


def test_values_let_go_are_still_there(tmp_path: Path):
    with disk_allocator(tmp_path) as allocator:
        array = allocator((40, 30, 20), np.dtype(np.int32))
        expected = np.arange(array.size).reshape(array.shape)
        array[...] = expected
        mapped.release_pages(array)
        mapped.release_pages(np.moveaxis(array, 2, 0)[1:, 3:])
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_sums_over_slabs_are_those_over_the_whole(step: int):
    array = np.random.default_rng(0).integers(-500, 500, (37, 11, 13))
    assert extremes(array) == (array.min(), array.max())
    np.testing.assert_array_equal(every(array, step), array.reshape(-1)[::step])
