from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes import files
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume

DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
CORNERS = [(0, 0, 0), (4, 0, 0), (0, 5, 0), (0, 0, 3), (4, 5, 3)]


def numbers(dtype: str, shape=(4, 6, 5)) -> np.ndarray:
    """Values over the whole range of a type, its limits among them."""
    random = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return random.normal(0, 1e3, shape).astype(dtype)
    limits = np.iinfo(dtype)
    array = random.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    array[0, 0, :2] = limits.min, limits.max
    return array


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


def a_grid_in(direction: np.ndarray) -> Grid:
    matrix = np.eye(4)
    matrix[:3, :3] = direction * (0.75, 0.5, 2.25)
    matrix[:3, 3] = (-12.5, 40.25, 7.5)
    return Grid((4, 6, 5), matrix)


@pytest.mark.parametrize("suffix", files.SUFFIXES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_and_type_survive_a_round_trip(tmp_path: Path, suffix: str, dtype: str):
    path = tmp_path / f"scan{suffix}"
    volume = Volume(numbers(dtype), a_grid_in(np.eye(3)))
    files.write(volume, path)
    again = files.read(path)
    assert again.array.dtype == volume.array.dtype
    np.testing.assert_array_equal(again.array, volume.array)


@pytest.mark.parametrize("suffix", files.SUFFIXES)
@pytest.mark.parametrize("name", directions())
def test_the_place_in_the_patient_survives_a_round_trip(tmp_path: Path, suffix: str, name: str):
    grid = a_grid_in(directions()[name])
    path = tmp_path / f"scan{suffix}"
    files.write(Volume(numbers("int16"), grid), path)
    np.testing.assert_allclose(files.read(path).grid.ijk_to_ras, grid.ijk_to_ras, atol=1e-4)


@pytest.mark.parametrize("suffix", files.SUFFIXES)
@pytest.mark.parametrize("name", directions())
def test_simpleitk_finds_the_written_voxels_in_the_same_place(tmp_path: Path, suffix: str, name: str):
    grid = a_grid_in(directions()[name])
    path = tmp_path / f"scan{suffix}"
    files.write(Volume(numbers("int16"), grid), path)
    image = sitk.ReadImage(str(path))
    for index in CORNERS:
        ras = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
        np.testing.assert_allclose(ras, (grid.ijk_to_ras @ [*index, 1])[:3], atol=1e-4)


@pytest.mark.parametrize("suffix", files.SUFFIXES)
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


# Atomic writing


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("suffix", files.SUFFIXES)
def test_a_failing_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str):
    def half_written(image: object, name: str, **options: object) -> None:
        Path(name).write_bytes(b"half")
        raise RuntimeError("no space left on device")

    monkeypatch.setattr(sitk, "WriteImage", half_written)
    with pytest.raises(VolumeError, match="could not be written; .* MB are free"):
        files.write(Volume(numbers("int16"), a_grid_in(np.eye(3))), tmp_path / f"scan{suffix}")
    assert contents(tmp_path) == {}


def test_a_failing_write_leaves_the_file_that_was_to_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "scan.nii.gz"
    files.write(Volume(numbers("int16"), a_grid_in(np.eye(3))), path)
    before = contents(tmp_path)

    def failing(image: object, name: str, **options: object) -> None:
        Path(name).write_bytes(b"half")
        raise RuntimeError("no space left on device")

    monkeypatch.setattr(sitk, "WriteImage", failing)
    with pytest.raises(VolumeError):
        files.write(Volume(numbers("uint8"), a_grid_in(np.eye(3))), path, overwrite=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_file_that_the_disk_cut_short_silently_never_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
):
    write_all = sitk.WriteImage

    def cut_short(image: sitk.Image, name: str, **options: object) -> None:
        write_all(image, name, **options)
        whole = Path(name).read_bytes()
        Path(name).write_bytes(whole[:-20])

    monkeypatch.setattr(sitk, "WriteImage", cut_short)
    with pytest.raises(VolumeError, match="could not be written"):
        files.write(Volume(numbers("int16"), a_grid_in(np.eye(3))), tmp_path / f"scan{suffix}")
    assert contents(tmp_path) == {}


def test_stopping_in_the_middle_of_a_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stopped(image: object, name: str, **options: object) -> None:
        Path(name).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(sitk, "WriteImage", stopped)
    with pytest.raises(KeyboardInterrupt):
        files.write(Volume(numbers("int16"), a_grid_in(np.eye(3))), tmp_path / "scan.nii.gz")
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.nii.gz", {"a.nii.gz"}),
        ("a.mha", {"a.mha"}),
        ("a.mhd", {"a.mhd", "a.zraw"}),
        ("a.nhdr", {"a.nhdr", "a.raw.gz"}),
    ],
)
def test_a_write_leaves_the_volume_and_nothing_else(tmp_path: Path, name: str, expected: set[str]):
    files.write(Volume(numbers("int16"), a_grid_in(np.eye(3))), tmp_path / name)
    assert set(contents(tmp_path)) == expected


def test_a_detached_header_finds_its_data_after_the_folder_was_moved(tmp_path: Path):
    folder = tmp_path / "one"
    folder.mkdir()
    volume = Volume(numbers("int16"), a_grid_in(np.eye(3)))
    files.write(volume, folder / "scan.mhd")
    folder.rename(tmp_path / "other")
    np.testing.assert_array_equal(files.read(tmp_path / "other" / "scan.mhd").array, volume.array)


def test_overwriting_replaces_the_volume(tmp_path: Path):
    path = tmp_path / "scan.nrrd"
    for dtype in ("int16", "float32"):
        files.write(Volume(numbers(dtype), a_grid_in(np.eye(3))), path, overwrite=True)
    assert files.read(path).array.dtype == np.float32


# Refusals

_NIFTI_NUMBERS = [  # (start, count, bytes of each) of the numbers in a NIfTI-1 header
    (0, 1, 4), (32, 1, 4), (36, 1, 2), (40, 8, 2), (56, 3, 4), (68, 4, 2), (76, 8, 4), (108, 3, 4), (120, 1, 2),
    (124, 6, 4), (252, 2, 2), (256, 18, 4),
]  # fmt: skip


def refusal(path: Path) -> str:
    with pytest.raises(VolumeError) as caught:
        files.read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path):
    assert refusal(tmp_path / "scan.nii.gz") == f"there is no file {tmp_path / 'scan.nii.gz'}"


@pytest.mark.parametrize("suffix", files.SUFFIXES)
@pytest.mark.parametrize("text", ["", "patient 7, please call back\n" * 40])
def test_a_text_file_with_the_name_of_a_volume_is_refused(tmp_path: Path, suffix: str, text: str):
    path = tmp_path / f"scan{suffix}"
    path.write_text(text)
    assert "cannot be read as a volume" in refusal(path)


@pytest.mark.parametrize("suffix", files.SUFFIXES)
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


def test_a_4d_volume_is_refused(tmp_path: Path):
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5, 6), np.int16), isVector=False), str(path))
    assert "4 dimensions (6x5x4x3)" in refusal(path)


def test_a_4d_volume_of_one_time_point_is_a_volume(tmp_path: Path):
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((1, 4, 5, 6), np.int16), isVector=False), str(path))
    assert files.read(path).array.shape == (4, 5, 6)


@pytest.mark.parametrize("suffix", files.SUFFIXES)
def test_a_colour_volume_is_refused(tmp_path: Path, suffix: str):
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True), str(path))
    assert "3 values in each voxel" in refusal(path)


def test_a_picture_is_refused(tmp_path: Path):
    path = tmp_path / "scan.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((5, 6), np.uint8)), str(path))
    assert "2 dimensions" in refusal(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", files.SUFFIXES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float, suffix: str, dtype: str):
    array = np.zeros((4, 5, 6), dtype)
    array[2, 1, 1] = value
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    assert "slice 2 of the volume holds values that are not finite" in refusal(path)


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


def test_a_sheared_nifti_file_is_refused_for_its_shear(tmp_path: Path):
    path = tmp_path / "scan.nii"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16)), str(path))
    content = bytearray(path.read_bytes())
    content[252:256] = struct.pack("<hh", 0, 2)  # qform_code and sform_code
    content[280:328] = struct.pack("<12f", 1, 0, 0.3, 0, 0, 1, 0, 0, 0, 0, 2, 0)  # the rows of the matrix
    path.write_bytes(bytes(content))
    assert "not at right angles" in refusal(path)


def test_a_header_that_promises_more_than_the_file_can_hold_is_refused_before_memory_is_taken(tmp_path: Path):
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16)), str(path))
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[42:48] = struct.pack("<hhh", 30000, 30000, 30000)  # dim[1..3]: 54 terabytes
    path.write_bytes(gzip.compress(bytes(content)))
    assert "the file is damaged" in refusal(path)


@pytest.mark.parametrize("name", ["scan", "scan.txt", "scan.dcm", "scan.nii.bz2"])
def test_an_output_of_no_known_format_is_refused(tmp_path: Path, name: str):
    with pytest.raises(VolumeError, match=r"end the name in one of: \.nii\.gz, \.nii, \.nrrd, \.nhdr, \.mha, \.mhd"):
        files.check_output(tmp_path / name)


def test_an_output_that_exists_is_refused_unless_it_may_be_replaced(tmp_path: Path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(b"precious")
    with pytest.raises(VolumeError, match="exists already; add --overwrite"):
        files.check_output(path)
    files.check_output(path, overwrite=True)
    assert path.read_bytes() == b"precious"


def test_an_output_in_a_folder_that_does_not_exist_is_refused(tmp_path: Path):
    with pytest.raises(VolumeError, match="does not exist; make it first"):
        files.check_output(tmp_path / "nowhere" / "scan.nii.gz")


def test_a_folder_as_output_is_refused(tmp_path: Path):
    (tmp_path / "scan.nii.gz").mkdir()
    with pytest.raises(VolumeError, match="is a folder; name a file"):
        files.check_output(tmp_path / "scan.nii.gz", overwrite=True)


def test_an_output_folder_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def forbidden(*arguments: object, **options: object) -> str:
        raise PermissionError(13, "Permission denied")  # chmod would not stop a test that runs as root

    monkeypatch.setattr(files.tempfile, "mkdtemp", forbidden)
    with pytest.raises(VolumeError, match="cannot write in the folder .*Permission denied"):
        files.check_output(tmp_path / "scan.nii.gz")


def test_checking_an_output_leaves_no_trace(tmp_path: Path):
    files.check_output(tmp_path / "scan.nii.gz")
    assert contents(tmp_path) == {}


def test_a_detached_header_does_not_replace_the_data_of_another_volume(tmp_path: Path):
    """scan.nhdr and scan.mhd would both keep their voxels in scan.raw."""
    volume = Volume(numbers("int16"), a_grid_in(np.eye(3)))
    files.write(volume, tmp_path / "scan.mhd", compress=False)
    with pytest.raises(VolumeError, match="exists already"):
        files.write(Volume(-volume.array, volume.grid), tmp_path / "scan.nhdr", compress=False)
    np.testing.assert_array_equal(files.read(tmp_path / "scan.mhd").array, volume.array)
