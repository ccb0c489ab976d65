"""A small Slicer with a volume in its scene, a result to put there, and an engine to run in a child process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine_double import engine_command
from medical_super_resolution.report import Report
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.volume import Enhanced, Volume
from MedicalSuperResolutionLib.process.runner import Runner

if TYPE_CHECKING:
    import slicer

    from MedicalSuperResolutionLib.compare.comparison import Comparison
    from slicer_host import Screen, SlicerHost

_FOUR_UP = 3  # Slicer's number of the layout


@pytest.fixture
def a_slicer() -> Iterator[SlicerHost]:
    pytest.importorskip("slicer", reason="the scene needs slicer-core")
    import slicer_host

    host = slicer_host.boot()
    yield host
    host.close()


@pytest.fixture
def a_scene(a_slicer: SlicerHost) -> slicer.vtkMRMLScene:
    return a_slicer.mrmlScene()


@pytest.fixture
def a_screen(a_slicer: SlicerHost) -> Screen:
    """Slicer's usual four views, and the slice views of the comparison."""
    from MedicalSuperResolutionLib.compare.layouts import COLUMNS
    from slicer_host import Screen

    a_slicer.mrmlScene().GetFirstNodeByClass("vtkMRMLLayoutNode").SetViewArrangement(_FOUR_UP)
    return Screen(a_slicer, [column.tag for column in COLUMNS])


@pytest.fixture
def a_comparison(a_slicer: SlicerHost) -> Iterator[Comparison]:
    from MedicalSuperResolutionLib.compare.comparison import Comparison
    from MedicalSuperResolutionLib.compare.views import CompareViews

    comparison = Comparison(CompareViews(a_slicer.applicationLogic()))
    yield comparison
    comparison.exit()


@pytest.fixture
def make_unsure(a_scene: slicer.vtkMRMLScene) -> Callable[..., None]:
    """Give a volume a map of its uncertainty, of these values on this grid."""
    import slicer

    from MedicalSuperResolutionLib.scene import uncertainty_node

    def attach(node: slicer.vtkMRMLScalarVolumeNode, values: np.ndarray, ijk_to_ras: np.ndarray) -> None:
        known = slicer.util.addVolumeFromArray(values, ijk_to_ras, "Uncertainty")
        uncertainty_node._color(known)
        node.SetNodeReferenceID(uncertainty_node._ROLE, known.GetID())

    return attach


@pytest.fixture
def a_volume_node(a_scene: slicer.vtkMRMLScene, a_volume: Volume) -> slicer.vtkMRMLScalarVolumeNode:
    """The CT of `a_volume`, named "Chest"."""
    import slicer

    return slicer.util.addVolumeFromArray(a_volume.array, a_volume.grid.ijk_to_ras, "Chest")


@pytest.fixture
def an_enhanced(a_volume: Volume) -> Enhanced:
    """Three times as many slices as in `a_volume`, each value raised by 1, and its report."""
    target = a_volume.grid.refined("k", 3)
    report = Report(
        model="general",
        model_sha256="0123abcd",
        modality="ct",
        factor_ijk=(1.0, 1.0, 3.0),
        spacing_before_ijk_mm=a_volume.grid.spacing_ijk_mm,
        spacing_after_ijk_mm=target.spacing_ijk_mm,
        size_before_ijk=a_volume.grid.shape_kji[::-1],
        size_after_ijk=target.shape_kji[::-1],
        slice_thickness_mm=3.0,
        slice_profile="box",
        settings=asdict(EnhanceSettings(factor=3)),
        consistency_error_rms=0.25,
        device="cpu",
        seconds=1.5,
        warnings=("look at it with care; 50 % of it", 'and "here" too'),
        software="MedicalSuperResolution 0.1.0",
    )
    return Enhanced(Volume(np.repeat(a_volume.array, 3, axis=0) + np.int16(1), target), report)


@pytest.fixture
def an_engine(tmp_path: Path, an_enhanced: Enhanced) -> Callable[[str], Runner]:
    """Makes a runner whose child replaces the engine (see `engine_double`) and executes the given text."""
    return lambda ending: Runner(engine_command(tmp_path, an_enhanced.report.as_dict(), ending))


@pytest.fixture
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for private folders; at the end of a test none may be left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []
