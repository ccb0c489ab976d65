"""Malicious or damaged files: one sentence each, whatever they contain."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fuzz_readers
from dicom_files import write_series
from limited_reading import all_refused_within_limits, posix_only, refusal, refused_within_limits
from medical_super_resolution.errors import VolumeError
from medical_super_resolution.models import store
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files, formats
from medical_super_resolution.volumes.segmentations import files as segmentations
from medical_super_resolution.volumes.volume import Volume

META = """ObjectType = Image
NDims = 3
DimSize = 5 6 4
ElementSpacing = 1 1 2
ElementType = MET_SHORT
ElementDataFile = {}
"""
NRRD = """NRRD0004
type: short
dimension: 3
space: left-posterior-superior
sizes: 5 6 4
space directions: (1,0,0) (0,1,0) (0,0,2)
endian: little
encoding: raw
space origin: (0,0,0)
"""


def header_of(folder: Path, suffix: str, name: str) -> Path:
    """A header that says that its voxels are in a file called ``name``."""
    path = folder / f"scan{suffix}"
    path.write_text(META.format(name) if suffix.startswith(".mh") else f"{NRRD}data file: {name}\n")
    return path


detached = pytest.mark.parametrize("suffix", [".mhd", ".mha", ".nhdr", ".nrrd"])


@detached
@pytest.mark.parametrize("name", ["../secret/scan.raw", "{folder}/secret/scan.raw"])
def test_voxels_outside_the_folder_of_the_header_are_not_read(tmp_path: Path, suffix: str, name: str):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "scan.raw").write_bytes(bytes(240))
    (tmp_path / "here").mkdir()
    path = header_of(tmp_path / "here", suffix, name.format(folder=tmp_path))
    assert "outside its own folder" in refusal(path)


@posix_only
@detached
def test_a_link_whose_name_lies_in_the_folder_is_followed(tmp_path: Path, suffix: str):
    """As git-annex keeps data."""
    (tmp_path / "annex.raw").write_bytes(np.arange(120, dtype="<i2").tobytes())
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "scan.raw").symlink_to(tmp_path / "annex.raw")
    assert files.read(header_of(tmp_path / "here", suffix, "scan.raw")).array.max() == 119


@detached
def test_voxels_beside_the_header_are_read(tmp_path: Path, suffix: str):
    (tmp_path / "other.raw").write_bytes(np.arange(120, dtype="<i2").tobytes())
    assert files.read(header_of(tmp_path, suffix, "other.raw")).array.max() == 119


@posix_only
@detached
@pytest.mark.parametrize("name", ["/dev/zero", "pipe", "link", ".", "no.raw", "\0", "x" * 5000])
def test_what_is_no_plain_file_is_not_opened(tmp_path: Path, suffix: str, name: str):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    assert "no plain file" in refusal(header_of(tmp_path, suffix, name))


@detached
@pytest.mark.parametrize("name", ["LIST\nscan.raw\nscan.raw", "%s/dev/zero 1 4 1", "scan%03d.raw 1 4 1"])
def test_voxels_in_many_files_are_refused(tmp_path: Path, suffix: str, name: str):
    """ITK's reader ends the whole process for some of these."""
    assert "several files" in refusal(header_of(tmp_path, suffix, name))


@posix_only
@pytest.mark.parametrize("name", ["../secret.raw", "/dev/zero", "pipe", "LIST\nscan.raw", "%s/dev/zero 1 4 1"])
def test_a_segmentation_names_no_voxels_elsewhere_either(tmp_path: Path, name: str):
    """ITK, which reads its layers, would follow the name and wait for a pipe without end."""
    (tmp_path / "here").mkdir()
    (tmp_path / "secret.raw").write_bytes(bytes(240))
    os.mkfifo(tmp_path / "here" / "pipe")
    path = header_of(tmp_path / "here", ".seg.nrrd", name)
    with pytest.raises(VolumeError, match="outside its own folder|no plain file|several files"):
        segmentations.read(path)


@detached
@pytest.mark.parametrize("name", ["listed.raw", "Lister.raw"])
def test_a_name_that_begins_like_a_list_is_that_of_a_file(tmp_path: Path, suffix: str, name: str):
    (tmp_path / name).write_bytes(np.arange(120, dtype="<i2").tobytes())
    assert files.read(header_of(tmp_path, suffix, name)).array.max() == 119


@posix_only
@pytest.mark.parametrize("suffix", [*formats.SUFFIXES, ".dcm", ""])
def test_a_pipe_and_a_device_are_no_volumes(tmp_path: Path, suffix: str):
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"device{suffix}").symlink_to("/dev/zero")
    for name in ("pipe", "device"):
        assert "not a plain file" in refusal(tmp_path / f"{name}{suffix}")


@posix_only
def test_a_pipe_among_dicom_files_is_refused(tmp_path: Path):
    write_series(tmp_path / "series", np.zeros((3, 4, 5), np.int16))
    os.mkfifo(tmp_path / "series" / "pipe")
    assert "no plain file, pipe" in refusal(tmp_path / "series")


@posix_only
def test_headers_that_claim_a_million_million_voxels_take_no_memory(tmp_path: Path):
    paths = [tmp_path / f"{number}{suffix}" for number, suffix in enumerate((".nii", ".nii.gz", ".mha", ".nrrd"))]
    for path in paths:
        files.write(Volume(np.zeros((4, 6, 5), np.int16), Grid((4, 6, 5), np.eye(4))), path)
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        content = content.replace(b"5 6 4", b"10000 10000 10000")
        if ".nii" in path.name:
            content = content[:42] + np.full(3, 10000, "<i2").tobytes() + content[48:]
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    assert all("claims 2000.0 GB of voxels" in sentence for sentence in all_refused_within_limits(paths))


@posix_only
def test_a_packed_file_that_never_ends_is_given_up(tmp_path: Path):
    path = tmp_path / "scan.nii.gz"
    files.write(Volume(np.zeros((4, 6, 5), np.int16), Grid((4, 6, 5), np.eye(4))), path)
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(300_000_000), 1))
    assert "far more than its header states" in refused_within_limits(path)


@posix_only
def test_numbers_that_the_reader_of_metaimage_does_not_survive_are_refused(tmp_path: Path):
    lines = ["NDims = 65535", "NDims = 100000000", "TransformMatrix = 1e308 0 0 0 1 0 0 0 1", "Offset = nan 0 0"]
    paths = [tmp_path / f"{number}.mha" for number in range(len(lines))]
    for path, line in zip(paths, lines, strict=True):
        path.write_bytes(META.replace("NDims = 3", f"NDims = 3\n{line}").format("LOCAL").encode() + bytes(240))
    assert all("cannot be read as a volume" in sentence for sentence in all_refused_within_limits(paths))


@pytest.mark.parametrize("number", ["²", "9" * 5000])
@pytest.mark.parametrize(("suffix", "line"), [
    (".mha", "NDims = {}"), (".mha", "NDims = 3\nElementNumberOfChannels = {}"), (".nrrd", "sizes: 5 6 {}"),
])  # fmt: skip
def test_digits_that_are_no_number_are_refused(tmp_path: Path, suffix: str, line: str, number: str):
    good, text = ("NDims = 3", META.format("LOCAL")) if suffix == ".mha" else ("sizes: 5 6 4", f"{NRRD}\n")
    path = tmp_path / f"scan{suffix}"
    path.write_bytes(text.replace(good, line.format(number)).encode() + bytes(240))
    refusal(path)


@posix_only
@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
def test_packed_voxels_of_metaimage_that_do_not_unpack_are_refused(tmp_path: Path, suffix: str):
    cases = {
        b"x -1 0 0 0 1": "do not unpack",  # asks for a dictionary, on which ITK waits for ever
        b"no packing at all": "do not unpack",
        zlib.compress(bytes(200)): "unpack to 200 bytes of 240",
        zlib.compress(bytes(range(240)))[:99]: "unpack to",
    }
    paths = [tmp_path / f"{number}{suffix}" for number in range(len(cases))]
    for path, packed in zip(paths, cases, strict=True):
        header = META.replace("NDims = 3", f"NDims = 3\nCompressedData = True\nCompressedDataSize = {len(packed)}")
        path.write_bytes(header.format("LOCAL" if suffix == ".mha" else f"{path.stem}.zraw").encode())
        data = path if suffix == ".mha" else path.with_suffix(".zraw")
        with data.open("ab") as file:
            file.write(packed)
    for sentence, said in zip(all_refused_within_limits(paths), cases.values(), strict=True):
        assert said in sentence


def test_packed_voxels_behind_a_foreign_header_are_refused(tmp_path: Path):
    path = tmp_path / "scan.mhd"
    path.write_text(META.replace("NDims = 3", "NDims = 3\nCompressedData = True\nHeaderSize = 12").format("scan.zraw"))
    path.with_suffix(".zraw").write_bytes(bytes(12) + zlib.compress(bytes(240)))
    assert "behind a foreign header" in refusal(path)


@posix_only
def test_a_dicom_element_that_claims_gigabytes_takes_no_memory(tmp_path: Path):
    paths = write_series(tmp_path / "series", np.zeros((3, 4, 5), np.int16))
    content = paths[1].read_bytes()
    place = content.index(b"OW") + 4
    paths[1].write_bytes(content[:place] + (0x7FFFFFF0).to_bytes(4, "little") + content[place + 4 :])
    assert "damaged, cut short" in refused_within_limits(tmp_path / "series")


@pytest.mark.parametrize(("tag", "value"), [
    ("spacing", ("0.8",)), ("spacing", ("x", "y")), ("spacing", ("nan", "1")), ("position", ("1", "2")),
    ("orientation", ("1", "0", "0", "0", "1")), ("position", ("inf", "0", "0")),
])  # fmt: skip
def test_dicom_places_that_are_no_places_are_refused(tmp_path: Path, tag: str, value: tuple[str, ...]):
    write_series(tmp_path / "series", np.zeros((3, 4, 5), np.int16), **{tag: value})
    assert "damaged position, orientation or pixel spacing" in refusal(tmp_path / "series")


@settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=600), suffix=st.sampled_from([*formats.SUFFIXES, ".dcm", store.SUFFIX]))
def test_any_bytes_are_refused_in_one_sentence(tmp_path: Path, content: bytes, suffix: str):
    path = tmp_path / f"any{suffix}"
    path.write_bytes(content)
    refusal(path)


@posix_only
@settings(deadline=None, max_examples=1, derandomize=False)
@given(first=st.integers(0, 10**9))
def test_damaged_files_are_read_or_refused_in_one_sentence(first: int):
    """In child processes: a crash of a library would else end the tests. `fuzz_readers.py` alone runs for longer."""
    assert fuzz_readers.run(seconds=60, count=280, first=first)["failures"] == []


@pytest.mark.filterwarnings("error")
def test_a_scale_beyond_all_numbers_is_refused_by_a_sentence_alone(tmp_path: Path):
    image = nibabel.Nifti1Image(np.full((4, 4, 4), 900, np.int16), np.eye(4))
    image.header.set_slope_inter(3e38, 0)
    nibabel.save(image, tmp_path / "scan.nii")
    with pytest.raises(VolumeError, match="not finite"):
        files.read(tmp_path / "scan.nii")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("name", "place", "value"), [
    ("scan.nii", 80, struct.pack("<f", np.inf)), ("scan.mgh", 30, struct.pack(">f", 3e38)),
], ids=["NIfTI", "FreeSurfer"])  # fmt: skip
def test_a_spacing_beyond_all_numbers_is_refused_by_a_sentence_alone(
    tmp_path: Path, name: str, place: int, value: bytes
):
    path = tmp_path / name
    zeros = np.zeros((4, 4, 4), np.int16)
    image = nibabel.Nifti1Image(zeros, None) if name == "scan.nii" else nibabel.MGHImage(zeros, np.eye(4))
    if name == "scan.nii":
        image.set_qform(np.eye(4), 1)
    nibabel.save(image, path)
    content = path.read_bytes()
    path.write_bytes(content[:place] + value + content[place + 4 :])
    refusal(path)
