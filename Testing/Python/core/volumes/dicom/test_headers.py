"""What the headers of a derived DICOM series say, and what they leave out."""

from __future__ import annotations

import shutil
import subprocess
import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from derived_series import FACTOR, prepared
from dicom_sources import PATIENT_NAME, SECRET, Change, write_source
from medical_super_resolution.cohort.discovery import items_in
from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.dicom.derived import attributes
from medical_super_resolution.volumes.dicom.derived.writer import write_series
from medical_super_resolution.volumes.io import files


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


def of_white_air(header: pydicom.Dataset, k: int) -> None:
    header.PhotometricInterpretation = "MONOCHROME1"


def of_a_time_slice(header: pydicom.Dataset, k: int) -> None:
    header.SeriesType, header.NumberOfTimeSlices = ["DYNAMIC", "IMAGE"], 7


def of_a_beating_heart(header: pydicom.Dataset, k: int) -> None:
    header.SeriesType, header.NumberOfRRIntervals, header.NumberOfTimeSlots = ["GATED", "IMAGE"], 1, 8
    header.TriggerTime, header.FrameTime, header.BeatRejectionFlag = 250, 125, "N"


def of_a_trial_with_a_contrast_agent(header: pydicom.Dataset, k: int) -> None:
    header.ClinicalTrialSponsorName, header.ClinicalTrialProtocolID, header.ClinicalTrialSubjectID = "S", "P", "1"
    header.ContrastBolusRoute = "IV"
    for keyword in attributes.MAY_BE_EMPTY:
        setattr(header, keyword, "")


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
        ("PT", False, of_a_time_slice),
        ("PT", False, of_a_beating_heart),
        ("CT", False, of_no_known_part),
        ("MR", False, of_an_unknown_knee),
        ("CT", False, of_a_head_with_an_empty_side),
        ("CT", False, of_white_air),
        ("MR", False, of_white_air),
        *((kind, False, of_a_trial_with_a_contrast_agent) for kind in ("CT", "MR", "PT")),
    ],
)
def test_the_standard_is_kept(tmp_path: Path, kind: str, real: bool, change: Change):
    derived = prepared(tmp_path, kind, real=real, oblique=True, change=change).write()
    for file in sorted(derived.folder.iterdir())[:: len(derived.volume.array) - 1]:
        said = subprocess.run(["dciodvfy", "-new", file], capture_output=True, text=True, check=False)
        assert "Image" in said.stderr + said.stdout
        assert [line for line in (said.stderr + said.stdout).splitlines() if "Error" in line] == []


@pytest.mark.parametrize(
    ("position", "codes"),
    [
        ("HFS", ["recumbent", "supine", "headfirst"]),
        ("FFDR", ["recumbent", "right lateral decubitus", "feet-first"]),
        ("SITTING", []),
    ],
)
def test_a_position_in_letters_of_pet_becomes_codes(tmp_path: Path, position: str, codes: list[str]):
    def in_letters(header: pydicom.Dataset, k: int) -> None:
        del header.PatientOrientationCodeSequence, header.PatientGantryRelationshipCodeSequence
        header.PatientPosition = position

    header = prepared(tmp_path, "PT", change=in_letters).write().headers[0]
    assert "PatientPosition" not in header  # beside the codes, the standard forbids it
    lying, first = header.PatientOrientationCodeSequence, header.PatientGantryRelationshipCodeSequence
    said = [*lying, *(one.PatientOrientationModifierCodeSequence[0] for one in lying), *first]
    assert [one.CodeMeaning for one in said] == codes


def test_the_dose_of_ct_names_the_phantom_that_it_is_meant_for(tmp_path: Path):
    def dosed(header: pydicom.Dataset, k: int) -> None:
        phantom = pydicom.Dataset()
        phantom.CodeValue, phantom.CodingSchemeDesignator = "113691", "DCM"
        phantom.CodeMeaning = "IEC Body Dosimetry Phantom"
        header.CTDIvol, header.CTDIPhantomTypeCodeSequence = 12.3, [phantom]

    header = prepared(tmp_path, change=dosed).write().headers[0]
    assert header.CTDIvol == 12.3
    assert header.CTDIPhantomTypeCodeSequence[0].CodeValue == "113691"


def test_what_a_source_of_a_trial_leaves_empty_is_empty(tmp_path: Path):
    header = prepared(tmp_path, change=of_a_trial_with_a_contrast_agent).write().headers[0]
    assert [header[keyword].value for keyword in attributes.MAY_BE_EMPTY] == [""] * len(attributes.MAY_BE_EMPTY)


def test_patient_study_and_frame_of_reference_are_those_of_the_source(tmp_path: Path):
    derived = prepared(tmp_path).write()
    source = pydicom.dcmread(derived.source_files[0])
    for header in derived.headers:
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate",
                        "AccessionNumber", "FrameOfReferenceUID", "PatientPosition", "KVP", "SoftwareVersions",
                        "WindowCenter", "WindowWidth", "BurnedInAnnotation"):  # fmt: skip
            assert header[keyword].value == source[keyword].value, keyword
    assert str(derived.headers[0].PatientName) == PATIENT_NAME


def test_the_side_of_the_body_and_the_meaning_of_the_pixels_are_those_of_the_source(tmp_path: Path):
    def of_phases(header: pydicom.Dataset, k: int) -> None:
        paired(header, k)
        header.ImageType = ["ORIGINAL", "PRIMARY", "PHASE MAP", "MPR"]

    header = prepared(tmp_path, "MR", change=of_phases).write().headers[0]
    assert header.Laterality == "L"
    assert list(header.ImageType) == ["DERIVED", "SECONDARY", "PHASE MAP"]


@pytest.mark.parametrize(("kind", "stated", "kept"), [("CT", "MG", "MG"), ("PT", "NM", "NM"), ("CT", "", "CT")])
def test_the_modality_is_that_of_the_source_and_not_of_its_kind_of_file(
    tmp_path: Path, kind: str, stated: str, kept: str
):
    """As breast tomosynthesis in files of CT, whose values are no Hounsfield units."""

    def change(header: pydicom.Dataset, k: int) -> None:
        header.Modality = stated

    derived = prepared(tmp_path, kind, change=change).write()
    assert {header.Modality for header in derived.headers} == {kept}


@pytest.mark.parametrize(("modality", "unit"), [("CT", "HU"), ("MG", None)])
def test_files_of_ct_without_a_unit_are_in_hounsfield_units_only_if_they_are_of_a_ct(
    tmp_path: Path, modality: str, unit: str | None
):
    def change(header: pydicom.Dataset, k: int) -> None:
        header.Modality = modality
        del header.RescaleType

    derived = prepared(tmp_path, "CT", change=change).write()
    assert {header.get("RescaleType") for header in derived.headers} == {unit}


@pytest.mark.parametrize(
    ("kind", "source", "derived"),
    [
        ("MR", ["ORIGINAL", "PRIMARY", "M", "DIXON", "WATER", "ND"], ["M", "DIXON", "WATER", "ND"]),
        ("MR", ["DERIVED", "PRIMARY", "M", "CSA MPR", "IN_PHASE"], ["M", "IN_PHASE"]),
        ("CT", ["DERIVED", "SECONDARY", "AXIAL", "VMI"], ["AXIAL", "VMI"]),
        ("CT", ["DERIVED", "SECONDARY", "MPR", "CT_SOM5 MPR"], ["AXIAL"]),
        ("MR", ["ORIGINAL", "PRIMARY", "", "W"], ["OTHER", "W"]),
        ("MR", ["ORIGINAL"], ["OTHER"]),
    ],
)
def test_the_kind_of_contrast_is_that_of_the_source(tmp_path: Path, kind: str, source: list[str], derived: list[str]):
    def of_a_contrast(header: pydicom.Dataset, k: int) -> None:
        header.ImageType = source

    header = prepared(tmp_path, kind, change=of_a_contrast).write().headers[0]
    assert list(header.ImageType) == ["DERIVED", "SECONDARY", *derived]


@pytest.mark.parametrize("kind", ["CT", "MR"])
def test_no_derived_series_is_monochrome1_whose_values_some_readers_turn_over(tmp_path: Path, kind: str):
    derived = prepared(tmp_path, kind, change=of_white_air).write()
    assert {header.PhotometricInterpretation for header in derived.headers} == {"MONOCHROME2"}
    np.testing.assert_array_equal(files.read(derived.folder).array, derived.volume.array)
    assert "viewers show as bright what was dark; the values are the same" in derived.report.warnings[-1]
    assert derived.report.warnings[-1] in derived.headers[0].ImageComments


@pytest.mark.parametrize(
    ("change", "side"), [(of_no_known_part, ""), (of_an_unknown_knee, ""), (of_a_head_with_an_empty_side, "absent")]
)
def test_a_side_that_is_not_known_is_empty_and_a_head_has_none(tmp_path: Path, change: Change, side: str):
    assert (prepared(tmp_path, change=change).write().headers[0].get("Laterality", "absent") or "") == side


def test_what_a_bare_source_does_not_name_is_new_or_empty(tmp_path: Path):
    headers = prepared(tmp_path, change=bare).write().headers
    assert headers[0].SeriesNumber == 9001
    assert len({header.FrameOfReferenceUID for header in headers} - {""}) == 1
    assert [headers[0][keyword].value or "" for keyword in ("StudyID", "PatientPosition", "KVP")] == ["", "", ""]


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


def test_the_hundredth_volume_of_a_series_takes_no_number_of_the_next_one(tmp_path: Path):
    derived, numbers = prepared(tmp_path), []
    for phase in (1, 99, 100, 240):
        folder = tmp_path / f"{phase}"
        write_series(derived.volume, derived.report, derived.source_files, folder, phase=phase)
        numbers.append(pydicom.dcmread(min(folder.iterdir())).SeriesNumber)
    assert numbers == [301, 399, 300_100, 300_240]  # 400 and 540 were of series 4 and 5


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


def test_each_slice_takes_its_time_from_the_nearest_measured_one(tmp_path: Path):
    headers = prepared(tmp_path, "PT").write().headers
    assert [float(header.FrameReferenceTime) for header in headers] == [1000 * (k // FACTOR) for k in range(15)]
    assert [header.ImageIndex for header in headers] == list(range(1, 16))
    assert {(header.Units, header.SeriesTime, header.NumberOfSlices) for header in headers} == {("BQML", "101500", 15)}
    assert headers[0].RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose == 3e8


def test_each_slice_of_a_beating_heart_has_the_trigger_time_of_the_nearest_measured_one(tmp_path: Path):
    def triggered(header: pydicom.Dataset, k: int) -> None:
        header.ScanOptions, header.TriggerTime = "CG", 100 + 10 * k

    headers = prepared(tmp_path, "MR", change=triggered).write().headers
    assert [float(header.TriggerTime) for header in headers] == [100 + 10 * (k // FACTOR) for k in range(15)]


def test_a_pet_series_in_time_says_that_one_volume_of_it_was_derived(tmp_path: Path):
    headers = prepared(tmp_path, "PT", change=of_a_time_slice).write().headers
    assert {header.NumberOfTimeSlices for header in headers} == {1}
    (tmp_path / "gated").mkdir()
    header = prepared(tmp_path / "gated", "PT", change=of_a_beating_heart).write().headers[0]
    assert (header.NumberOfRRIntervals, header.NumberOfTimeSlots) == (1, 1)
    assert (header.TriggerTime, header.FrameTime, header.BeatRejectionFlag) == (250, 125, "N")


def test_what_is_not_on_the_list_stays_behind(tmp_path: Path):
    derived = prepared(tmp_path, "PT").write()
    for header, file in zip(derived.headers, sorted(derived.folder.iterdir()), strict=True):
        assert SECRET.encode() not in file.read_bytes()
        assert not any(element.tag.is_private for element in header.iterall())
        assert "OperatorsName" not in header
        assert "operator" not in header.ImageComments


def test_attributes_missing_in_the_source_are_named(tmp_path: Path):
    def lacking(header: pydicom.Dataset, k: int) -> None:
        del header.ScanningSequence

    derived = prepared(tmp_path, "MR", change=lacking).write()
    assert "the source lacks the DICOM attributes ScanningSequence" in derived.report.warnings[-1]


def test_a_number_in_place_of_a_sequence_is_left_out(tmp_path: Path):
    def odd(header: pydicom.Dataset, k: int) -> None:
        header.add_new("ContributingEquipmentSequence", "FD", 3.5)
        header.add_new("CTDIPhantomTypeCodeSequence", "FD", 3.5)

    header = prepared(tmp_path, change=odd).write().headers[0]
    assert [item.ManufacturerModelName for item in header.ContributingEquipmentSequence] == ["MedicalSuperResolution"]
    assert "CTDIPhantomTypeCodeSequence" not in header


@pytest.mark.parametrize(
    ("keyword", "kind", "value"), [("SOPInstanceUID", "FD", 3.5), ("ImagePositionPatient", "FD", 3.5)]
)
def test_an_identity_or_a_position_of_another_kind_is_refused(tmp_path: Path, keyword: str, kind: str, value: float):
    derived = prepared(tmp_path)
    header = pydicom.dcmread(derived.source_files[2])
    header.add_new(keyword, kind, value)
    header.save_as(derived.source_files[2])
    with pytest.raises(VolumeError, match="names no position or no identity of its slice"):
        derived.write()


def test_a_time_of_an_odd_length_that_cannot_be_written_again_is_refused(tmp_path: Path):
    derived = prepared(tmp_path)
    for file in derived.source_files:
        header = pydicom.dcmread(file)
        tag = pydicom.tag.Tag("AcquisitionTime")
        header._dict[tag] = pydicom.dataelem.RawDataElement(tag, "US", 3, b"\1\2\3", 0, False, True)
        header.save_as(file)
    with pytest.raises(VolumeError, match="cannot be written again"):
        derived.write()


@pytest.mark.parametrize("units", ["CNTS", "BQML"])
def test_a_pet_in_counts_comes_with_a_warning_of_the_private_factors_that_it_loses(tmp_path: Path, units: str):
    def of_philips(header: pydicom.Dataset, k: int) -> None:
        header.Units = units
        header.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0, "DS", "0.00055")

    derived = prepared(tmp_path, "PT", change=of_philips).write()
    warned = "factors to Bq/ml and SUV" in " ".join(derived.report.warnings)
    assert warned == ("factors to Bq/ml and SUV" in derived.headers[0].ImageComments) == (units == "CNTS")


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


def test_a_fused_series_names_the_slices_of_stacks_in_other_planes_too(tmp_path: Path):
    def coronal(header: pydicom.Dataset, k: int) -> None:
        header.SOPInstanceUID = f"1.2.3.{k}"
        header.ImageOrientationPatient, header.ImagePositionPatient = [1, 0, 0, 0, 0, -1], [-100, 5 * k - 120, 60]
        header.BurnedInAnnotation = "YES" if k == 3 else "NO"

    derived = prepared(tmp_path)
    further = write_source(tmp_path / "further", np.zeros((4, 12, 10), np.uint16), change=coronal)
    write_series(derived.volume, derived.report, derived.source_files, derived.folder, further_sources=[further])
    sources = {pydicom.dcmread(file).SOPInstanceUID for file in (*derived.source_files, *further)}
    assert len(sources) == 9
    for header in derived.headers:
        assert {item.ReferencedSOPInstanceUID for item in header.SourceImageSequence} == sources
        assert header.BurnedInAnnotation == "YES"


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
