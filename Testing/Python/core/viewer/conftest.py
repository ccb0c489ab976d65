"""A client of the viewer's server, its session, and a scan for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from medical_super_resolution.viewer import sessions as sessions_module
from medical_super_resolution.viewer.sessions import Sessions
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume
from viewer_doubles import LIMIT, SPACING, TOKEN, RunDouble

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.fixture
def a_scan(tmp_path: Path) -> Path:
    """(K, J, I) = (4, 5, 6) whole numbers that are all different; the slices are across k."""
    array = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    path = tmp_path / "scan.nii.gz"
    files.write(Volume(array, Grid(array.shape, np.diag([*SPACING, 1.0]))), path)
    return path


@pytest.fixture
def a_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    from starlette.testclient import TestClient

    from medical_super_resolution.viewer.server import application

    monkeypatch.setattr(sessions_module, "Enhancement", RunDouble)
    served = application(Sessions(), TOKEN, largest_upload=LIMIT)
    with TestClient(served, base_url="http://127.0.0.1:8000", headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client


@pytest.fixture
def a_session(a_client: TestClient) -> str:
    return f"/api/sessions/{a_client.post('/api/sessions').json()['session']}"


@pytest.fixture
def an_opened(a_client: TestClient, a_session: str, a_scan: Path) -> str:
    assert a_client.post(f"{a_session}/open", json={"path": str(a_scan)}).status_code == 200
    return a_session
