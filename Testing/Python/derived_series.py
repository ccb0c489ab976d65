"""A source in DICOM, and a volume that could be its enhancement, to be written as a derived series."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from dicom_sources import write_source
from made_up_report import made_up_report
from medical_super_resolution.report import Report
from medical_super_resolution.volumes.dicom.derived.writer import write_series
from medical_super_resolution.volumes.io import files
from medical_super_resolution.volumes.volume import Volume

FACTOR = 3


@dataclass
class Derived:
    """A source, a volume that could be its enhancement, and what was made of it."""

    source_files: list[Path]
    volume: Volume
    folder: Path
    report: Report

    @property
    def headers(self) -> list[pydicom.Dataset]:
        return [pydicom.dcmread(file) for file in sorted(self.folder.iterdir())]

    def write(self) -> Derived:
        self.report = write_series(self.volume, self.report, self.source_files, self.folder)
        return self


def prepared(tmp_path: Path, kind: str = "CT", *, real: bool = False, axis: str = "k", **source: object) -> Derived:
    """A source and its volume made finer, with whole or real numbers; nothing is written yet."""
    stored = np.random.default_rng(0).integers(0, 4096, (5, 12, 10)).astype(np.int16 if kind == "PT" else np.uint16)
    source_files = write_source(tmp_path / "source", stored, kind, **source)
    measured = files.read(tmp_path / "source")
    grid = measured.grid.refined(axis, FACTOR)
    array = np.repeat(measured.array, FACTOR, axis="kji".index(axis))
    if real:
        array = array * 1.2345 + 0.1 * np.arange(array.shape[2])
    report = made_up_report(
        model="general",
        model_sha256="0123456789abcdef" * 4,
        factor_ijk=tuple(float(FACTOR) if axis == one else 1.0 for one in "ijk"),
        spacing_before_ijk_mm=measured.grid.spacing_ijk_mm,
        spacing_after_ijk_mm=grid.spacing_ijk_mm,
        consistency_error_rms=0.3125,
        software="MedicalSuperResolution 9.8.7",
        warnings=("look at it with care",),
    )
    return Derived(source_files, Volume(array, grid, modality=measured.modality), tmp_path / "derived", report)


def assert_same_place(one: Volume, other: Volume) -> None:
    assert one.grid.shape_kji == other.grid.shape_kji
    k, j, i = one.grid.shape_kji
    corners = np.array(np.meshgrid((0.0, i), (0.0, j), (0.0, k), [1.0])).reshape(4, -1)
    np.testing.assert_allclose(one.grid.ijk_to_ras @ corners, other.grid.ijk_to_ras @ corners, atol=1e-5)
