"""The memory of a training does not grow with its data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medical_super_resolution_training.data.manifest import Entry, write_manifest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sparse files and /proc")

WATCHED = """
import json, sys
from pathlib import Path
from medical_super_resolution_training.config.recipe import Recipe
from medical_super_resolution_training.data.samplers.sequences import PatchSampler
from medical_super_resolution_training.data.loader import batches
from medical_super_resolution_training.data.manifest import read_manifest
from medical_super_resolution_training.data.samplers.planes import PlaneSampler

def largest():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

entries = read_manifest(Path(sys.argv[1]))
recipe = Recipe(batch_size=4, patch_slices=8, patch_in_plane=64, generator_config={}, degradation="measured")
before = largest()
for sampler in (PatchSampler(entries, recipe), PlaneSampler(entries, recipe)):
    for batch in batches(sampler, range(int(sys.argv[2])), workers=0):
        pass
print(json.dumps(largest() - before))
"""


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
    grown = subprocess.run(
        [sys.executable, "-c", WATCHED, str(large_data), "1"], capture_output=True, text=True, check=True
    )
    assert json.loads(grown.stdout) < 600  # MB; a volume that stays mapped is 268, and there are 24
