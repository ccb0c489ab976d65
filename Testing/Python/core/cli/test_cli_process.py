from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_line import PACKAGE_ROOT, Medsr, nearly_full_disk, next_step, refused, start
from medical_super_resolution.cli.terminal import progress_of_kind, status_of


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
@pytest.mark.parametrize("sent", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_stopping_exits_with_130_and_leaves_nothing(folder: Path, a_long_run: tuple[object, ...], sent: str):
    before = set(folder.iterdir())
    with start(*a_long_run) as process:
        steps = [next_step(process) for _ in range(2)]  # it is at work
        process.send_signal(signal.Signals[sent])
        began = time.monotonic()
        _, err = process.communicate(timeout=30)
    assert steps[0]["done"] == 0 < steps[1]["done"]
    assert process.returncode == 130
    assert err == "stopped; nothing was written\n"
    assert set(folder.iterdir()) == before
    assert time.monotonic() - began < 20


def test_a_full_disk_gets_one_sentence_and_leaves_nothing(medsr: Medsr, scan: Path, folder: Path, a_model_file: Path):
    arguments = ("enhance", scan, folder / "fine.nii", "--factor", 4, "--model", a_model_file, "--progress", "none")
    with nearly_full_disk():
        assert "could not be written" in refused(medsr, folder, *arguments)


def test_a_bundle_or_a_picture_on_a_full_disk_gets_one_sentence_and_leaves_nothing(
    medsr: Medsr, scan: Path, folder: Path, a_model_file: Path
):
    bundle = ("export-model", a_model_file, folder / "bundle", "--to", "monai-bundle")
    picture = ("compare", scan, scan, "-o", folder / "picture.png")
    with nearly_full_disk():
        assert "check the path, its permissions and the free space" in refused(medsr, folder, *bundle)
        assert "check the path, its permissions and the free space" in refused(medsr, folder, *picture)


def test_an_error_sets_the_exit_status_of_the_process(folder: Path):
    with start("enhance", folder / "no.nii.gz", folder / "fine.nii.gz") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert (out, err) == ("", f"error: there is no file {folder / 'no.nii.gz'}\n")


@pytest.mark.parametrize("verb", [(), ("enhance",), ("info",), ("compare",), ("models",)])
def test_help_is_shown_without_torch(verb: tuple[str, ...]):
    code = (
        "import sys\nfrom medical_super_resolution.cli.main import main\n"
        f"try:\n    main([*{verb!r}, '--help'])\n"
        "except SystemExit as end:\n"
        "    heavy = {'torch', 'numpy', 'SimpleITK', 'matplotlib'} & sys.modules.keys()\n"
        "    sys.exit(f'imported {heavy}' if heavy else end.code)\n"
    )
    done = _ended(code)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: medsr" in done.stdout


def test_models_are_listed_and_described_without_torch():
    code = (
        "import sys\nfrom medical_super_resolution.cli.main import main\n"
        "main(['models'])\nmain(['models', '--card', 'general'])\n"
        "sys.exit('torch was imported' if 'torch' in sys.modules else 0)\n"
    )
    done = _ended(code)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()[:3]] == ["general", "general-large", "general"]


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        (["enhance", "SCAN", "FINE", "--volume", "3"], "SCAN has no volume 3; its volumes are 0 to 0"),
        (
            ["enhance", "SCAN", "FINE", "--spacing", "9", "9", "9"],
            "nothing to refine: the volume, 20x18x9 at 0.80x0.80x3.00 mm, is as fine as asked already",
        ),
        (["fuse", "SCAN", "FINE"], "fusion needs 2 to 12 stacks, got 1; a single one is for medsr enhance"),
    ],
    ids=["number", "fine", "one stack"],
)
def test_what_needs_no_voxels_is_refused_before_torch_is_loaded(folder: Path, scan: Path, typed: list[str], why: str):
    typed = [word.replace("SCAN", str(scan)).replace("FINE", str(folder / "fine.nii")) for word in typed]
    code = (
        "import sys\nfrom medical_super_resolution.cli.main import main\n"
        f"status = main({typed!r})\n"
        "sys.exit('torch was imported' if 'torch' in sys.modules else status)\n"
    )
    done = _ended(code)
    assert (done.returncode, done.stderr) == (1, f"error: {why.replace('SCAN', str(scan))}\n")


def _ended(code: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own that has run some code."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_ROOT)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_a_library_that_does_not_fit_into_the_memory_gets_one_sentence(capsys: pytest.CaptureFixture):
    """Linux says the same of a disk from which nothing may run, so the sentence names both."""

    def load(why: str) -> int:
        raise ImportError(why)

    assert status_of(lambda: load("libtorch_cpu.so: failed to map segment from shared object")) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: a library, as of PyTorch, cannot be loaded; raise the memory limit of this program")
    assert "noexec: libtorch_cpu.so: failed" in said
    with pytest.raises(ImportError):
        status_of(lambda: load("No module named 'torch'"))


def test_in_a_log_progress_takes_a_line_for_each_tenth(capsys: pytest.CaptureFixture):
    progress = progress_of_kind("auto")
    for done in range(101):
        progress(done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:2] for line in lines] == [["refining", f"{10 * tenth}%"] for tenth in range(11)]


@pytest.mark.parametrize("columns", [20, 50, 60, 80, 200])
def test_on_a_terminal_progress_stays_on_one_line(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, columns: int
):
    sizes = {2: os.terminal_size((columns, 24))}  # of standard error alone: standard output is a file
    monkeypatch.setattr(os, "get_terminal_size", lambda descriptor=1: sizes[descriptor])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = progress_of_kind("auto")
    progress.stage("loading the model")
    for done in range(10):
        progress(done, 100)
    lines = list(filter(None, capsys.readouterr().err.split("\r")))
    assert {len(line) for line in lines} == {min(70, columns - 1)}
    assert columns < 50 or lines[-1].rstrip().endswith("s left")


def test_what_is_printed_after_a_stage_on_a_terminal_takes_its_place(monkeypatch: pytest.MonkeyPatch, capsys):
    """A warning stood on the line of "writing", 70 columns to the right."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress_of_kind("auto").stage("writing")
    shown = capsys.readouterr().err
    assert shown.startswith("\rwriting ... 0 s ")
    assert shown.endswith(" \r")


def test_a_file_in_a_folder_for_unfinished_results_is_reported_as_the_folder_that_the_user_knows(capsys, folder: Path):
    def fail() -> int:
        raise OSError(errno.EROFS, "Read-only file system", str(folder / ".medsr-1-2-3" / "m.onnx"))

    assert status_of(fail) == 1
    assert capsys.readouterr().err.startswith(f"error: {folder}: Read-only file system; check the path")
