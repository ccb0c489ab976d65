"""Enhancing, or another task of the engine, in the background: a timer polls it, so that Slicer stays responsive."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import qt
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode

from medical_super_resolution.errors import Cancelled
from medical_super_resolution.progress import Progress
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.volume import Enhanced
from MedicalSuperResolutionLib.engine import tasks
from MedicalSuperResolutionLib.engine.run_times import RunTimes
from MedicalSuperResolutionLib.process.runner import Runner
from MedicalSuperResolutionLib.timers import Repeated

_INTERVAL_MS = 100

OnEnd = Callable[[vtkMRMLScalarVolumeNode | None, Exception | None], None]
"""Called once: with the node that holds the result, or with what went wrong (`Cancelled` where the user stopped it)."""


class Task(Protocol):
    """Work started by one click: one command of the engine, or several in sequence."""

    def begin(self, runner: Runner) -> None:
        """Start the next command."""

    def check_present(self) -> None:
        """Raise if an input was removed from the scene."""

    def step(self, done: int, total: int) -> tuple[int, int]:
        """Progress of the whole task, from the progress of the present command."""

    def take(self, result: Any) -> vtkMRMLScalarVolumeNode | None:  # noqa: ANN401 - what the command gives
        """Take the result of a command. Returns the node of the task's result, or None while commands are left."""

    def learn(self, result: Any, seconds: float) -> None:  # noqa: ANN401
        """Record the duration of the present command."""


class BackgroundRun:
    """One task, in the process of a runner.

    Attributes
    ----------
    source
        The volume node that the result is compared with.
    is_running
        Until ``on_end`` is called.
    """

    def __init__(
        self,
        source: vtkMRMLScalarVolumeNode,
        task: Task,
        *,
        on_progress: Progress,
        on_end: OnEnd,
        runner: Runner,
        keeps_process: bool = False,
    ) -> None:
        """Start it.

        Parameters
        ----------
        keeps_process
            After success, leave the process of the runner running for the next run.

        Raises
        ------
        SuperResolutionError
            It cannot be started; then ``on_end`` is not called.
        """
        self.source, self._task = source, task
        self._on_progress, self._on_end, self._runner = on_progress, on_end, runner
        self._keeps_process = keeps_process
        self.is_running = True
        self._begin()
        self._timer = Repeated(_INTERVAL_MS, self._poll)

    @property
    def stage(self) -> str:
        """Name of the engine's present stage; empty before the first."""
        return self._runner.stage

    def cancel(self) -> None:
        """End the process now. The scene stays as it was."""
        if self.is_running:
            self.abandon()
            self._on_end(None, Cancelled())

    def abandon(self) -> None:
        """End the process now, without calling ``on_end``: because the panel is closed."""
        self._stop()

    def _stop(self, *, keeps_process: bool = False) -> None:
        self.is_running = False
        self._timer.stop()
        if not keeps_process:
            self._runner.close()

    def _begin(self) -> None:
        self._started = time.monotonic()
        self._task.begin(self._runner)

    def _poll(self) -> None:
        node, failure = None, None
        try:
            self._task.check_present()
            result = self._runner.poll()
            if result is not None:
                node = self._take(result)
            if node is None:
                self._on_progress(*self._task.step(*self._runner.progress))
                return
        except Exception as problem:  # a timer has no caller to raise to: the callback gets it, whatever it is
            failure = problem
        self._stop(keeps_process=self._keeps_process and failure is None)
        self._on_end(node, failure)

    def _take(self, result: Any) -> vtkMRMLScalarVolumeNode | None:  # noqa: ANN401
        """Hand the result of a command to the task; start the next command, if there is one."""
        self._task.learn(result, time.monotonic() - self._started)
        node = self._task.take(result)
        if node is None:
            self._begin()
        return node


class EnhanceTask:
    """A `tasks.VolumeTask` or `tasks.SequenceTask` with its settings."""

    def __init__(
        self,
        node: vtkMRMLScalarVolumeNode,
        settings: EnhanceSettings,
        output_node: vtkMRMLScalarVolumeNode | None = None,
        roi: vtkMRMLMarkupsROINode | None = None,
    ) -> None:
        """See `tasks.task_of` and `tasks.check` for the errors."""
        self._task, self._settings = tasks.task_of(node, output_node, roi), settings
        tasks.check(self._task, settings)
        self.check_present, self.step, self.take = self._task.check_present, self._task.step, self._task.take

    def begin(self, runner: Runner) -> None:
        """Enhance the next volume."""
        self.check_present()
        self._volume, self._starts_process = self._task.volume(), not runner.has_process
        runner.start(self._volume, self._settings, profile_of=self._task.profile_of)

    def learn(self, result: Enhanced, seconds: float) -> None:
        """Record the duration."""
        start_seconds = seconds - result.report.seconds if self._starts_process else None
        RunTimes(qt.QSettings()).learn(self._volume, self._settings, result.report.seconds, start_seconds)
