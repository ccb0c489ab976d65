"""Folders from hospitals: other objects, several series, several volumes in one, copies, nested folders, archives."""

from __future__ import annotations

import builtins
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from command_line import PACKAGE_ROOT
from dicom_kinds import ROOT, header, image, item, save, write_images
from limited_reading import refusal
from medical_super_resolution.errors import VolumeError
from medical_super_resolution.system import archive
from medical_super_resolution.volumes.dicom import phases, sorter
from medical_super_resolution.volumes.dicom.reader import Selection, check_one_session
from medical_super_resolution.volumes.io import files


@pytest.fixture
def stored() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3000, (6, 7, 9)).astype(np.int16)


def test_what_is_no_image_is_ignored_and_named(tmp_path: Path, stored: np.ndarray):
    folder = write_images(tmp_path / "ct", stored)
    kinds = {
        "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
        "SR": "1.2.840.10008.5.1.4.1.1.88.11",
        "KO": "1.2.840.10008.5.1.4.1.1.88.59",
        "PR": "1.2.840.10008.5.1.4.1.1.11.1",
        "DOC": "1.2.840.10008.5.1.4.1.1.104.1",
    }
    for number, (modality, uid) in enumerate(kinds.items()):
        made = header(modality, f"{ROOT}.7.{number}")
        made.SOPClassUID = uid
        save(made, folder / f"{modality}.dcm")
    dose = image(stored[0], (0, 0, 0), modality="RTDOSE", SOPClassUID="1.2.840.10008.5.1.4.1.1.481.2")
    save(dose, folder / "dose.dcm")
    volume = files.read(folder)
    np.testing.assert_array_equal(volume.array, stored)
    for kind in ("RT Structure Set Storage", "Basic Text SR Storage", "RT Dose Storage"):
        assert kind in volume.notes[0]
    assert ".dcm" not in volume.notes[0]  # a name of a file may be that of a patient


def test_a_series_in_nested_folders_is_read_as_one(tmp_path: Path, stored: np.ndarray):
    folder = write_images(tmp_path / "flat", stored)
    for k, path in enumerate(sorted(folder.iterdir())):
        target = tmp_path / "cd" / "PAT1" / "ST1" / f"part{k % 2}" / f"IM{k}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.SOPClassUID, directory.SOPInstanceUID = "1.2.840.10008.1.3.10", f"{ROOT}.6"
    save(directory, tmp_path / "cd" / "DICOMDIR")
    save(image(stored[0] + 1, (0, 0, 30)), tmp_path / "cd" / ".Trashes" / "IM6")
    for path in (tmp_path / "cd", tmp_path / "cd" / "DICOMDIR"):
        volume = files.read(path)
        np.testing.assert_array_equal(volume.array, stored)
        assert volume.notes == ()


@pytest.mark.parametrize("name", ["CT.ZIP", "dicomdir"])
def test_names_that_other_systems_write_in_the_other_case_mean_the_same(tmp_path: Path, stored: np.ndarray, name: str):
    folder = write_images(tmp_path / "cd" / "a" / "b", stored)
    if name == "CT.ZIP":
        shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
        (tmp_path / "packed.zip").rename(tmp_path / "cd" / name)
        shutil.rmtree(tmp_path / "cd" / "a")
    else:
        (tmp_path / "cd" / name).write_bytes(b"not a good one")
    np.testing.assert_array_equal(files.read(tmp_path / "cd" / name).array, stored)


def test_a_file_stands_for_the_slices_beside_it_and_not_for_those_in_folders_below(tmp_path: Path, stored: np.ndarray):
    folder = write_images(tmp_path / "ct", stored)
    (folder / "more").mkdir()
    save(image(stored[0], (0, 0, 30), InstanceNumber=7), folder / "more" / "006.dcm")
    assert len(files.read(folder / "000.dcm").array) == 6
    assert len(files.read(folder).array) == 7


def test_a_zipped_folder_is_read_like_the_folder(tmp_path: Path, stored: np.ndarray):
    write_images(tmp_path / "ct" / "a" / "b", stored)
    shutil.make_archive(str(tmp_path / "scan"), "zip", tmp_path / "ct")
    np.testing.assert_array_equal(files.read(tmp_path / "scan.zip").array, stored)


def test_a_damaged_zip_file_is_refused(tmp_path: Path, stored: np.ndarray):
    shutil.make_archive(str(tmp_path / "scan"), "zip", write_images(tmp_path / "ct", stored))
    whole = (tmp_path / "scan.zip").read_bytes()
    for content in (b"PK\x03\x04 and no more", whole[:200] + b"\xff" * 40 + whole[240:]):  # then of a packed file
        (tmp_path / "scan.zip").write_bytes(content)
        assert "cannot be unpacked" in refusal(tmp_path / "scan.zip")


def test_nothing_that_was_unpacked_is_left(tmp_path: Path, stored: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    shutil.make_archive(str(tmp_path / "scan"), "zip", write_images(tmp_path / "ct", stored))
    (tmp_path / "temporary").mkdir()
    code = "from medical_super_resolution.system import archive; from pathlib import Path\n"
    code += f"print(len(list(archive.unpacked(Path({str(tmp_path / 'scan.zip')!r})).iterdir())))"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_ROOT), "TMPDIR": str(tmp_path / "temporary")}
    asked = [sys.executable, "-c", code]
    assert subprocess.run(asked, env=environment, capture_output=True, check=True).stdout.strip() == b"6"
    assert list((tmp_path / "temporary").iterdir()) == []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(archive, "_MOST_MEMBERS", 5)
    assert "scan.zip unpacks to 6 files of " in refusal(tmp_path / "scan.zip")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_of_many_zip_files_only_the_last_ones_stay_unpacked(
    tmp_path: Path, stored: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    shutil.make_archive(str(tmp_path / "0"), "zip", write_images(tmp_path / "ct", stored))
    for number in range(20):
        path = shutil.copy(tmp_path / "0.zip", tmp_path / f"scan{number}.zip")
        np.testing.assert_array_equal(files.read(path).array, stored)
    assert len(list((tmp_path / "temporary").iterdir())) == 16


def test_a_zip_file_that_two_threads_read_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The folder of the one would stay behind when the program ends, of which only that of the other is known."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(archive, "unpack", lambda path, folder: time.sleep(0.1))
    path = tmp_path / "scan.zip"
    path.touch()
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(archive.unpacked, (path, path))
    assert list((tmp_path / "temporary").iterdir()) == [first] == [second]


def test_a_zip_file_of_other_programs_is_read_or_refused(tmp_path: Path, stored: np.ndarray):
    path = tmp_path / "scan.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for number, file in enumerate(write_images(tmp_path / "ct", stored).iterdir()):
            archive.write(file, f"{'long' * 80}é{number}")
    np.testing.assert_array_equal(files.read(path).array, stored)
    whole = path.read_bytes()
    options = 30 + len(f"{'long' * 80}é0".encode()) + 4  # of LZMA, behind the header and the name of the first file
    for content in (whole.replace("é".encode(), b"\xff\xfe"), whole[:options] + b"\xff" + whole[options + 1 :]):
        path.write_bytes(content)
        assert "cannot be unpacked" in refusal(path)


def test_links_into_another_folder_are_followed_and_links_to_nowhere_ignored(tmp_path: Path, stored: np.ndarray):
    folder = write_images(tmp_path / "objects", stored)
    (tmp_path / "scan").mkdir()
    for path in folder.iterdir():
        (tmp_path / "scan" / path.name).symlink_to(Path("..") / "objects" / path.name)
    (tmp_path / "scan" / "gone.dcm").symlink_to(tmp_path / "nowhere")
    np.testing.assert_array_equal(files.read(tmp_path / "scan").array, stored)
    np.testing.assert_array_equal(files.read(tmp_path / "scan" / "003.dcm").array, stored)


def test_the_same_file_twice_counts_once(tmp_path: Path, stored: np.ndarray):
    folder = write_images(tmp_path / "ct", stored)
    shutil.copy(folder / "002.dcm", folder / "copy of 002.dcm")
    volume = files.read(folder)
    np.testing.assert_array_equal(volume.array, stored)
    assert volume.notes == ("files that add no image were ignored: 1 copy of another file",)
    shutil.copy(folder / "002.dcm", folder / "third 002.dcm")
    assert files.read(folder).notes == ("files that add no image were ignored: 2 copies of other files",)


@pytest.mark.parametrize("kind", [np.int16, np.int32])
def test_the_same_slice_sent_twice_counts_once(tmp_path: Path, stored: np.ndarray, kind: type):
    folder = write_images(tmp_path / "ct", stored)
    save(image(stored[2].astype(kind), (0, 0, 10), InstanceNumber=99), folder / "again.dcm")
    volume = files.read(folder)
    np.testing.assert_array_equal(volume.array, stored)
    assert volume.notes == ("1 duplicate image was ignored",)


def test_echoes_to_which_a_program_gave_one_uid_are_no_copies(tmp_path: Path, stored: np.ndarray):
    names = np.random.default_rng(3).permutation(12)  # so that the first of each pair is of either echo
    for place, number in enumerate(names):
        echo, k = divmod(place, 6)
        made = image(stored[k] + 10 * echo, (0, 0, 5 * k), SOPInstanceUID=f"{ROOT}.7", EchoTime=10 + 70 * echo)
        save(made, tmp_path / f"{number}.dcm")
    assert "holds 2 volumes" in refusal(tmp_path)
    np.testing.assert_array_equal(files.read(tmp_path, Selection(phase=2)).array, stored + 10)


@pytest.mark.parametrize(("said", "offset", "label"), [
    ("EchoTime", 2.5, "echo time 2"), ("EchoTime", 2, "echo time 2"), ("AcquisitionNumber", 12, "acquisition 2"),
])  # fmt: skip
def test_volumes_with_interleaved_slices_are_split(
    tmp_path: Path, stored: np.ndarray, said: str, offset: float, label: str
):
    for number in range(2):

        def change(made: Dataset, k: int, number: int = number) -> None:
            made.ImagePositionPatient = [0, 0, 5 * k + offset * number]

        write_images(tmp_path / f"{number}", stored + 10 * number, change=change, **{said: number + 1})
    assert f"2: {label}" in refusal(tmp_path)
    np.testing.assert_array_equal(files.read(tmp_path, Selection(phase=2)).array, stored + 10)


def test_slices_that_were_acquired_in_two_rounds_are_one_volume(tmp_path: Path, stored: np.ndarray):
    def change(made: Dataset, k: int) -> None:
        made.AcquisitionNumber = 1 + k % 2

    np.testing.assert_array_equal(files.read(write_images(tmp_path / "mr", stored, change=change)).array, stored)
    (tmp_path / "mr" / "003.dcm").unlink()
    assert "slice 4 of 6 is missing" in files.read(tmp_path / "mr").notes[0]


@pytest.mark.parametrize("keyword", ["PixelData", "Rows", "Columns"])
def test_an_image_without_its_pixels_is_refused_and_not_left_out(tmp_path: Path, stored: np.ndarray, keyword: str):
    def change(made: Dataset, k: int) -> None:
        if k == 2:
            delattr(made, keyword)

    assert "002.dcm is damaged or cut short: it has no pixels" in refusal(
        write_images(tmp_path / "ct", stored, change=change)
    )


@pytest.mark.parametrize(("kind", "value"), [("DS", "-5"), ("IS", "-2147483648"), ("UV", 2**64 - 1)])
def test_an_image_whose_number_of_rows_cannot_be_is_refused(
    tmp_path: Path, stored: np.ndarray, kind: str, value: str | int
):
    def change(made: Dataset, k: int) -> None:
        made.EchoTime = k % 2
        made.add_new("Rows", kind, value)

    write_images(tmp_path / "ct", stored, step=(0, 0, 0), change=change)
    assert "000.dcm is damaged: an image of " in refusal(tmp_path / "ct")


@pytest.fixture
def a_study(tmp_path: Path, stored: np.ndarray) -> Path:
    for number, description in ((2, "Thin"), (5, "Bone")):
        said = {"SeriesInstanceUID": f"{ROOT}.5.{number}", "SeriesNumber": number, "SeriesDescription": description}
        write_images(tmp_path / "study" / description, stored + number, **said)
    return tmp_path / "study"


def test_several_series_are_listed_with_their_numbers(a_study: Path):
    message = refusal(a_study)
    assert "holds 2 series" in message
    assert "2: Thin (6 images, 000.dcm); 5: Bone (6 images, 000.dcm)" in message
    assert "--series N" in message


def test_the_headers_of_a_folder_are_read_once_until_a_file_changes(a_study: Path, monkeypatch: pytest.MonkeyPatch):
    read: list[Path] = []
    original = sorter.read_file
    monkeypatch.setattr(sorter, "read_file", lambda path: read.append(path) or original(path))
    for _ in range(2):  # as a command that looks, and then reads
        files.read(a_study, Selection(series="5"))
    assert len(read) == len(set(read)) == 12
    os.utime(a_study / "Thin" / "000.dcm", ns=(0, 0))
    files.read(a_study, Selection(series="5"))
    assert len(read) == 24


@pytest.mark.parametrize(("chosen", "added"), [("5", 5), (f"{ROOT}.5.2", 2)])
def test_a_series_is_chosen_by_its_number_or_uid(a_study: Path, stored: np.ndarray, chosen: str, added: int):
    np.testing.assert_array_equal(files.read(a_study, Selection(series=chosen)).array, stored + added)


def test_contents_pass_over_what_they_are_told_to_and_list_series_without_a_number_last(
    tmp_path: Path, stored: np.ndarray
):
    folder = tmp_path / "in"
    damaged = write_images(folder / "a", stored) / "000.dcm"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    write_images(folder / "b", stored, SeriesInstanceUID=f"{ROOT}.5.1", SeriesNumber=5)
    write_images(folder / "results", stored, SeriesInstanceUID=f"{ROOT}.5.2", SeriesNumber=6)
    found = sorter.contents_of(folder, pass_over_damaged=True, leave_out=lambda path: path.name == "results")
    assert [series.number for series in found.series] == [5, None]
    assert [path.name for path, _ in found.damaged] == ["000.dcm"]


def test_a_series_without_the_name_of_its_patient_is_of_no_other_patient(tmp_path: Path, stored: np.ndarray):
    for name, patient in (("1", "P1"), ("2", None), ("3", "P3")):
        write_images(tmp_path / name, stored, PatientID=patient)
    check_one_session([tmp_path / "1", tmp_path / "2"], is_forced=False)
    with pytest.raises(VolumeError, match="of different patients"):
        check_one_session([tmp_path / "1", tmp_path / "3"], is_forced=False)


def test_a_number_that_two_series_have_is_refused_with_both_and_no_other(tmp_path: Path, stored: np.ndarray):
    for number in (1, 2):
        write_images(tmp_path / f"{number}", stored, SeriesInstanceUID=f"{ROOT}.5.{number}", SeriesNumber=4)
    write_images(tmp_path / "3", stored, SeriesInstanceUID=f"{ROOT}.5.3", SeriesNumber=1)
    message = refusal(tmp_path, Selection(series="4"))
    assert "holds 2 series with the number or UID 4" in message
    assert [f"{ROOT}.5.{number}" in message for number in (1, 2, 3)] == [True, True, False]
    np.testing.assert_array_equal(files.read(tmp_path, Selection(series=f"{ROOT}.5.1")).array, stored)


def test_a_number_that_no_series_has_is_refused_with_those_there_are(a_study: Path):
    message = refusal(a_study, Selection(series="3"))
    assert "no series with the number or UID 3" in message
    assert f"{ROOT}.5.5" in message


def test_a_screenshot_beside_the_scan_does_not_count_as_a_choice(tmp_path: Path, stored: np.ndarray):
    folder = write_images(tmp_path / "ct", stored)
    shot = image(stored[0], (0, 0, 0), SeriesInstanceUID=f"{ROOT}.8", SeriesDescription="Dose report")
    del shot.ImagePositionPatient
    save(shot, folder / "shot.dcm")
    volume = files.read(folder)
    np.testing.assert_array_equal(volume.array, stored)
    assert "Dose report (1 image)" in volume.notes[-1]


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_an_image_with_an_empty_place_is_left_out_as_one_without(tmp_path: Path, stored: np.ndarray, keyword: str):
    folder = write_images(tmp_path / "ct", stored)
    shot = image(stored[0], (0, 0, 0), InstanceNumber=99)
    setattr(shot, keyword, None)
    save(shot, folder / "shot.dcm")
    volume = files.read(folder)
    np.testing.assert_array_equal(volume.array, stored)
    assert volume.notes == ("1 image without a position in the patient was left out: number 99",)


def patients(made: Dataset, number: int) -> None:
    made.PatientName, made.PatientBirthDate = f"Doe^{number}", f"1960030{number + 1}"


def comments(made: Dataset, number: int) -> None:
    made.ImageComments = f"of John Doe {number}"


def echoes(made: Dataset, number: int) -> None:
    made.EchoTime, made.EchoNumbers = (10, 80)[number], number + 1


def b_values(made: Dataset, number: int) -> None:
    made.DiffusionBValue = (0.0, 1000.0)[number]


def private_b_values(made: Dataset, number: int) -> None:
    made.add_new(0x00431039, "IS", [(0, 1000001000)[number], 8, 0, 0])


def binary_b_values(made: Dataset, number: int) -> None:
    """As of Philips, in a file that does not say what private values are."""
    made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    made.add_new(0x20011003, "FL", (0.0, 1000.0)[number])


def kinds(made: Dataset, number: int) -> None:
    made.ImageType = ["ORIGINAL", "PRIMARY", "MP"[number], "ND"]


def positions_in_time(made: Dataset, number: int) -> None:
    made.TemporalPositionIdentifier = number + 1


def moments(made: Dataset, number: int) -> None:
    made.TriggerTime = 100.0 * number + float(made.ImagePositionPatient[2])


def order_alone(made: Dataset, number: int) -> None:
    made.InstanceNumber = int(made.InstanceNumber) + 6 * number


def scan_options(made: Dataset, number: int) -> None:
    made.ScanOptions = ("FS", "NONE")[number]


def contrast(made: Dataset, number: int) -> None:
    if number:
        made.ContrastBolusAgent = "Gd"


@pytest.mark.parametrize(
    ("differ", "label"),
    [
        (scan_options, "1: scan options FS; 2: scan options NONE"),
        (contrast, "1: no contrast/bolus agent; 2: contrast/bolus agent Gd"),
        (echoes, "1: echo 1; 2: echo 2"),
        (b_values, "1: b 0.0 s/mm2; 2: b 1000.0 s/mm2"),
        (private_b_values, "1: b 0 s/mm2; 2: b 1000 s/mm2"),
        (binary_b_values, "1: b 0 s/mm2; 2: b 1000 s/mm2"),
        (kinds, "PRIMARY\\M\\ND; 2: ORIGINAL\\PRIMARY\\P\\ND"),
        (positions_in_time, "1: time position 1; 2: time position 2"),
        (patients, "1: patient's name number 1; 2: patient's name number 2"),
        (comments, "1: image comments number 1; 2: image comments number 2"),
        (moments, "1: number 1; 2: number 2"),
        (order_alone, "1: number 1; 2: number 2"),
    ],
)
def test_several_images_at_one_place_are_split_by_what_differs(tmp_path: Path, stored: np.ndarray, differ, label: str):
    for number in range(2):

        def change(made: Dataset, k: int, number: int = number) -> None:
            differ(made, number)

        write_images(tmp_path / f"{number}", stored + 10 * number, modality="MR", change=change)
    message = refusal(tmp_path)
    assert "several images at one place" in message
    assert label in message
    assert "Doe" not in message  # it becomes part of reports, tables and derived headers
    assert "`medsr enhance` takes one of them by --phase N, or all" in message  # not all who read have this option
    for number in range(2):
        volume = files.read(tmp_path, Selection(phase=number + 1))
        np.testing.assert_array_equal(volume.array, stored + 10 * number)
    assert "holds 2 volumes" in refusal(tmp_path, Selection(phase=3))


def test_what_differs_counts_and_not_the_order_in_which_images_came(tmp_path: Path, stored: np.ndarray):
    numbers = np.random.default_rng(1).permutation(12)
    for number in range(2):

        def change(made: Dataset, k: int, number: int = number) -> None:
            made.ProtocolName, made.InstanceNumber = f"protocol {number}", int(numbers[2 * k + number])

        write_images(tmp_path / f"{number}", stored + 10 * number, modality="MR", change=change)
    np.testing.assert_array_equal(files.read(tmp_path, Selection(phase=2)).array, stored + 10)


def test_directions_of_one_b_value_are_in_the_order_in_which_they_were_acquired(tmp_path: Path, stored: np.ndarray):
    directions = [[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, -1.0, 0.0], [0.0, 0.6, -0.8]]
    for number, direction in enumerate(directions):

        def change(made: Dataset, k: int, number: int = number) -> None:
            made.InstanceNumber = 8 + number * len(stored) + k

        said = {"modality": "MR", "DiffusionBValue": 1000.0, "DiffusionGradientOrientation": direction}
        write_images(tmp_path / f"{number}", stored + number, change=change, **said)
    for number in range(len(directions)):
        volume = files.read(tmp_path, Selection(phase=number + 1))
        np.testing.assert_array_equal(volume.array, stored + number)


@pytest.mark.parametrize("attribute", ["ImageComments", "ImageType"])
def test_volumes_that_differ_by_a_number_in_a_text_are_in_the_order_of_the_numbers(
    tmp_path: Path, stored: np.ndarray, attribute: str
):
    for percent in (5, 40, 100):
        value = f"Phase {percent} %" if attribute == "ImageComments" else ["DERIVED", "SECONDARY", f"E{percent}"]
        write_images(tmp_path / f"{percent}", stored + percent, **{attribute: value})
    for phase, percent in enumerate((5, 40, 100), 1):
        volume = files.read(tmp_path, Selection(phase=phase))
        np.testing.assert_array_equal(volume.array, stored + percent)


def test_more_than_nine_volumes_whose_values_are_not_shown_are_in_their_order(tmp_path: Path, stored: np.ndarray):
    for number in range(11):
        write_images(tmp_path / f"{number}", stored + number, ImageComments=f"Phase {10 * number} %")
    labels = [part.label for part in sorter.contents_of(tmp_path).series[0].parts]
    assert labels == [f"image comments number {number}" for number in range(1, 12)]
    for number in range(11):
        volume = files.read(tmp_path, Selection(phase=number + 1))
        np.testing.assert_array_equal(volume.array, stored + number)


@pytest.mark.parametrize("seconds_of_a_slice", [0, 1])
def test_volumes_that_were_acquired_past_midnight_come_last_and_hold_no_slice_of_another(
    tmp_path: Path, stored: np.ndarray, seconds_of_a_slice: int
):
    midnight = datetime(2026, 1, 2)
    for number in range(3):

        def acquired(made: Dataset, k: int, number: int = number) -> None:
            moment = midnight + timedelta(seconds=20 * number - 22 + seconds_of_a_slice * k)
            made.AcquisitionDate, made.AcquisitionTime = f"{moment:%Y%m%d}", f"{moment:%H%M%S}"
            made.InstanceNumber = 6 * (2 - number) + k

        write_images(tmp_path / f"{number}", stored + number, modality="MR", change=acquired)
    for number in range(3):
        volume = files.read(tmp_path, Selection(phase=number + 1))
        np.testing.assert_array_equal(volume.array, stored + number)


def test_a_single_slice_in_time_is_refused_as_such(tmp_path: Path, stored: np.ndarray):
    def beat(made: Dataset, k: int) -> None:
        made.TriggerTime = 30.0 * k

    write_images(tmp_path, stored, (0, 0, 0), modality="MR", change=beat)
    assert "has several images (phases, echoes?) of a single slice; at least two slices" in refusal(tmp_path)


@pytest.mark.parametrize("phase", [0, 3, -1])
def test_a_volume_that_a_series_does_not_hold_is_refused_with_those_it_holds(
    tmp_path: Path, stored: np.ndarray, phase: int
):
    for number in (1, 2):
        write_images(tmp_path / f"{number}", stored + number, EchoNumbers=number)
    assert "holds 2 volumes, as several images at one place" in refusal(tmp_path, Selection(phase=phase))
    message = refusal(tmp_path / "1", Selection(phase=phase))
    assert "holds 1 volume; `medsr enhance` takes one of them" in message
    np.testing.assert_array_equal(files.read(tmp_path / "1", Selection(phase=1)).array, stored + 1)


def test_air_that_two_echoes_share_is_no_copy(tmp_path: Path, stored: np.ndarray):
    stored[0] = 0
    for number in range(2):
        write_images(tmp_path / f"{number}", stored * (1 + number), modality="MR", ScanOptions=("FS", "NONE")[number])
    np.testing.assert_array_equal(files.read(tmp_path, Selection(phase=2)).array, stored * 2)


def test_a_series_sent_twice_with_new_numbers_and_times_counts_once(tmp_path: Path, stored: np.ndarray):
    write_images(tmp_path / "first", stored)
    write_images(tmp_path / "again", stored, ContentTime="101010", AcquisitionNumber=7)
    volume = files.read(tmp_path)
    np.testing.assert_array_equal(volume.array, stored)
    assert "6 duplicate images" in volume.notes[0]


def test_localizers_and_pictures_in_color_inside_a_series_are_left_out(tmp_path: Path, stored: np.ndarray):
    folder = write_images(tmp_path / "ct", stored)
    save(image(stored[0], (0, 0, 12.5), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), folder / "scout.dcm")
    save(image(stored[0], (0, 0, 0), SamplesPerPixel=3, PhotometricInterpretation="RGB"), folder / "dose.dcm")
    volume = files.read(folder)
    np.testing.assert_array_equal(volume.array, stored)
    assert "of a localizer was left out: number " in volume.notes[0]
    assert "picture in color, was left out: number " in volume.notes[1]


def test_a_b0_and_three_directions_are_four_volumes(tmp_path: Path, stored: np.ndarray):
    for number in range(4):

        def change(made: Dataset, k: int, number: int = number) -> None:
            made.DiffusionBValue = 1000.0 if number else 0.0
            if number:
                made.DiffusionGradientOrientation = [float(axis == number) for axis in (1, 2, 3)]

        write_images(tmp_path / f"{number}", stored + number, modality="MR", change=change)
    assert "holds 4 volumes" in refusal(tmp_path)
    found = [files.read(tmp_path, Selection(phase=number)).array[0, 0, 0] - stored[0, 0, 0] for number in range(1, 5)]
    assert sorted(found) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]}, "mosaic of Siemens or"),
        ({"modality": "NM", "NumberOfFrames": 1, "SamplesPerPixel": 3}, "colored"),
        ({"modality": "US", "PhotometricInterpretation": "PALETTE COLOR"}, "colored"),
    ],
)
def test_kinds_that_are_no_stack_are_named(tmp_path: Path, stored: np.ndarray, said: dict, words: str):
    write_images(tmp_path / "scan", stored, **said)
    assert words in refusal(tmp_path / "scan")


@pytest.mark.parametrize(("modality", "words"), [("NM", "nuclear medicine"), ("US", "ultrasound"), ("XA", "X-ray")])
def test_frames_without_places_are_refused_in_words(tmp_path: Path, stored: np.ndarray, modality: str, words: str):
    made = image(stored, (0, 0, 0), modality=modality, NumberOfFrames=6)
    save(made, tmp_path / "scan" / "all.dcm")
    message = refusal(tmp_path / "scan")
    assert words in message
    assert message.endswith("if it is a volume, convert it to NIfTI first")  # of a film, NIfTI would make one


def test_a_series_without_places_is_refused_with_its_kind_and_what_to_do(tmp_path: Path, stored: np.ndarray):
    """A volume of ultrasound, which lies where the probe was and not in the patient."""
    places = [item(PlanePositionVolumeSequence=[item(ImagePositionVolume=[0, 0, 3.0 * k])]) for k in range(len(stored))]
    made = image(
        stored, (0, 0, 0), modality="US", SOPClassUID="1.2.840.10008.5.1.4.1.1.6.2", NumberOfFrames=len(stored)
    )
    made.PerFrameFunctionalGroupsSequence = places
    del made.ImagePositionPatient
    save(made, tmp_path / "scan" / "all.dcm")
    message = refusal(tmp_path / "scan")
    assert "without their position, stored as Enhanced US Volume Storage; it cannot be placed" in message
    assert "if it is a volume, convert it to NIfTI first" in message


@pytest.mark.parametrize(("uid", "kind"), [("66.4", "Segmentation"), ("66.7", "Label Map Segmentation")])
def test_segmentations_alone_are_refused_with_the_advice_what_takes_them(
    tmp_path: Path, stored: np.ndarray, uid: str, kind: str
):
    made = image(stored[0], (0, 0, 0), modality="SEG", SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{uid}")
    save(made, tmp_path / "scan" / "liver.dcm")
    for path in (tmp_path / "scan", tmp_path / "scan" / "liver.dcm"):
        message = refusal(path)
        assert f"no DICOM images: liver.dcm ({kind} Storage); name the scan's folder; `medsr labels` takes a" in message


def test_slices_in_three_directions_are_three_volumes(tmp_path: Path, stored: np.ndarray):
    planes = {"axial": (1, 0, 0, 0, 1, 0), "coronal": (1, 0, 0, 0, 0, -1), "sagittal": (0, 1, 0, 0, 0, -1)}
    for number, (name, orientation) in enumerate(planes.items()):
        step = tuple(5.0 * np.cross(orientation[:3], orientation[3:]))
        write_images(tmp_path / name, stored + number, step, ImageOrientationPatient=list(orientation))
    assert "1: 6 images axial; 2: 6 images coronal; 3: 6 images sagittal" in refusal(tmp_path)
    np.testing.assert_array_equal(files.read(tmp_path, Selection(phase=3)).array, stored + 2)


def test_two_knees_in_one_series_are_told_apart_by_their_sides(tmp_path: Path, stored: np.ndarray):
    for number, side in enumerate((-120, 80)):

        def place(made: Dataset, k: int, side: int = side) -> None:
            made.ImagePositionPatient = [side - 5 * k, 0, 0]

        directions = [0, 1, 0, 0, 0, -1]
        write_images(tmp_path / f"{number}", stored + number, change=place, ImageOrientationPatient=directions)
    left, right = "6 images sagittal from 55 mm L to 80 mm L", "6 images sagittal from 145 mm R to 120 mm R"
    assert f"1: {left}; 2: {right}" in refusal(tmp_path)


@pytest.mark.parametrize("count", [3, 4])
def test_a_stack_of_half_as_many_slices_is_left_out_and_one_of_more_is_a_volume(
    tmp_path: Path, stored: np.ndarray, count: int
):
    write_images(tmp_path / "axial", stored)
    write_images(tmp_path / "coronal", stored[:count], (0, 5, 0), ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    if count > 3:
        assert "1: 6 images axial; 2: 4 images coronal" in refusal(tmp_path)
    else:
        assert "3 images of another orientation" in files.read(tmp_path).notes[0]


def test_images_of_the_same_numbers_and_another_slope_are_no_duplicates(tmp_path: Path, stored: np.ndarray):
    for number in (1, 2):
        write_images(tmp_path / f"{number}", stored, AcquisitionNumber=number, RescaleSlope=number, RescaleIntercept=0)
    np.testing.assert_array_equal(files.read(tmp_path, Selection(phase=2)).array, stored * 2)


def test_halves_of_a_volume_with_other_kernels_are_one_volume(tmp_path: Path, stored: np.ndarray):
    def change(made: Dataset, k: int) -> None:
        made.ConvolutionKernel = "soft" if k < 3 else "hard"

    np.testing.assert_array_equal(files.read(write_images(tmp_path / "ct", stored, change=change)).array, stored)


def test_a_series_of_which_a_part_cannot_be_split_is_refused_and_no_part_is_lost(tmp_path: Path, stored: np.ndarray):
    def change(made: Dataset, k: int) -> None:
        made.InstanceNumber = 1

    for number, echo in enumerate((10, 10, 80)):
        write_images(tmp_path / f"{number}", stored + number, change=change, EchoTime=echo)
    assert "that no attribute distinguishes" in refusal(tmp_path)


def test_a_volume_of_few_of_the_slices_is_left_out_and_named(tmp_path: Path, stored: np.ndarray):
    write_images(tmp_path / "1", stored, EchoTime=10)
    write_images(tmp_path / "2", stored[:2] + 1, EchoTime=80)
    volume = files.read(tmp_path)
    np.testing.assert_array_equal(volume.array, stored)
    assert "2 images of an incomplete volume were left out" in volume.notes[0]


def test_images_whose_positions_differ_by_rounding_lie_at_one_place(tmp_path: Path, stored: np.ndarray):
    for number in range(3):

        def change(made: Dataset, k: int, number: int = number) -> None:
            made.ImagePositionPatient = [0, 0, round(5 * k + 4e-4 * number, 4)]

        write_images(tmp_path / f"{number}", stored + number, change=change, ScanOptions=f"S{number}")
    np.testing.assert_array_equal(files.read(tmp_path, Selection(phase=2)).array, stored + 1)


def test_slices_that_share_one_uid_are_distinguished(tmp_path: Path, stored: np.ndarray):
    write_images(tmp_path / "ct", stored, SOPInstanceUID="1.2.3.4")
    np.testing.assert_array_equal(files.read(tmp_path / "ct").array, stored)


def test_files_that_share_one_uid_are_compared_without_reading_each_once_for_every_other(
    tmp_path: Path, stored: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    """Screenshots of which a program took away identity and place."""
    shots = tmp_path / "shots"
    shots.mkdir()
    for number in range(12):
        shot = image(stored[number % 6], (0, 0, 0), SOPInstanceUID="1.2.3.4")
        del shot.ImagePositionPatient
        save(shot, shots / f"{number}.dcm")
    opened: list[str] = []
    for module in (io, builtins):
        monkeypatch.setattr(module, "open", lambda path, *rest: opened.append(str(path)) or io.FileIO(path))
    contents = sorter.contents_of(shots)
    assert contents.series[0].images == 6
    assert max(map(opened.count, opened), default=0) <= 2  # its header, and its content


def test_images_that_nothing_distinguishes_are_compared_without_reading_each_once_for_every_other(
    tmp_path: Path, stored: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    for number in range(8):
        write_images(tmp_path / f"{number}", stored + number, change=lambda made, k: setattr(made, "InstanceNumber", 1))
    read: list[Path] = []
    searched: list[int] = []
    pixels, search = phases.stored_numbers, phases.groups_by_any
    monkeypatch.setattr(phases, "stored_numbers", lambda file, frames: read.append(file.path) or pixels(file, frames))
    monkeypatch.setattr(phases, "groups_by_any", lambda *given: searched.append(1) or search(*given))
    assert "that no attribute distinguishes" in refusal(tmp_path)
    assert max(map(read.count, read)) <= 3
    assert len(searched) == 1  # of the whole headers: no image was left out that a second search would go without
