"""One parser for each format: checks, planning, whole and partial reading agree with ITK and nibabel."""

from __future__ import annotations

import bz2
import gzip
import struct
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from limited_reading import refusal
from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files, formats
from medical_super_resolution.volumes.memmap import disk_allocator
from medical_super_resolution.volumes.volume import Volume

VALUES = np.arange(-60, 60, dtype=np.int16).reshape(4, 6, 5)
META = "ObjectType = Image\nNDims = 3\n{}\nDimSize = 5 6 4\nElementSpacing = 1 1.5 2\nElementType = MET_SHORT\n"
NRRD = """NRRD0004
type: {type}
dimension: 3
space: {space}
sizes: 5 6 4
space directions: {directions}
kinds: domain domain domain
{endian}encoding: {encoding}
space origin: (3,-4,5)
"""
DIRECTIONS = "(1,0,0) (0,1.5,0) (0,0,2)"


def assert_read_alike_in_all_ways(path: Path, expected: np.ndarray, matrix: np.ndarray | None = None) -> None:
    """Whole, plane by plane, planned from the header alone: one shape, type, place and values."""
    volume = files.read(path)
    np.testing.assert_allclose(volume.array, expected, rtol=1e-6)
    grid, dtype = formats.grid_and_type_of(path)
    assert grid == volume.grid
    assert dtype == volume.array.dtype
    with disk_allocator(path.parent) as allocator:
        np.testing.assert_array_equal(files.read(path, allocator=allocator).array, volume.array)
    if matrix is not None:
        np.testing.assert_allclose(volume.grid.ijk_to_ras, matrix, atol=1e-5)


def itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Values and index-to-RAS matrix as ITK reads them."""
    image = sitk.ReadImage(str(path))
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image), np.diag([-1, -1, 1, 1]) @ matrix


@pytest.mark.parametrize("line", [
    "BinaryDataByteOrderMSB = True", "BinaryDataByteOrderMSB = T", "BinaryDataByteOrderMSB = true",
    "BinaryDataByteOrderMSB = 1", "BinaryDataByteOrderMSB: True", "ElementByteOrderMSB = True",
    "BinaryDataByteOrderMSB  =  True", "BinaryData = True\nBinaryDataByteOrderMSB = True",
])  # fmt: skip
def test_all_spellings_of_a_byte_order_are_one(tmp_path: Path, line: str):
    path = tmp_path / "scan.mha"
    header = (META.format(line) + "ElementDataFile = LOCAL\n").encode()
    path.write_bytes(header + VALUES.astype(">i2").tobytes())
    values, matrix = itk(path)
    np.testing.assert_array_equal(values, VALUES)
    assert_read_alike_in_all_ways(path, values, matrix)


@pytest.mark.parametrize("line", [
    "BinaryDataByteOrderMSB = False", "BinaryDataByteOrderMSB = F", "ElementByteOrderMSB = 0", "CompressedData = False",
    "BinaryData = True", "BinaryData = 1", "HeaderSize = 0",
])  # fmt: skip
def test_all_spellings_of_the_usual_are_the_usual(tmp_path: Path, line: str):
    path = tmp_path / "scan.mha"
    path.write_bytes((META.format(line) + "ElementDataFile = LOCAL\n").encode() + VALUES.astype("<i2").tobytes())
    values, matrix = itk(path)
    np.testing.assert_array_equal(values, VALUES)
    assert_read_alike_in_all_ways(path, values, matrix)


@pytest.mark.parametrize("line", ["BinaryData = False", "BinaryData = F", "BinaryData = 0", "BinaryData: False"])
def test_voxels_written_as_text_are_text(tmp_path: Path, line: str):
    path = tmp_path / "scan.mha"
    text = " ".join(map(str, VALUES.ravel()))
    path.write_text(META.format(line) + "ElementDataFile = LOCAL\n" + text + "\n")
    values, matrix = itk(path)
    assert_read_alike_in_all_ways(path, VALUES, matrix)
    np.testing.assert_array_equal(values, VALUES)


@pytest.mark.parametrize("spelling", ["CompressedData = True", "CompressedData = T", "CompressedData = 1"])
@pytest.mark.parametrize("has_size", [True, False])
@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
def test_packed_voxels_are_unpacked_with_or_without_their_size(
    tmp_path: Path, spelling: str, has_size: bool, suffix: str
):
    packed = zlib.compress(VALUES.tobytes())
    line = spelling + (f"\nCompressedDataSize = {len(packed)}" if has_size else "")
    path = tmp_path / f"scan{suffix}"
    name = "LOCAL" if suffix == ".mha" else "scan.zraw"
    path.write_bytes((META.format(line) + f"ElementDataFile = {name}\n").encode())
    with (path if suffix == ".mha" else tmp_path / "scan.zraw").open("ab") as file:
        file.write(packed)
    assert_read_alike_in_all_ways(path, VALUES)


@pytest.mark.parametrize("turned", ["1 0 0 0 1 0 0 0 1", "0 1 0 -1 0 0 0 0 1", "0.8 0.6 0 -0.6 0.8 0 0 0 -1"])
@pytest.mark.parametrize("name", ["TransformMatrix", "Rotation", "Orientation"])
def test_a_direction_in_metaimage_is_that_of_itk(tmp_path: Path, turned: str, name: str):
    path = tmp_path / "scan.mha"
    line = f"{name} = {turned}\nOffset = 3 -4.5 6"
    path.write_bytes((META.format(line) + "ElementDataFile = LOCAL\n").encode() + VALUES.tobytes())
    assert_read_alike_in_all_ways(path, *itk(path))


@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
def test_what_itk_keeps_of_a_nifti_or_dicom_header_in_metaimage_is_no_damage(tmp_path: Path, suffix: str):
    image = sitk.GetImageFromArray(VALUES)
    for name, value in {"dim[0]": "3", "pixdim[4]": "2.5", "0008|0060": "CT", "0008|0090": ""}.items():
        image.SetMetaData(name, value)
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(image, str(path))
    assert b"pixdim[4] = 2.5" in path.read_bytes()
    assert_read_alike_in_all_ways(path, VALUES, itk(path)[1])


@pytest.mark.parametrize(("skipped", "before", "after"), [("7", 7, 0), ("-1", 9, 0)])
def test_voxels_behind_a_header_of_another_program_are_found(tmp_path: Path, skipped: str, before: int, after: int):
    path = tmp_path / "scan.mhd"
    path.write_text(META.format(f"HeaderSize = {skipped}") + "ElementDataFile = scan.raw\n")
    (tmp_path / "scan.raw").write_bytes(bytes(before) + VALUES.tobytes() + bytes(after))
    assert_read_alike_in_all_ways(path, *itk(path))


@pytest.mark.parametrize("space", ["left-posterior-superior", "LPS", "right-anterior-superior", "RAS",
                                   "left-anterior-superior", "LAS", "scanner-xyz"])  # fmt: skip
@pytest.mark.parametrize("directions", [DIRECTIONS, "(0,1,0) (-1.5,0,0) (0,0,2)", "(0.8, 0.6, 0)(-0.9,1.2,0)(0,0,-2)"])
def test_a_place_in_nrrd_is_that_of_itk(tmp_path: Path, space: str, directions: str):
    path = tmp_path / "scan.nrrd"
    head = NRRD.format(type="short", space=space, directions=directions, endian="endian: little\n", encoding="raw")
    path.write_bytes(head.encode() + b"\n" + VALUES.tobytes())
    assert_read_alike_in_all_ways(path, *itk(path))


@pytest.mark.parametrize(("kind", "dtype"), [
    ("short", "i2"), ("signed short int", "i2"), ("int16_t", "i2"), ("uchar", "u1"), ("unsigned char", "u1"),
    ("float", "f4"), ("double", "f8"), ("int", "i4"), ("uint32", "u4"), ("ushort", "u2"),
])  # fmt: skip
@pytest.mark.parametrize("order", ["little", "big"])
def test_all_names_of_types_in_nrrd_are_those_of_itk(tmp_path: Path, kind: str, dtype: str, order: str):
    path = tmp_path / "scan.nrrd"
    head = NRRD.format(type=kind, space="LPS", directions=DIRECTIONS, endian=f"endian: {order}\n", encoding="raw")
    values = np.abs(VALUES).astype(("<" if order == "little" else ">") + dtype)
    path.write_bytes(head.encode() + b"\n" + values.tobytes())
    assert_read_alike_in_all_ways(path, itk(path)[0])


@pytest.mark.parametrize("encoding", ["raw", "gzip", "gz", "bzip2", "bz2", "text", "txt", "ascii", "hex"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_all_encodings_of_nrrd_are_read(tmp_path: Path, encoding: str, line_end: str):
    raw = VALUES.tobytes()
    data = {
        "g": lambda: gzip.compress(raw),
        "b": lambda: bz2.compress(raw),
        "h": lambda: raw.hex().encode(),
        "r": lambda: raw,
    }.get(encoding[0], lambda: " ".join(map(str, VALUES.ravel())).encode())()
    head = NRRD.format(type="short", space="LPS", directions=DIRECTIONS, endian="endian: little\n", encoding=encoding)
    path = tmp_path / "scan.nrrd"
    path.write_bytes((head + "# made up\n\n").replace("\n", line_end).encode() + data)
    assert_read_alike_in_all_ways(path, VALUES)


@pytest.mark.parametrize("kind", ["uint64", "int64"])
def test_large_whole_numbers_written_as_text_are_not_rounded(tmp_path: Path, kind: str):
    limits, steps = np.iinfo(kind), np.arange(60, dtype=kind)
    values = np.concatenate([limits.min + steps, limits.max - steps])
    head = NRRD.format(type=kind, space="LPS", directions=DIRECTIONS, endian="", encoding="text")
    path = tmp_path / "scan.nrrd"
    path.write_text(head + "\n" + " ".join(map(str, values.tolist())))
    np.testing.assert_array_equal(files.read(path).array.ravel(), values)


@pytest.mark.parametrize(("kind", "number"), [("uint8", "256"), ("int16", "-32769"), ("uint32", "-1")])
def test_numbers_written_as_text_that_their_type_cannot_hold_are_refused(tmp_path: Path, kind: str, number: str):
    head = NRRD.format(type=kind, space="LPS", directions=DIRECTIONS, endian="", encoding="text")
    path = tmp_path / "scan.nrrd"
    path.write_text(f"{head}\n" + "1 " * 119 + number)
    assert "its voxels are no numbers of their type" in refusal(path)


@pytest.mark.filterwarnings("error")
def test_numbers_written_as_text_beyond_single_precision_are_refused_by_a_sentence_alone(tmp_path: Path):
    head = NRRD.format(type="float", space="LPS", directions=DIRECTIONS, endian="", encoding="text")
    path = tmp_path / "scan.nrrd"
    path.write_text(f"{head}\n" + "1 " * 119 + "1e39")
    assert "not finite" in refusal(path)


def test_bytes_before_the_voxels_of_nrrd_are_skipped(tmp_path: Path):
    for skipped, before in (("5", 5), ("-1", 11)):
        head = NRRD.format(type="short", space="LPS", directions=DIRECTIONS, endian="endian: little\n", encoding="raw")
        path = tmp_path / "scan.nhdr"
        path.write_text(head + f"byte skip: {skipped}\ndata file: scan.raw\n")
        (tmp_path / "scan.raw").write_bytes(bytes(before) + VALUES.tobytes())
        assert_read_alike_in_all_ways(path, *itk(path))


def a_nifti(path: Path, *, slope: float = 1, inter: float = 0, kind: str = "nifti1") -> None:
    header = nibabel.Nifti2Image if kind == "nifti2" else nibabel.Nifti1Image
    image = header(VALUES.transpose(2, 1, 0), np.diag([1, 1.5, 2, 1.0]))
    nibabel.save(image, path)
    if kind == "nifti1" and (slope, inter) != (1, 0):
        content = bytearray(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
        content[112:120] = struct.pack("<ff", slope, inter)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize(("slope", "inter"), [(0, 5), (0, 0), (1, 0), (1, -1024), (0.5, 3), (-2, 7), (float("nan"), 9)])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_scaled_values_are_those_of_nibabel(tmp_path: Path, slope: float, inter: float, name: str):
    """A slope of 0 counts as none, and its intercept too."""
    path = tmp_path / name
    a_nifti(path, slope=slope, inter=inter)
    image = nibabel.load(path)
    assert_read_alike_in_all_ways(path, image.get_fdata().transpose(2, 1, 0), image.affine)


@pytest.mark.parametrize("order", ["<", ">"])
def test_scaled_single_precision_stays_single_in_either_order_of_bytes(tmp_path: Path, order: str):
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(np.float32)
    header.set_slope_inter(0.5, 3)
    values = VALUES.transpose(2, 1, 0).astype(np.float32)
    (tmp_path / "scan.nii").write_bytes(nibabel.Nifti1Image(values, np.eye(4), header).to_bytes())
    assert files.read(tmp_path / "scan.nii").array.dtype == np.float32


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_nifti_2_is_read(tmp_path: Path, name: str):
    a_nifti(tmp_path / name, kind="nifti2")
    assert_read_alike_in_all_ways(tmp_path / name, VALUES, np.diag([1, 1.5, 2, 1.0]))


@pytest.mark.parametrize("named", ["scan.hdr", "scan.img"])
def test_a_pair_of_files_is_read_by_either_name(tmp_path: Path, named: str):
    nibabel.save(nibabel.Nifti1Pair(VALUES.transpose(2, 1, 0), np.diag([1, 1.5, 2, 1.0])), tmp_path / "scan.hdr")
    assert_read_alike_in_all_ways(tmp_path / named, VALUES, np.diag([1, 1.5, 2, 1.0]))


@pytest.mark.parametrize(("milliseconds", "seconds"), [(2300.0, 2.3), (0.0, 1.0)])
@pytest.mark.parametrize("name", ["bold.mgz", "bold.mgh"])
def test_a_series_of_freesurfer_keeps_its_repetition_time(
    tmp_path: Path, name: str, milliseconds: float, seconds: float
):
    image = nibabel.MGHImage(np.zeros((4, 5, 3, 2), np.int16), np.eye(4))
    image.header.set_zooms((1, 1, 1, milliseconds))
    nibabel.save(image, tmp_path / name)
    files.write_series(list(files.read_all(tmp_path / name)), tmp_path / "fine.nii")
    header = nibabel.load(tmp_path / "fine.nii").header
    assert (header.get_zooms()[3], header.get_xyzt_units()[1]) == (pytest.approx(seconds), "sec")


@pytest.mark.parametrize("name", ["scan.mgz", "scan.mgh"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
def test_files_of_freesurfer_are_read(tmp_path: Path, name: str, dtype: str):
    matrix = np.array([[-1, 0, 0, 7], [0, 0, 2, -3], [0, -1.5, 0, 11], [0, 0, 0, 1.0]])
    values = np.abs(VALUES).astype(dtype)
    nibabel.save(nibabel.MGHImage(values.transpose(2, 1, 0), matrix), tmp_path / name)
    assert_read_alike_in_all_ways(tmp_path / name, values, nibabel.load(tmp_path / name).affine)


@pytest.mark.parametrize("where", [slice(76, 80), slice(92, 108)])
def test_numbers_that_a_3d_volume_does_not_use_may_be_anything(tmp_path: Path, where: slice):
    path = tmp_path / "scan.nii"
    a_nifti(path)
    content = bytearray(path.read_bytes())
    if where.start > 76:
        content[where] = struct.pack("<4f", *[float("nan")] * 4)  # pixdim[4..7]
    path.write_bytes(content)
    assert_read_alike_in_all_ways(path, VALUES, np.diag([1, 1.5, 2, 1.0]))


def test_a_negative_spacing_is_one_without_its_sign(tmp_path: Path):
    path = tmp_path / "scan.nii"
    image = nibabel.Nifti1Image(VALUES.transpose(2, 1, 0), None)
    image.set_qform(np.diag([1, 1.5, 2, 1.0]), 1)
    nibabel.save(image, path)
    content = bytearray(path.read_bytes())
    content[80:84] = struct.pack("<f", -1.0)  # pixdim[1]
    path.write_bytes(content)
    assert_read_alike_in_all_ways(path, VALUES, nibabel.load(path).affine)


@pytest.mark.parametrize(("content", "said"), [
    (b"\x89PNG\r\n\x1a\n" + bytes(600), "a PNG picture"),
    (b"<!DOCTYPE html><html>" + b" " * 600, "a web page"),
    (b"\x89HDF\r\n\x1a\n" + bytes(600), "mnc2nii"),
    (b"BZh91AY" + bytes(600), "packed by bzip2; unpack it first"),
    (b"mrtrix image\ndim: 4,4,4\n" + bytes(600), "MRtrix; convert it by mrconvert"),
    (b"patient 7, please call back\n" * 40, "text"),
])  # fmt: skip
@pytest.mark.parametrize("name", ["scan.nii", "scan.nrrd", "scan.mha", "scan.mgz", "scan.nii.gz", "scan.xyz", "IM1"])
def test_a_file_of_another_format_is_named_and_not_called_damaged(tmp_path: Path, content: bytes, said: str, name: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VolumeError, match="not a format that this program reads: ") as caught:
        files.read(tmp_path / name)
    assert said in str(caught.value)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("name", ["IM1.dcm.gz", "brain+orig.BRIK.gz", "scan.raw.gz"])
def test_a_file_packed_by_gzip_is_refused_with_the_advice_to_unpack_it(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(gzip.compress(bytes(128) + b"DICM"))
    with pytest.raises(VolumeError, match="packed by gzip; unpack it first"):
        files.read(tmp_path / name)


def test_analyze_is_named(tmp_path: Path):
    nibabel.save(nibabel.AnalyzeImage(VALUES.transpose(2, 1, 0), None), tmp_path / "scan.hdr")
    with pytest.raises(VolumeError, match=r"reads: Analyze 7\.5, which does not distinguish left"):
        files.read(tmp_path / "scan.img")


def test_names_of_segments_go_on_into_the_result(tmp_path: Path):
    head = NRRD.format(type="short", space="LPS", directions=DIRECTIONS, endian="endian: little\n", encoding="raw")
    path = tmp_path / "scan.seg.nrrd"
    path.write_bytes((head + "Segment0_Name:=liver\nSegment0_LabelValue:=5\n\n").encode() + VALUES.tobytes())
    files.write(files.read(path), tmp_path / "again.seg.nrrd")
    assert files.read(tmp_path / "again.seg.nrrd").header.fields == {
        "Segment0_Name": "liver",
        "Segment0_LabelValue": "5",
    }


def test_what_is_written_is_read_alike_by_nibabel(tmp_path: Path):
    matrix = np.array([[-1, 0, 0, 7], [0, 0, 2, -3], [0, -1.5, 0, 11], [0, 0, 0, 1.0]])
    for name in ("scan.nii", "scan.nii.gz"):
        files.write(Volume(VALUES, Grid(VALUES.shape, matrix)), tmp_path / name)
        image = nibabel.load(tmp_path / name)
        np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), VALUES)
        np.testing.assert_allclose(image.affine, matrix)
        np.testing.assert_allclose(image.get_qform(), matrix, atol=1e-5)
        assert image.header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image, nibabel.Nifti1Pair])
def test_extensions_of_a_nifti_header_go_into_the_result(tmp_path: Path, order: str, kind: type):
    image = kind(VALUES.T, np.eye(4), kind.header_class(endianness=order))
    for code, content in ((6, b"a comment"), (4, b"<AFNI/>" * 40)):
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, content))
    nibabel.save(image, tmp_path / "scan.hdr" if kind is nibabel.Nifti1Pair else tmp_path / "scan.nii")
    files.write(files.read(next(tmp_path.glob("scan.[hn]*"))), tmp_path / "again.nii.gz")
    again = nibabel.load(tmp_path / "again.nii.gz")
    assert [(one.get_code(), one.get_content().rstrip(b"\0")) for one in again.header.extensions] == [
        (6, b"a comment"),
        (4, b"<AFNI/>" * 40),
    ]
    np.testing.assert_array_equal(np.asarray(again.dataobj), VALUES.T)


def test_voxels_that_look_like_an_extension_are_none(tmp_path: Path):
    values = VALUES.copy()
    values[0, 0] = 16, 0, 6, 0, 7  # a size and a code
    image = nibabel.Nifti1Image(values.T, np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"a comment"))
    nibabel.save(image, tmp_path / "scan.nii")
    files.write(files.read(tmp_path / "scan.nii"), tmp_path / "again.nii")
    assert (tmp_path / "again.nii").read_bytes()[348:] == (tmp_path / "scan.nii").read_bytes()[348:]


@pytest.mark.parametrize("size", [0, 7, -16, 1 << 20])
def test_a_damaged_extension_is_left_out_and_the_voxels_are_read(tmp_path: Path, size: int):
    image = nibabel.Nifti1Image(VALUES.T, np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"a comment"))
    nibabel.save(image, tmp_path / "scan.nii")
    content = bytearray((tmp_path / "scan.nii").read_bytes())
    content[352:356] = size.to_bytes(4, "little", signed=True)
    (tmp_path / "scan.nii").write_bytes(content)
    volume = files.read(tmp_path / "scan.nii")
    assert volume.header is not None
    assert volume.header.extensions == b""
    np.testing.assert_array_equal(volume.array, VALUES)


def test_a_link_without_its_content_is_refused_with_what_to_do(tmp_path: Path):
    (tmp_path / "scan.nii.gz").symlink_to("../.git/annex/objects/scan.nii.gz")
    with pytest.raises(VolumeError, match="link to a file that is not there; fetch it first"):
        files.read(tmp_path / "scan.nii.gz")
