from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medical_super_resolution.volumes.io import files, formats
from medical_super_resolution.volumes.volume import Volume
from volume_samples import a_grid_in, numbers

DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
CORNERS = [(0, 0, 0), (4, 0, 0), (0, 5, 0), (0, 0, 3), (4, 5, 3)]


def directions() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    oblique, _ = np.linalg.qr(random.normal(size=(3, 3)))
    oblique *= np.sign(np.linalg.det(oblique))
    return {
        "straight": np.eye(3),
        "sagittal": np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]]),
        "oblique": oblique,
        "left-handed": oblique * (1, -1, 1),
    }


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_and_type_survive_a_round_trip(tmp_path: Path, suffix: str, dtype: str):
    path = tmp_path / f"scan{suffix}"
    volume = Volume(numbers(dtype), a_grid_in(np.eye(3)))
    files.write(volume, path)
    again = files.read(path)
    assert again.array.dtype == volume.array.dtype
    np.testing.assert_array_equal(again.array, volume.array)


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
@pytest.mark.parametrize("name", directions())
def test_the_place_in_the_patient_survives_a_round_trip(tmp_path: Path, suffix: str, name: str):
    grid = a_grid_in(directions()[name])
    path = tmp_path / f"scan{suffix}"
    files.write(Volume(numbers("int16"), grid), path)
    np.testing.assert_allclose(files.read(path).grid.ijk_to_ras, grid.ijk_to_ras, atol=1e-4)


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
@pytest.mark.parametrize("name", directions())
def test_simpleitk_finds_the_written_voxels_in_the_same_place(tmp_path: Path, suffix: str, name: str):
    grid = a_grid_in(directions()[name])
    path = tmp_path / f"scan{suffix}"
    files.write(Volume(numbers("int16"), grid), path)
    image = sitk.ReadImage(str(path))
    for index in CORNERS:
        ras = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
        np.testing.assert_allclose(ras, (grid.ijk_to_ras @ [*index, 1])[:3], atol=1e-4)


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
@pytest.mark.parametrize("name", directions())
def test_voxels_written_by_simpleitk_are_read_in_the_same_place(tmp_path: Path, suffix: str, name: str):
    image = sitk.GetImageFromArray(numbers("int16"))
    image.SetSpacing((0.75, 0.5, 2.25))
    image.SetOrigin((3.5, -20.25, 11))
    image.SetDirection(directions()[name].ravel().tolist())
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(image, str(path))
    volume = files.read(path)
    for index in CORNERS:
        place = (volume.grid.ijk_to_ras @ [*index, 1])[:3] * (-1, -1, 1)
        np.testing.assert_allclose(place, image.TransformIndexToPhysicalPoint(index), atol=1e-4)
        assert volume.array[index[::-1]] == image[index]


def test_the_case_of_a_suffix_does_not_matter(tmp_path: Path):
    path = tmp_path / "SCAN.NRRD"
    files.write(Volume(numbers("int16"), a_grid_in(np.eye(3))), path)
    assert files.read(path).array.shape == (4, 6, 5)


def nifti_with_scaling(path: Path, stored: np.ndarray, slope: float, inter: float) -> None:
    """A NIfTI file whose header says that values are slope * stored + inter."""
    sitk.WriteImage(sitk.GetImageFromArray(stored), str(path))
    content = bytearray(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    content[112:120] = struct.pack("<ff", slope, inter)  # scl_slope and scl_inter
    path.write_bytes(gzip.compress(bytes(content)) if path.suffix == ".gz" else bytes(content))


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("dtype", ["int16", "uint8"])
def test_a_nifti_file_that_scales_its_values_is_read(tmp_path: Path, name: str, dtype: str):
    stored = numbers(dtype)
    nifti_with_scaling(tmp_path / name, stored, 0.5, -1024)
    np.testing.assert_allclose(files.read(tmp_path / name).array, 0.5 * stored - 1024)
