from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from limited_reading import refusal
from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files, formats, output_files
from medical_super_resolution.volumes.volume import Volume
from volume_samples import numbers

_NIFTI_NUMBERS = [  # (start, count, bytes of each) of the numbers in a NIfTI-1 header
    (0, 1, 4), (32, 1, 4), (36, 1, 2), (40, 8, 2), (56, 3, 4), (68, 4, 2), (76, 8, 4), (108, 3, 4), (120, 1, 2),
    (124, 6, 4), (252, 2, 2), (256, 18, 4),
]  # fmt: skip


def test_a_missing_file_is_refused(tmp_path: Path):
    assert refusal(tmp_path / "scan.nii.gz") == f"there is no file {tmp_path / 'scan.nii.gz'}"


def test_a_nifti_output_is_refused_before_the_work_where_nibabel_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "nibabel", None)
    output_files.check_output(tmp_path / "scan.nrrd")
    for name in ("scan.nii", "SCAN.NII.GZ"):
        with pytest.raises(SettingsError, match="NIfTI files need nibabel"):
            output_files.check_output(tmp_path / name)


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
@pytest.mark.parametrize("text", ["", "patient 7, please call back\n" * 40])
def test_a_text_file_with_the_name_of_a_volume_is_refused(tmp_path: Path, suffix: str, text: str):
    path = tmp_path / f"scan{suffix}"
    path.write_text(text)
    assert "cannot be read as a volume" in refusal(path)


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
@pytest.mark.parametrize("part", [0.98, 0.5])
@pytest.mark.parametrize("compress", [True, False])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str, part: float, compress: bool):
    path = tmp_path / f"scan{suffix}"
    files.write(Volume(numbers("int16", (8, 12, 10)), Grid((8, 12, 10), np.eye(4))), path, compress=compress)
    data = max(tmp_path.iterdir(), key=lambda file: file.stat().st_size)
    data.write_bytes(data.read_bytes()[: int(part * data.stat().st_size)])
    assert "cut short" in refusal(path)


def test_a_garbled_nifti_file_is_refused(tmp_path: Path):
    path = tmp_path / "scan.nii.gz"
    files.write(Volume(numbers("int16", (8, 12, 10)), Grid((8, 12, 10), np.eye(4))), path)
    content = bytearray(path.read_bytes())
    content[-300:-290] = bytes(10)
    path.write_bytes(bytes(content))
    assert "damaged" in refusal(path)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("scan.nrrd", "NRRD0004\ntype: short\ndimension: 3\nsizes: ² 3 4\nencoding: raw\n\n"),
        ("scan.mha", "NDims = ²\nDimSize = 2 3 4\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"),
    ],
    ids=["NRRD", "MetaImage"],
)
def test_a_digit_that_is_no_number_is_refused(tmp_path: Path, name: str, header: str):
    (tmp_path / name).write_bytes(header.encode() + bytes(48))
    assert "cannot be read as a volume: its " in refusal(tmp_path / name)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_damaged_number_of_dimensions_is_told_in_the_byte_order_of_the_file(tmp_path: Path, order: str):
    header = nibabel.Nifti1Header(endianness=order)
    header["dim"], header["magic"] = [9, 5, 6, 7, 1, 1, 1, 1], b"n+1"
    (tmp_path / "scan.nii").write_bytes(header.binaryblock + bytes(4 + 5 * 6 * 7))
    assert "it has 9 dimensions" in refusal(tmp_path / "scan.nii")


@pytest.mark.parametrize("intent", [3002, 3006])
def test_a_cifti_file_is_refused_as_that(tmp_path: Path, intent: int):
    image = nibabel.Nifti2Image(np.zeros((1, 1, 1, 1, 2, 64), np.float32), np.eye(4))
    image.header["intent_code"] = intent
    nibabel.save(image, tmp_path / "scan.dscalar.nii")
    assert "is a CIFTI file, a table of values on the surface of the brain" in refusal(tmp_path / "scan.dscalar.nii")


def test_a_4d_volume_is_refused(tmp_path: Path):
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5, 6), np.int16), isVector=False), str(path))
    said = refusal(path)
    assert "4 dimensions (6x5x4x3)" in said
    assert "`medsr enhance` takes them all, or one of them by --volume N" in said  # not every command has this option


def test_a_4d_volume_of_one_time_point_is_a_volume(tmp_path: Path):
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((1, 4, 5, 6), np.int16), isVector=False), str(path))
    assert files.read(path).array.shape == (4, 5, 6)


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
def test_a_color_volume_is_refused(tmp_path: Path, suffix: str):
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True), str(path))
    assert "3 values in each voxel" in refusal(path)


def test_a_picture_is_refused(tmp_path: Path):
    path = tmp_path / "scan.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((5, 6), np.uint8)), str(path))
    assert "2 dimensions" in refusal(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", formats.SUFFIXES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float, suffix: str, dtype: str):
    array = np.zeros((4, 5, 6), dtype)
    array[2, 1, 1] = value
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    assert "slice 2 of the volume holds values that are not finite" in refusal(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_of_a_series_the_volume_with_values_that_are_not_finite_is_named(tmp_path: Path, suffix: str):
    arrays = np.zeros((3, 4, 5, 6), np.float32)
    arrays[1, 2, 3, 4] = np.nan
    path = tmp_path / f"series{suffix}"
    sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(array) for array in arrays]), str(path))
    for read in (lambda: list(files.read_all(path)), lambda: files.read(path, number=1)):
        with pytest.raises(VolumeError, match="^slice 2 of volume 1 of the series holds values that are not finite"):
            read()
    assert not files.read(path, number=2).array.any()


def test_values_that_are_not_finite_are_found_in_a_nifti_file_of_the_other_byte_order(tmp_path: Path):
    path = tmp_path / "scan.nii"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.float32)), str(path))
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    swapped = content[:348]
    for start, count, width in _NIFTI_NUMBERS:
        swapped[start : start + count * width] = (
            swapped[start : start + count * width].reshape(count, width)[:, ::-1].ravel()
        )
    values = np.zeros((4, 5, 6), ">f4")
    values[0, 0, 0] = 1e-40  # its bytes, read the wrong way round, are a large finite number
    finite = swapped.tobytes() + bytes(4) + values.tobytes()
    path.write_bytes(finite)
    np.testing.assert_allclose(files.read(path).array, values, atol=1e-30)
    values[3, 0, 0] = np.nan
    path.write_bytes(swapped.tobytes() + bytes(4) + values.tobytes())
    assert "slice 3 of the volume holds values that are not finite" in refusal(path)


def test_a_sheared_nifti_file_is_straightened_with_a_note(tmp_path: Path):
    path = tmp_path / "scan.nii"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16)), str(path))
    content = bytearray(path.read_bytes())
    content[252:256] = struct.pack("<hh", 0, 2)  # qform_code and sform_code
    content[280:328] = struct.pack("<12f", 1, 0, 0.3, 0, 0, 1, 0, 0, 0, 0, 2, 0)  # the rows of the matrix
    path.write_bytes(bytes(content))
    volume = files.read(path)
    assert not volume.grid.is_sheared
    assert volume.notes == ("the slices were tilted by 8.5 degrees and were straightened",)


def test_a_header_that_promises_more_than_the_file_can_hold_is_refused_before_memory_is_taken(tmp_path: Path):
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16)), str(path))
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[42:48] = struct.pack("<hhh", 30000, 30000, 30000)  # dim[1..3]: 54 terabytes
    path.write_bytes(gzip.compress(bytes(content)))
    assert "the file is damaged" in refusal(path)


@pytest.mark.parametrize("name", ["thin.mgz", "thin.hdr", "thin.png", "thin"])
def test_an_output_that_cannot_be_written_is_refused_whether_or_not_it_could_be_read(tmp_path: Path, name: str):
    with pytest.raises(VolumeError, match=f"no volume can be written as {name}; end the name in one of: .nii.gz"):
        output_files.check_output(tmp_path / name)
