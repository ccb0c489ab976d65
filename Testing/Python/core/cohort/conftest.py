"""Workers for a cohort, and volumes for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from medical_super_resolution.cohort.task import Batch
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

if TYPE_CHECKING:
    import distributed


@pytest.fixture(scope="module")
def a_client() -> Iterator[distributed.Client]:
    """Two workers that are threads of this process."""
    import distributed

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def a_batch(tmp_path: Path, a_volume: Volume, a_model_file: Path) -> Batch:
    """Four volumes, one of them broken."""
    source = tmp_path / "in"
    (source / "a").mkdir(parents=True)
    for name in ("a/one.nii.gz", "two.nrrd", "three.nii"):
        files.write(a_volume, source / name)
    (source / "broken.nii.gz").write_bytes(b"no volume")
    return Batch(source, tmp_path / "out", EnhanceSettings(factor=2, model=str(a_model_file), threads=1))
