"""Finished files and folders are on the disk before they have their names."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.system import temp_dirs
from medical_super_resolution.system.temp_dirs import put_in_place

FOLDERS = os.name != "nt"  # whether a folder can be waited for


@pytest.fixture
def a_result(tmp_path: Path) -> Path:
    """The path of a result that is not there yet."""
    return tmp_path / "result"


@pytest.fixture
def named_at_flush(a_result: Path, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the result had its name, for each wait for the disk."""
    waits: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: waits.append(a_result.exists()))
    return waits


def test_a_file_is_on_the_disk_before_its_name_is(tmp_path: Path, a_result: Path, named_at_flush: list[bool]):
    made = tmp_path / "made"
    made.write_bytes(b"content")
    put_in_place(made, a_result)
    assert named_at_flush == [False, True][: 1 + FOLDERS]
    assert (a_result.read_bytes(), made.exists()) == (b"content", False)


def test_a_file_that_was_waited_for_is_closed(tmp_path: Path, a_result: Path, monkeypatch: pytest.MonkeyPatch):
    """Else a batch of some thousand volumes could open no more files."""
    opened: list[int] = []
    monkeypatch.setattr(os, "fsync", opened.append)
    (tmp_path / "made").write_bytes(b"content")
    put_in_place(tmp_path / "made", a_result)
    assert opened
    for descriptor in set(opened):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


@pytest.mark.skipif(not FOLDERS, reason="folders cannot be waited for")
def test_a_folder_that_cannot_be_waited_for_is_no_error_because_the_file_has_its_name(
    tmp_path: Path, a_result: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "cannot be flushed")

    monkeypatch.setattr(os, "fsync", fail)
    (tmp_path / "made").write_bytes(b"content")
    put_in_place(tmp_path / "made", a_result)
    assert a_result.read_bytes() == b"content"


def test_a_lock_ends_with_its_block(tmp_path: Path):
    pytest.importorskip("fcntl")
    with temp_dirs.folder_lock(tmp_path) as first, temp_dirs.folder_lock(tmp_path, attempts=1) as meanwhile:
        assert (first, meanwhile) == (True, False)
    with temp_dirs.folder_lock(tmp_path, attempts=1) as afterwards:
        assert afterwards


def test_all_files_of_a_folder_are_on_the_disk_before_its_name_is(
    tmp_path: Path, a_result: Path, named_at_flush: list[bool]
):
    for name in ("one", "two"):
        (tmp_path / "made" / name).mkdir(parents=True)
        (tmp_path / "made" / name / "slice.dcm").write_bytes(b"content")
    put_in_place(tmp_path / "made", a_result)
    assert named_at_flush == ([False] * 5 + [True] if FOLDERS else [False] * 2)


@pytest.mark.parametrize(("problem", "is_fatal"), [(errno.ENOSPC, True), (errno.EIO, True), (errno.EINVAL, False)])
def test_a_disk_that_fails_is_an_error_and_one_that_cannot_be_waited_for_is_not(
    tmp_path: Path, a_result: Path, monkeypatch: pytest.MonkeyPatch, problem: int, is_fatal: bool
):
    def fail(descriptor: int) -> None:
        raise OSError(problem, "cannot be flushed")

    monkeypatch.setattr(os, "fsync", fail)
    (tmp_path / "made").write_bytes(b"content")
    if is_fatal:
        with pytest.raises(OSError, match="cannot be flushed"):
            put_in_place(tmp_path / "made", a_result)
    else:
        put_in_place(tmp_path / "made", a_result)
    assert a_result.exists() != is_fatal


@pytest.mark.parametrize(("system", "beside", "private"), [("posix", 0o700, 0o700), ("nt", 0o777, 0o700)])
def test_on_windows_a_folder_beside_an_output_gives_its_files_the_rights_of_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, beside: int, private: int
):
    """There, what is made in a private folder stays private where it is moved to: no colleague could open it."""
    modes: list[int] = []
    monkeypatch.setattr(temp_dirs, "os", SimpleNamespace(name=system, getpid=os.getpid))
    monkeypatch.setattr(Path, "mkdir", lambda folder, mode=0o777: modes.append(mode))
    for parent in (tmp_path, None):
        temp_dirs.private_folder("medsr-", parent)
    assert modes == [beside, private]


def test_a_folder_that_may_not_be_written_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """On Windows, tempfile takes the refusal for a name that is taken, and tries billions of others."""

    def forbidden(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Access is denied")

    monkeypatch.setattr(os, "mkdir", forbidden)
    monkeypatch.setattr(tempfile, "TMP_MAX", 3)
    monkeypatch.setattr(tempfile, "_os", SimpleNamespace(**vars(os) | {"name": "nt"}))
    with pytest.raises(PermissionError):
        temp_dirs.try_writing(tmp_path)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders take this system for Windows; pauses are short."""
    monkeypatch.setattr(temp_dirs, "os", SimpleNamespace(**vars(os) | {"name": "nt"}))
    monkeypatch.setattr(temp_dirs, "_WINDOWS_PAUSE_SECONDS", 0.0)


@pytest.mark.usefixtures("windows")
def test_on_windows_a_result_that_a_scanner_holds_open_has_its_name_a_moment_later(
    tmp_path: Path, a_result: Path, monkeypatch: pytest.MonkeyPatch
):
    refusals, replace = [PermissionError(errno.EACCES, "Access is denied")] * 3, Path.replace

    def replaced(made: Path, path: Path) -> Path:
        if refusals:
            raise refusals.pop()
        return replace(made, path)

    monkeypatch.setattr(Path, "replace", replaced)
    (tmp_path / "made").write_bytes(b"content")
    put_in_place(tmp_path / "made", a_result)
    assert a_result.read_bytes() == b"content"


@pytest.mark.usefixtures("windows")
def test_on_windows_a_folder_that_an_ending_process_holds_open_is_removed_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    held, rmtree = [True] * 3, shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda *what, **how: held.pop() if held else rmtree(*what, **how))
    (tmp_path / "private").mkdir()
    temp_dirs.remove(tmp_path / "private")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("platform", ["linux", "darwin"])
@pytest.mark.parametrize("number", ["²", "9" * 40])
def test_a_folder_whose_name_is_no_number_of_a_process_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, number: str
):
    """Every user of a computer can make one in the folder for temporary files."""
    monkeypatch.setattr(temp_dirs.sys, "platform", platform)
    (tmp_path / f"medsr-{number}-0-x").mkdir()
    temp_dirs.remove_stale_folders("medsr-", tmp_path)


@pytest.mark.usefixtures("windows")
def test_on_windows_no_program_is_asked_whether_this_process_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It takes a second, and this process may not be allowed to start it."""
    monkeypatch.setattr(temp_dirs.sys, "platform", "win32")
    monkeypatch.setattr(temp_dirs.subprocess, "run", lambda *what, **how: pytest.fail("asked"))
    assert temp_dirs.private_folder("medsr-", tmp_path).is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_folder_of_a_process_whose_exit_status_nobody_asks_for_is_removed(tmp_path: Path):
    """In a container without an init process, one that was killed remains as a zombie."""
    made = "from medical_super_resolution.system import temp_dirs; from pathlib import Path; import sys, os;"
    made += "temp_dirs.private_folder('medsr-', Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    with subprocess.Popen([sys.executable, "-c", made, str(tmp_path)]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert len(list(tmp_path.iterdir())) == 1
        temp_dirs.remove_stale_folders("medsr-", tmp_path)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="devices of Unix")
@pytest.mark.parametrize("name", ["/dev/null", "/dev/stdout", "pipe"])
def test_a_device_and_a_pipe_are_never_replaced(tmp_path: Path, name: str):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SuperResolutionError, match="is a device or a pipe; name a file"):
        temp_dirs.check_replaceable(tmp_path / name, overwrite=True)
