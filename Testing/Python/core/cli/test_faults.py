"""Faults of the environment, and what the program guarantees; the list is in SECURITY.md."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from command_line import Medsr, contents, refused
from medical_super_resolution.errors import VolumeError
from medical_super_resolution.inference.enhance import enhance
from medical_super_resolution.models.file import Model
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.system import temp_dirs as leftovers
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.io.header import Header
from medical_super_resolution.volumes.volume import Volume

PACKAGE_ROOT = Path(files.__file__).parents[3]
posix_only = pytest.mark.skipif(os.name != "posix", reason="signals and modes of Unix")
# Writes a volume, and stops in the middle of it until somebody ends the process.
WRITER = """
import signal, sys, time
from pathlib import Path
import numpy as np
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume
def slowly(arrays, grid, part, **options):
    part.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
def interrupt(*signal_and_frame):
    raise KeyboardInterrupt
signal.signal(signal.SIGTERM, interrupt)
files.encode = slowly
files.write(Volume(np.zeros((3, 4, 5), np.int16), Grid((3, 4, 5), np.eye(4))), sys.argv[1])
"""


def a_small_volume(value: int = 0) -> Volume:
    return Volume(np.full((3, 4, 5), value, np.int16), Grid((3, 4, 5), np.eye(4)))


def a_writer(path: Path) -> subprocess.Popen[str]:
    """A process in the middle of writing ``path``."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_ROOT)}
    command = [sys.executable, "-c", WRITER, str(path)]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, umask=0
    )
    assert process.stdout.readline() == "writing\n"
    return process


@posix_only
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_write_leaves_nothing(folder: Path, sent: signal.Signals):
    with a_writer(folder / "fine.nii.gz") as process:
        process.send_signal(sent)
        process.communicate(timeout=30)
    assert contents(folder) == {}


@posix_only
def test_a_work_folder_is_private_and_names_neither_file_nor_computer(folder: Path):
    with a_writer(folder / "Doe_Jane_19700101.nii.gz") as process:
        (work,) = folder.iterdir()
        process.kill()
    assert stat.S_IMODE(work.stat().st_mode) == 0o700
    assert re.fullmatch(rf"\.medsr-[0-9a-f]{{8}}-{process.pid}-\d+-\w+", work.name)


@posix_only
def test_the_next_write_removes_what_a_killed_one_left(folder: Path):
    with a_writer(folder / "fine.nii.gz") as process:
        process.kill()
    assert len(list(folder.iterdir())) == 1
    files.write(a_small_volume(), folder / "other.nii.gz")
    assert set(contents(folder)) == {"other.nii.gz"}


@posix_only
def test_the_work_folder_of_a_process_that_goes_on_is_left_alone(folder: Path):
    with a_writer(folder / "fine.nii.gz") as process:
        files.write(a_small_volume(), folder / "other.nii.gz")
        assert len([path for path in folder.iterdir() if path.is_dir()]) == 1
        process.kill()


def test_folders_of_other_computers_and_other_programs_are_left_alone(folder: Path):
    others = [folder / name for name in (".medsr-00000000-1-1-abc", ".medsr-me", "medsr-1-1-1-1", ".medsr-x-y-z-a")]
    for other in others:
        other.mkdir()
    files.write(a_small_volume(), folder / "scan.nii.gz")
    assert set(folder.iterdir()) == {*others, folder / "scan.nii.gz"}


def test_of_two_programs_that_write_one_file_the_first_wins(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """The other one comes to its end while the first is still writing."""
    encode, path = files.encode, folder / "fine.mhd"

    def overtaken(arrays: object, grid: Grid, part: Path, **options: object) -> None:
        monkeypatch.setattr(files, "encode", encode)
        files.write(a_small_volume(7), path)
        encode(arrays, grid, part, **options)

    monkeypatch.setattr(files, "encode", overtaken)
    with pytest.raises(VolumeError, match="was written by another program in the meantime"):
        files.write(a_small_volume(1), path)
    assert set(contents(folder)) == {"fine.mhd", "fine.zraw"}
    assert (files.read(path).array == 7).all()


@posix_only
def test_files_that_belong_together_are_put_down_by_one_program_at_a_time(folder: Path):
    with leftovers.folder_lock(folder):
        code = (
            "import sys; from pathlib import Path; from medical_super_resolution.system import temp_dirs as leftovers\n"
            "print('here', flush=True)\n"
            "with leftovers.folder_lock(Path(sys.argv[1])):\n    print('in', flush=True)\n"
        )
        environment = os.environ | {"PYTHONPATH": str(PACKAGE_ROOT)}
        other = subprocess.Popen([sys.executable, "-c", code, str(folder)], env=environment, stdout=subprocess.PIPE)
        assert other.stdout.readline() == b"here\n"
        os.set_blocking(other.stdout.fileno(), False)
        time.sleep(0.2)
        assert not other.stdout.read()
    assert other.wait(timeout=30) == 0
    other.stdout.close()


def test_a_folder_that_may_not_be_written_is_refused_before_the_work(
    medsr: Medsr, scan: Path, folder: Path, a_model_file: Path, monkeypatch: pytest.MonkeyPatch
):
    def forbidden(*arguments: object, **options: object) -> str:
        raise PermissionError(13, "Permission denied")  # chmod would not stop a test that runs as root

    monkeypatch.setattr(Path, "mkdir", forbidden)
    sentence = refused(medsr, folder, "enhance", scan, folder / "fine.nii.gz", "--factor", 2, "--model", a_model_file)
    assert "cannot write in the folder" in sentence


def test_an_input_cut_short_while_it_is_read_is_refused(folder: Path, scan: Path, monkeypatch: pytest.MonkeyPatch):
    """Header and length were valid when they were checked."""
    read_volume = files.read_volume

    def then_cut(header: Header, *arguments: object) -> np.ndarray:
        array = read_volume(header, *arguments)
        header.path.write_bytes(header.path.read_bytes()[: header.path.stat().st_size // 2])
        return array

    monkeypatch.setattr(files, "read_volume", then_cut)
    with pytest.raises(VolumeError, match="changed while it was read"):
        files.read(scan)


def test_a_clock_that_jumps_back_changes_nothing(a_volume: Volume, a_model: Model, monkeypatch: pytest.MonkeyPatch):
    expected = enhance(a_volume, a_model, EnhanceSettings(factor=2))
    now = iter(range(2_000_000_000, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    enhanced = enhance(a_volume, a_model, EnhanceSettings(factor=2))
    np.testing.assert_array_equal(enhanced.volume.array, expected.volume.array)
    assert enhanced.report.seconds >= 0
