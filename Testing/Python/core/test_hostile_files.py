"""Files that somebody made to do harm, or that came to harm: one sentence each, whatever is in them."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import fuzz_readers
from dicom_files import write_series
from medical_super_resolution import models
from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.volumes import files
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume

PACKAGE_ROOT = Path(files.__file__).parents[2]
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
posix_only = pytest.mark.skipif(os.name != "posix", reason="pipes, devices and limits of Unix")
# In a process of its own, which may be killed, with a limit to its memory and to its time.
LIMITED = """
import resource, signal, sys
from pathlib import Path
from medical_super_resolution.errors import SuperResolutionError
path = Path(sys.argv[1])
if path.suffix == ".safetensors":
    from medical_super_resolution.models import load
else:
    from medical_super_resolution.volumes.files import read as load
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
signal.alarm(60)
try:
    load(path)
    print("read")
except SuperResolutionError as problem:
    print(problem)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
sys.exit(f"took {grown} kB" if grown > 150_000 else 0)
"""


def refused_within_limits(path: Path) -> str:
    """The sentence, from a process that neither hung nor took memory."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert done.stdout != "read\n"
    return done.stdout


def refusal(path: Path) -> str:
    with pytest.raises(SuperResolutionError) as caught:
        models.load(path) if path.suffix == models.SUFFIX else files.read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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
def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path, suffix: str):
    (tmp_path / "secret.raw").write_bytes(bytes(240))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "scan.raw").symlink_to(tmp_path / "secret.raw")
    assert "outside its own folder" in refusal(header_of(tmp_path / "here", suffix, "scan.raw"))


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
@pytest.mark.parametrize("suffix", [*files.SUFFIXES, ".dcm", ""])
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
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
def test_a_header_that_claims_a_million_million_voxels_takes_no_memory(tmp_path: Path, suffix: str):
    path = tmp_path / f"scan{suffix}"
    files.write(Volume(np.zeros((4, 6, 5), np.int16), Grid((4, 6, 5), np.eye(4))), path)
    content = gzip.decompress(path.read_bytes()) if suffix == ".nii.gz" else path.read_bytes()
    content = content.replace(b"5 6 4", b"10000 10000 10000")
    if suffix.startswith(".nii"):
        content = content[:42] + np.full(3, 10000, "<i2").tobytes() + content[48:]
    path.write_bytes(gzip.compress(content) if suffix == ".nii.gz" else content)
    assert "claims 2000.0 GB of voxels" in refused_within_limits(path)


@posix_only
def test_a_packed_file_that_never_ends_is_given_up(tmp_path: Path):
    path = tmp_path / "scan.nii.gz"
    files.write(Volume(np.zeros((4, 6, 5), np.int16), Grid((4, 6, 5), np.eye(4))), path)
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(300_000_000), 1))
    assert "far more than its header says" in refused_within_limits(path)


@posix_only
@pytest.mark.parametrize(
    "line", ["NDims = 65535", "NDims = 100000000", "TransformMatrix = 1e308 0 0 0 1 0 0 0 1", "Offset = nan 0 0"]
)
def test_numbers_that_the_reader_of_metaimage_does_not_survive_are_refused(tmp_path: Path, line: str):
    path = tmp_path / "scan.mha"
    path.write_bytes(META.replace("NDims = 3", f"NDims = 3\n{line}").format("LOCAL").encode() + bytes(240))
    assert "cannot be read as a volume" in refused_within_limits(path)


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


def redescribed(path: Path, **header: object) -> Path:
    described = models.read_header(path) | header
    save_file(load_file(path), path, {"medical_super_resolution": json.dumps(described)})
    return path


TINY = {"channels": 8, "blocks": 1, "pairs": 1, "gate_channels": 4, "kernel_hidden": 8}


@posix_only
@pytest.mark.parametrize("change", [
    {"channels": 10**9}, {"channels": 50_000}, {"blocks": 10**9}, {"blocks": 60_000}, {"pairs": 10**12},
    {"blocks": 60_000, "pairs": 60_000}, {"kernel_hidden": 10**30},
])  # fmt: skip
def test_a_model_that_describes_a_giant_takes_no_memory(a_model_file: Path, change: dict[str, int]):
    assert "does not fit its own description" in refused_within_limits(redescribed(a_model_file, config=TINY | change))


@pytest.mark.parametrize("change", [
    {"channels": 8.0}, {"channels": None}, {"channels": [8]}, {"channels": {"a": 8}}, {"channels": float("nan")},
    {"channels": 0}, {"gate_channels": "4"}, {"unknown": 1}, {"blocks": -1},
])  # fmt: skip
def test_a_configuration_of_the_wrong_kind_is_refused(a_model_file: Path, change: dict[str, object]):
    assert "does not fit its own description" in refusal(redescribed(a_model_file, config=TINY | change))


@pytest.mark.parametrize(("generator", "config"), [
    ("srcnn", {"factor": 7}), ("srcnn", {"kernels": [1]}), ("tgan", {"heads": 0}), ("tgan", {"heads": 7}),
    ("hybrid-attention", {"squeeze": 0}), ("hybrid-attention", {"kernel": -3}), ("tgan", {"patch": 0}),
])  # fmt: skip
def test_configurations_that_no_network_has_are_refused(a_model_file: Path, generator: str, config: dict):
    assert "does not fit its own description" in refusal(redescribed(a_model_file, generator=generator, config=config))


@pytest.mark.parametrize("card", [
    {"trained_for": "ct"}, {"trained_for": {"modalities": 7}}, {"trained_for": {"modalities": [[]]}},
    {"trained_for": {"thickness": ["a", "b"]}}, {"trained_for": {"thickness": 1}},
])  # fmt: skip
def test_a_card_that_could_not_be_asked_is_refused(a_model_file: Path, card: dict[str, object]):
    assert "lacks part of its description" in refusal(redescribed(a_model_file, card=card))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"card":' * 100_000, "1" * 100_000, '{"format_version": "\\n"}'])
def test_a_description_made_to_exhaust_its_reader_is_refused(a_model_file: Path, text: str):
    save_file(load_file(a_model_file), a_model_file, {"medical_super_resolution": text})
    refusal(a_model_file)


def test_a_card_of_values_within_values_is_refused(a_model_file: Path):
    card: dict[str, object] = {}
    for _ in range(300):
        card = {"more": card}
    assert "lacks part of its description" in refusal(redescribed(a_model_file, card=card))


@posix_only
@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**9, 0])
def test_a_safetensors_header_of_absurd_length_is_refused(a_model_file: Path, length: int):
    a_model_file.write_bytes(length.to_bytes(8, "little") + a_model_file.read_bytes()[8:])
    assert "damaged" in refused_within_limits(a_model_file)


@pytest.mark.parametrize("metadata", [7, [1], {"medical_super_resolution": 7}, {"medical_super_resolution": None}, "x"])
def test_metadata_that_is_no_text_is_refused(a_model_file: Path, metadata: object):
    content = a_model_file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]) | {"__metadata__": metadata}).encode()
    a_model_file.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])
    refusal(a_model_file)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=600), suffix=st.sampled_from([*files.SUFFIXES, ".dcm", models.SUFFIX]))
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
