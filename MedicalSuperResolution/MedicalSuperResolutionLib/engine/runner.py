"""The engine in a child process: Slicer stays alive, and what happens to the child does not happen to Slicer.

Volumes travel as files in a private temporary folder. What the child says goes to files there as well: no threads and
no pipes that could fill up, so a widget's timer may look after a run whenever it likes.
"""

from __future__ import annotations

import json
import shutil
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

from medical_super_resolution.errors import Cancelled, SuperResolutionError
from medical_super_resolution.progress import Progress, ignore
from medical_super_resolution.report import Enhanced, Report
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.system import temp_dirs as leftovers
from medical_super_resolution.volumes.volume import Volume

from . import child as child_process

_INPUT, _OUTPUT, _UNCERTAINTY, _REPORT = "input.nrrd", "output.nrrd", "uncertainty.nrrd", "report.json"
_POLL_SECONDS = 0.05
_LOG_LINES = 50
_CANCELLED_EXIT = 130
_WHO_FAILED = {
    "who": "the engine",
    "unharmed": "the scene is unchanged",
    "advice": "close other programs, lower the memory limit or crop the volume",
}


class Runner:
    """Runs one enhancement at a time, either waiting for it (`run`) or looked after by a timer (`start`, `poll`).

    progress : (done, total) as last heard from the child. log : the last lines of what it wrote for people.
    """

    def __init__(self, command: Sequence[str] | None = None) -> None:
        """``command`` starts the engine; None stands for this package's command line in this Python."""
        self._command = command
        self._child: _Child | None = None
        self.progress = (0, 1)
        self.log: tuple[str, ...] = ()

    @property
    def is_running(self) -> bool:
        """Whether a run was started and has not been seen to its end."""
        return self._child is not None

    def run(self, volume: Volume, settings: EnhanceSettings, progress: Progress = ignore) -> Enhanced:
        """Enhance a volume and wait for it.

        Parameters
        ----------
        progress : called many times a second, also where nothing is new; what it raises ends the child.

        Raises
        ------
        SuperResolutionError : what the engine refused, in its words; or the child died.
        Cancelled : from ``progress``, or because something that ``progress`` did called `cancel`.
        """
        self.start(volume, settings)
        try:
            while True:
                enhanced = self.poll()
                progress(*self.progress)
                if enhanced is not None:
                    return enhanced
                time.sleep(_POLL_SECONDS)
        finally:
            self.cancel()

    def start(self, volume: Volume, settings: EnhanceSettings) -> None:
        """Start a run and return at once. It is over when `poll` gives its result or raises.

        Raises
        ------
        SuperResolutionError : a run is under way, the disk is full, or the child cannot be started.
        """
        if self._child is not None:
            raise SuperResolutionError("an enhancement is running already; wait for it, or cancel it first")
        child_process.remove_stale_folders()
        self.progress, self.log = (0, 1), ()
        command = self._command or [child_process.python(), "-m", "medical_super_resolution"]
        self._child = _Child(command, volume, settings)

    def poll(self) -> Enhanced | None:
        """The result when the child has finished, else None.

        Raises
        ------
        SuperResolutionError : see `run`. Cancelled : the run was cancelled, or none was started.
        """
        if self._child is None:
            raise Cancelled
        is_over = self._child.is_over()  # asked before reading, so that its last words are heard
        self.progress = self._child.latest_progress() or self.progress
        self.log = self._child.last_lines()
        if not is_over:
            return None
        try:
            return self._child.result()
        finally:
            self.cancel()

    def cancel(self) -> None:
        """End the run, if there is one, within a second or two. Its folder is removed."""
        child, self._child = self._child, None
        if child is not None:
            child.end()


def flags(volume: Volume, settings: EnhanceSettings) -> list[str]:
    """The settings, and what only the node knows of the volume, as flags of the command line."""
    model = Path(settings.model)
    chosen = ["--model", str(model.resolve()) if model.is_file() else settings.model]  # the child works elsewhere
    chosen += ["--device", settings.device, "--precision", settings.precision]
    if settings.memory_gb is not None:
        chosen += ["--max-memory", repr(settings.memory_gb)]
    chosen += ["--axes", settings.axes, "--slice-profile", settings.slice_profile]
    chosen += ["--sharpness", repr(settings.sharpness)]
    if settings.factor is not None:
        chosen += ["--factor", repr(settings.factor)]
    if settings.spacing_ijk_mm is not None:
        chosen += ["--spacing", *map(repr, settings.spacing_ijk_mm)]
    thickness_mm = settings.slice_thickness_mm or volume.slice_thickness_mm
    if thickness_mm is not None:
        chosen += ["--slice-thickness", repr(thickness_mm)]
    if volume.modality is not None:
        chosen += ["--modality", volume.modality]
    if settings.threads is not None:
        chosen += ["--threads", str(settings.threads)]
    if settings.uncertainty:
        chosen += ["--uncertainty", _UNCERTAINTY]
    return chosen if settings.consistency else [*chosen, "--no-consistency"]


class _Child:
    """One child process and its folder."""

    def __init__(self, command: Sequence[str], volume: Volume, settings: EnhanceSettings) -> None:
        self._modality = volume.modality
        self._settings = settings
        self._folder = child_process.private_folder()
        arguments = [*command, "enhance", _INPUT, _OUTPUT, "--progress", "json", "--report", _REPORT]
        arguments += ["--end-with-parent", *flags(volume, settings)]
        try:
            _hand_over(volume, self._folder / _INPUT)
            self._process = child_process.started(arguments, self._folder)
        except BaseException:
            leftovers.remove(self._folder)
            raise
        self.end = weakref.finalize(self, child_process.end, self._process, self._folder)  # at the end of Python too

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def latest_progress(self) -> tuple[int, int] | None:
        """The last step that the child has told of."""
        whole_lines = child_process.said(self._folder).split("\n")[:-1]
        for line in reversed(whole_lines):
            with suppress(ValueError, KeyError, TypeError):  # something else that was printed
                step = json.loads(line)
                return step["done"], step["total"]
        return None

    def last_lines(self) -> tuple[str, ...]:
        return tuple(child_process.told(self._folder).splitlines()[-_LOG_LINES:])

    def result(self) -> Enhanced:
        """What the child has left behind; raises what it came to grief of."""
        status = self._process.returncode
        if status == _CANCELLED_EXIT:
            raise Cancelled
        if status != 0:
            raise SuperResolutionError(child_process.why(status, self.last_lines(), **_WHO_FAILED))
        try:
            written = json.loads((self._folder / _REPORT).read_text(encoding="utf-8"))
            report = Report.from_dict(written)
            settings = replace(self._settings, model=report.model)  # its name: a path may name a patient
            report = replace(report, settings=asdict(settings))  # JSON has made lists of what were tuples
            volume = _files().read(self._folder / _OUTPUT)
            uncertainty = _files().read(self._folder / _UNCERTAINTY) if settings.uncertainty else None
        except (OSError, ValueError, TypeError, SuperResolutionError) as problem:
            raise SuperResolutionError(
                "the engine ended without a complete result; try again, and report it with the log if it stays so"
            ) from problem
        return Enhanced(replace(volume, modality=self._modality), report, uncertainty)


def _hand_over(volume: Volume, path: Path) -> None:
    """Write the child's input into its private folder."""
    files, parent = _files(), path.parents[1]
    try:
        files.write(volume, path, compress=False)
        path.chmod(0o600)
    except (OSError, SuperResolutionError) as problem:
        free_mb, needed_mb = shutil.disk_usage(parent).free / 1e6, volume.array.nbytes / 1e6
        raise SuperResolutionError(
            f"the folder for temporary files, {parent}, did not take a copy of the volume: {free_mb:.0f} MB are free"
            f" and {needed_mb:.0f} MB are needed, for the result some times more; free some space there and try again"
        ) from problem


def _files() -> ModuleType:
    """The package's file module; it needs SimpleITK, which not every Slicer has when it starts."""
    try:
        from medical_super_resolution.volumes.io import files
    except ImportError as problem:
        raise SuperResolutionError(
            "SimpleITK is missing in this Python; install it with slicer.util.pip_install('SimpleITK') and try again"
        ) from problem
    return files
