"""The sform and the qform of a NIfTI file: both are refined, both keep their codes."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

VALUES = np.arange(-60, 60, dtype=np.int16).reshape(4, 6, 5)
SCANNER = np.array([[1, 0, 0, -10], [0, 1.5, 0, -12], [0, 0, 4, -20], [0, 0, 0, 1.0]])
TURN = np.array([[0.8, -0.6, 0, 3], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
QUARTERS = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.25, -0.375], [0, 0, 0, 1.0]])  # new index to old


def an_image(sform: np.ndarray, sform_code: int, qform: np.ndarray, qform_code: int) -> nibabel.Nifti1Image:
    image = nibabel.Nifti1Image(VALUES.transpose(2, 1, 0), SCANNER)
    image.set_qform(qform, qform_code)
    image.set_sform(sform, sform_code)
    return image


def refined(path: Path, output: Path) -> nibabel.Nifti1Image:
    """The file with four times finer slices, as the product writes it."""
    volume = files.read(path)
    fine = Volume(
        np.repeat(volume.array, 4, axis=0), volume.grid.refined("k", 4), sheared_grid=volume.sheared_grid,
        header=volume.header,
    )  # fmt: skip
    files.write(fine, output)
    return nibabel.load(output)


@pytest.mark.parametrize("name", ["fine.nii", "fine.nii.gz"])
def test_forms_that_differ_are_both_refined_and_keep_their_codes(tmp_path: Path, name: str):
    nibabel.save(an_image(TURN @ SCANNER, 2, SCANNER, 1), tmp_path / "scan.nii.gz")
    fine = refined(tmp_path / "scan.nii.gz", tmp_path / name)
    np.testing.assert_allclose(fine.affine, TURN @ SCANNER @ QUARTERS, atol=1e-5)
    np.testing.assert_allclose(fine.get_qform(), SCANNER @ QUARTERS, atol=1e-5)
    assert (int(fine.header["sform_code"]), int(fine.header["qform_code"])) == (2, 1)
    np.testing.assert_allclose(fine.header.get_zooms(), (1, 1.5, 1), atol=1e-6)


def test_a_damaged_qform_is_replaced_where_the_sform_gives_the_place(tmp_path: Path):
    nibabel.save(an_image(TURN @ SCANNER, 2, SCANNER, 1), tmp_path / "scan.nii")
    content = bytearray((tmp_path / "scan.nii").read_bytes())
    content[256:260] = struct.pack("<f", 1e30)  # quatern_b, of which no rotation can be made
    (tmp_path / "scan.nii").write_bytes(content)
    fine = refined(tmp_path / "scan.nii", tmp_path / "fine.nii")
    np.testing.assert_allclose(fine.affine, TURN @ SCANNER @ QUARTERS, atol=1e-5)
    np.testing.assert_allclose(fine.get_qform(), TURN @ SCANNER @ QUARTERS, atol=1e-5)
    assert (int(fine.header["sform_code"]), int(fine.header["qform_code"])) == (2, 0)


@pytest.mark.parametrize(("codes", "place"), [((4, 1), "sform"), ((0, 1), "qform"), ((1, 0), "sform")])
def test_the_sform_is_the_place_where_it_has_a_code(tmp_path: Path, codes: tuple[int, int], place: str):
    nibabel.save(an_image(TURN @ SCANNER, codes[0], SCANNER, codes[1]), tmp_path / "scan.nii")
    expected = TURN @ SCANNER if place == "sform" else SCANNER
    np.testing.assert_allclose(files.read(tmp_path / "scan.nii").grid.ijk_to_ras, expected, atol=1e-5)
    fine = refined(tmp_path / "scan.nii", tmp_path / "fine.nii")
    np.testing.assert_allclose(fine.affine, expected @ QUARTERS, atol=1e-5)
    assert (int(fine.header["sform_code"]), int(fine.header["qform_code"])) == codes


def test_what_the_header_says_besides_is_kept(tmp_path: Path):
    image = an_image(SCANNER, 1, SCANNER, 1)
    image.header["descrip"] = b"made up; TE=30"
    image.header["intent_code"], image.header["intent_name"] = 1002, b"labels"
    image.header["cal_max"] = 77
    image.header.set_xyzt_units("mm", "msec")
    nibabel.save(image, tmp_path / "scan.nii.gz")
    header = refined(tmp_path / "scan.nii.gz", tmp_path / "fine.nii.gz").header
    assert header["descrip"].tobytes().rstrip(b"\0") == b"made up; TE=30"
    assert (int(header["intent_code"]), header["intent_name"].tobytes().rstrip(b"\0")) == (1002, b"labels")
    assert header.get_xyzt_units() == ("mm", "msec")
    assert float(header["cal_max"]) == 77


def test_a_volume_out_of_a_sequence_keeps_its_repetition_time_and_nothing_of_the_old_slices(tmp_path: Path):
    image = nibabel.Nifti1Image(np.stack([VALUES.transpose(2, 1, 0)] * 2, axis=-1), SCANNER)
    image.header.set_zooms((1, 1.5, 4, 2.5))
    for name, value in {"slice_code": 3, "slice_start": 1, "slice_end": 3, "slice_duration": 0.6}.items():
        image.header[name] = value
    nibabel.save(image, tmp_path / "scan.nii")
    files.write(files.read(tmp_path / "scan.nii", number=1), tmp_path / "one.nii")
    header = nibabel.load(tmp_path / "one.nii").header
    assert header["pixdim"][4] == 2.5
    assert [float(header[f"slice_{name}"]) for name in ("code", "start", "end", "duration")] == [0, 0, 0, 0]


@pytest.mark.parametrize("source", ["scan.nrrd", "scan.mha"])
def test_a_file_of_another_format_becomes_one_in_the_space_of_the_scanner(tmp_path: Path, source: str):
    nibabel.save(an_image(SCANNER, 1, SCANNER, 1), tmp_path / "scan.nii")
    files.write(files.read(tmp_path / "scan.nii"), tmp_path / source)
    fine = refined(tmp_path / source, tmp_path / "fine.nii")
    assert (int(fine.header["sform_code"]), int(fine.header["qform_code"])) == (1, 1)
    assert fine.header.get_xyzt_units() == ("mm", "sec")
    for matrix in (fine.get_sform(), fine.get_qform()):
        np.testing.assert_allclose(matrix, SCANNER @ QUARTERS, atol=1e-5)


def test_nifti_2_stays_nifti_2(tmp_path: Path):
    nibabel.save(nibabel.Nifti2Image(VALUES.transpose(2, 1, 0), SCANNER), tmp_path / "scan.nii")
    fine = refined(tmp_path / "scan.nii", tmp_path / "fine.nii")
    assert int(fine.header["sizeof_hdr"]) == 540
    np.testing.assert_allclose(fine.affine, SCANNER @ QUARTERS)


def test_units_of_micrometers_are_millimeters_for_us_and_micrometers_in_the_result(tmp_path: Path):
    image = an_image(np.diag([10, 10, 40, 1.0]), 1, np.diag([10, 10, 40, 1.0]), 1)
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "scan.nii")
    assert files.read(tmp_path / "scan.nii").grid.spacing_ijk_mm == pytest.approx((0.01, 0.01, 0.04))
    fine = refined(tmp_path / "scan.nii", tmp_path / "fine.nii")
    np.testing.assert_allclose(fine.header.get_zooms(), (10, 10, 10), rtol=1e-5)
    assert fine.header.get_xyzt_units()[0] == "micron"


@pytest.mark.parametrize("form", ["no form", "the sform alone", "a tilted sform"])
def test_a_form_that_a_file_in_micrometers_lacks_is_written_in_them(tmp_path: Path, form: str):
    matrix = np.diag([100.0, 110, 400, 1])
    matrix[1, 2] = 90.0 if form == "a tilted sform" else 0.0
    image = nibabel.Nifti1Image(np.zeros((6, 7, 5), np.int16), matrix)
    image.header.set_xyzt_units("micron")
    image.header["sform_code"], image.header["qform_code"] = int(form != "no form"), 0
    image.header["pixdim"][1:4] = 100, 110, 400
    header = bytearray(image.header.binaryblock)
    header[108:112] = np.float32(352).tobytes()  # where the voxels begin
    (tmp_path / "scan.nii").write_bytes(header + bytes(4) + image.get_fdata().astype("<i2").tobytes())
    volume = files.read(tmp_path / "scan.nii")
    assert volume.grid.spacing_ijk_mm == pytest.approx((0.1, 0.11, 0.4))
    files.write(volume, tmp_path / "again.nii")
    again = files.read(tmp_path / "again.nii")
    np.testing.assert_allclose(again.grid.ijk_to_ras, volume.grid.ijk_to_ras, atol=1e-6)
    np.testing.assert_allclose(nibabel.load(tmp_path / "again.nii").header.get_zooms(), (100, 110, 400), rtol=1e-5)


@pytest.mark.parametrize("shear", [5e-5, 5e-4, 9e-4])
def test_a_small_shear_is_straightened_with_a_note(tmp_path: Path, shear: float):
    matrix = SCANNER.copy()
    matrix[1, 2] += shear * 4
    nibabel.save(an_image(matrix, 1, SCANNER, 0), tmp_path / "scan.nii")
    volume = files.read(tmp_path / "scan.nii")
    direction = volume.grid.direction
    np.testing.assert_allclose(direction.T @ direction, np.eye(3), atol=1e-7)
    assert volume.notes
    assert "degrees off right angles and are taken as straight" in volume.notes[0]
    np.testing.assert_allclose(volume.grid.ijk_to_ras, matrix, atol=5e-3)


def a_tilted_file(path: Path, angle: float = 16.5) -> np.ndarray:
    """As dcm2niix writes a CT with tilted gantry: sform sheared, qform at right angles."""
    matrix = np.diag([1, 1.5, 4, 1.0])
    matrix[1, 1], matrix[2, 1] = 1.5 * np.cos(np.radians(angle)), -1.5 * np.sin(np.radians(angle))
    image = nibabel.Nifti1Image(VALUES.transpose(2, 1, 0), SCANNER)
    image.set_qform(matrix, 1, strip_shears=True)
    image.set_sform(matrix, 1)
    nibabel.save(image, path)
    return matrix


@pytest.mark.parametrize("angle", [16.5, -16.5])
def test_a_tilted_gantry_is_straightened_and_its_angle_reported(tmp_path: Path, angle: float):
    matrix = a_tilted_file(tmp_path / "scan.nii", angle)
    volume = files.read(tmp_path / "scan.nii")
    assert not volume.grid.is_sheared
    assert volume.notes == ("the slices were tilted by 16.5 degrees and were straightened",)
    np.testing.assert_allclose(volume.sheared_grid.ijk_to_ras, matrix, atol=1e-5)
    place = (np.linalg.inv(volume.grid.ijk_to_ras) @ matrix @ [2, 3, 0, 1])[:3]
    i, j, k = np.rint(place).astype(int)
    assert abs(float(volume.array[k, j, i]) - VALUES[0, 3, 2]) < 5
    assert volume.padding is not None
    fine = refined(tmp_path / "scan.nii", tmp_path / "fine.nii")
    np.testing.assert_allclose(fine.affine, volume.grid.refined("k", 4).ijk_to_ras, atol=1e-4)
    np.testing.assert_allclose(fine.get_qform(), fine.affine, atol=1e-4)


def test_an_sform_that_an_alignment_sheared_is_kept_and_the_grid_is_that_of_the_scanner(tmp_path: Path):
    sheared = np.array([[1.1, 0.2, 0.1, 0], [-0.1, 0.9, 0.3, 0], [0, -0.2, 1, 0], [0, 0, 0, 1.0]]) @ SCANNER
    nibabel.save(an_image(sheared, 4, SCANNER, 1), tmp_path / "scan.nii")
    volume = files.read(tmp_path / "scan.nii")
    np.testing.assert_allclose(volume.grid.ijk_to_ras, SCANNER, atol=1e-5)
    assert "sheared" in volume.notes[0]
    fine = refined(tmp_path / "scan.nii", tmp_path / "fine.nii")
    np.testing.assert_allclose(fine.affine, sheared @ QUARTERS, atol=1e-5)
    np.testing.assert_allclose(fine.get_qform(), SCANNER @ QUARTERS, atol=1e-5)


@pytest.mark.parametrize("handedness", [0, np.nan, 7])
def test_an_unknown_handedness_of_the_qform_is_right(tmp_path: Path, handedness: float):
    image = an_image(SCANNER, 1, SCANNER, 1)
    nibabel.save(image, tmp_path / "scan.nii")
    written = bytearray((tmp_path / "scan.nii").read_bytes())
    struct.pack_into("<f", written, 76, handedness)
    (tmp_path / "scan.nii").write_bytes(written)
    fine = refined(tmp_path / "scan.nii", tmp_path / "fine.nii")
    np.testing.assert_allclose(fine.get_qform(), SCANNER @ QUARTERS, atol=1e-5)


def test_codes_that_no_standard_knows_are_kept(tmp_path: Path):
    nibabel.save(an_image(SCANNER, 1, SCANNER, 1), tmp_path / "scan.nii")
    written = bytearray((tmp_path / "scan.nii").read_bytes())
    struct.pack_into("<2h", written, 252, 2049, 77)
    (tmp_path / "scan.nii").write_bytes(written)
    refined(tmp_path / "scan.nii", tmp_path / "fine.nii")  # nibabel reads them as 0
    assert struct.unpack_from("<2h", (tmp_path / "fine.nii").read_bytes(), 252) == (2049, 77)


@pytest.mark.parametrize("damage", [np.zeros(12), np.full(12, np.nan)])
def test_a_damaged_sform_gives_way_to_the_qform(tmp_path: Path, damage: np.ndarray):
    nibabel.save(an_image(SCANNER, 1, TURN @ SCANNER, 1), tmp_path / "scan.nii")
    written = bytearray((tmp_path / "scan.nii").read_bytes())
    struct.pack_into("<12f", written, 280, *damage)
    (tmp_path / "scan.nii").write_bytes(written)
    volume = files.read(tmp_path / "scan.nii")
    np.testing.assert_allclose(volume.grid.ijk_to_ras, TURN @ SCANNER, atol=1e-5)
    assert "the sform is damaged" in volume.notes[0]
    fine = refined(tmp_path / "scan.nii", tmp_path / "fine.nii")
    np.testing.assert_allclose(fine.affine, TURN @ SCANNER @ QUARTERS, atol=1e-5)


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_is_read_by_what_it_is_and_not_by_its_name(tmp_path: Path, packed: bool):
    nibabel.save(an_image(SCANNER, 1, SCANNER, 1), tmp_path / "good.nii")
    content = (tmp_path / "good.nii").read_bytes()
    path = tmp_path / ("scan.nii" if packed else "scan.nii.gz")
    path.write_bytes(gzip.compress(content) if packed else content)
    np.testing.assert_array_equal(files.read(path).array, VALUES)


@pytest.mark.parametrize(("named", "expected"), [(1, "j"), (None, "k")])
def test_the_slice_axis_that_a_header_names_decides_where_no_spacing_stands_out(tmp_path: Path, named, expected: str):
    image = an_image(np.diag([1, 2, 3, 1.0]), 1, np.diag([1, 2, 3, 1.0]), 1)
    image.header.set_dim_info(slice=named)
    nibabel.save(image, tmp_path / "scan.nii")
    assert files.read(tmp_path / "scan.nii").grid.through_plane_axis == expected


def test_slices_whose_rows_and_columns_are_not_at_right_angles_are_refused(tmp_path: Path):
    matrix = SCANNER.copy()
    matrix[0, 1] += 0.3
    nibabel.save(an_image(matrix, 1, SCANNER, 0), tmp_path / "scan.nii")
    with pytest.raises(VolumeError, match="not at right angles"):
        files.read(tmp_path / "scan.nii")
