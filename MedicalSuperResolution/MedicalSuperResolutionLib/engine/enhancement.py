"""Enhancing a volume of the scene: what it would do, and doing it here or while the user works on."""

from collections.abc import Callable

import qt
import slicer
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _

from medical_super_resolution.errors import Cancelled, SettingsError
from medical_super_resolution.progress import Progress
from medical_super_resolution.report import Enhanced
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.volume import Volume
from MedicalSuperResolutionLib.engine import tasks
from MedicalSuperResolutionLib.engine.runner import Runner
from MedicalSuperResolutionLib.panel import messages as feedback
from MedicalSuperResolutionLib.panel.sections.model import check_installed
from MedicalSuperResolutionLib.scene import nodes as scene

_INTERVAL_MS = 100

Engine = Callable[[Volume, EnhanceSettings], Enhanced]

OnEnd = Callable[[vtkMRMLScalarVolumeNode | None, Exception | None], None]
"""Called once: with the node that holds the result, or with what went wrong (`Cancelled` where the user stopped it)."""


def describe(
    node: vtkMRMLScalarVolumeNode | None,
    settings: EnhanceSettings,
    output_node: vtkMRMLScalarVolumeNode | None = None,
    roi: vtkMRMLMarkupsROINode | None = None,
) -> str:
    """One line: what enhancing would make of the volume, how large, and how long it would take.

    Raises
    ------
    SuperResolutionError : it would be refused; the message says why.
    """
    from medical_super_resolution.inference.planning import estimate, plan

    volume = scene.volume_from_node(node, roi)
    if output_node is node:
        raise SettingsError(_("Input and output are the same volume; choose another output volume."))
    task = tasks.task_of(node, output_node, roi)
    tasks.check(task, settings)
    count = task.count
    check_installed(settings.model)
    planned = plan(volume.grid, settings)
    cost = estimate(planned, volume.array.dtype.itemsize, settings)
    line = _("{what}, {size}").format(what=planned.description, size=feedback.size(count * cost.output_mb))
    if count > 1:
        line = _("{count} volumes of a sequence, each {line} in all").format(count=count, line=line)
    if settings.device in ("cuda", "mps"):  # nobody has measured this graphics card
        return line
    return _("{line}, about {time} on the processor of this computer").format(
        line=line, time=feedback.duration(count * cost.cpu_seconds)
    )


def engine_here(progress: Progress) -> Engine:
    """The engine in this process, which needs torch in it."""

    def enhance(volume: Volume, settings: EnhanceSettings) -> Enhanced:
        from medical_super_resolution.inference import enhance as inference
        from medical_super_resolution.models import file as models
        from medical_super_resolution.models import weight_interpolation as sharpness

        model = sharpness.load(models.find(settings.model), settings.sharpness)
        return inference.enhance(volume, model, settings, progress)

    return enhance


def engine_in_child(runner: Runner, progress: Progress) -> Engine:
    """The engine in a child process that is waited for, while the application goes on drawing."""

    def hear(done: int, total: int) -> None:
        slicer.app.processEvents()
        progress(done, total)

    return lambda volume, settings: runner.run(volume, settings, hear)


class BackgroundEnhancement:
    """One run of the engine in a child process, looked after by a timer, so that Slicer stays alive."""

    def __init__(
        self,
        node: vtkMRMLScalarVolumeNode,
        settings: EnhanceSettings,
        *,
        output_node: vtkMRMLScalarVolumeNode | None,
        roi: vtkMRMLMarkupsROINode | None,
        on_progress: Callable[[int, int], None],
        on_end: OnEnd,
        runner: Runner,
    ) -> None:
        """Start it.

        Raises
        ------
        SuperResolutionError : it cannot be started; then ``on_end`` is not called.
        """
        self.source, self._settings = node, settings
        self._task = tasks.task_of(node, output_node, roi)
        tasks.check(self._task, settings)
        self._on_progress, self._on_end, self._runner = on_progress, on_end, runner
        self.is_running = True  # until ``on_end`` is called
        runner.start(self._task.volume(), settings)
        qt.QTimer.singleShot(_INTERVAL_MS, self._look)

    def cancel(self) -> None:
        """End the child process now. The scene stays as it was."""
        if self.is_running:
            self.abandon()
            self._on_end(None, Cancelled())

    def abandon(self) -> None:
        """End the child process now, and let nobody hear of it: for when the panel itself goes away."""
        self.is_running = False
        self._runner.cancel()

    def _look(self) -> None:
        if not self.is_running:
            return
        node, failure = None, None
        try:
            enhanced = self._runner.poll()
            if enhanced is not None:
                node = self._task.take(enhanced)
            if node is None:
                self._go_on(start_next=enhanced is not None)
                return
        except Exception as problem:  # a timer has nobody to raise to: the caller hears of it, whatever it is
            failure = problem
        self.abandon()
        self._on_end(node, failure)

    def _go_on(self, *, start_next: bool) -> None:
        if start_next:
            self._runner.start(self._task.volume(), self._settings)
        self._on_progress(*self._task.step(*self._runner.progress))
        qt.QTimer.singleShot(_INTERVAL_MS, self._look)
