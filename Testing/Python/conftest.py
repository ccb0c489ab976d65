"""Fixtures that many tests share; each test gets its own objects."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from browser import chromium  # noqa: F401 - a fixture
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume

if TYPE_CHECKING:
    from medical_super_resolution.networks.generators.through_plane import ThroughPlaneGenerator

gc.disable()  # until everything is imported: nearly all of that stays, and each collection would look through it
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # widget tests need no screen
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in the background of a script; children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
ENDS = [number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None))]
for number in ENDS:
    signal.signal(number, signal.SIG_DFL)  # nohup ignores one
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):  # each worker and its children take their share of the cores
    share = str(max(1, (os.cpu_count() or 1) // int(workers)))
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ.setdefault(variable, share)
os.fsync = lambda descriptor: None  # no power cut comes between a test and its results
os.environ["MEDSR_MODEL_FOLDER"] = os.devnull  # what the user of this computer has imported is of no concern


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are processors: tests wait for child processes and timers."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run files with slow tests first, so that no process is left with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    gc.enable()
    if warm_process := sys.modules.get("warm_process"):  # a test needs it
        warm_process.load_ahead()


@pytest.fixture(scope="module", autouse=True)
def collect_garbage_of_this_file_alone() -> None:
    """Exclude what was imported, and what earlier files left, from garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def end_as_before() -> Iterator[None]:
    """A `main` listens to signals; the next test should not."""
    yield
    for number in ENDS:
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def a_grid() -> Grid:
    """20 x 18 x 9 voxels (i, j, k) of 0.8 x 0.8 x 3 mm in an oblique position."""
    tilt = np.deg2rad(20)
    direction = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = direction * (0.8, 0.8, 3.0)
    ijk_to_ras[:3, 3] = (-12.5, 40.0, 7.25)
    return Grid((9, 18, 20), ijk_to_ras)


@pytest.fixture
def a_volume(a_grid: Grid) -> Volume:
    """A CT of whole numbers: air, a soft ellipsoid with a bone rim, a fine vessel across the slices, some noise."""
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, count) for count in a_grid.shape_kji), indexing="ij")
    radius = np.sqrt((k / 0.9) ** 2 + (j / 0.8) ** 2 + (i / 0.7) ** 2)
    array = np.where(radius < 1, 40.0, -1000.0)
    array[(radius > 0.85) & (radius < 1)] = 900
    array[((j - 0.3 * k) ** 2 + i**2 < 0.02) & (radius < 0.8)] = 250
    noise = np.random.default_rng(0).normal(0, 10, array.shape)
    return Volume(np.round(array + noise).astype(np.int16), a_grid, modality="ct")


@pytest.fixture
def a_tiny_generator() -> ThroughPlaneGenerator:
    """The product's generator with few, seeded weights, in evaluation mode: quick, and not zero."""
    import torch

    from medical_super_resolution.networks.generators.through_plane import ThroughPlaneConfig, ThroughPlaneGenerator

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = ThroughPlaneGenerator(
            ThroughPlaneConfig(channels=8, blocks=1, pairs=1, gate_channels=4, kernel_hidden=8)
        )
    return generator.eval().requires_grad_(False)


@pytest.fixture
def a_model_file(tmp_path: Path, a_tiny_generator: ThroughPlaneGenerator) -> Path:
    """The tiny generator saved as a model file, tiny.safetensors."""
    from medical_super_resolution.models import file as models

    path = tmp_path / "tiny.safetensors"
    models.save(path, "through-plane", a_tiny_generator, {"summary": "A few random weights, for tests"})
    return path
