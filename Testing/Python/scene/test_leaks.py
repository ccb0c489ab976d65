"""Many runs in one process: its memory, the scene, the temporary folder and the open files stay as they were."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the scene needs slicer-core")

from medical_super_resolution.inference import enhance as inference  # noqa: E402
from medical_super_resolution.models import file as models  # noqa: E402
from medical_super_resolution.settings import EnhanceSettings  # noqa: E402
from MedicalSuperResolutionLib.engine import tasks  # noqa: E402
from MedicalSuperResolutionLib.scene import nodes as scene  # noqa: E402
from slicer_host import node_ids  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory and open files are read from /proc"),
]

RUNS, WARM_UP = 12, 3
ALLOWED_MB = 5  # about 0.2 were measured
SETTINGS = EnhanceSettings(factor=8, device="cpu", threads=1)  # each result holds 0.66 MB: twelve would be seen


@pytest.fixture
def a_medium_node(a_scene):
    """64 x 64 x 10 voxels of 1 x 1 x 8 mm, named "Medium"."""
    k, j, i = np.meshgrid(*(np.arange(count) for count in (10, 64, 64)), indexing="ij")
    array = np.round(200 * np.sin(i / 7) + 200 * np.cos(j / 9) + 40 * k).astype(np.int16)
    return slicer.util.addVolumeFromArray(array, np.diag([1.0, 1.0, 8.0, 1.0]), "Medium")


def memory_mb() -> float:
    """Resident memory of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def children() -> set[int]:
    """The processes, dead or alive, that this one started and has not waited for."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            # "PID (COMMAND) STATE PARENT ...": a command may hold blanks and brackets
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(stat.parent.name))
    return found


def growth_mb(run: Callable[[], None]) -> float:
    """How much memory the runs cost, after some to warm up."""
    for _ in range(WARM_UP):
        run()
    before = memory_mb()
    for _ in range(RUNS):
        run()
    return memory_mb() - before


@pytest.fixture
def an_engine_here(a_tiny_generator, tmp_path):
    path = tmp_path / "tiny.safetensors"
    models.save(path, "through-plane", a_tiny_generator, {"summary": "A few random weights, for tests"})
    return lambda volume, settings, **_: inference.enhance(volume, models.load(path), settings)


def test_runs_in_this_process_into_new_nodes(a_medium_node, an_engine_here, temporary_folder):
    mrml = a_medium_node.GetScene()
    before = node_ids(mrml)

    def run() -> None:
        node = tasks.run(tasks.task_of(a_medium_node), SETTINGS, an_engine_here)
        scene.remove(scene.provenance.note_of(node))
        scene.remove(node)

    assert growth_mb(run) < ALLOWED_MB
    assert node_ids(mrml) - before <= {node_id for node_id in node_ids(mrml) if "Display" in node_id}
    assert len(node_ids(mrml)) - len(before) <= 1  # the display node of the source, made when it was first shown


def test_runs_in_child_processes_into_one_node(a_medium_node, an_engine, temporary_folder):
    runner, mrml = an_engine("step(1, 1); finish()"), a_medium_node.GetScene()
    output = mrml.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Output")

    def run() -> None:
        tasks.run(tasks.task_of(a_medium_node, output), SETTINGS, runner.run)

    others = children()  # of tests before this one, in the same process
    run()
    nodes, files = node_ids(mrml), open_files()
    assert growth_mb(run) < ALLOWED_MB
    assert node_ids(mrml) == nodes
    assert open_files() <= files  # what an earlier test had open may close meanwhile
    assert children() - others != set()  # the worker waits for more
    runner.close()
    assert list(temporary_folder.iterdir()) == []
    assert children() - others == set()


def test_runs_that_are_cancelled(a_medium_node, an_engine, temporary_folder):
    runner, mrml = an_engine("step(1, 2); time.sleep(60)"), a_medium_node.GetScene()
    volume = scene.volume_from_node(a_medium_node)

    def run() -> None:
        runner.start(volume, SETTINGS)
        runner.close()

    run()
    nodes, files = node_ids(mrml), open_files()
    assert growth_mb(run) < ALLOWED_MB
    assert node_ids(mrml) == nodes
    assert open_files() <= files
    assert list(temporary_folder.iterdir()) == []
