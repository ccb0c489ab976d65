"""Reading of hostile files: the error message, and limits of time and memory."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from medical_super_resolution.errors import ModelError, VolumeError
from medical_super_resolution.models import file as models
from medical_super_resolution.models import store
from medical_super_resolution.volumes.dicom.reader import Selection
from medical_super_resolution.volumes.io import files
from warm_process import result_of

posix_only = pytest.mark.skipif(os.name != "posix", reason="pipes, devices and limits of Unix")
GROWTH_KB = 150_000


def read_each(paths: Sequence[Path]) -> tuple[list[str], int]:
    """What is said of each file, and how much memory they took: in a process of its own, which may be killed."""
    import resource

    load = models.load if paths[0].suffix == ".safetensors" else files.read
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sentences = []
    for path in paths:
        signal.alarm(60)
        try:
            load(path)
            sentences.append("read")
        except (ModelError, VolumeError) as problem:
            sentences.append(str(problem))
    return sentences, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


def all_refused_within_limits(paths: Sequence[Path]) -> list[str]:
    """The sentence for each file, from one process that neither hung nor took memory."""
    sentences, grown_kb = result_of(read_each, paths)
    assert grown_kb < GROWTH_KB
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
