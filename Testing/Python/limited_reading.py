"""Reading of hostile files: the error message, and limits of time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from medical_super_resolution.errors import ModelError, VolumeError
from medical_super_resolution.models import file as models
from medical_super_resolution.models import store
from medical_super_resolution.volumes.dicom.reader import Selection
from medical_super_resolution.volumes.io import files

PACKAGE_ROOT = Path(files.__file__).parents[3]
posix_only = pytest.mark.skipif(os.name != "posix", reason="pipes, devices and limits of Unix")
# In a process of its own, which may be killed, with a limit to its memory and to its time.
LIMITED = """
import resource, signal, sys
from pathlib import Path
from medical_super_resolution.errors import SuperResolutionError
paths = [Path(one) for one in sys.argv[1:]]
if paths[0].suffix == ".safetensors":
    from medical_super_resolution.models.file import load
else:
    from medical_super_resolution.volumes.io.files import read as load
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in paths:
    signal.alarm(60)
    try:
        load(path)
        print("read")
    except SuperResolutionError as problem:
        print(problem)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
sys.exit(f"took {grown} kB" if grown > 150_000 else 0)
"""


def all_refused_within_limits(paths: Sequence[Path]) -> list[str]:
    """The sentence for each file, from one process that neither hung nor took memory."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *map(str, paths)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    sentences = done.stdout.splitlines()
    assert len(sentences) == len(paths)
    assert "read" not in sentences
    return sentences


def refused_within_limits(path: Path) -> str:
    """As `all_refused_within_limits`, for one file."""
    (sentence,) = all_refused_within_limits([path])
    return sentence


def refusal(path: Path, selection: Selection | None = None) -> str:
    """The sentence with which a model file or a volume is refused."""
    is_model = path.suffix == store.SUFFIX
    with pytest.raises(ModelError if is_model else VolumeError) as caught:
        models.load(path) if is_model else files.read(path, selection)
    assert "\n" not in str(caught.value)
    return str(caught.value)
