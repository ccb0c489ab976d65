"""A volume that was moved since it was measured cannot be written into the study that it comes from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from dicom_sources import write_source
from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.dicom.derived.checks import check_place
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.io import files


@pytest.fixture(params=[False, True], ids=["straight", "oblique"])
def a_place(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Grid, list]:
    """A grid finer than a series in all directions, and the headers of the series."""
    source_files = write_source(tmp_path / "source", np.zeros((5, 12, 10), np.uint16), oblique=request.param)
    grid = files.read(tmp_path / "source").grid.refined("k", 4).refined("i", 2).refined("j", 2)
    return grid, [dcmread(file) for file in source_files]


def moved(grid: Grid, i: float = 0, j: float = 0, k: float = 0) -> Grid:
    """The grid some of its own voxels further."""
    shift = np.eye(4)
    shift[:3, 3] = (i, j, k)
    return replace(grid, ijk_to_ras=grid.ijk_to_ras @ shift)


def test_a_volume_where_it_was_measured_is_accepted(a_place: tuple[Grid, list]):
    grid, sources = a_place
    check_place(grid, sources)
    check_place(Grid((4, 6, 5), moved(grid, 3, 4, 5).ijk_to_ras), sources)  # a region of it


@pytest.mark.parametrize("shift", [{"i": 4}, {"i": -4}, {"j": 4}, {"j": -4}, {"k": 8}, {"k": -8}])
def test_a_volume_that_was_moved_is_refused(a_place: tuple[Grid, list], shift: dict[str, float]):
    grid, sources = a_place
    with pytest.raises(VolumeError, match=r"reaches \d[.\d]* mm out of the DICOM series that it comes from"):
        check_place(moved(grid, **shift), sources)


def test_a_source_that_does_not_tell_its_own_place_is_not_asked(a_place: tuple[Grid, list]):
    grid, sources = a_place
    del sources[0].PixelSpacing
    check_place(moved(grid, i=40), sources)
