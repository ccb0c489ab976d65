from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from command_line import refused
from dicom_sources import PATIENT_NAME, ROOT, write_source
from medical_super_resolution.errors import SuperResolutionError, VolumeError
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.segmentations import dicom_seg
from medical_super_resolution.volumes.segmentations import files as segmentations
from medical_super_resolution.volumes.segmentations.files import Segmentation
from medical_super_resolution.volumes.volume import Volume

highdicom = pytest.importorskip("highdicom", reason="DICOM segmentations need the extra seg")

FACTS = {
    "Segment0_ID": "Segment_1",
    "Segment0_Name": "liver",
    "Segment0_Color": "0.8 0.2 0.2",
    "Segment0_LabelValue": "1",
    "Segment0_Layer": "0",
    "Segment1_ID": "Segment_2",
    "Segment1_Name": "lesion",
    "Segment1_Color": "0.2 0.4 0.8",
    "Segment1_LabelValue": "2",
}


@pytest.fixture
def a_series(tmp_path):
    """A folder with a CT series of 10x12x5 voxels, oblique."""
    stored = np.random.default_rng(0).integers(0, 400, (5, 12, 10)).astype(np.uint16)
    write_source(tmp_path / "scan", stored, "CT", oblique=True)
    return tmp_path / "scan"


def two_segments(grid: Grid, *, overlapping: bool) -> Segmentation:
    arrays = np.zeros((2, *grid.shape_kji), np.uint8)
    arrays[0, 1:4, 2:8, 2:7] = 1
    arrays[int(overlapping), 2:4, 4:6, 3:6] = 2
    layers = tuple(Volume(array, grid) for array in arrays[: 2 if overlapping else 1])
    return Segmentation(layers, FACTS | {"Segment1_Layer": str(int(overlapping))})


@pytest.mark.parametrize("overlapping", [False, True])
def test_segments_come_back_with_place_names_and_colors(tmp_path, a_series, overlapping):
    given = two_segments(files.read(a_series).grid, overlapping=overlapping)
    segmentations.write(given, tmp_path / "seg.dcm", images=sorted(a_series.iterdir()))
    found = segmentations.read(tmp_path / "seg.dcm").refined(given.grid)  # empty slices are not in the file
    assert len(found.layers) == len(given.layers)
    for one, other in zip(found.layers, given.layers, strict=True):
        assert np.array_equal(one.array, other.array)
    for key in ("Segment0_Name", "Segment1_Name", "Segment0_LabelValue", "Segment1_Layer"):
        assert found.facts[key] == given.facts[key]
    color = [float(part) for part in found.facts["Segment1_Color"].split()]
    assert color == pytest.approx([0.2, 0.4, 0.8], abs=0.02)
    written = pydicom.dcmread(tmp_path / "seg.dcm")
    assert (written.StudyInstanceUID, written.FrameOfReferenceUID) == (f"{ROOT}.1", f"{ROOT}.4")


def test_slices_that_a_dicom_segmentation_leaves_out_are_empty_beside_its_segments(tmp_path, a_series):
    given = two_segments(files.read(a_series).grid, overlapping=False)
    given.layers[0].array[1, 4:] = 0
    segmentations.write(given, tmp_path / "seg.dcm", images=sorted(a_series.iterdir()))
    fine = given.grid.refined("k", 5)
    (found,), (wanted,) = (one.refined(fine).layers for one in (segmentations.read(tmp_path / "seg.dcm"), given))
    np.testing.assert_array_equal(found.array, wanted.array)


@pytest.mark.parametrize("color", ["255 0 0", "nan 0 0", "1e999 0 0", "red", "-1 0 0", "1 0"])
def test_a_segment_whose_color_is_none_is_written_without_a_color(tmp_path, a_series, color):
    given = two_segments(files.read(a_series).grid, overlapping=False)
    given = Segmentation(given.layers, given.facts | {"Segment0_Color": color})
    segmentations.write(given, tmp_path / "seg.dcm", images=sorted(a_series.iterdir()))
    facts = segmentations.read(tmp_path / "seg.dcm").facts
    assert facts["Segment0_Name"] == "liver"
    assert "Segment0_Color" not in facts
    assert "Segment1_Color" in facts


def write_of_another_program(array: np.ndarray, kind: str, numbers: Sequence[int], series: Path, path: Path) -> None:
    made = highdicom.seg.Segmentation(
        [pydicom.dcmread(file) for file in sorted(series.iterdir())],
        array,
        kind,
        [dicom_seg._description(number, 0, number, FACTS) for number in numbers],
        f"{ROOT}.61", 7, f"{ROOT}.62", 1, "Maker", "Program", "1", "0",
    )  # fmt: skip
    made.save_as(path)


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_segments_of_other_programs_are_read(tmp_path, a_series, kind):
    masks = np.zeros((5, 12, 10, 2), np.uint8)
    masks[1:4, 2:8, 2:7, 0] = 1
    masks[2:4, 8:10, 3:6, 1] = 1
    arrays = {"FRACTIONAL": masks * np.float32(0.8) + np.float32(0.1), "LABELMAP": masks[..., 0] + 2 * masks[..., 1]}
    write_of_another_program(arrays.get(kind, masks), kind, (1, 2), a_series, tmp_path / "seg.dcm")
    (layer,) = segmentations.read(tmp_path / "seg.dcm").refined(files.read(a_series).grid).layers
    np.testing.assert_array_equal(layer.array, masks[..., 0] + 2 * masks[..., 1])


def a_series_at(places_mm: Sequence[Sequence[float]], folder: Path) -> Path:
    """A folder with a CT series of 10x12 voxels, whose slices begin at these places, in LPS."""

    def placed(header: pydicom.Dataset, k: int) -> None:
        header.ImagePositionPatient = [f"{value:.10g}" for value in places_mm[k]]

    write_source(folder, np.zeros((len(places_mm), 12, 10), np.uint16), change=placed)
    return folder


def in_most_slices(count: int) -> np.ndarray:
    array = np.zeros((count, 12, 10), np.uint8)
    array[1:-1, 3:8, 2:6], array[2:-2, 6:10, 3:7] = 1, 2
    return array


def middle_mm(labels: Volume) -> np.ndarray:
    """(3,) in RAS, of the voxels with the label 1."""
    middle_kji = np.argwhere(labels.array == 1).mean(axis=0)
    return (labels.grid.ijk_to_ras @ [*middle_kji[::-1], 1])[:3]


@pytest.mark.parametrize("distance_mm", [5, 1.25, 0.625])
def test_segments_on_slices_whose_places_have_one_digit_are_read(tmp_path, distance_mm):
    """The scan is read, too; highdicom alone takes the smallest distance for that of all."""
    series = a_series_at([(-100, -120, round(33.2 + distance_mm * k, 1)) for k in range(24)], tmp_path / "scan")
    write_of_another_program(in_most_slices(24), "BINARY", (1, 2), series, tmp_path / "seg.dcm")
    (layer,) = segmentations.read(tmp_path / "seg.dcm").refined(files.read(series).grid).layers
    np.testing.assert_array_equal(layer.array, in_most_slices(24))


@pytest.mark.parametrize("stated", [None, 1.5, 2, 3, 4, 10])
def test_slices_of_a_segmentation_lie_at_their_places_and_not_where_a_wrong_distance_says(tmp_path, a_series, stated):
    write_of_another_program(in_most_slices(5), "BINARY", (1, 2), a_series, tmp_path / "seg.dcm")
    given = pydicom.dcmread(tmp_path / "seg.dcm")
    given.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = stated
    given.save_as(tmp_path / "seg.dcm")
    found = segmentations.read(tmp_path / "seg.dcm")
    assert (found.grid.shape_kji[0], found.grid.spacing_mm("k")) == (3, pytest.approx(5))
    (layer,) = found.refined(files.read(a_series).grid).layers
    np.testing.assert_array_equal(layer.array, in_most_slices(5))


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
@pytest.mark.parametrize("aside_mm", [0.2, -1.5])
def test_segments_on_tilted_slices_lie_where_those_of_the_scan_do(tmp_path, kind, aside_mm):
    """Of a tilted gantry; highdicom alone refuses large angles and straightens small ones."""
    places = [(-100, -120 + aside_mm * k, 30 + 5 * k) for k in range(9)]
    series, array = a_series_at(places, tmp_path / "scan"), in_most_slices(9)
    given = np.stack([array == 1, array == 2], -1).astype(np.float32) if kind == "FRACTIONAL" else array
    write_of_another_program(given, kind, (1, 2), series, tmp_path / "seg.dcm")
    found, scan = segmentations.read(tmp_path / "seg.dcm"), files.read(series)
    (layer,) = found.refined(scan.sheared_grid).layers
    np.testing.assert_array_equal(layer.array, array)
    (straight,) = found.refined(scan.grid.refined("k", 5)).layers
    np.testing.assert_allclose(middle_mm(straight)[:2], middle_mm(Volume(array, scan.sheared_grid))[:2], atol=0.3)


def test_slices_whose_places_are_rounded_sideways_are_not_tilted(tmp_path):
    series = a_series_at([(-100, -120 + 0.1 * (k > 2), 30 + 1.25 * k) for k in range(5)], tmp_path / "scan")
    write_of_another_program(in_most_slices(5), "BINARY", (1, 2), series, tmp_path / "seg.dcm")
    assert not segmentations.read(tmp_path / "seg.dcm").grid.is_sheared


@pytest.mark.parametrize(("stated", "expected_mm"), [(5, 5), (None, 4)])
def test_a_segmentation_of_one_slice_without_a_distance_is_as_thick_as_that(tmp_path, a_series, stated, expected_mm):
    array = np.zeros((5, 12, 10), np.uint8)
    array[2, 3:8, 2:6] = 1
    write_of_another_program(array, "BINARY", (1,), a_series, tmp_path / "seg.dcm")
    given = pydicom.dcmread(tmp_path / "seg.dcm")
    given.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = stated
    given.save_as(tmp_path / "seg.dcm")
    grid = segmentations.read(tmp_path / "seg.dcm").grid
    assert (grid.shape_kji[0], grid.spacing_mm("k")) == (1, pytest.approx(expected_mm))


@pytest.mark.parametrize(("total", "named"), [(2, "part 1 of 2"), (None, "part 1 of ?")])
def test_one_of_several_files_of_a_segmentation_is_not_taken_for_the_whole(tmp_path, a_series, total, named):
    write_of_another_program(in_most_slices(5), "BINARY", (1, 2), a_series, tmp_path / "seg.dcm")
    part = pydicom.dcmread(tmp_path / "seg.dcm")
    part.ConcatenationUID, part.InConcatenationNumber, part.ConcatenationFrameOffsetNumber = f"{ROOT}.63", 1, 0
    if total:
        part.InConcatenationTotalNumber = total
    part.save_as(tmp_path / "part.dcm")
    with pytest.raises(VolumeError, match=re.escape(named)):
        segmentations.read(tmp_path / "part.dcm")
    part.InConcatenationTotalNumber = 1
    part.save_as(tmp_path / "whole.dcm")
    assert segmentations.read(tmp_path / "whole.dcm") == segmentations.read(tmp_path / "seg.dcm")


def moved(path: Path, offset_mm: Sequence[float]) -> None:
    """Move the frames of the second segment."""
    given = pydicom.dcmread(path)
    for frame in given.PerFrameFunctionalGroupsSequence:
        if frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 2:
            place = frame.PlanePositionSequence[0]
            place.ImagePositionPatient = list(np.add(place.ImagePositionPatient, offset_mm).round(4))
    given.save_as(path)


@pytest.mark.parametrize("drawn_on", [slice(None), slice(2, 3)])
def test_segments_whose_slices_lie_aside_from_each_other_are_refused(tmp_path, drawn_on):
    series = a_series_at([(-100, -120, 5 * k) for k in range(5)], tmp_path / "scan")
    array = np.zeros((5, 12, 10), np.uint8)
    array[drawn_on] = in_most_slices(5)[drawn_on]
    write_of_another_program(array, "BINARY", (1, 2), series, tmp_path / "seg.dcm")
    moved(tmp_path / "seg.dcm", (10, 0, 0))
    with pytest.raises(VolumeError, match=r"displaced sideways|not a volume"):
        segmentations.read(tmp_path / "seg.dcm")


def test_places_of_segments_that_differ_in_the_last_digit_are_those_of_the_same_slices(tmp_path):
    series = a_series_at([(-100, -120, 5 * k) for k in range(5)], tmp_path / "scan")
    write_of_another_program(in_most_slices(5), "BINARY", (1, 2), series, tmp_path / "seg.dcm")
    moved(tmp_path / "seg.dcm", (0, 0, 0.0006))
    (layer,) = segmentations.read(tmp_path / "seg.dcm").refined(files.read(series).grid).layers
    np.testing.assert_array_equal(layer.array, in_most_slices(5))


@pytest.mark.parametrize(("step_mm", "aside_mm", "named"), [(7, 0, "are 5.00 to 7.00 mm apart"), (5, 3, "sideways")])
def test_a_segmentation_on_slices_that_lie_anywhere_is_refused_as_such(tmp_path, step_mm, aside_mm, named):
    places = [(-100, -120, 0), (-100, -120, 5), (-100 + aside_mm, -120, 10)]
    places += [(-100, -120, 10 + step_mm), (-100, -120, 10 + 2 * step_mm)]
    series = a_series_at(places, tmp_path / "scan")
    write_of_another_program(in_most_slices(5), "BINARY", (1, 2), series, tmp_path / "seg.dcm")
    with pytest.raises(VolumeError, match=named):
        segmentations.read(tmp_path / "seg.dcm")


def test_voxels_of_a_label_map_of_many_segments_keep_their_numbers(tmp_path, a_series):
    array = np.arange(5 * 12 * 10, dtype=np.uint16).reshape(5, 12, 10)
    write_of_another_program(array, "LABELMAP", range(1, 600), a_series, tmp_path / "seg.dcm")
    (layer,) = segmentations.read(tmp_path / "seg.dcm").refined(files.read(a_series).grid).layers
    np.testing.assert_array_equal(layer.array, array)


def test_segments_whose_numbers_have_gaps_are_listed_without_one_as_3d_slicer_needs_it(tmp_path, a_series):
    array = np.zeros((5, 12, 10), np.uint8)
    array[1:3], array[3] = 1, 7
    write_of_another_program(array, "LABELMAP", (1, 7), a_series, tmp_path / "seg.dcm")
    facts = segmentations.read(tmp_path / "seg.dcm").facts
    assert (facts["Segment1_ID"], facts["Segment1_LabelValue"], facts["Segment1_Name"]) == ("Segment_7", "7", "label 7")


@pytest.mark.parametrize("number", [0, 255])
def test_the_background_that_a_label_map_describes_is_no_segment(tmp_path, a_series, number):
    array = np.zeros((5, 12, 10), np.uint8)
    array[1:3, 2:8, 2:7] = 1
    write_of_another_program(array, "LABELMAP", (1,), a_series, tmp_path / "seg.dcm")
    given = pydicom.dcmread(tmp_path / "seg.dcm")
    del given.PixelPaddingValue
    given.SegmentSequence[0].SegmentNumber = number
    given.PixelData = np.where(given.pixel_array == 0, number, given.pixel_array).astype(np.uint8).tobytes()
    given.save_as(tmp_path / "seg.dcm")
    found = segmentations.read(tmp_path / "seg.dcm").refined(files.read(a_series).grid)
    np.testing.assert_array_equal(found.layers[0].array, array)
    assert [value for key, value in found.facts.items() if key.endswith("_Name")] == ["liver"]


@pytest.mark.parametrize("bits", [8, 16])
def test_segments_of_a_label_map_have_the_colors_of_its_palette(tmp_path, a_series, bits):
    array = np.zeros((5, 12, 10), np.uint8)
    array[1:3], array[3] = 1, 7
    write_of_another_program(array, "LABELMAP", (1, 7), a_series, tmp_path / "seg.dcm")
    given = pydicom.dcmread(tmp_path / "seg.dcm")
    given.PhotometricInterpretation = "PALETTE COLOR"
    for segment in given.SegmentSequence:
        segment.pop("RecommendedDisplayCIELabValue", None)
    for channel, level in {"Red": 0.2, "Green": 0.4, "Blue": 0.8}.items():
        table = np.zeros(8, f"<u{bits // 8}")
        table[7] = round(level * (2**bits - 1))
        given.add_new(f"{channel}PaletteColorLookupTableDescriptor", "US", [8, 0, bits])
        given.add_new(f"{channel}PaletteColorLookupTableData", "OW", table.tobytes())
    given.save_as(tmp_path / "seg.dcm")
    found = segmentations.read(tmp_path / "seg.dcm")
    assert set(np.unique(found.layers[0].array)) == {1, 7}
    assert found.facts["Segment0_Color"] == "0 0 0"
    assert found.facts["Segment1_Color"] == "0.2 0.4 0.8"


def test_segments_that_do_not_overlap_are_read_all_at_once(tmp_path, a_series, monkeypatch):
    """Each alone takes time for the frames of all."""
    array = np.arange(5 * 12 * 10, dtype=np.uint16).reshape(5, 12, 10) // 60
    write_of_another_program(array, "BINARY", range(1, 10), a_series, tmp_path / "seg.dcm")
    calls, get_volume = [], highdicom.seg.Segmentation.get_volume
    monkeypatch.setattr(
        highdicom.seg.Segmentation, "get_volume", lambda *given, **named: calls.append(1) or get_volume(*given, **named)
    )
    (layer,) = segmentations.read(tmp_path / "seg.dcm").refined(files.read(a_series).grid).layers
    np.testing.assert_array_equal(layer.array, array)
    assert len(calls) == 1


def test_a_label_map_with_voxels_of_a_segment_that_is_not_described_is_refused(tmp_path, a_series):
    array = np.arange(5 * 12 * 10, dtype=np.uint16).reshape(5, 12, 10) % 4
    write_of_another_program(array, "LABELMAP", (1, 2, 3), a_series, tmp_path / "seg.dcm")
    broken = pydicom.dcmread(tmp_path / "seg.dcm")
    broken.SegmentSequence.pop()
    broken.save_as(tmp_path / "seg.dcm")
    with pytest.raises(VolumeError, match="cannot be read as a DICOM segmentation"):
        segmentations.read(tmp_path / "seg.dcm")


def test_what_a_segment_is_stays_as_3d_slicer_and_a_dicom_segmentation_say_it(tmp_path, a_series):
    tags = (
        "Segmentation.Status:completed|TerminologyEntry:General Anatomy list"
        "~SCT^49755003^Morphologically Altered Structure~SCT^4147007^Mass~SCT^7771000^Left"
        "~Anatomic codes - DICOM master list~SCT^64033007^Kidney~SCT^7771000^Left|"
    )
    given = two_segments(files.read(a_series).grid, overlapping=False)
    given = replace(given, facts=given.facts | {"Segment1_Tags": tags})
    images = sorted(a_series.iterdir())
    segmentations.write(given, tmp_path / "one.dcm", images=images)
    segmentations.write(segmentations.read(tmp_path / "one.dcm"), tmp_path / "seg.dcm", images=images)
    liver, lesion = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence
    assert lesion.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    kind = lesion.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning) == ("4147007", "SCT", "Mass")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    (region,) = lesion.AnatomicRegionSequence
    assert (region.CodeValue, region.CodeMeaning) == ("64033007", "Kidney")
    assert region.AnatomicRegionModifierSequence[0].CodeMeaning == "Left"
    assert liver.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Anatomical Structure"
    assert "AnatomicRegionSequence" not in liver


def test_the_algorithm_that_drew_a_segment_and_by_what_it_is_tracked_stay(tmp_path, a_series):
    tags = "DICOM.SegmentAlgorithmName:Net 2|DICOM.SegmentAlgorithmType:AUTOMATIC|DICOM.TrackingID:lesion 1|"
    given = two_segments(files.read(a_series).grid, overlapping=False)
    given = replace(given, facts=given.facts | {"Segment1_Tags": f"{tags}DICOM.TrackingUID:{ROOT}.9|"})
    images = sorted(a_series.iterdir())
    segmentations.write(given, tmp_path / "one.dcm", images=images)
    segmentations.write(segmentations.read(tmp_path / "one.dcm"), tmp_path / "seg.dcm", images=images)
    liver, lesion = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence
    assert (lesion.SegmentAlgorithmType, lesion.SegmentAlgorithmName) == ("AUTOMATIC", "Net 2")
    assert (lesion.TrackingID, lesion.TrackingUID) == ("lesion 1", f"{ROOT}.9")
    assert liver.SegmentAlgorithmType == "MANUAL"


def test_tags_that_dicom_cannot_hold_make_no_invalid_segmentation(tmp_path, a_series):
    tags = f"DICOM.SegmentAlgorithmType:AUTOMATIC|DICOM.SegmentAlgorithmName:C:\\nets\\{'x' * 80}|"
    given = two_segments(files.read(a_series).grid, overlapping=False)
    given = replace(given, facts=given.facts | {"Segment1_Tags": f"{tags}DICOM.TrackingID:one|DICOM.TrackingUID:none|"})
    segmentations.write(given, tmp_path / "seg.dcm", images=sorted(a_series.iterdir()))
    _, lesion = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence
    assert lesion.SegmentAlgorithmName == "C:/nets/" + "x" * 56
    assert "TrackingID" not in lesion
    assert "TrackingUID" not in lesion


def test_labels_that_no_floating_number_holds_stay_two_segments(tmp_path, a_series):
    """Numbers of structures in large atlases are of 64 bits."""
    grid = files.read(a_series).grid
    array = np.full(grid.shape_kji, 2**60 + 1, np.uint64)
    array[:, 6:] = 2**60 + 3
    given = Segmentation((Volume(array, grid),))
    segmentations.write(given, tmp_path / "seg.dcm", images=sorted(a_series.iterdir()))
    (layer,) = segmentations.read(tmp_path / "seg.dcm").refined(grid).layers
    np.testing.assert_array_equal(layer.array, np.where(array == 2**60 + 1, 1, 2))


@pytest.mark.parametrize(
    ("character_set", "patient"),
    [
        ("ISO_IR 100", PATIENT_NAME),
        ("ISO_IR 192", "王^小東"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        (None, "Idle^Zoe"),
    ],
)
def test_names_of_segments_are_kept_in_every_script(tmp_path, character_set, patient):
    def written(header: pydicom.Dataset, k: int) -> None:
        header.SpecificCharacterSet, header.PatientName = character_set, patient

    images = write_source(tmp_path / "scan", np.zeros((5, 12, 10), np.uint16), change=written)
    given = two_segments(files.read(tmp_path / "scan").grid, overlapping=False)
    given = replace(given, facts=given.facts | {"Segment0_Name": "肝臓", "Segment1_Name": "Größe"})
    segmentations.write(given, tmp_path / "seg.dcm", images=images)
    found = segmentations.read(tmp_path / "seg.dcm").facts
    assert (found["Segment0_Name"], found["Segment1_Name"]) == ("肝臓", "Größe")
    assert pydicom.dcmread(tmp_path / "seg.dcm").PatientName == patient


def test_a_name_with_a_backslash_stays_one(tmp_path, a_series):
    given = two_segments(files.read(a_series).grid, overlapping=False)
    given = replace(given, facts=given.facts | {"Segment0_Name": "liver\\left"})
    segmentations.write(given, tmp_path / "seg.dcm", images=sorted(a_series.iterdir()))
    assert segmentations.read(tmp_path / "seg.dcm").facts["Segment0_Name"] == "liver/left"


def test_segments_that_share_a_value_in_different_layers_keep_their_names(tmp_path, a_series):
    """3D Slicer counts the labels of each layer from 1."""
    given = two_segments(files.read(a_series).grid, overlapping=True)
    lesion = Volume((given.layers[1].array > 0).astype(np.uint8), given.grid)
    facts = given.facts | {"Segment1_LabelValue": "1"}
    segmentations.write(
        Segmentation((given.layers[0], lesion), facts), tmp_path / "seg.dcm", images=sorted(a_series.iterdir())
    )
    found = segmentations.read(tmp_path / "seg.dcm").facts
    assert (found["Segment0_Name"], found["Segment1_Name"]) == ("liver", "lesion")
    assert found["Segment0_Color"] != found["Segment1_Color"]


def test_overlapping_segments_of_a_dicom_segmentation_keep_their_numbers(tmp_path, a_series):
    given = two_segments(files.read(a_series).grid, overlapping=True)
    given.layers[0].array[4] = 3
    given = replace(given, facts=given.facts | {"Segment2_Name": "spleen", "Segment2_LabelValue": "3"})
    segmentations.write(given, tmp_path / "seg.dcm", images=sorted(a_series.iterdir()))
    segments = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence
    assert [segment.SegmentLabel for segment in segments] == ["liver", "lesion", "spleen"]
    first, second = segmentations.read(tmp_path / "seg.dcm").refined(given.grid).layers
    np.testing.assert_array_equal(first.array, given.layers[0].array)
    np.testing.assert_array_equal(second.array, given.layers[1].array)


@pytest.mark.parametrize("overlapping", [False, True])
def test_an_empty_segment_stays_one_so_that_those_after_it_keep_their_numbers(tmp_path, a_series, overlapping):
    given = two_segments(files.read(a_series).grid, overlapping=overlapping)
    given.layers[0].array[given.layers[0].array == 1] = 0
    given.layers[0].array[4] = 9
    facts = {"Segment2_Name": "spleen", "Segment2_LabelValue": "9", "Segment3_LabelValue": "of none"}
    given = replace(given, facts=given.facts | facts)
    segmentations.write(given, tmp_path / "seg.dcm", images=sorted(a_series.iterdir()))
    written = pydicom.dcmread(tmp_path / "seg.dcm")
    assert [segment.SegmentLabel for segment in written.SegmentSequence] == ["liver", "lesion", "spleen"]
    found = segmentations.read(tmp_path / "seg.dcm").refined(given.grid).layers
    assert {int(value) for layer in found for value in np.unique(layer.array)} == {0, 2, 3}


def test_a_dicom_segmentation_is_refined_onto_the_series_it_names(medsr, tmp_path, a_series, a_model_file):
    segmentations.write(
        two_segments(files.read(a_series).grid, overlapping=False),
        tmp_path / "seg.dcm",
        images=list(a_series.iterdir()),
    )
    fine = tmp_path / "fine"
    options = ("--factor", 2, "--model", a_model_file, "--labels", tmp_path / "seg.dcm", tmp_path / "fine_seg.dcm")
    status, _, err = medsr("enhance", a_series, fine, *options, "--progress", "none")
    assert status == 0, err
    found = segmentations.read(tmp_path / "fine_seg.dcm")
    assert found.grid.spacing_ijk_mm == pytest.approx(files.read(fine).grid.spacing_ijk_mm, rel=1e-4)
    assert set(np.unique(found.layers[0].array)) == {0, 1, 2}
    written = pydicom.dcmread(tmp_path / "fine_seg.dcm")
    named = {item.ReferencedSOPInstanceUID for item in written.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert named <= {pydicom.dcmread(file).SOPInstanceUID for file in fine.iterdir()}


@pytest.mark.parametrize(("frame", "warned"), [(f"{ROOT}.4", False), ("", False), (f"{ROOT}.44", True)])
def test_a_segmentation_of_another_frame_of_reference_comes_with_a_warning(
    medsr, tmp_path, a_series, a_model_file, frame, warned
):
    segmentations.write(
        two_segments(files.read(a_series).grid, overlapping=False),
        tmp_path / "seg.dcm",
        images=list(a_series.iterdir()),
    )
    given = pydicom.dcmread(tmp_path / "seg.dcm")
    given.FrameOfReferenceUID = frame
    given.save_as(tmp_path / "seg.dcm")
    pair = (tmp_path / "seg.dcm", tmp_path / "out.seg.nrrd")
    options = ("--factor", 2, "--model", a_model_file, "--overwrite", "--progress", "none")
    for arguments in (
        ("labels", *pair, "--like", a_series),
        ("labels", *pair, "--like", a_series / "CT000.dcm", "--overwrite"),
        ("enhance", a_series, tmp_path / "fine.nii.gz", "--labels", *pair, *options),
    ):
        status, _, err = medsr(*arguments)
        assert (status, err.count("of different frames of reference")) == (0, warned), err


def test_a_file_that_another_program_makes_meanwhile_is_not_replaced(tmp_path, a_series, monkeypatch):
    given = two_segments(files.read(a_series).grid, overlapping=False)
    target, images = tmp_path / "seg.dcm", sorted(a_series.iterdir())

    def slow(*arguments) -> None:
        dicom_seg.write_segmentation(*arguments)
        target.write_text("of another program")

    monkeypatch.setattr(segmentations, "write_segmentation", slow)
    with pytest.raises(SuperResolutionError, match="exists already"):
        segmentations.write(given, target, images=images)
    assert target.read_text() == "of another program"
    segmentations.write(given, target, images=images, overwrite=True)
    assert len(segmentations.read(target).layers) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan", "seg.dcm"]


def test_info_describes_a_dicom_segmentation(medsr, tmp_path, a_series):
    given = two_segments(files.read(a_series).grid, overlapping=False)
    segmentations.write(given, tmp_path / "seg.dcm", images=list(a_series.iterdir()))
    status, out, err = medsr("info", tmp_path / "seg.dcm")
    assert status == 0, err
    assert "modality            label map\n" in out
    assert "by the shapes of its labels" in out


def test_the_slices_of_a_dicom_segmentation_lie_along_k_however_thin_they_are(tmp_path, a_series):
    thin = files.read(a_series).grid.refined("k", 5 / 0.7)
    segmentations.write(two_segments(thin, overlapping=False), tmp_path / "seg.dcm", images=list(a_series.iterdir()))
    found = segmentations.read(tmp_path / "seg.dcm").grid
    assert found.spacing_ijk_mm == pytest.approx((0.7, 0.8, 0.7))
    assert found.through_plane_axis == "k"


def test_a_dicom_segmentation_needs_a_series_to_name(medsr, tmp_path, a_series):
    scan = files.read(a_series)
    for name, volume in (("scan", scan), ("labels", two_segments(scan.grid, overlapping=False).layers[0])):
        files.write(volume, tmp_path / f"{name}.nii.gz")
    results = tmp_path / "results"
    results.mkdir()
    sentence = refused(
        medsr, results, "labels", tmp_path / "labels.nii.gz", results / "out.dcm", "--like", tmp_path / "scan.nii.gz"
    )
    assert "give a folder of DICOM" in sentence


def frame_without_its_segment(segmentation) -> None:
    segmentation.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = None


def frame_of_a_segment_that_is_not_described(segmentation) -> None:
    segmentation.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 9


def slices_without_an_orientation(segmentation) -> None:
    """As those of a microscope."""
    del segmentation.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence


def color_of_one_number(segmentation) -> None:
    segmentation.SegmentSequence[0].RecommendedDisplayCIELabValue = 1


@pytest.mark.parametrize("damage", [
    lambda segmentation: delattr(segmentation, "PerFrameFunctionalGroupsSequence"),
    lambda segmentation: delattr(segmentation, "DimensionIndexSequence"),
    lambda segmentation: setattr(segmentation, "SegmentSequence", []),
    frame_without_its_segment,
    frame_of_a_segment_that_is_not_described,
    slices_without_an_orientation,
    color_of_one_number,
])  # fmt: skip
def test_a_damaged_dicom_segmentation_is_refused_in_one_sentence(tmp_path, a_series, damage):
    segmentations.write(
        two_segments(files.read(a_series).grid, overlapping=False),
        tmp_path / "seg.dcm",
        images=list(a_series.iterdir()),
    )
    broken = pydicom.dcmread(tmp_path / "seg.dcm")
    damage(broken)
    broken.save_as(tmp_path / "broken.dcm")
    with pytest.raises(VolumeError, match="cannot be read as a DICOM segmentation"):
        segmentations.read(tmp_path / "broken.dcm")


@pytest.mark.filterwarnings("error")
def test_a_dicom_file_of_a_damaged_class_is_no_segmentation_without_a_warning(a_series):
    path = next(a_series.iterdir())
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.5.1.4.1.1.2\0", b"ANNE MOORE, born 19700101 "))
    assert not dicom_seg.is_dicom_segmentation(path)


def test_a_folder_is_no_dicom_segmentation(medsr, tmp_path, a_series):
    segmentations.write(
        two_segments(files.read(a_series).grid, overlapping=False),
        tmp_path / "seg.dcm",
        images=list(a_series.iterdir()),
    )
    (tmp_path / "fine.dcm").mkdir()
    given = (tmp_path / "seg.dcm", tmp_path / "fine.dcm", "--like", a_series, "--overwrite")
    assert medsr("labels", *given)[2] == f"error: {tmp_path / 'fine.dcm'} is a folder; name a file\n"


def test_a_full_disk_is_not_taken_for_a_series_that_lacks_something(tmp_path, a_series, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(highdicom.seg.Segmentation, "save_as", full)
    given = two_segments(files.read(a_series).grid, overlapping=False)
    with pytest.raises(OSError, match="No space left"):
        segmentations.write(given, tmp_path / "seg.dcm", images=sorted(a_series.iterdir()))
    assert [path.name for path in tmp_path.iterdir()] == ["scan"]
