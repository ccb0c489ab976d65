"""Enhancing a volume of the scene: what it would do, and doing it here or while the user works on."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import qt
import slicer
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _

from medical_super_resolution.errors import Cancelled, SettingsError
from medical_super_resolution.inference.planning import estimate, plan
from medical_super_resolution.progress import Progress
from medical_super_resolution.report import Enhanced
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.volume import Volume
from MedicalSuperResolutionLib.engine import tasks
from MedicalSuperResolutionLib.engine.experience import Experience
from MedicalSuperResolutionLib.engine.runner import Runner
from MedicalSuperResolutionLib.panel import messages
from MedicalSuperResolutionLib.panel.sections.model import check_installed
from MedicalSuperResolutionLib.scene import nodes as scene
from MedicalSuperResolutionLib.scene.cautions import cautions

_INTERVAL_MS = 100

Engine = Callable[[Volume, EnhanceSettings], Enhanced]

OnEnd = Callable[[vtkMRMLScalarVolumeNode | None, Exception | None], None]
"""Called once: with the node that holds the result, or with what went wrong (`Cancelled` where the user stopped it)."""


@dataclass(frozen=True)
class Outlook:
    """What enhancing would make of a volume, how large, and how long it would take; and what to know before."""

    description: str
    cautions: list[str]


def outlook(
    node: vtkMRMLScalarVolumeNode | None,
    settings: EnhanceSettings,
    output_node: vtkMRMLScalarVolumeNode | None = None,
    roi: vtkMRMLMarkupsROINode | None = None,
) -> Outlook:
    """See `Outlook`; nothing is computed.

    Raises
    ------
    SuperResolutionError
        It would be refused; the message says why.
    """
    volume = scene.volume_from_node(node, roi)
    if output_node is node:
        raise SettingsError(_("Input and output are the same volume; choose another output volume."))
    task = tasks.task_of(node, output_node, roi)
    tasks.check(task, settings)
    check_installed(settings.model)
    planned = plan(volume.grid, settings)
    cost = estimate(planned, volume.array.dtype.itemsize, settings)
    line = _("{what}, {size}").format(what=planned.description, size=messages.size(task.count * cost.output_mb))
    if task.count > 1:
        line = _("{count} volumes of a sequence, each {line} in all").format(count=task.count, line=line)
    seconds = Experience(qt.QSettings()).seconds(volume, settings, task.count)
    if seconds is not None:
        line = _("{line}, about {time}").format(line=line, time=messages.duration(seconds))
    return Outlook(line, cautions(node, volume, planned))


def engine_here(progress: Progress) -> Engine:
    """The engine in this process, which needs torch in it."""

    def enhance(volume: Volume, settings: EnhanceSettings) -> Enhanced:
        from medical_super_resolution.inference import enhance as inference
        from medical_super_resolution.models import file as models
        from medical_super_resolution.models import weight_interpolation as detail

        model = detail.load(models.find(settings.model), settings.detail)
        return inference.enhance(volume, model, settings, progress)

    return enhance


def engine_in_child(runner: Runner, progress: Progress) -> Engine:
    """The engine in a child process that is waited for, while the application goes on drawing."""

    def hear(done: int, total: int) -> None:
        slicer.app.processEvents()
        progress(done, total)

    return lambda volume, settings: runner.run(volume, settings, hear)


class BackgroundEnhancement:
    """One run of the engine in its own process, looked after by a timer, so that Slicer stays alive.

    Parameters
    ----------
    source
        The volume node that is enhanced.
    is_running
        Until ``on_end`` is called.
    """

    def __init__(
        self,
        node: vtkMRMLScalarVolumeNode,
        settings: EnhanceSettings,
        *,
        output_node: vtkMRMLScalarVolumeNode | None = None,
        roi: vtkMRMLMarkupsROINode | None = None,
        on_progress: Progress,
        on_end: OnEnd,
        runner: Runner,
        keeps_process: bool = False,
    ) -> None:
        """Start it. ``keeps_process`` : leave the process of the runner alive at a good end, for the next run.

        Raises
        ------
        SuperResolutionError
            It cannot be started; then ``on_end`` is not called.
        """
        self.source, self._settings = node, settings
        self._task = tasks.task_of(node, output_node, roi)
        tasks.check(self._task, settings)
        self._on_progress, self._on_end, self._runner = on_progress, on_end, runner
        self._keeps_process = keeps_process
        self.is_running = True
        self._start_next()
        qt.QTimer.singleShot(_INTERVAL_MS, self._look)

    def cancel(self) -> None:
        """End the process now. The scene stays as it was."""
        if self.is_running:
            self.abandon()
            self._on_end(None, Cancelled())

    def abandon(self) -> None:
        """End the process now, without calling ``on_end``: for when the panel itself goes away."""
        self.is_running = False
        self._runner.close()

    def _start_next(self) -> None:
        self._volume, self._started = self._task.volume(), time.monotonic()
        self._runner.start(self._volume, self._settings)

    def _look(self) -> None:
        if not self.is_running:
            return
        node, failure = None, None
        try:
            self._task.check_present()
            enhanced = self._runner.poll()
            if enhanced is not None:
                node = self._take(enhanced)
            if node is None:
                self._on_progress(*self._task.step(*self._runner.progress))
                qt.QTimer.singleShot(_INTERVAL_MS, self._look)
                return
        except Exception as problem:  # a timer has no caller to raise to: the callback gets it, whatever it is
            failure = problem
        self.is_running = False
        if failure is not None or not self._keeps_process:
            self._runner.close()
        self._on_end(node, failure)

    def _take(self, enhanced: Enhanced) -> vtkMRMLScalarVolumeNode | None:
        """Put a result where it belongs; start the next volume of the task, if there is one."""
        seconds = enhanced.report.seconds
        start_seconds = max(time.monotonic() - self._started - seconds, 0.0)
        Experience(qt.QSettings()).learn(self._volume, self._settings, seconds, start_seconds)
        node = self._task.take(enhanced)
        if node is None:
            self._start_next()
        return node
