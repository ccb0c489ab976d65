"""A queue of the station, a series for it, and archives that receive its results."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import dicom_files
from medical_super_resolution.station.queue import Queue
from station_doubles import Archive, Clock


@pytest.fixture
def a_clock() -> Clock:
    return Clock()


@pytest.fixture
def a_queue(tmp_path: Path, a_clock: Clock) -> Queue:
    return Queue(tmp_path / "queue", largest_bytes=10_000_000, clock=a_clock)


@pytest.fixture
def a_series(tmp_path: Path) -> list[Path]:
    """Five CT slices, 4 mm apart."""
    stored = np.random.default_rng(0).integers(900, 1200, (5, 12, 10)).astype(np.uint16)
    (tmp_path / "source").mkdir()
    return dicom_files.write_series(tmp_path / "source", stored)


@pytest.fixture
def a_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def an_archive() -> Iterator[Archive]:
    archive = Archive(is_searchable=True)
    yield archive
    archive.server.shutdown()


@pytest.fixture
def an_archive_without_queries() -> Iterator[Archive]:
    archive = Archive(is_searchable=False)
    yield archive
    archive.server.shutdown()
