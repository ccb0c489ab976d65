"""A command ends silently when the pipe of its output is closed, as in ``medsr models | head -1``."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from command_line import start
from medical_super_resolution.cli import terminal
from medical_super_resolution.cli.terminal import quiet_on_broken_pipe
from medical_super_resolution.volumes.io import files

SILENT_END = (141, "", "")  # the shell's word for a program that SIGPIPE has ended
MEDSR, TRAIN = "medical_super_resolution", "medical_super_resolution_training"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes of Unix")


def unread(*arguments: object, stream: str = "stdout", **options: object) -> tuple[int, str, str]:
    """The exit status of a command that prints one stream into a closed pipe, and the text of the other stream."""
    reading, writing = os.pipe()
    os.close(reading)
    with start(*arguments, **options, **{stream: writing}) as process:
        os.close(writing)
        out, err = process.communicate(timeout=120)
    return process.returncode, out or "", err or ""


@pytest.mark.parametrize(
    ("package", "arguments", "unbuffered"),
    [
        (MEDSR, ["models"], ""),
        (TRAIN, ["recipes", "general"], ""),
        (TRAIN, ["recipes"], "1"),  # the first line fails already, not the end
    ],
)
def test_a_command_whose_output_nobody_reads_ends_in_silence(package: str, arguments: list[str], unbuffered: str):
    assert unread(*arguments, package=package, environment={"PYTHONUNBUFFERED": unbuffered}) == SILENT_END


@pytest.mark.parametrize("package", [MEDSR, TRAIN])
def test_so_does_a_help_text(package: str):
    assert unread("--help", package=package, environment={"PYTHONUNBUFFERED": ""}) == SILENT_END


def test_what_the_output_cannot_encode_becomes_escapes(monkeypatch: pytest.MonkeyPatch):
    console = io.TextIOWrapper(io.BytesIO(), "cp1252", errors="strict")
    monkeypatch.setattr(sys, "stdout", console)
    quiet_on_broken_pipe(lambda typed: print("ü ł M\udcfcller"))()
    assert console.buffer.getvalue().split() == ["ü".encode("cp1252"), rb"\u0142", rb"M\udcfcller"]


def test_so_does_a_description_of_a_volume(scan: Path):
    assert unread("info", scan) == SILENT_END


def test_so_does_one_whose_error_nobody_reads(tmp_path: Path):
    arguments = ("enhance", tmp_path / "no.nii.gz", tmp_path / "fine.nii.gz")
    assert unread(*arguments, stream="stderr") == SILENT_END


@pytest.mark.parametrize(("kind", "stream"), [("json", "stdout"), ("auto", "stderr")])
def test_an_enhancement_that_nobody_watches_leaves_nothing(scan: Path, a_model_file: Path, kind: str, stream: str):
    before = set(scan.parent.iterdir())
    fine = scan.parent / "fine.nii.gz"
    arguments = ("enhance", scan, fine, "--factor", 2, "--model", a_model_file, "--progress", kind)
    assert unread(*arguments, stream=stream) == SILENT_END
    assert set(scan.parent.iterdir()) == before


@pytest.mark.parametrize("closed", [(2,), (0, 1, 2)])
def test_a_program_without_standard_streams_does_its_work(scan: Path, a_model_file: Path, closed: tuple[int, ...]):
    """As after ``2>&-``; a file that it opens would take the place of a closed stream."""
    fine = scan.parent / "fine.nii.gz"
    arguments = ("enhance", scan, fine, "--factor", 2, "--model", a_model_file)

    def close() -> None:
        for number in closed:
            os.close(number)

    with start(*arguments, stdout=None, stderr=None, preexec_fn=close) as process:
        assert process.wait(timeout=120) == 0
    assert files.read(fine).array.shape == (18, 18, 20)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk of Linux")
@pytest.mark.parametrize(("arguments", "unbuffered"), [("models", ""), ("models", "1"), ("--help", "")])
def test_an_output_on_a_full_disk_gets_one_sentence(arguments: str, unbuffered: str):
    environment = {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full, start(arguments, stdout=full, environment=environment) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.fullmatch("error: .*No space left on device.*\n", err)


class ClosedOnWindows(io.RawIOBase):
    """A standard stream whose reader has ended, as Windows reports it."""

    def __init__(self) -> None:
        self.number = os.dup(2)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.number

    def write(self, content: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")


@pytest.mark.parametrize("text", ["one line\n", "many lines\n" * 10_000])
def test_windows_calls_a_closed_output_an_invalid_argument(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
):
    monkeypatch.setattr(terminal, "os", SimpleNamespace(**vars(os) | {"name": "nt"}))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(ClosedOnWindows())))
    printing = quiet_on_broken_pipe(lambda typed: terminal.status_of(lambda: print(text) or 0))
    assert printing() == SILENT_END[0]
    assert "error" not in capsys.readouterr().err


def test_on_windows_another_invalid_argument_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    monkeypatch.setattr(terminal, "os", SimpleNamespace(**vars(os) | {"name": "nt"}))
    with (tmp_path / "file").open("w+b") as file:
        failing = quiet_on_broken_pipe(lambda typed: terminal.status_of(lambda: os.lseek(file.fileno(), -5, 0)))
        assert failing() == 1
    assert "error: Invalid argument; check the path" in capsys.readouterr().err


def test_a_pipe_to_another_process_that_breaks_is_a_failure():
    def main(typed: list[str] | None = None) -> int:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        quiet_on_broken_pipe(main)()
