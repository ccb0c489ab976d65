"""Reading a file that means kinds: what it is refused with, and whether that took time or memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.models import file as models
from medical_super_resolution.volumes.io import files

PACKAGE_ROOT = Path(files.__file__).parents[3]
posix_only = pytest.mark.skipif(os.name != "posix", reason="pipes, devices and limits of Unix")
# In a process of its own, which may be killed, with a limit to its memory and to its time.
LIMITED = """
import resource, signal, sys
from pathlib import Path
from medical_super_resolution.errors import SuperResolutionError
path = Path(sys.argv[1])
if path.suffix == ".safetensors":
    from medical_super_resolution.models.file import load
else:
    from medical_super_resolution.volumes.io.files import read as load
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
signal.alarm(60)
try:
    load(path)
    print("read")
except SuperResolutionError as problem:
    print(problem)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
sys.exit(f"took {grown} kB" if grown > 150_000 else 0)
"""


def refused_within_limits(path: Path) -> str:
    """The sentence, from a process that neither hung nor took memory."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert done.stdout != "read\n"
    return done.stdout


def refusal(path: Path) -> str:
    with pytest.raises(SuperResolutionError) as caught:
        models.load(path) if path.suffix == models.SUFFIX else files.read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)
