"""The memory of a training does not grow with its data."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from medical_super_resolution_training.data.manifest import Entry, write_manifest
from training_runs import growth_mb
from warm_process import result_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sparse files and /proc")


@pytest.fixture
def large_data(tmp_path: Path) -> Path:
    """A manifest of 24 volumes of 268 MB, 6.4 GB in all, of holes on the disk."""
    shape = (256, 1024, 512)
    entries = []
    for number in range(24):
        path = tmp_path / f"{number}.npy"
        np.lib.format.open_memmap(path, mode="w+", dtype=np.int16, shape=shape).flush()
        entries.append(Entry(path.name, str(path), "ct" if number % 2 else "mr", (1.0, 1.0, 1.0), 0.0, 100.0))
    if sum(path.stat().st_blocks for path in tmp_path.glob("*.npy")) * 512 > 1e9:
        pytest.skip("this disk keeps no holes")
    write_manifest(entries, tmp_path / "data.json")
    return tmp_path / "data.json"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_data(large_data: Path):
    assert result_of(growth_mb, large_data) < 600  # a volume that stays mapped is 268, and there are 24
