from __future__ import annotations

import shutil
import subprocess
import traceback
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicom_sources import PATIENT_NAME, SECRET, Change, write_source
from made_up_report import made_up_report
from medical_super_resolution.cohort.discovery import items_in
from medical_super_resolution.errors import VolumeError
from medical_super_resolution.report import Report
from medical_super_resolution.volumes.dicom.derived import writer as dicom_output
from medical_super_resolution.volumes.dicom.derived.writer import check_output, write_series
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

FACTOR = 3


@dataclass
class Derived:
    """A source, a volume that could be its enhancement, and what was made of it."""

    source_files: list[Path]
    volume: Volume
    folder: Path
    report: Report

    @property
    def headers(self) -> list[pydicom.Dataset]:
        return [pydicom.dcmread(file) for file in sorted(self.folder.iterdir())]

    def write(self) -> Derived:
        self.report = write_series(self.volume, self.report, self.source_files, self.folder)
        return self


def prepared(tmp_path: Path, kind: str = "CT", *, real: bool = False, axis: str = "k", **source: object) -> Derived:
    """A source and its volume made finer, with whole or real numbers; nothing is written yet."""
    stored = np.random.default_rng(0).integers(0, 4096, (5, 12, 10)).astype(np.int16 if kind == "PT" else np.uint16)
    source_files = write_source(tmp_path / "source", stored, kind, **source)
    measured = files.read(tmp_path / "source")
    grid = measured.grid.refined(axis, FACTOR)
    array = np.repeat(measured.array, FACTOR, axis="kji".index(axis))
    if real:
        array = array * 1.2345 + 0.1 * np.arange(array.shape[2])
    report = made_up_report(
        model="general",
        model_sha256="0123456789abcdef" * 4,
        factor_ijk=tuple(float(FACTOR) if axis == one else 1.0 for one in "ijk"),
        spacing_before_ijk_mm=measured.grid.spacing_ijk_mm,
        spacing_after_ijk_mm=grid.spacing_ijk_mm,
        consistency_error_rms=0.3125,
        software="MedicalSuperResolution 9.8.7",
        warnings=("look at it with care",),
    )
    return Derived(source_files, Volume(array, grid, modality=measured.modality), tmp_path / "derived", report)


def assert_same_place(one: Volume, other: Volume) -> None:
    assert one.grid.shape_kji == other.grid.shape_kji
    k, j, i = one.grid.shape_kji
    corners = np.array(np.meshgrid((0.0, i), (0.0, j), (0.0, k), [1.0])).reshape(4, -1)
    np.testing.assert_allclose(one.grid.ijk_to_ras @ corners, other.grid.ijk_to_ras @ corners, atol=1e-5)


@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("axis", ["k", "j"])
@pytest.mark.parametrize("kind", ["CT", "MR"])
def test_whole_numbers_read_back_the_same(tmp_path: Path, kind: str, axis: str, oblique: bool):
    derived = prepared(tmp_path, kind, axis=axis, oblique=oblique).write()
    again = files.read(derived.folder)
    np.testing.assert_array_equal(again.array, derived.volume.array)
    assert_same_place(again, derived.volume)
    assert again.modality == kind.lower()
    assert again.slice_thickness_mm == pytest.approx(5 / FACTOR if axis == "k" else 4)
    assert derived.report.warnings == ("look at it with care",)


@pytest.mark.parametrize("kind", ["CT", "MR", "PT"])
def test_real_numbers_are_rounded_by_at_most_the_stated_error(tmp_path: Path, kind: str):
    derived = prepared(tmp_path, kind, real=True, oblique=True).write()
    again = files.read(derived.folder)
    said = float(derived.report.warnings[-1].rpartition("at most ")[2])
    assert 0 < np.abs(again.array - derived.volume.array).max() <= said * 1.01
    assert said < np.ptp(derived.volume.array) / 65000
    assert_same_place(again, derived.volume)
    assert derived.report.warnings[-1] in derived.headers[0].ImageComments


def test_a_left_handed_volume_lies_where_it_lay(tmp_path: Path):
    derived = prepared(tmp_path, oblique=True)
    right = derived.volume
    to_last, flip = np.eye(4), np.diag([1.0, 1.0, -1.0, 1.0])
    to_last[2, 3] = len(right.array) - 1
    left_grid = replace(right.grid, ijk_to_ras=right.grid.ijk_to_ras @ to_last @ flip)
    derived.volume = replace(right, array=right.array[::-1], grid=left_grid)
    again = files.read(derived.write().folder)
    np.testing.assert_array_equal(again.array, right.array)
    assert_same_place(again, right)


def paired(header: pydicom.Dataset, k: int) -> None:
    header.BodyPartExamined, header.Laterality, header.PatientIdentityRemoved = "KNEE", "L", "NO"
    header.WindowCenter, header.WindowWidth, header.WindowCenterWidthExplanation = [40, 300], [400, 1500], ["A", "B"]
    header.ImageType = [*header.ImageType, "MPR"]


def lying_as_ct_does(header: pydicom.Dataset, k: int) -> None:
    del header.PatientOrientationCodeSequence
    header.PatientPosition = "HFS"


def bare(header: pydicom.Dataset, k: int) -> None:
    for keyword in ("FrameOfReferenceUID", "StudyID", "SeriesNumber", "SeriesDescription", "PatientPosition", "KVP"):
        if keyword in header:
            delattr(header, keyword)


def of_no_known_part(header: pydicom.Dataset, k: int) -> None:
    del header.BodyPartExamined
    header.Laterality = ""


def of_an_unknown_knee(header: pydicom.Dataset, k: int) -> None:
    header.BodyPartExamined, header.Laterality = "KNEE", ""


def of_a_head_with_an_empty_side(header: pydicom.Dataset, k: int) -> None:
    header.Laterality = ""


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian package dicom3tools) is not installed")
@pytest.mark.parametrize(
    ("kind", "real", "change"),
    [
        *((kind, real, lambda header, k: None) for kind in ("CT", "MR", "PT") for real in (False, True)),
        ("CT", False, paired),
        ("MR", False, paired),
        ("CT", False, bare),
        ("MR", False, bare),
        ("PT", False, lying_as_ct_does),
        ("CT", False, of_no_known_part),
        ("MR", False, of_an_unknown_knee),
        ("CT", False, of_a_head_with_an_empty_side),
    ],
)
def test_the_standard_is_kept(tmp_path: Path, kind: str, real: bool, change: Change):
    derived = prepared(tmp_path, kind, real=real, oblique=True, change=change).write()
    for file in sorted(derived.folder.iterdir())[:: len(derived.volume.array) - 1]:
        said = subprocess.run(["dciodvfy", "-new", file], capture_output=True, text=True, check=False)
        assert "Image" in said.stderr + said.stdout
        assert [line for line in (said.stderr + said.stdout).splitlines() if "Error" in line] == []


def test_patient_study_and_frame_of_reference_are_those_of_the_source(tmp_path: Path):
    derived = prepared(tmp_path).write()
    source = pydicom.dcmread(derived.source_files[0])
    for header in derived.headers:
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate",
                        "AccessionNumber", "FrameOfReferenceUID", "PatientPosition", "KVP", "SoftwareVersions",
                        "WindowCenter", "WindowWidth", "BurnedInAnnotation"):  # fmt: skip
            assert header[keyword].value == source[keyword].value, keyword
    assert str(derived.headers[0].PatientName) == PATIENT_NAME


def test_series_and_instances_are_new(tmp_path: Path):
    derived = prepared(tmp_path).write()
    sources = [pydicom.dcmread(file) for file in derived.source_files]
    headers = derived.headers
    instances = {header.SOPInstanceUID for header in headers}
    assert len(instances) == len(headers) == 15
    assert not instances & {source.SOPInstanceUID for source in sources}
    assert all(header.SOPInstanceUID == header.file_meta.MediaStorageSOPInstanceUID for header in headers)
    assert len({header.SeriesInstanceUID for header in headers} | {sources[0].SeriesInstanceUID}) == 2
    assert [header.InstanceNumber for header in headers] == list(range(1, 16))
    assert headers[0].SeriesNumber != sources[0].SeriesNumber
    assert headers[0].SeriesDescription == "Source 5.0 (super-resolution 1x1x3)"


def test_the_derivation_is_described(tmp_path: Path):
    derived = prepared(tmp_path).write()
    header = derived.headers[0]
    assert list(header.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
    assert header.DerivationCodeSequence[0].CodeValue == "113085"
    for said in ("general", "0123456789ab", "1x1x3", "0.312", "Not for diagnostic use"):
        assert said in header.DerivationDescription
        assert said in header.ImageComments
    assert "look at it with care" in header.ImageComments
    assert {item.PurposeOfReferenceCodeSequence[0].CodeValue for item in header.SourceImageSequence} == {"121322"}
    software = header.ContributingEquipmentSequence[-1]
    assert software.PurposeOfReferenceCodeSequence[0].CodeValue == "109103"
    assert (software.ManufacturerModelName, software.SoftwareVersions) == ("MedicalSuperResolution", "9.8.7")
    assert float(header.SpacingBetweenSlices) == pytest.approx(5 / FACTOR)


def test_each_slice_names_the_source_slices_that_it_came_from_and_no_other(tmp_path: Path):
    derived = prepared(tmp_path).write()
    sources = [pydicom.dcmread(file).SOPInstanceUID for file in derived.source_files]
    named = [[one.ReferencedSOPInstanceUID for one in header.SourceImageSequence] for header in derived.headers]
    assert {len(uids) for uids in named} == {4}
    assert set(named[0]) == set(named[2]) == set(sources[:4])
    assert set(named[8]) == set(sources[1:])
    assert [uids[0] for uids in named] == [uid for uid in sources for _ in range(FACTOR)]


def test_a_slice_that_was_refined_in_its_plane_came_from_one_slice(tmp_path: Path):
    derived = prepared(tmp_path, axis="j").write()
    sources = [pydicom.dcmread(file).SOPInstanceUID for file in derived.source_files]
    assert [[one.ReferencedSOPInstanceUID for one in header.SourceImageSequence] for header in derived.headers] == [
        [uid] for uid in sources
    ]


def test_slices_that_were_averaged_are_as_thick_and_came_from_all_that_they_cover(tmp_path: Path):
    derived = prepared(tmp_path, axis="j")
    volume = derived.volume
    averaged = volume.array[:4].reshape(2, 2, *volume.array.shape[1:]).mean(axis=1).astype(volume.array.dtype)
    grid = replace(volume.grid, shape_kji=(4, *averaged.shape[1:])).refined("k", 0.5)
    derived.volume = replace(volume, array=averaged, grid=grid)
    sources = [pydicom.dcmread(file).SOPInstanceUID for file in derived.source_files]
    for number, header in enumerate(derived.write().headers):
        assert float(header.SliceThickness) == 10
        named = {item.ReferencedSOPInstanceUID for item in header.SourceImageSequence}
        assert named == set(sources[2 * number : 2 * number + 2])


def test_a_tilted_source_gives_a_straight_series(tmp_path: Path):
    def tilted(header: pydicom.Dataset, k: int) -> None:
        header.ImagePositionPatient[1] += 5 * k * np.tan(np.radians(15))
        header.GantryDetectorTilt = 15

    derived = prepared(tmp_path, change=tilted).write()
    assert_same_place(files.read(derived.folder), derived.volume)
    assert "GantryDetectorTilt" not in derived.headers[0]
    assert derived.headers[0].ImagePositionPatient[:2] == derived.headers[-1].ImagePositionPatient[:2]


def test_slices_are_numbered_in_the_direction_of_the_source(tmp_path: Path):
    headers = prepared(tmp_path, head_first=True).write().headers
    assert [header.InstanceNumber for header in headers] == list(range(1, 16))
    assert headers[0].ImagePositionPatient[2] > headers[-1].ImagePositionPatient[2]


def test_each_slice_takes_its_time_from_the_nearest_measured_one(tmp_path: Path):
    headers = prepared(tmp_path, "PT").write().headers
    assert [float(header.FrameReferenceTime) for header in headers] == [1000 * (k // FACTOR) for k in range(15)]
    assert {(header.Units, header.SeriesTime, header.NumberOfSlices) for header in headers} == {("BQML", "101500", 15)}
    assert headers[0].RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose == 3e8


def test_what_is_not_on_the_list_stays_behind(tmp_path: Path):
    derived = prepared(tmp_path, "PT").write()
    for header, file in zip(derived.headers, sorted(derived.folder.iterdir()), strict=True):
        assert SECRET.encode() not in file.read_bytes()
        assert not any(element.tag.is_private for element in header.iterall())
        assert "OperatorsName" not in header
        assert "operator" not in header.ImageComments


def test_the_source_stays_as_it_was(tmp_path: Path):
    derived = prepared(tmp_path)
    before = {file: file.read_bytes() for file in (tmp_path / "source").iterdir()}
    derived.write()
    assert {file: file.read_bytes() for file in (tmp_path / "source").iterdir()} == before


def test_an_empty_folder_is_filled(tmp_path: Path):
    derived = prepared(tmp_path)
    derived.folder.mkdir()
    assert len(derived.write().headers) == 15
    assert sorted(path.name for path in tmp_path.iterdir()) == ["derived", "source"]


def taken(folder: Path) -> None:
    folder.mkdir()
    (folder / "mine.txt").write_text("keep")


@pytest.mark.parametrize(
    ("occupy", "sentence"),
    [
        (taken, "is not empty; name a new or an empty one"),
        (lambda folder: folder.write_text("keep"), "is a file; name a folder"),
    ],
)
def test_what_is_there_is_not_touched(tmp_path: Path, occupy, sentence: str):
    derived = prepared(tmp_path)
    occupy(derived.folder)
    with pytest.raises(VolumeError, match=sentence):
        derived.write()
    kept = derived.folder if derived.folder.is_file() else derived.folder / "mine.txt"
    assert kept.read_text() == "keep"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["derived", "source"]


def moved(volume: Volume) -> Volume:
    matrix = volume.grid.ijk_to_ras.copy()
    matrix[0, 3] += 0.01
    return replace(volume, grid=replace(volume.grid, ijk_to_ras=matrix))


def changed(volume: Volume) -> Volume:
    array = volume.array.copy()
    array[3, 2, 1] += 1
    return replace(volume, array=array)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (moved, "displaced by 0.01 mm"),
        (changed, "slice 3 differs by 1;"),
        (lambda volume: replace(volume, array=volume.array[1:], grid=volume.grid.refined("k", 14 / 15)), "10x12x14"),
    ],
)
def test_files_that_read_back_differently_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault, sentence: str
):
    derived = prepared(tmp_path)
    monkeypatch.setattr(files, "read", lambda path, read=files.read: fault(read(path)))
    with pytest.raises(VolumeError, match=f"does not read back as it was written: {sentence}"):
        derived.write()
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    derived = prepared(tmp_path)
    written = []

    def full(dataset: pydicom.Dataset, path: object, *others: object, save=pydicom.Dataset.save_as) -> None:
        written.append(path)
        if len(written) > 7:
            raise OSError(28, "No space left on device")
        save(dataset, path, *others)

    monkeypatch.setattr(pydicom.dataset.FileDataset, "save_as", full)
    with pytest.raises(VolumeError, match="could not be written; .* MB are free on its disk"):
        derived.write()
    assert len(written) == 8
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(
    ("uid", "named"),
    [("1.2.840.10008.5.1.4.1.1.7", "Secondary Capture Image Storage"), ("1.2.840.10008.5.1.4.1.1.6.1", "Ultrasound")],
)
def test_other_kinds_of_images_are_refused(tmp_path: Path, uid: str, named: str):
    def other(header: pydicom.Dataset, k: int) -> None:
        header.SOPClassUID = uid

    derived = prepared(tmp_path, change=other)
    with pytest.raises(VolumeError, match=f"is stored as {named}.*only CT, MR and PET"):
        dicom_output.check_output(derived.source_files, derived.folder)
    with pytest.raises(VolumeError, match="only CT, MR and PET"):
        derived.write()


def test_attributes_missing_in_the_source_are_named(tmp_path: Path):
    def lacking(header: pydicom.Dataset, k: int) -> None:
        del header.ScanningSequence

    derived = prepared(tmp_path, "MR", change=lacking).write()
    assert "the source lacks the DICOM attributes ScanningSequence" in derived.report.warnings[-1]


@pytest.mark.parametrize("damage", ["odd values", "unwritable"])
def test_nothing_names_the_patient(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder, damage: str, monkeypatch
):
    name = "Confidential^Person"

    def odd(header: pydicom.Dataset, k: int) -> None:
        header.PatientName = name
        texts = dict.fromkeys(("SpecificCharacterSet", "PatientSex", "AcquisitionTime"), name)
        for keyword, value in (texts | {"PatientID": f"{name} " * 9}).items():
            header[keyword] = pydicom.DataElement(keyword, header[keyword].VR, value, validation_mode=0)

    derived = prepared(tmp_path, change=odd)
    recwarn.clear()
    caplog.clear()
    assert items_in(derived.source_files[0].parent)
    told = ""
    if damage == "unwritable":
        monkeypatch.setattr(pydicom.dataset.FileDataset, "save_as", lambda *given: int(name))
        with pytest.raises(VolumeError, match="cannot be written again") as failure:
            derived.write()
        told = "".join(traceback.format_exception(failure.value))
    else:
        derived.write()
    assert name not in told + caplog.text + "".join(str(warning.message) for warning in recwarn.list)
    assert damage == "unwritable" or str(derived.headers[0].PatientName) == name


@pytest.mark.parametrize("is_fused", [False, True])
def test_what_warns_of_the_pixels_of_one_slice_is_kept(tmp_path: Path, is_fused: bool):
    def flagged(header: pydicom.Dataset, k: int) -> None:
        header.BurnedInAnnotation, header.LossyImageCompression = ("YES", "01") if k == 3 else ("NO", "00")
        if k == 3:
            header.RecognizableVisualFeatures, header.LossyImageCompressionRatio = "YES", 7

    derived = prepared(tmp_path, change=(lambda header, k: None) if is_fused else flagged)
    further = [write_source(tmp_path / "further", np.zeros((5, 12, 10), np.uint16), change=flagged)] if is_fused else []
    write_series(derived.volume, derived.report, derived.source_files, derived.folder, further_sources=further)
    for header in derived.headers:
        assert (header.BurnedInAnnotation, header.RecognizableVisualFeatures) == ("YES", "YES")
        assert (header.LossyImageCompression, header.LossyImageCompressionRatio) == ("01", 7)


def test_who_operated_contributing_devices_is_left_out(tmp_path: Path):
    def contributed(header: pydicom.Dataset, k: int) -> None:
        person, device = pydicom.Dataset(), pydicom.Dataset()
        person.PersonAddress, person.PersonTelephoneNumbers = "Doe Street 1", "555"
        device.Manufacturer, device.OperatorsName, device.InstitutionAddress = "Maker", "Doe^Joan", "Doe Street 1"
        device.OperatorIdentificationSequence = [person]
        header.ContributingEquipmentSequence = [device]

    header = prepared(tmp_path, change=contributed).write().headers[0]
    assert header.ContributingEquipmentSequence[0].Manufacturer == "Maker"
    assert "Doe" not in str(header)


@pytest.mark.parametrize(("keyword", "named"), [("PatientID", "patients"), ("StudyInstanceUID", "studies")])
def test_slices_of_several_patients_or_studies_are_refused(tmp_path: Path, keyword: str, named: str):
    derived = prepared(tmp_path, change=lambda header, k: setattr(header, keyword, f"1.2.{k // 3}"))
    for attempt in (derived.write, lambda: check_output(derived.source_files, derived.folder)):
        with pytest.raises(VolumeError, match=f"are of several {named}, so no DICOM"):
            attempt()
    assert not derived.folder.exists()
