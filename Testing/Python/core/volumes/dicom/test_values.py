"""The values of every slice are those that pydicom reads: its own stored numbers by its own slope and intercept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, HTJ2KLossless, RLELossless

from dicom_kinds import ROOT, enhanced, item, save, write_images
from limited_reading import posix_only, refusal, refused_within_limits
from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.dicom.images import stored as unpacking
from medical_super_resolution.volumes.dicom.reader import Selection
from medical_super_resolution.volumes.intensity import WRAPPED_PHASES
from medical_super_resolution.volumes.io import files

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture
def stored() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3000, (6, 7, 9)).astype(np.int16)


def as_pydicom_reads(folder: Path) -> np.ndarray:
    found = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    return np.stack([one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in found])


def test_every_slice_of_a_pet_has_its_own_slope(tmp_path: Path, stored: np.ndarray):
    slopes = [1, 0.5, 0.0123, 2.5e-4, 3, 0.75]

    def change(header: Dataset, k: int) -> None:
        header.RescaleSlope, header.RescaleIntercept = slopes[k], 0

    write_images(tmp_path / "pet", stored, change=change, modality="PT")
    volume = files.read(tmp_path / "pet")
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.array, as_pydicom_reads(tmp_path / "pet"), rtol=1e-7)


@pytest.mark.parametrize(("intercept", "is_noted"), [(-1024, True), (0, False)])
def test_a_slice_without_a_rescaling_among_others_is_noted_where_it_matters(
    tmp_path: Path, stored: np.ndarray, intercept: int, *, is_noted: bool
):
    def change(header: Dataset, k: int) -> None:
        if k != 2:
            header.RescaleSlope, header.RescaleIntercept = 1, intercept

    write_images(tmp_path / "ct", stored, change=change)
    volume = files.read(tmp_path / "ct")
    np.testing.assert_array_equal(volume.array[2], stored[2])
    assert any(note.startswith("1 of 6 images has no RescaleSlope") for note in volume.notes) == is_noted


@pytest.mark.parametrize(
    ("modality", "kind", "is_phase"),
    [
        ("MR", ["ORIGINAL", "PRIMARY", "P", "ND"], True),
        ("MR", ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"], True),
        ("MR", ["ORIGINAL", "PRIMARY", "M", "IN_PHASE"], False),
        ("CT", ["ORIGINAL", "PRIMARY", "P"], False),
    ],
)
def test_images_of_the_phase_of_mr_come_with_a_warning_of_its_jumps(
    tmp_path: Path, stored: np.ndarray, modality: str, kind: list[str], is_phase: bool
):
    notes = files.read(write_images(tmp_path / "mr", stored, modality=modality, ImageType=kind)).notes
    assert (WRAPPED_PHASES in notes) == is_phase


def test_frames_of_phase_come_with_a_warning_and_those_of_magnitude_without(tmp_path: Path, stored: np.ndarray):
    def component(frame: int) -> dict[str, object]:
        return {"MRImageFrameTypeSequence": [item(ComplexImageComponent=("MAGNITUDE", "PHASE")[frame % 2])]}

    positions = [(0, 0, 3.0 * (frame // 2)) for frame in range(6)]
    save(enhanced(stored, positions, extra=component), tmp_path / "both.dcm")
    magnitude, phase = (files.read(tmp_path / "both.dcm", Selection(phase=phase)) for phase in (1, 2))
    assert WRAPPED_PHASES not in magnitude.notes
    assert WRAPPED_PHASES in phase.notes


@pytest.mark.parametrize(
    ("unit", "modality"),
    [("MGML", None), ("100ug/cc", None), ("HU", "ct"), ("Hounsfield Units", "ct"), ("US", "ct"), ("", "ct")],
)
def test_a_ct_in_another_unit_than_hounsfield_units_is_not_refined_as_one(
    tmp_path: Path, stored: np.ndarray, unit: str, modality: str | None
):
    write_images(tmp_path / "files", stored, RescaleType=unit, RescaleSlope="0.01", RescaleIntercept=0)
    assert files.read(tmp_path / "files").modality == modality
    frames = enhanced(stored, [(0, 0, 5 * k) for k in range(len(stored))], "CT")
    for groups in frames.PerFrameFunctionalGroupsSequence:
        groups.PixelValueTransformationSequence[0].RescaleType = unit
    assert files.read(save(frames, tmp_path / "frames" / "ct.dcm")).modality == modality


@pytest.mark.parametrize(
    ("modality", "is_noted"), [("MG", True), ("OPT", True), ("CT", False), ("US", False), ("", False)]
)
def test_a_modality_that_has_no_warning_of_its_own_is_noted(
    tmp_path: Path, stored: np.ndarray, modality: str, *, is_noted: bool
):
    """Breast tomosynthesis and tomography of the eye, which are refined by their values as MR is."""
    note = f"the series has the modality {modality}, which is neither CT nor MR; look at the result with care"
    assert (note in files.read(write_images(tmp_path / "scan", stored, modality=modality)).notes) == is_noted


@pytest.mark.parametrize(("unit", "modality"), [("", None), ("US", None), ("HU", "ct")])
def test_a_secondary_capture_of_a_ct_is_in_hounsfield_units_only_where_it_says_so(
    tmp_path: Path, stored: np.ndarray, unit: str, modality: str | None
):
    write_images(tmp_path, stored, SOPClassUID=_SECONDARY_CAPTURE, RescaleSlope=1, RescaleIntercept=0, RescaleType=unit)
    assert files.read(tmp_path).modality == modality


def test_a_slope_of_zero_is_refused(tmp_path: Path, stored: np.ndarray):
    def change(header: Dataset, k: int) -> None:
        header.RescaleSlope, header.RescaleIntercept = int(k != 2), -1024

    write_images(tmp_path / "ct", stored, change=change)
    with pytest.raises(VolumeError, match="has the RescaleSlope 0"):
        files.read(tmp_path / "ct")


def test_the_values_of_a_parametric_map_are_its_real_world_values(tmp_path: Path, stored: np.ndarray):
    mapping = item(RealWorldValueSlope=0.5, RealWorldValueIntercept=10.0)
    made = enhanced(
        stored, [(0, 0, 3.0 * k) for k in range(6)], extra=lambda _: {"RealWorldValueMappingSequence": [mapping]}
    )
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.30"
    volume = files.read(save(made, tmp_path / "map.dcm"))
    np.testing.assert_array_equal(volume.array, stored * 0.5 + 10)


@pytest.mark.parametrize("mapping", [{"RealWorldValueLUTData": [0.0, 1, 4, 9]}, {"LUTLabel": "ADC"}])
def test_a_parametric_map_without_a_slope_is_refused_and_not_read_as_stored(
    tmp_path: Path, stored: np.ndarray, mapping: dict
):
    """Also one of two maps, in a folder whose other series are read."""
    made = enhanced(
        stored,
        [(0, 0, 3.0 * (k // 2)) for k in range(6)],
        extra=lambda _: {"RealWorldValueMappingSequence": [item(**mapping)]},
        SeriesInstanceUID=f"{ROOT}.0.2",
    )
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.30"
    save(made, tmp_path / "map.dcm")
    with pytest.raises(VolumeError, match=r"map.dcm is a parametric map without a RealWorldValueSlope, .*; convert"):
        files.read(tmp_path / "map.dcm")
    write_images(tmp_path / "ct", stored)
    np.testing.assert_array_equal(files.read(tmp_path).array, stored)


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize("value", [b"1,5 ", b"nan ", b"2.5x"])
@pytest.mark.parametrize("is_one_file", [True, False])
def test_a_rescaling_that_is_no_number_is_refused_because_the_values_are_unknown(
    tmp_path: Path, stored: np.ndarray, keyword: str, value: bytes, *, is_one_file: bool
):
    if is_one_file:
        made = enhanced(stored, [(0, 0, 3.0 * k) for k in range(6)], "CT")
        made.PerFrameFunctionalGroupsSequence[2].PixelValueTransformationSequence[0][keyword].value = "8.75"
        path = save(made, tmp_path / "ct" / "all.dcm")
    else:
        path = write_images(tmp_path / "ct", stored, RescaleSlope="8.75", RescaleIntercept="8.75") / "002.dcm"
    tag = {"RescaleSlope": b"(\0\x53\x10DS", "RescaleIntercept": b"(\0\x52\x10DS"}[keyword]
    path.write_bytes(path.read_bytes().replace(tag + b"\4\0008.75", tag + b"\4\0" + value))
    with pytest.raises(VolumeError, match=f"{path.name} has a {keyword} that is no number"):
        files.read(tmp_path / "ct")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "places_mm", [[(0, 1.5 * k, 5 * k) for k in range(6)], [(0, 0, 5 * k + k % 2) for k in range(6)]]
)
def test_a_slope_beyond_all_numbers_is_refused_by_a_sentence_alone(tmp_path: Path, stored: np.ndarray, places_mm: list):
    """Also where tilted or uneven slices would be interpolated."""

    def change(header: Dataset, k: int) -> None:
        header.ImagePositionPatient = list(places_mm[k])

    write_images(tmp_path / "mr", stored, change=change, modality="MR", RescaleSlope="1e308", RescaleIntercept=0)
    with pytest.raises(VolumeError, match="not finite"):
        files.read(tmp_path / "mr")


def test_every_slice_has_its_own_intercept_sign_and_bits(tmp_path: Path, stored: np.ndarray):
    def change(header: Dataset, k: int) -> None:
        header.RescaleSlope, header.RescaleIntercept = 1, (0, -1024, -1000)[k % 3]
        if k % 2:
            header.PixelRepresentation, header.BitsStored, header.HighBit = 0, 12, 11
        else:
            header.PixelData = (stored[k] - 1500).astype(np.int16).tobytes()

    write_images(tmp_path / "ct", stored, change=change)
    volume = files.read(tmp_path / "ct")
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, as_pydicom_reads(tmp_path / "ct"))


def test_unsigned_numbers_above_32767_keep_their_value(tmp_path: Path):
    stored = np.array([[[0, 65535], [40000, 7]]] * 3, np.uint16)
    write_images(tmp_path / "ct", stored, RescaleSlope=1, RescaleIntercept=-1024)
    array = files.read(tmp_path / "ct").array
    assert array.dtype == np.int32
    np.testing.assert_array_equal(array, stored.astype(int) - 1024)


def test_numbers_of_32_bits_keep_their_last_digits(tmp_path: Path):
    stored = np.array([[[2**25 + 1, -(2**30) - 1], [3, 4]]] * 3, np.int32)
    write_images(tmp_path / "pet", stored, modality="PT", RescaleSlope="0.5", RescaleIntercept=0)
    np.testing.assert_array_equal(files.read(tmp_path / "pet").array, stored * 0.5)


def test_slices_with_and_without_sign_keep_their_numbers(tmp_path: Path):
    numbers = np.array([[-7, 5], [60_000, 5], [-32_768, 9]])

    def change(header: Dataset, k: int) -> None:
        header.PixelRepresentation = int(k != 1)
        header.PixelData = numbers[k].astype(np.int16 if k != 1 else np.uint16).tobytes()

    write_images(tmp_path / "mr", np.zeros((3, 1, 2), np.int16), change=change, modality="MR")
    np.testing.assert_array_equal(files.read(tmp_path / "mr").array[:, 0], numbers)


def test_a_number_may_lie_in_the_upper_bits(tmp_path: Path):
    numbers = np.array([[[0, 1], [2047, -2048]]] * 2, np.int16)
    write_images(tmp_path / "mr", numbers << 4 | 15, modality="MR", BitsStored=12, HighBit=15)
    np.testing.assert_array_equal(files.read(tmp_path / "mr").array, numbers)


@pytest.mark.parametrize(("bits", "sign"), [(12, 1), (12, 0), (10, 1)])
def test_what_else_lies_in_the_bits_of_a_number_is_no_part_of_it(tmp_path: Path, bits: int, sign: int):
    numbers = np.array([[[0, 1], [2 ** (bits - 1) - 1, 2**bits - 1]]] * 2, np.uint16)
    write_images(tmp_path / "mr", numbers | 0xF000, modality="MR", BitsStored=bits, HighBit=bits - 1,
                 PixelRepresentation=sign)  # fmt: skip
    array = files.read(tmp_path / "mr").array
    np.testing.assert_array_equal(array[0, 1], [2 ** (bits - 1) - 1, -1 if sign else 2**bits - 1])


def test_monochrome1_and_a_window_concern_the_display_only(tmp_path: Path, stored: np.ndarray):
    said = {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 40, "WindowWidth": 400}
    write_images(tmp_path / "ct", stored, RescaleSlope=1, RescaleIntercept=-1024, **said)
    np.testing.assert_array_equal(files.read(tmp_path / "ct").array, stored - 1024)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_compressed_slices_have_the_same_values(tmp_path: Path, stored: np.ndarray, photometric: str):
    slopes = [1, 0.5, 2, 0.25, 3, 1.5]

    def change(header: Dataset, k: int) -> None:
        header.RescaleSlope, header.RescaleIntercept, header.PhotometricInterpretation = slopes[k], -7, photometric
        header.file_meta.TransferSyntaxUID = RLELossless
        plane = stored[k].astype("<i2").view(np.uint8).reshape(-1, 2)
        header.PixelData = encapsulate([_run_lengths([plane[:, 1].tobytes(), plane[:, 0].tobytes()])])
        header["PixelData"].is_undefined_length = True

    write_images(tmp_path / "ct", stored, change=change)
    truth = stored * np.array(slopes)[:, None, None] - 7
    np.testing.assert_allclose(files.read(tmp_path / "ct").array, truth, rtol=1e-7)


@pytest.mark.parametrize(("slope", "intercept"), [(100_000, 0), (1, 3 * 10**9), (10**10, -5), (10**20, 0)])
def test_large_slopes_and_intercepts_give_values_of_any_size(
    tmp_path: Path, stored: np.ndarray, slope: int, intercept: int
):
    counts = stored.astype(np.uint16) + np.uint16(60_000)
    write_images(tmp_path / "pet", counts, modality="PT", RescaleSlope=f"{slope:.0e}", RescaleIntercept=intercept)
    truth = counts.astype(float) * float(slope) + intercept  # NumPy before 2 makes objects of larger whole numbers
    np.testing.assert_allclose(files.read(tmp_path / "pet").array, truth, rtol=1e-6 if slope > 10**15 else 0)


def test_real_numbers_are_rescaled_with_all_their_digits(tmp_path: Path, stored: np.ndarray):
    numbers = (stored / 3000).astype(np.float32)

    def change(header: Dataset, k: int) -> None:
        del header.PixelData
        header.BitsAllocated, header.RescaleSlope, header.RescaleIntercept = 32, 1, -1024
        header.FloatPixelData = numbers[k].tobytes()

    write_images(tmp_path / "map", stored, change=change)
    np.testing.assert_array_equal(files.read(tmp_path / "map").array, numbers.astype(np.float64) - 1024)


def packed(header: Dataset, k: int) -> None:
    header.file_meta.TransferSyntaxUID = HTJ2KLossless
    header.PixelData = encapsulate([bytes(100)])
    header["PixelData"].is_undefined_length = True


def test_a_packing_that_is_not_known_is_named(tmp_path: Path, stored: np.ndarray):
    write_images(tmp_path / "ct", stored, change=packed)
    with pytest.raises(VolumeError, match=r"High-Throughput JPEG 2000 .* damaged or the packing not supported"):
        files.read(tmp_path / "ct")


def write_compressed(folder: Path, stored: np.ndarray, kind: str, damage: Callable[[bytes], bytes]) -> Path:
    """A series that GDCM has compressed, of whose second file the value of the pixels is damaged."""

    def change(header: Dataset, k: int) -> None:
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetUseCompression(True)
        writer.SetCompressor(kind)
        writer.SetFileName(str(folder.parent / "packed.dcm"))
        writer.Execute(sitk.GetImageFromArray(stored[k][None]))
        packed_by_gdcm = pydicom.dcmread(folder.parent / "packed.dcm")
        header.file_meta.TransferSyntaxUID = packed_by_gdcm.file_meta.TransferSyntaxUID
        header.PixelData = damage(packed_by_gdcm.PixelData) if k == 1 else packed_by_gdcm.PixelData
        header["PixelData"].is_undefined_length = True

    return write_images(folder, stored, change=change)


@posix_only
@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_compressed_pixels_of_another_size_than_the_header_says_are_refused_before_they_are_unpacked(
    tmp_path: Path, stored: np.ndarray, kind: str
):
    """Unpacking them would take as much memory as they claim."""
    rows, columns = stored.shape[1:]
    digits = 2 if kind == "JPEG" else 4
    size = [number.to_bytes(digits, "big") for number in ((rows, columns) if kind == "JPEG" else (columns, rows))]
    larger = size[0] + (281).to_bytes(digits, "big")
    whole = write_compressed(tmp_path / "whole", stored, kind, lambda pixels: pixels)
    np.testing.assert_array_equal(files.read(whole).array, stored)
    damaged = write_compressed(tmp_path / "ct", stored, kind, lambda pixels: pixels.replace(b"".join(size), larger, 1))
    assert "the compressed pixels of" in refused_within_limits(damaged)
    assert "do not fit its size" in refusal(damaged)


@posix_only
def test_a_jpeg_of_more_bits_than_there_are_is_refused_and_ends_no_process(tmp_path: Path, stored: np.ndarray):
    header, damaged = b"\xff\xc3\x00\x0b\x10", b"\xff\xc3\x00\x0b\x50"
    folder = write_compressed(tmp_path / "ct", stored, "JPEG", lambda pixels: pixels.replace(header, damaged, 1))
    assert "cannot be unpacked: the file is damaged" in refused_within_limits(folder)


@posix_only
@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
@pytest.mark.parametrize("length_at", [4, 12])
def test_compressed_pixels_whose_length_is_damaged_take_no_memory(
    tmp_path: Path, stored: np.ndarray, kind: str, length_at: int
):
    damaged = write_compressed(
        tmp_path / "ct", stored, kind, lambda pixels: pixels[: length_at + 3] + b"\x40" + pixels[length_at + 4 :]
    )
    assert "cannot be unpacked" in refused_within_limits(damaged)


@pytest.mark.parametrize(("system", "is_ascii"), [("posix", False), ("nt", True)])
def test_on_windows_pixels_are_unpacked_at_a_path_that_simpleitk_can_open(
    tmp_path: Path, stored: np.ndarray, monkeypatch: pytest.MonkeyPatch, system: str, *, is_ascii: bool
):
    def opened(path: str, imageIO: str) -> sitk.Image:
        copies.append(Path(path))
        assert (path.isascii(), imageIO, Path(path).is_file()) == (is_ascii, "GDCMImageIO", True)
        return sitk.GetImageFromArray(stored[len(copies) - 1][None])

    copies: list[Path] = []
    write_images(tmp_path / "ct", stored, change=packed)
    for folder in ("Müller", "Windows/Temp"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "Müller"))
    monkeypatch.setattr(unpacking, "os", SimpleNamespace(name=system, environ={"SYSTEMROOT": tmp_path / "Windows"}))
    monkeypatch.setattr(sitk, "ReadImage", opened)
    assert files.read(tmp_path / "ct").array.shape == stored.shape
    assert len(copies) == len(stored)
    assert not any(copy.parent.exists() for copy in copies)


def _run_lengths(segments: list[bytes]) -> bytes:
    """Bytes as DICOM's run length encoding has them, with literal runs only (PS3.5 annex G)."""
    packed = []
    for segment in segments:
        runs = [segment[at : at + 128] for at in range(0, len(segment), 128)]
        one = b"".join(bytes([len(run) - 1]) + run for run in runs)
        packed.append(one + bytes(len(one) % 2))
    offsets = [64, 64 + len(packed[0])] + [0] * 13
    return np.array([len(segments), *offsets], "<u4").tobytes() + b"".join(packed)


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_deflated_and_big_endian_files_are_read(tmp_path: Path, stored: np.ndarray, syntax: str):
    def change(header: Dataset, k: int) -> None:
        header.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            header.PixelData = stored[k].astype(">i2").tobytes()
            header["PixelData"].VR = "OW"

    write_images(tmp_path / "ct", stored, change=change, RescaleSlope=2, RescaleIntercept=-1024)
    np.testing.assert_array_equal(files.read(tmp_path / "ct").array, stored.astype(int) * 2 - 1024)


@pytest.mark.parametrize("kind", ["OB", "OW"])
@pytest.mark.parametrize("columns", [8, 9])
@pytest.mark.parametrize("is_enhanced", [False, True])
def test_big_endian_bytes_are_swapped_where_they_are_written_as_words(
    tmp_path: Path, stored: np.ndarray, kind: str, columns: int, is_enhanced: bool
):
    small = (stored[:, :, :columns] // 12).astype(np.uint8)  # 7 rows, so that images of 9 columns have an odd size

    def change(header: Dataset, k: int) -> None:
        header.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        content = header.PixelData + bytes(len(header.PixelData) % 2)
        header.PixelData = content if kind == "OB" else np.frombuffer(content, "<u2").byteswap().tobytes()
        header["PixelData"].VR = kind

    if is_enhanced:
        made = enhanced(small, [(0, 0, 5 * k) for k in range(len(small))])
        change(made, 0)
        save(made, tmp_path / "ct" / "all.dcm")
    else:
        write_images(tmp_path / "ct", small, change=change)
    np.testing.assert_array_equal(files.read(tmp_path / "ct").array, small)


@pytest.mark.parametrize(("named", "sign", "kind"), [(-2000, 1, "SS"), (63536, 1, "US"), (63536, 0, "US")])
def test_named_padding_far_below_air_is_marked(tmp_path: Path, stored: np.ndarray, named: int, sign: int, kind: str):
    stored = stored.copy()
    stored[:, :2] = -2000
    said = {"RescaleSlope": 1, "RescaleIntercept": 0 if sign else -1024, "PixelRepresentation": sign}

    def change(header: Dataset, k: int) -> None:
        header.add_new(0x00280120, kind, named)

    write_images(tmp_path / "ct", stored, change=change, **said)
    volume = files.read(tmp_path / "ct")
    if sign:
        assert volume.padding[:, :2].all()
        assert not volume.padding[:, 2:].any()
    else:  # 62512 HU and far above all else
        np.testing.assert_array_equal(volume.padding, volume.array == 62512)


@pytest.mark.parametrize("ends", [(-2000, -1990), (-1990, -2000)])
def test_a_range_of_padding_may_be_named_from_either_end(tmp_path: Path, stored: np.ndarray, ends: tuple[int, int]):
    stored = stored.copy()
    stored[:, :2] = np.arange(-2000, -1991)

    def change(header: Dataset, k: int) -> None:
        header.add_new(0x00280120, "SS", ends[0])
        header.add_new(0x00280121, "SS", ends[1])

    write_images(tmp_path / "ct", stored, change=change)
    padding = files.read(tmp_path / "ct").padding
    assert padding[:, :2].all()
    assert not padding[:, 2:].any()


@pytest.mark.parametrize(("kind", "dtype"), [("Float", np.float32), ("DoubleFloat", np.float64)])
def test_named_padding_of_real_numbers_is_marked(tmp_path: Path, stored: np.ndarray, kind: str, dtype: type):
    numbers = (stored / 3000).astype(dtype)
    numbers[:, :2] = [[99999.1], [99999.5]]

    def change(header: Dataset, k: int) -> None:
        del header.PixelData
        header.BitsAllocated = 8 * numbers.itemsize
        setattr(header, f"{kind}PixelData", numbers[k].tobytes())
        setattr(header, f"{kind}PixelPaddingValue", float(numbers[0, 0, 0]))
        setattr(header, f"{kind}PixelPaddingRangeLimit", float(numbers[0, 1, 0]))

    write_images(tmp_path / "map", stored, change=change)
    volume = files.read(tmp_path / "map")
    np.testing.assert_array_equal(volume.array, numbers)
    np.testing.assert_array_equal(volume.padding, numbers > 1)


@pytest.mark.parametrize(("sign", "kind"), [(0, "US"), (1, "OW")])
def test_a_table_of_values_stands_for_slope_and_intercept(tmp_path: Path, sign: int, kind: str):
    first, table = -2 * sign, np.array([60000, 7, 65535, 300], np.uint16)
    stored = np.array([[[-2, -1, 0], [1, 2, 3]]] * 3, np.int16) + (0 if sign else 2)

    def change(header: Dataset, k: int) -> None:
        values = item(ModalityLUTType="US")
        values.add_new(0x00283006, kind, table.tolist() if kind == "US" else table.tobytes())
        values.add_new(0x00283002, "SS" if sign else "US", [4, first, 16])
        header.ModalityLUTSequence = [values]
        header.PixelRepresentation = sign
        for keyword in ("RescaleSlope", "RescaleIntercept"):
            if keyword in header:
                delattr(header, keyword)

    write_images(tmp_path / "ct", stored, change=change)
    expected = [[60000, 7, 65535], [300, 300, 300]]  # numbers beyond the table have its last value
    np.testing.assert_array_equal(files.read(tmp_path / "ct").array, [expected] * 3)


def test_named_padding_that_looks_like_background_is_background(tmp_path: Path, stored: np.ndarray):
    def change(header: Dataset, k: int) -> None:
        header.add_new(0x00280120, "SS", 0)

    stored = np.where(stored < 20, 0, stored)
    write_images(tmp_path / "mr", stored, change=change, modality="MR")
    assert files.read(tmp_path / "mr").padding is None


@pytest.mark.parametrize("ends", [(-2000, 5), (0, 3000)])
def test_a_range_of_padding_that_holds_tissue_too_or_all_values_is_no_padding(
    tmp_path: Path, stored: np.ndarray, ends: tuple[int, int]
):
    def change(header: Dataset, k: int) -> None:
        header.add_new(0x00280120, "SS", ends[0])
        header.add_new(0x00280121, "SS", ends[1])

    stored = stored.copy()
    stored[:, 0], stored[:, 1] = max(ends[0], -2000), (5, 4, 3, 7, 8, 9, 1, 0, 2)
    write_images(tmp_path / "ct", stored, change=change)
    assert files.read(tmp_path / "ct").padding is None


def test_pixels_that_are_cut_short_are_refused(tmp_path: Path, stored: np.ndarray):
    def change(header: Dataset, k: int) -> None:
        header.Rows = 70

    write_images(tmp_path / "ct", stored, change=change)
    with pytest.raises(VolumeError, match="cut short"):
        files.read(tmp_path / "ct")
