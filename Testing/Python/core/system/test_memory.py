from __future__ import annotations

import mmap
import os
import re
import sys
from pathlib import Path

import pytest
import torch

from medical_super_resolution.system.memory import peak_mb, return_code_pages


def resident_code_kb() -> int:
    """Code of PyTorch that is mapped into this process."""
    areas = re.findall(rb" r-xp .*/libtorch.*\n(?:\w+:.*\n)*?Rss: +(\d+) kB", Path("/proc/self/smaps").read_bytes())
    return sum(map(int, areas))


@pytest.mark.skipif(sys.platform != "linux", reason="memory of a process in Linux")
def test_code_that_does_not_run_again_takes_no_memory_and_what_runs_is_there():
    ones = torch.ones(4, 4)
    before = resident_code_kb()
    return_code_pages()
    assert resident_code_kb() < before / 4
    assert (ones @ ones).sum() == 64


@pytest.mark.skipif(sys.platform != "linux", reason="memory of a process in Linux")
@pytest.mark.parametrize("name", [b"\xff.nii", "two\u2028lines".encode()])
def test_a_file_of_any_name_may_be_mapped_meanwhile(tmp_path: Path, name: bytes):
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"voxels")
    torch.ones(4, 4) @ torch.ones(4, 4)
    before = resident_code_kb()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return_code_pages()
        assert mapped[:] == b"voxels"
    assert resident_code_kb() < before


@pytest.mark.skipif(sys.platform != "linux", reason="memory of a process in Linux")
def test_the_peak_is_in_megabytes_of_a_million_bytes():
    resource = pytest.importorskip("resource")

    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert peak_mb() == pytest.approx(kib * 1024 / 1e6, rel=0.01)
