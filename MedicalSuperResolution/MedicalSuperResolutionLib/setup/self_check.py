"""A check of this installation that ends in a text to paste into an issue: versions, and a short run of the engine."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import time
from collections.abc import Callable
from types import SimpleNamespace

import slicer

import medical_super_resolution
from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume
from MedicalSuperResolutionLib.process.runner import Runner
from MedicalSuperResolutionLib.setup import torch as torch_setup
from MedicalSuperResolutionLib.timers import Repeated
from MedicalSuperResolutionLib.translation import tr as _
from MedicalSuperResolutionLib.translation import translated

_INTERVAL_MS = 100
_PATIENCE_SECONDS = 120.0
_PACKAGES = ("torch", "numpy", "SimpleITK", "safetensors")
_PATH = re.compile(r"(?:[A-Za-z]:)?[\\/](?:.*[\\/])?[^\s'\"]*")  # up to the last separator: folders may hold spaces


class SelfCheck:
    """The button Self-check: runs the engine on a synthetic volume, and shows the result."""

    def __init__(
        self, ui: SimpleNamespace, settings: Callable[[], EnhanceSettings], make_runner: Callable[[], Runner]
    ) -> None:
        """``settings`` is called at the click; its model, device and threads are used."""
        self._ui, self._settings, self._make_runner = ui, settings, make_runner
        self._runner: Runner | None = None
        self._timer: Repeated | None = None
        self._started = 0.0
        ui.selfCheckButton.connect("clicked(bool)", self._start)
        ui.copyButton.connect("clicked(bool)", self._copy)
        for widget in (ui.selfCheckTextEdit, ui.copyButton):
            widget.visible = False

    def abandon(self) -> None:
        """End the test run, if there is one."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _start(self, checked: bool = False) -> None:
        missing = [name for name in _PACKAGES if not torch_setup.is_installed(name)]
        if missing:
            self._show(_("not possible; missing: {packages}").format(packages=", ".join(missing)))
            return
        try:
            self._runner, self._started = self._make_runner(), time.monotonic()
            self._runner.start(_made_up_volume(), self._settings())
        except SuperResolutionError as problem:
            self._end(translated(str(problem)))
            return
        self._ui.selfCheckButton.enabled = False
        self._ui.selfCheckButton.text = _("Checking...")
        self._timer = Repeated(_INTERVAL_MS, self._poll)

    def _poll(self) -> None:
        seconds = time.monotonic() - self._started
        try:
            enhanced = self._runner.poll()
        except Exception as problem:  # a timer has no caller to raise to: the text shows it, whatever it is
            self._end(translated(str(problem)) or type(problem).__name__)
            return
        if enhanced is not None:
            device, model = enhanced.report.device, enhanced.report.model
            passed = _("passed in {seconds:.1f} s on {device} with the model {model}")
            self._end(passed.format(seconds=seconds, device=device, model=model))
        elif seconds > _PATIENCE_SECONDS:
            self._end(_("no answer after {seconds:.0f} s").format(seconds=seconds))

    def _end(self, outcome: str) -> None:
        self.abandon()
        self._show(outcome)

    def _show(self, outcome: str) -> None:
        ui = self._ui
        ui.selfCheckButton.enabled, ui.selfCheckButton.text = True, _("Self-check")
        ui.selfCheckTextEdit.plainText = text(outcome)
        for widget in (ui.selfCheckTextEdit, ui.copyButton):
            widget.visible = True

    def _copy(self, checked: bool = False) -> None:
        slicer.app.clipboard().setText(self._ui.selfCheckTextEdit.plainText)


def text(outcome: str) -> str:
    """Versions and how the test run ended. Paths, which may name a person, are left out."""
    lines = {
        "Medical Super-Resolution": medical_super_resolution.__version__,
        "Slicer": _("{version} (revision {revision})").format(
            version=slicer.app.applicationVersion, revision=slicer.app.revision
        ),
        "Python": platform.python_version(),
        _("System"): f"{platform.system()} {platform.machine()}",
        **{name: _version(name) for name in _PACKAGES},
        _("Test run"): outcome,
    }
    return _PATH.sub("<path>", "\n".join(f"{name}: {value}" for name, value in lines.items())) + "\n"


def _version(package: str) -> str:
    """Looked up without importing: torch stays out of Slicer's process."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return _("of unknown version") if torch_setup.is_installed(package) else _("not installed")


def _made_up_volume() -> Volume:
    import numpy as np

    k, j, i = np.meshgrid(*(np.arange(count) for count in (8, 32, 32)), indexing="ij")
    array = np.round(100 * np.sin(i / 3) + 100 * np.cos(j / 4) + 50 * k).astype(np.int16)
    return Volume(array, Grid(array.shape, np.diag([1.0, 1.0, 3.0, 1.0])))
