"""The panel over real Qt widgets and a real MRML scene, outside Slicer, with a runner that a test controls.

Slicer's scripted modules need Python modules that only the application has. They are stand-ins here, or Slicer's own
where SLICER_PYTHON_SRC names its folder Base/Python and MEDSR_SLICER_MODULES is "own".
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_up_report import made_up_report
from medical_super_resolution.errors import Cancelled
from medical_super_resolution.inference.planning import plan
from medical_super_resolution.report import Report
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.volume import Enhanced, Volume
from widget.helpers import entered

MODULE_FILE = Path(__file__).parents[3] / "MedicalSuperResolution" / "MedicalSuperResolution.py"
OURS = (
    "MedicalSuperResolution",
    "MedicalSuperResolutionLib",
    "MedicalSuperResolutionTraining",
    "MedicalSuperResolutionTrainingLib",
)


class FakeRunner:
    """A run that the test ends: with a finer volume of ones, or with a failure."""

    def __init__(self) -> None:
        self.progress, self.stage = (0, 1), ""
        self.volume: Volume | None = None
        self.settings: EnhanceSettings | None = None
        self.was_cancelled = self.has_process = self.is_closed = False
        self.also_reported: dict[str, Any] = {}
        self.exchange: Any = None
        self._ending: Any = None

    def start(self, volume: Volume, settings: EnhanceSettings, *, profile_of: Report | None = None) -> None:
        self.volume, self.settings, self._ending, self.is_closed = volume, settings, None, False

    def start_exchange(self, exchange: Any) -> None:
        self.exchange, self._ending = exchange, None

    def poll(self) -> Any:
        if self.was_cancelled:
            raise Cancelled
        if isinstance(self._ending, Exception):
            raise self._ending
        return self._ending

    def close(self) -> None:
        self.was_cancelled, self.is_closed = self._ending is None, True

    def run(self, volume: Volume, settings: EnhanceSettings, progress: Any, *, profile_of: Report | None) -> Enhanced:
        self.start(volume, settings)
        progress(1, 2)
        self.finish()
        return self._ending

    def finish(self) -> None:
        planned = plan(self.volume.grid, self.settings)
        report = made_up_report(
            settings=dataclasses.asdict(self.settings),
            factor_ijk=planned.factor_ijk,
            spacing_after_ijk_mm=planned.target.spacing_ijk_mm,
            size_after_ijk=planned.target.shape_kji[::-1],
            **self.also_reported,
        )
        volume = Volume(np.ones(planned.target.shape_kji, np.int16), planned.target)
        self._ending = Enhanced(volume, report, volume if self.settings.uncertainty else None)

    def fail(self, problem: Exception) -> None:
        self._ending = problem

    def give(self, result: Any) -> None:
        self._ending = result


@pytest.fixture(scope="module")
def slicer_python() -> Iterator[types.ModuleType]:
    """`qt`, `ctk` and the application's own Python modules, for as long as the tests of a file run."""
    slicer = pytest.importorskip("slicer")
    pytest.importorskip("PySide6")
    from widget import pythonqt_double, slicer_widgets, standins

    path, names = list(slicer.__path__), set(vars(slicer))
    set_aside = _forget(*OURS)  # other tests know some of them; what they know stays theirs
    own = (
        slicer_widgets.ctkCollapsibleButton,
        slicer_widgets.ctkPathLineEdit,
        slicer_widgets.ctkSliderWidget,
        slicer_widgets.qMRMLNodeComboBox,
        slicer_widgets.qMRMLCheckableNodeComboBox,
        slicer_widgets.qMRMLWidget,
    )
    made = pythonqt_double.make_modules(own)
    if os.environ.get("MEDSR_SLICER_MODULES") == "own":
        slicer.__path__.append(str(Path(os.environ["SLICER_PYTHON_SRC"]) / "slicer"))
    else:
        made |= standins.make_modules(made["qt"])
    sys.modules.update(made)
    for name in slicer_widgets.IN_SLICER:
        setattr(slicer, name, pythonqt_double.widget_class(name))
    yield slicer
    for name in set(vars(slicer)) - names:
        delattr(slicer, name)
    slicer.__path__[:] = path
    _forget(*OURS)
    for name in made:
        del sys.modules[name]
    sys.modules.update(set_aside)


def _forget(*packages: str) -> dict[str, types.ModuleType]:
    """Take packages out of Python's memory, with all that is in them."""
    names = [name for name in sys.modules if name.partition(".")[0] in packages]
    return {name: sys.modules.pop(name) for name in names}


@pytest.fixture
def a_slicer(slicer_python: types.ModuleType) -> Iterator[Any]:
    """The application: a fresh scene, and what the panel asks of `slicer.app`."""
    from PySide6 import QtCore, QtWidgets

    import slicer_host

    host = slicer_host.boot()
    QtCore.QSettings().clear()
    host.processEvents = lambda: None
    host.testingEnabled = lambda: False
    host.topLevelWidgets = list
    host.layoutManager = lambda: None
    host.applicationVersion, host.revision = "5.13.0", "34045"
    host.clipboard = lambda: QtWidgets.QApplication.clipboard()
    host.translate = lambda context, text: text
    host.connect = lambda signal, slot: True
    host.moduleManager = lambda: types.SimpleNamespace(connect=host.connect, disconnect=host.connect)
    slicer_python.modules.medicalsuperresolution = types.SimpleNamespace(path=str(MODULE_FILE))
    yield host
    host.close()


@pytest.fixture
def errors_shown(a_slicer: Any, slicer_python: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What error messages the user would have seen."""
    shown: list[str] = []
    monkeypatch.setattr(slicer_python.util, "errorDisplay", lambda text, **options: shown.append(text))
    return shown


@pytest.fixture
def raised_in_slots(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """What slots and timers raised; Qt only prints it. A test that expects something empties the list."""
    raised: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, problem, trace: raised.append(problem))
    yield raised
    assert raised == []


@pytest.fixture
def the_module(a_slicer: Any, a_runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """MedicalSuperResolution.py, with an engine that is ready, one model, and `a_runner` to run it.

    Torch cannot be imported meanwhile: neither the module nor the panel may need it in Slicer's process.
    """
    for name in ("torch", "safetensors"):
        monkeypatch.setitem(sys.modules, name, None)
    with monkeypatch.context() as at_startup:
        at_startup.setitem(sys.modules, "SimpleITK", None)  # Slicer can be built without it
        module = importlib.import_module("MedicalSuperResolution")
    installed = importlib.import_module("MedicalSuperResolutionLib.setup.models")
    monkeypatch.setattr(installed, "installed_models", lambda: ["general"])
    monkeypatch.setattr(module.torch_setup, "ensure_engine", lambda: None)
    for waits in ("engine.background", "setup.self_check", "panel.sections.setup"):
        monkeypatch.setattr(f"MedicalSuperResolutionLib.{waits}._INTERVAL_MS", 20)
    monkeypatch.setattr(module, "Runner", lambda: a_runner)
    return module


@pytest.fixture
def a_runner() -> FakeRunner:
    return FakeRunner()


@pytest.fixture
def a_panel(
    the_module: types.ModuleType,
    errors_shown: list[str],
    raised_in_slots: list[BaseException],
) -> Iterator[Any]:
    """The module's widget, set up and entered."""
    with entered(the_module.MedicalSuperResolutionWidget) as panel:
        yield panel


@pytest.fixture
def a_thick_volume(a_slicer: Any) -> Any:
    """20 x 18 x 8 voxels (i, j, k) of 1 x 1 x 3 mm, named "Thick"."""
    import slicer

    array = np.random.default_rng(0).integers(0, 1000, (8, 18, 20)).astype(np.int16)
    return slicer.util.addVolumeFromArray(array, np.diag([1.0, 1.0, 3.0, 1.0]), "Thick")
