"""Checks of files before memory is allocated for them; silencing of C libraries."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import VolumeError
from ...system.memory import physical_bytes

LARGEST_COMPRESSION = 1100  # deflate cannot do better than 1032 to 1
LARGEST_COMPRESSION_OF_BZIP2 = 2_000_000


def check_size(what: str, claimed: int, held: int, *, most: int = LARGEST_COMPRESSION) -> None:
    """Refuse sizes that cannot be true, before any memory is taken: bytes of voxels, and bytes of their files."""
    if claimed > held * most:
        raise VolumeError(f"{what} claims {claimed / 1e9:.1f} GB of voxels but holds {held} bytes; the file is damaged")
    memory = physical_bytes()
    if memory is not None and claimed > memory:
        raise VolumeError(
            f"{what} needs {claimed / 1e9:.1f} GB, this computer has {memory / 1e9:.1f} GB; crop it first"
        )


def check_plain(path: Path) -> None:
    """Refuse devices, pipes and sockets, which may never come to an end."""
    if not path.is_file():
        raise VolumeError(f"{path} is not a plain file; copy the volume into one first")


@contextmanager
def silent() -> Iterator[None]:
    """Suppress the standard error of the C libraries below ITK; the user gets one sentence instead."""
    try:
        shown = os.dup(2)
    except OSError:  # a program without a standard error
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(shown, 2)
        os.close(shown)
