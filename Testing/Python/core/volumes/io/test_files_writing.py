from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from command_line import contents
from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.volumes.dicom.derived import writer
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files, formats, output_files
from medical_super_resolution.volumes.volume import Volume
from volume_samples import a_grid_in, numbers


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
def test_a_failing_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str):
    def half_written(arrays: object, grid: object, part: Path, **options: object) -> None:
        part.write_bytes(b"half")
        raise RuntimeError("no space left on device")

    monkeypatch.setattr(files, "encode", half_written)
    with pytest.raises(VolumeError, match="could not be written; .* MB are free"):
        files.write(Volume(numbers("int16"), a_grid_in(np.eye(3))), tmp_path / f"scan{suffix}")
    assert contents(tmp_path) == {}


def test_a_quota_that_is_used_up_is_named_because_the_disk_has_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def over_quota(*arguments: object, **options: object) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(files, "encode", over_quota)
    with pytest.raises(VolumeError, match="could not be written: Disk quota exceeded; .* MB are free"):
        files.write(Volume(numbers("int16"), a_grid_in(np.eye(3))), tmp_path / "scan.nii.gz")


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
def test_a_value_that_is_not_finite_does_not_pass_for_a_full_disk(tmp_path: Path, suffix: str):
    array = numbers("float32")
    array[1, 0, 0] = np.nan
    with pytest.raises(VolumeError, match="slice 1 of the volume holds values that are not finite"):
        files.write(Volume(array, a_grid_in(np.eye(3))), tmp_path / f"scan{suffix}")
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
def test_voxels_of_half_precision_are_refused(tmp_path: Path, suffix: str):
    with pytest.raises(VolumeError, match="no format holds voxels of type float16; convert them to float32 first"):
        files.write(Volume(numbers("int16").astype(np.float16), a_grid_in(np.eye(3))), tmp_path / f"scan{suffix}")
    assert contents(tmp_path) == {}


def test_a_failing_write_leaves_the_file_that_was_to_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "scan.nii.gz"
    files.write(Volume(numbers("int16"), a_grid_in(np.eye(3))), path)
    before = contents(tmp_path)

    def failing(arrays: object, grid: object, part: Path, **options: object) -> None:
        part.write_bytes(b"half")
        raise RuntimeError("no space left on device")

    monkeypatch.setattr(files, "encode", failing)
    with pytest.raises(VolumeError):
        files.write(Volume(numbers("uint8"), a_grid_in(np.eye(3))), path, overwrite=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_file_that_the_disk_cut_short_silently_never_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
):
    write_all = files.encode

    def cut_short(arrays: object, grid: object, part: Path, **options: object) -> None:
        write_all(arrays, grid, part, **options)
        part.write_bytes(part.read_bytes()[:-20])

    monkeypatch.setattr(files, "encode", cut_short)
    with pytest.raises(VolumeError, match="could not be written"):
        files.write(Volume(numbers("int16"), a_grid_in(np.eye(3))), tmp_path / f"scan{suffix}")
    assert contents(tmp_path) == {}


def test_stopping_in_the_middle_of_a_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stopped(arrays: object, grid: object, part: Path, **options: object) -> None:
        part.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "encode", stopped)
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


@pytest.mark.parametrize("name", ["scan", "scan.txt", "scan.dcm", "scan.nii.bz2"])
def test_an_output_of_no_known_format_is_refused(tmp_path: Path, name: str):
    with pytest.raises(VolumeError, match=r"end the name in one of: \.nii\.gz, \.nii, \.nrrd, \.nhdr, \.mha, \.mhd"):
        output_files.check_output(tmp_path / name)


@pytest.mark.parametrize("name", ["LISTED.mhd", "50%.nhdr", " scan.mhd", "a:=b.nhdr", "a\u0085b.nhdr"])
def test_a_header_that_could_not_name_its_voxels_is_refused(tmp_path: Path, name: str):
    with pytest.raises(VolumeError, match="would misread a header"):
        output_files.check_output(tmp_path / name)
    output_files.check_output(tmp_path / Path(name).with_suffix(".nrrd"))


def test_an_output_that_exists_is_refused_unless_it_may_be_replaced(tmp_path: Path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(b"precious")
    with pytest.raises(VolumeError, match="exists already; add --overwrite"):
        output_files.check_output(path)
    output_files.check_output(path, overwrite=True)
    assert path.read_bytes() == b"precious"


def test_an_output_in_a_folder_that_does_not_exist_is_refused(tmp_path: Path):
    with pytest.raises(VolumeError, match="does not exist; make it first"):
        output_files.check_output(tmp_path / "nowhere" / "scan.nii.gz")


def test_a_folder_as_output_is_refused(tmp_path: Path):
    (tmp_path / "scan.nii.gz").mkdir()
    with pytest.raises(VolumeError, match="is a folder; name a file"):
        output_files.check_output(tmp_path / "scan.nii.gz", overwrite=True)


def test_an_output_folder_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def forbidden(*arguments: object, **options: object) -> str:
        raise PermissionError(13, "Permission denied")  # chmod would not stop a test that runs as root

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(VolumeError, match="cannot write in the folder .*Permission denied; choose another folder"):
        output_files.check_output(tmp_path / "scan.nii.gz")


@pytest.mark.skipif(os.name == "nt", reason="the longest path of POSIX")
@pytest.mark.parametrize("name", ["fine.nii.gz", "fine.nhdr", "fine.seg.nrrd", "series"])
def test_a_path_that_is_too_long_only_in_its_work_folder_is_refused_before_any_work(tmp_path: Path, name: str):
    folder = tmp_path
    while len(str(folder)) < (most := os.pathconf("/", "PC_PATH_MAX")) - 120:
        folder /= "d" * 60
    folder.mkdir(parents=True)
    path = folder / ("x" * (most - len(str(folder)) - len(name) - 10) + name)
    path.touch()
    path.unlink()  # the path itself is not too long
    with pytest.raises(VolumeError, match="made in a work folder there, in which its path would be too long; choose"):
        writer._check_folder(path) if name == "series" else output_files.check_output(path)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(("winerror", "is_named"), [(3, True), (206, True), (5, False)])
def test_a_path_that_is_too_long_on_windows_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, winerror: int, *, is_named: bool
):
    def refused(*arguments: object, **options: object) -> None:
        problem = OSError(errno.ENOENT, "The system cannot find the path specified")
        problem.winerror = winerror
        raise problem

    monkeypatch.setattr(Path, "touch", refused)
    with pytest.raises(VolumeError) as refusal:
        output_files.check_output(tmp_path / "fine.nii.gz")
    assert ("would be too long; choose another folder" in str(refusal.value)) == is_named


def test_checking_an_output_leaves_no_trace(tmp_path: Path):
    output_files.check_output(tmp_path / "scan.nii.gz")
    assert contents(tmp_path) == {}


def test_a_detached_header_does_not_replace_the_data_of_another_volume(tmp_path: Path):
    """scan.nhdr and scan.mhd would both keep their voxels in scan.raw."""
    volume = Volume(numbers("int16"), a_grid_in(np.eye(3)))
    files.write(volume, tmp_path / "scan.mhd", compress=False)
    with pytest.raises(VolumeError, match="exists already"):
        files.write(Volume(-volume.array, volume.grid), tmp_path / "scan.nhdr", compress=False)
    np.testing.assert_array_equal(files.read(tmp_path / "scan.mhd").array, volume.array)


def test_a_file_that_another_program_holds_open_is_no_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As on Windows, where such a file cannot be replaced."""

    def held(made: Path, path: Path) -> None:
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(files, "put_in_place", held)
    (tmp_path / "scan.nrrd").write_bytes(b"shown by another program")
    with pytest.raises(VolumeError, match=r"scan\.nrrd cannot be replaced; close it in other programs, or choose"):
        files.write(Volume(numbers("int16"), a_grid_in(np.eye(3))), tmp_path / "scan.nrrd", overwrite=True)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nrrd"])
def test_only_nifti_limits_the_voxels_along_an_axis(tmp_path: Path, name: str):
    fits, too_long = (
        Volume(np.zeros(shape, np.uint8), Grid(shape, np.eye(4))) for shape in ((1, 1, 32767), (1, 1, 32768))
    )
    files.write(fits, tmp_path / name)
    if name == "scan.nii":
        with pytest.raises(SettingsError, match="holds 32767 voxels along an axis, not 32768; choose .nrrd"):
            files.write(too_long, tmp_path / name, overwrite=True)
        assert files.read(tmp_path / name).array.shape == fits.array.shape
    else:
        files.write(too_long, tmp_path / name, overwrite=True)
        assert files.read(tmp_path / name).array.shape == too_long.array.shape
