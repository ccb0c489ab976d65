"""Enhancing a volume of the scene: a forecast, and the engine in this process."""

from dataclasses import dataclass

import qt
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode

from medical_super_resolution.inference.cost import estimate
from medical_super_resolution.inference.planning import plan
from medical_super_resolution.progress import Progress
from medical_super_resolution.report import Report
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.volume import Enhanced, Volume
from MedicalSuperResolutionLib import messages
from MedicalSuperResolutionLib.engine import tasks
from MedicalSuperResolutionLib.engine.run_times import RunTimes
from MedicalSuperResolutionLib.scene import nodes as scene
from MedicalSuperResolutionLib.scene.cautions import cautions
from MedicalSuperResolutionLib.setup.models import check_factor, check_installed
from MedicalSuperResolutionLib.translation import tr as _


@dataclass(frozen=True)
class Outlook:
    """Forecast of an enhancement: size, time, and cautions."""

    description: str
    cautions: list[str]


def outlook(
    node: vtkMRMLScalarVolumeNode | None,
    settings: EnhanceSettings,
    output_node: vtkMRMLScalarVolumeNode | None = None,
    roi: vtkMRMLMarkupsROINode | None = None,
) -> Outlook:
    """Forecast an enhancement; nothing is computed.

    Raises
    ------
    SuperResolutionError
        It would be refused, for the reason in the message.
    """
    volume = scene.volume_from_node(node, roi)
    task = tasks.task_of(node, output_node, roi)
    tasks.check(task, settings)
    check_installed(settings.model)
    planned = plan(volume.grid, settings)
    check_factor(settings.model, planned)
    cost = estimate(planned, volume.array.dtype.itemsize, settings)
    line = _("{before} becomes {after}, {size}").format(
        before=messages.grid(planned.source),
        after=messages.grid(planned.target),
        size=messages.size(task.count * cost.output_mb),
    )
    if task.count > 1:
        line = _("{count} volumes of a sequence, each {line} in all").format(count=task.count, line=line)
    seconds = RunTimes(qt.QSettings()).seconds(volume, settings, task.count)
    if seconds is not None:
        line = messages.with_time(line, seconds)
    return Outlook(line, cautions(node, volume, planned, output_node))


def engine_here(progress: Progress) -> tasks.Engine:
    """The engine in this process, which must have torch."""

    def enhance(volume: Volume, settings: EnhanceSettings, *, profile_of: Report | None) -> Enhanced:
        from medical_super_resolution.inference import enhance as inference
        from medical_super_resolution.inference.reporting import reported_profile
        from medical_super_resolution.models.weight_interpolation import load_model

        model = load_model(settings.model, settings.detail)
        profile = reported_profile(profile_of, volume.grid)
        return inference.enhance(volume, model, settings, progress, profile=profile)

    return enhance
