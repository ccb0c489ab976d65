"""What can end a run from outside, by clicks on the panel and real child processes.

Whatever happens: the scene gets the whole result or nothing, the panel never waits for the child, and where there is no
result the user is told why, in one sentence. A script plays the engine; the tests marked slow have the real one.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer")

from engine_double import engine_command, is_alive
from made_up_report import made_up_report
from slicer_host import node_ids

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are a matter of POSIX")

LONGEST_PAUSE_SECONDS = 20.0  # a busy computer is slow, but a panel that waited for its child would wait for minutes
BUSY = """
for number in range(20):
    step(number, 20)
    time.sleep(0.02)
Path(report).write_text(json.dumps(REPORT))
whole = Path(given).read_bytes()
with open(output, "wb") as file:
    for start in range(0, len(whole), 1000):
        file.write(whole[start : start + 1000])
        file.flush()
        time.sleep(0.03)
"""
SECONDS_OF_BUSY = 0.7
HANGS = "step(1, 4)\ntime.sleep(600)"
SMALL_DISK = (
    "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000));"
    "runpy.run_module('medical_super_resolution.cli.worker', run_name='__main__')"
)


class Bench:
    """The panel with a volume, an engine in a child process, and the outcome of a run."""

    def __init__(self, panel: Any, volume: Any, errors: list[str], folder: Path) -> None:
        self.panel, self.volume, self.errors, self.folder = panel, volume, errors, folder
        self.scene = volume.GetScene()
        self.before = node_ids(self.scene)
        self.longest_pause = 0.0

    def click(self) -> None:
        """Enhance, or while it runs, cancel."""
        self._timed(self.panel.ui.enhanceButton.click)

    @property
    def child(self) -> Any:
        """The child process."""
        return self.panel._run.current._runner._worker._process

    @property
    def is_running(self) -> bool:
        return self.panel._run.current is not None

    @property
    def has_result(self) -> bool:
        return not node_ids(self.scene) <= self.before

    def work(self, seconds: float) -> None:
        """Let Qt work for so long, or until the run is over."""
        from PySide6 import QtCore, QtWidgets

        end = time.monotonic() + seconds
        while self.is_running and time.monotonic() < end:
            self._timed(lambda: QtWidgets.QApplication.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 20))
            time.sleep(0.005)  # as in `helpers.process_events`

    def _timed(self, what: Any) -> None:
        started = time.monotonic()
        what()
        self.longest_pause = max(self.longest_pause, time.monotonic() - started)

    def check_end(self, *, after: float = LONGEST_PAUSE_SECONDS, told: bool = True) -> None:
        """The run is over at once, nothing is in the scene or on the disk, and there is one sentence."""
        self.work(after)
        assert not self.is_running
        assert self.longest_pause < LONGEST_PAUSE_SECONDS
        assert node_ids(self.scene) <= self.before
        assert list(self.folder.iterdir()) == []
        assert self.panel.ui.enhanceButton.text == "Enhance"
        assert len(self.errors) == int(told), self.errors
        for sentence in self.errors:
            assert "\n" not in sentence
            assert "Traceback" not in sentence
            assert not sentence[0].islower()
            assert sentence.endswith(".")
        self.errors.clear()


@pytest.fixture
def a_bench(
    a_panel: Any, a_thick_volume: Any, errors_shown: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    a_thick_volume.CreateDefaultDisplayNodes()
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    bench = Bench(a_panel, a_thick_volume, errors_shown, folder)
    yield bench
    if bench.is_running:
        bench.panel._run.current.abandon()


@pytest.fixture
def the_engine(the_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Decides who runs in the child: a script with this ending, or another command."""
    from MedicalSuperResolutionLib.process.runner import Runner

    def use(ending: str = "", command: list[str] | None = None) -> None:
        made = command or engine_command(tmp_path, made_up_report().as_dict(), ending)
        monkeypatch.setattr(the_module, "Runner", lambda: Runner(made))

    return use


# ---- the child is killed


@pytest.mark.parametrize("number", range(10))
def test_a_child_killed_at_any_moment(a_bench: Bench, the_engine: Any, number: int):
    the_engine(BUSY)
    a_bench.click()
    a_bench.work(random.Random(number).uniform(0, SECONDS_OF_BUSY))
    if a_bench.is_running:
        child = a_bench.child
        child.kill()
        child.wait()
        a_bench.work(LONGEST_PAUSE_SECONDS)
        if a_bench.errors:
            a_bench.check_end()
            return
    node = a_bench.panel._parameterNode.resultVolume  # a slow kill came too late: then the result is whole
    import slicer

    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), slicer.util.arrayFromVolume(a_bench.volume))


@pytest.mark.slow
def test_the_real_engine_killed_at_several_moments(a_bench: Bench, the_engine: Any):
    the_engine(command=[sys.executable, "-m", "medical_super_resolution.cli.worker"])
    for seconds in (0, 0.1, 0.3, 0.7, 1.5):  # it starts, imports, reads, computes
        a_bench.click()
        a_bench.work(seconds)
        if a_bench.is_running:
            a_bench.child.kill()
            a_bench.work(LONGEST_PAUSE_SECONDS)
        if a_bench.has_result:  # a quick machine is done by then
            break
        a_bench.check_end()
    assert seconds > 0.1


def test_a_child_that_crashes(a_bench: Bench, the_engine: Any):
    the_engine("step(1, 4)\nos.kill(os.getpid(), signal.SIGSEGV)")
    a_bench.click()
    a_bench.check_end(after=30)


def test_a_child_that_runs_out_of_memory(a_bench: Bench, the_engine: Any):
    the_engine("step(1, 4)\nraise MemoryError")
    a_bench.click()
    a_bench.check_end(after=30)


# ---- the user stops it, or Slicer goes


@pytest.mark.parametrize("deaf", [False, True], ids=["listens", "deaf"])
def test_cancelling(a_bench: Bench, the_engine: Any, deaf: bool):
    ready = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if deaf else ""
    the_engine(ready + HANGS)
    a_bench.click()
    a_bench.work(0.5)
    child = a_bench.child.pid
    a_bench.click()
    a_bench.check_end(told=False)
    assert not is_alive(child)


def test_closing_the_scene(a_bench: Bench, the_engine: Any):
    the_engine(HANGS)
    a_bench.click()
    a_bench.work(0.3)
    child = a_bench.child.pid
    a_bench._timed(lambda: a_bench.scene.Clear(False))
    a_bench.check_end(told=False)
    assert not is_alive(child)


def test_closing_the_panel(a_bench: Bench, the_engine: Any):
    the_engine(HANGS)
    a_bench.click()
    child = a_bench.child.pid
    a_bench._timed(a_bench.panel.cleanup)
    assert not is_alive(child)
    assert a_bench.longest_pause < LONGEST_PAUSE_SECONDS
    assert list(a_bench.folder.iterdir()) == []


# ---- what it works with goes


def test_the_volume_leaves_the_scene_meanwhile(a_bench: Bench, the_engine: Any):
    the_engine(BUSY)
    a_bench.click()
    a_bench.work(0.3)
    a_bench.scene.RemoveNode(a_bench.volume)
    a_bench.check_end(after=60)


def test_the_output_volume_leaves_the_scene_meanwhile(a_bench: Bench, the_engine: Any):
    output = a_bench.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Mine")
    a_bench.panel.ui.outputSelector.setCurrentNode(output)
    the_engine(BUSY)
    a_bench.click()
    a_bench.work(0.3)
    a_bench.scene.RemoveNode(output)
    a_bench.check_end(after=60)


def test_the_file_that_the_volume_was_loaded_from_is_not_needed(a_bench: Bench, the_engine: Any, tmp_path: Path):
    a_bench.volume.AddDefaultStorageNode()
    storage = a_bench.volume.GetStorageNode()
    storage.SetFileName(str(tmp_path / "thick.nrrd"))
    assert storage.WriteData(a_bench.volume)
    the_engine(BUSY)
    a_bench.click()
    a_bench.work(0.3)
    (tmp_path / "thick.nrrd").unlink()
    a_bench.work(60)
    assert (a_bench.errors, a_bench.panel.ui.statusLabel.text) == ([], "Done: Thick 1 mm")


def test_somebody_empties_the_temporary_folder(a_bench: Bench, the_engine: Any):
    the_engine(BUSY)
    a_bench.click()
    a_bench.work(0.3)
    for folder in a_bench.folder.iterdir():
        shutil.rmtree(folder)
    a_bench.check_end(after=60)


@pytest.mark.slow
def test_the_childs_input_goes_before_it_is_read(a_bench: Bench, the_engine: Any):
    the_engine(command=[sys.executable, "-m", "medical_super_resolution.cli.worker"])
    a_bench.click()
    next(a_bench.folder.glob("*/input.nrrd")).unlink()
    a_bench.check_end(after=90)


# ---- the disk is full


def test_the_disk_is_full_at_the_start(a_bench: Bench, the_engine: Any, monkeypatch: pytest.MonkeyPatch):
    from medical_super_resolution.volumes.io import files

    def fill(arrays: Any, grid: Any, part: Path, **options: Any) -> None:
        part.write_bytes(b"half")
        raise OSError("No space left on device")

    the_engine(BUSY)
    monkeypatch.setattr(files, "encode", fill)
    a_bench.click()
    a_bench.check_end()


@pytest.mark.slow
def test_the_disk_is_full_at_the_end(a_bench: Bench, the_engine: Any):
    """The input fits, 5.8 kB; the result, three times as large, does not."""
    the_engine(command=[sys.executable, "-c", SMALL_DISK])
    a_bench.click()
    a_bench.work(90)
    assert str(a_bench.folder) in a_bench.errors[0]
    assert "MB are free" in a_bench.errors[0]
    a_bench.check_end()
