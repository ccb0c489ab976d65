from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import dicom_files
from dicom_files import write_series
from limited_reading import refusal
from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.io import files

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture
def stored() -> np.ndarray:
    """Stored values of a 12-bit scanner, 7 slices of 12 x 10."""
    return np.random.default_rng(0).integers(0, 4096, (7, 12, 10)).astype(np.uint16)


def expected_matrix() -> np.ndarray:
    """Index to RAS of the series that `write_series` makes."""
    orientation, origin, step = dicom_files.geometry()
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = 0.7 * orientation[:3], 0.8 * orientation[3:]
    matrix[:3, 2], matrix[:3, 3] = step, origin
    return LPS_TO_RAS @ matrix


def test_a_series_lies_where_its_headers_say(tmp_path: Path, stored: np.ndarray):
    write_series(tmp_path / "scan", stored)
    np.testing.assert_allclose(files.read(tmp_path / "scan").grid.ijk_to_ras, expected_matrix(), atol=1e-6)


def test_stored_values_become_hounsfield_units(tmp_path: Path, stored: np.ndarray):
    write_series(tmp_path / "scan", stored, intercept=-1024)
    array = files.read(tmp_path / "scan").array
    assert array.dtype.kind == "i"
    np.testing.assert_array_equal(array, stored.astype(int) - 1024)


def test_a_rescale_slope_is_applied(tmp_path: Path, stored: np.ndarray):
    write_series(tmp_path / "scan", stored, modality="PT", slope=0.25, intercept=0)
    np.testing.assert_allclose(files.read(tmp_path / "scan").array, 0.25 * stored)


def test_a_series_says_its_thickness_and_modality(tmp_path: Path, stored: np.ndarray):
    write_series(tmp_path / "scan", stored, modality="MR", thickness=4.5)
    volume = files.read(tmp_path / "scan")
    assert (volume.slice_thickness_mm, volume.modality) == (4.5, "mr")


@pytest.mark.parametrize("thickness", ["", "0", "-1", "1e30"])
def test_an_impossible_thickness_counts_as_unknown(tmp_path: Path, stored: np.ndarray, thickness: str):
    write_series(tmp_path / "scan", stored, thickness=thickness)
    assert files.read(tmp_path / "scan").slice_thickness_mm is None


def test_any_file_names_the_whole_series(tmp_path: Path, stored: np.ndarray):
    names = [f"IM{number}" for number in range(7)]  # as from a hospital's disk: no suffix
    written = write_series(tmp_path / "scan", stored, names=names)
    for path in (written[0], written[4]):
        np.testing.assert_array_equal(files.read(path).array, stored.astype(int) - 1024)


def test_slices_are_ordered_by_place_and_not_by_name_or_number(tmp_path: Path, stored: np.ndarray):
    names = ["d.dcm", "a.dcm", "g.dcm", "b.dcm", "f.dcm", "c.dcm", "e.dcm"]
    write_series(tmp_path / "scan", stored, names=names)
    volume = files.read(tmp_path / "scan")
    np.testing.assert_array_equal(volume.array, stored.astype(int) - 1024)
    np.testing.assert_allclose(volume.grid.ijk_to_ras, expected_matrix(), atol=1e-6)


def test_a_series_scanned_from_head_to_foot_holds_the_same_tissue_in_the_same_place(tmp_path: Path, stored: np.ndarray):
    _, origin, step = dicom_files.geometry()
    write_series(tmp_path / "up", stored)
    folder = tmp_path / "down"
    folder.mkdir()
    orientation = dicom_files.geometry()[0]
    for number in range(7):  # numbered the other way round
        place, pixels = origin + (6 - number) * step, stored[6 - number]
        path = folder / f"{number}.dcm"
        dicom_files.write_slice(
            path, pixels, position=place, orientation=orientation, spacing=(0.8, 0.7), number=number
        )
    up, down = files.read(tmp_path / "up"), files.read(folder)
    np.testing.assert_array_equal(down.array, up.array)
    np.testing.assert_allclose(down.grid.ijk_to_ras, up.grid.ijk_to_ras, atol=1e-6)


def test_the_reader_agrees_with_simpleitk_on_every_corner(tmp_path: Path, stored: np.ndarray):
    written = write_series(tmp_path / "scan", stored)
    image = sitk.ReadImage([str(path) for path in written])
    volume = files.read(tmp_path / "scan")
    for index in ((0, 0, 0), (9, 0, 0), (0, 11, 0), (0, 0, 6), (9, 11, 6)):
        here = volume.grid.ijk_to_ras @ [*index, 1]
        np.testing.assert_allclose(here[:3] * (-1, -1, 1), image.TransformIndexToPhysicalPoint(index), atol=1e-4)
        assert volume.array[index[::-1]] == image[index]


@pytest.fixture
def a_folder_with_two_series(tmp_path: Path, stored: np.ndarray) -> Path:
    folder = tmp_path / "study"
    write_series(folder, stored, names=[f"thin{number}.dcm" for number in range(7)], description="Thin", series=1)
    write_series(folder, stored[:4], names=[f"bone{number}.dcm" for number in range(4)], description="Bone", series=2)
    return folder


def test_several_series_in_a_folder_are_listed_with_a_way_to_choose(a_folder_with_two_series: Path):
    with pytest.raises(VolumeError) as caught:
        files.read(a_folder_with_two_series)
    message = str(caught.value)
    assert "2 series" in message
    assert "Thin (7 images, thin0.dcm)" in message
    assert "Bone (4 images, bone0.dcm)" in message
    assert "name any one file" in message


@pytest.mark.parametrize(("name", "slices"), [("thin3.dcm", 7), ("bone1.dcm", 4)])
def test_a_file_chooses_its_own_series_among_several(a_folder_with_two_series: Path, name: str, slices: int):
    assert files.read(a_folder_with_two_series / name).array.shape == (slices, 12, 10)


def test_other_files_in_the_folder_do_not_disturb(tmp_path: Path, stored: np.ndarray):
    write_series(tmp_path / "scan", stored)
    (tmp_path / "scan" / "readme.txt").write_text("from the scanner")
    (tmp_path / "scan" / "DICOMDIR").write_bytes(b"not really")
    assert files.read(tmp_path / "scan").array.shape == (7, 12, 10)


def test_more_than_a_single_missing_slice_is_refused_with_the_distances(tmp_path: Path, stored: np.ndarray):
    write_series(tmp_path / "scan", stored, skip=(2, 3))
    assert "5.00 to 15.00 mm apart" in refusal(tmp_path / "scan")


def test_a_single_file_is_refused(tmp_path: Path, stored: np.ndarray):
    write_series(tmp_path / "scan", stored[:1])
    assert "single file" in refusal(tmp_path / "scan")


def test_several_images_at_one_place_are_refused(tmp_path: Path, stored: np.ndarray):
    _, origin, step = dicom_files.geometry()
    written = write_series(tmp_path / "scan", stored)
    write_series(tmp_path / "scan", stored[:1], names=["again.dcm"], position=origin + 2 * step, number=99)
    assert len(written) == 7
    assert "several images at one place" in refusal(tmp_path / "scan")


@pytest.mark.parametrize(
    ("tag", "word"),
    [((0x0020, 0x0032), "position"), ((0x0020, 0x0037), "orientation"), ((0x0028, 0x0030), "pixel spacing")],
)
def test_slices_without_a_place_are_refused(tmp_path: Path, stored: np.ndarray, tag: tuple[int, int], word: str):
    write_series(tmp_path / "scan", stored, leave_out=(tag,))
    assert f"without their {word}" in refusal(tmp_path / "scan")


def test_a_scout_in_the_series_is_left_out_and_named(tmp_path: Path, stored: np.ndarray):
    _, origin, step = dicom_files.geometry()
    write_series(tmp_path / "scan", stored)
    scout = {"position": origin + 9 * step, "orientation": (1, 0, 0, 0, 0, 1), "number": 99}
    write_series(tmp_path / "scan", stored[:1], names=["scout.dcm"], **scout)
    volume = files.read(tmp_path / "scan")
    np.testing.assert_array_equal(volume.array, stored.astype(int) - 1024)
    assert volume.notes[0].endswith("left out: number 99")


def test_a_slice_of_another_size_is_left_out_and_named(tmp_path: Path, stored: np.ndarray):
    _, origin, step = dicom_files.geometry()
    write_series(tmp_path / "scan", stored)
    write_series(tmp_path / "scan", stored[:1, :5], names=["small.dcm"], position=origin + 7 * step, number=99)
    volume = files.read(tmp_path / "scan")
    assert volume.array.shape == stored.shape
    assert volume.notes[0].endswith("left out: number 99")


def test_slices_that_have_no_stack_in_common_are_refused(tmp_path: Path, stored: np.ndarray):
    for number, orientation in enumerate(((1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, 1))):
        said = {"position": (0, 0, 0), "orientation": orientation, "number": 90 + number}
        write_series(tmp_path / "scan", stored[:1], names=[f"{number}.dcm"], **said)
    assert "orientation or size" in refusal(tmp_path / "scan")


def test_a_damaged_file_in_the_series_is_refused(tmp_path: Path, stored: np.ndarray):
    written = write_series(tmp_path / "scan", stored)
    whole = written[3].read_bytes()
    written[3].write_bytes(whole[:-100])
    refusal(tmp_path / "scan")


@pytest.mark.parametrize("name", [None, "note.txt", "sub-01_physio.tsv.gz"])
def test_a_folder_without_a_series_is_refused(tmp_path: Path, name: str | None):
    if name:
        (tmp_path / name).write_text("no scan here")
    assert "no DICOM series in the folder" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["IM0001.dcm.gz", "disc 2/STUDY.ZIP"])
def test_a_folder_of_packed_files_is_refused_with_the_advice_to_unpack_them(tmp_path: Path, name: str):
    (tmp_path / "disc 2").mkdir()
    (tmp_path / "brain.nii.gz").write_bytes(b"not asked for")
    (tmp_path / name).write_bytes(b"any")
    assert f"holds no DICOM images: {Path(name).name} (a packed file, to be unpacked first);" in refusal(tmp_path)


def test_packed_files_beside_a_series_are_counted_among_what_adds_no_image(tmp_path: Path, stored: np.ndarray):
    write_series(tmp_path / "scan", stored)
    for name in ("a.zip", "b.zip"):
        (tmp_path / "scan" / name).write_bytes(b"any")
    notes = files.read(tmp_path / "scan").notes
    assert "files that add no image were ignored: 2 times a packed file, to be unpacked first" in notes


def test_a_file_that_is_no_dicom_is_refused(tmp_path: Path):
    (tmp_path / "IM0001").write_text("no scan here")
    assert "not a format that this program reads: text" in refusal(tmp_path / "IM0001")


def test_a_folder_without_a_series_gets_one_sentence_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    refusal(tmp_path)
    assert capfd.readouterr() == ("", "")
