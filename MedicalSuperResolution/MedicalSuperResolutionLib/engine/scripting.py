"""The scripting interface of the module."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import slicer
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode, vtkMRMLVolumeNode
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from medical_super_resolution.errors import Cancelled, SettingsError, VolumeError
from medical_super_resolution.progress import Progress, ignore
from medical_super_resolution.settings import EnhanceSettings, check_modality
from MedicalSuperResolutionLib import messages
from MedicalSuperResolutionLib.engine import enhancement, tasks
from MedicalSuperResolutionLib.engine.background import BackgroundRun, EnhanceTask, OnEnd
from MedicalSuperResolutionLib.engine.fusion import FusionTask
from MedicalSuperResolutionLib.process.runner import Runner
from MedicalSuperResolutionLib.scene import dicom_export, dicom_source, kinds, segmentation
from MedicalSuperResolutionLib.setup import torch as torch_setup
from MedicalSuperResolutionLib.translation import tr as _


class Scripting(ScriptedLoadableModuleLogic):
    """Enhancing without the panel.

    What cannot be done raises a medical_super_resolution.errors.SuperResolutionError, whose sentence says why.
    """

    def makeRunner(self) -> Runner:
        """Create the runner of the engine's child process; each task gets its own."""
        raise NotImplementedError

    def enhance(
        self,
        volumeNode: vtkMRMLScalarVolumeNode,
        factor: float | None = None,
        *,
        spacing: Sequence[float] | None = None,
        outputVolume: vtkMRMLScalarVolumeNode | None = None,
        roi: vtkMRMLMarkupsROINode | None = None,
        modality: str | None = None,
        progress: Progress = ignore,
        wait: bool = True,
        in_process: bool = False,
        **settings: Any,  # noqa: ANN401 - whatever EnhanceSettings takes
    ) -> vtkMRMLScalarVolumeNode | BackgroundRun:
        """Enhance a volume node and return the node of the result: a new one, or outputVolume.

        Of a volume that shows an item of a sequence, all items are enhanced, into a new sequence of the same browser.

        Without factor and spacing (three numbers along i, j and k, in mm) slices become as thin as pixels are wide.
        Further settings, such as axes or model, are those of medical_super_resolution.settings.EnhanceSettings. With
        uncertainty=True a second volume holds the uncertainty of the result:
        MedicalSuperResolutionLib.scene.uncertainty_node.map_of(result).

        With roi, a vtkMRMLMarkupsROINode, only the voxels that it touches are enhanced.

        modality, "ct", "mr", "pet" or "us", is stated for the volume in the scene, as in the panel. Without it, that of
        DICOM or an earlier statement counts, or else the values decide.

        The engine runs in a child process, or with in_process=True in this one. progress(done, total) is called as it
        proceeds, and may raise medical_super_resolution.errors.Cancelled. With wait=False the call returns at once what
        start() returns; the result is in the scene when its is_running has become False.
        """
        chosen = EnhanceSettings(
            factor=_plain(factor),
            spacing_ijk_mm=tuple(map(_plain, spacing)) if isinstance(spacing, Iterable) else spacing,
            **{name: _plain(value) for name, value in settings.items()},
        )
        if in_process and not wait:
            raise SettingsError(_("in_process=True computes in Slicer itself and has to be waited for; leave out one"))
        check_modality(modality)
        _check_nodes(volumeNode, outputVolume, roi)
        if modality is not None:
            dicom_source.state_modality(volumeNode, modality)
        if not wait:
            return self.start(volumeNode, chosen, outputVolume=outputVolume, roi=roi, onProgress=progress)
        torch_setup.ensure_engine()
        task = tasks.task_of(volumeNode, outputVolume, roi)
        runner = self.makeRunner()

        def report(done: int, total: int) -> None:
            progress(*task.step(done, total))

        in_child = partial(runner.run, progress=_responsive(report))
        try:
            return tasks.run(task, chosen, enhancement.engine_here(report) if in_process else in_child)
        finally:
            runner.close()

    def start(
        self,
        volumeNode: vtkMRMLScalarVolumeNode,
        settings: EnhanceSettings,
        *,
        outputVolume: vtkMRMLScalarVolumeNode | None = None,
        roi: vtkMRMLMarkupsROINode | None = None,
        onProgress: Progress = ignore,
        onEnd: OnEnd = messages.log_end,
    ) -> BackgroundRun:
        """Start an enhancement in a child process and return at once: see BackgroundRun."""
        torch_setup.ensure_engine()
        _check_nodes(volumeNode, outputVolume, roi)
        task = EnhanceTask(volumeNode, settings, outputVolume, roi)
        return BackgroundRun(volumeNode, task, on_progress=onProgress, on_end=onEnd, runner=self.makeRunner())

    def fuse(
        self,
        volumeNodes: Iterable[vtkMRMLScalarVolumeNode],
        spacing: float | None = None,
        *,
        progress: Progress = ignore,
        **settings: Any,  # noqa: ANN401 - whatever EnhanceSettings takes
    ) -> vtkMRMLScalarVolumeNode:
        """Fuse thick stacks of one contrast and one session into a new volume with cubic voxels, and return its node.

        spacing, in mm, is that of the result; without it, it is the finest of the stacks. Of the settings of enhance,
        model, slice_thickness_mm, uncertainty, device and threads count. With uncertainty=True a second volume
        holds how far the stacks contradict each other.
        """
        torch_setup.ensure_engine()
        stacks = _stacks(volumeNodes)
        chosen = EnhanceSettings(**{name: _plain(value) for name, value in settings.items()})
        task = FusionTask(stacks, chosen, _plain(spacing))
        runner = self.makeRunner()
        try:
            return task.take(runner.run_exchange(task.exchange, _responsive(progress)))
        finally:
            runner.close()

    def startFusion(
        self,
        volumeNodes: Iterable[vtkMRMLScalarVolumeNode],
        settings: EnhanceSettings,
        spacing: float | None = None,
        *,
        onProgress: Progress = ignore,
        onEnd: OnEnd = messages.log_end,
    ) -> BackgroundRun:
        """Start to fuse in a child process and return at once: see BackgroundRun."""
        torch_setup.ensure_engine()
        stacks = _stacks(volumeNodes)
        task = FusionTask(stacks, settings, _plain(spacing))
        return BackgroundRun(stacks[0], task, on_progress=onProgress, on_end=onEnd, runner=self.makeRunner())

    def refine_segmentation(
        self,
        segmentationNode: vtkMRMLSegmentationNode,
        volumeNode: vtkMRMLScalarVolumeNode,
        resultNode: vtkMRMLScalarVolumeNode,
    ) -> vtkMRMLSegmentationNode:
        """Refine a segmentation of a volume onto the grid of its result, as a new segmentation of the same segments."""
        kinds.check_kind(vtkMRMLSegmentationNode, segmentationNode)
        kinds.check_kind(vtkMRMLVolumeNode, volumeNode, resultNode)

        def keep_responsive(done: int, total: int) -> None:
            slicer.app.processEvents()
            gone = [node for node in nodes if node.GetScene() is None]
            if len(gone) == len(nodes):
                raise Cancelled  # the scene was closed
            if gone:
                message = _("{name} was removed meanwhile; the segmentation was not refined")
                raise VolumeError(message.format(name=gone[0].GetName()))

        nodes = (segmentationNode, volumeNode, resultNode)
        return segmentation.refine(*nodes, keep_responsive)

    def export_dicom(
        self, volumeNode: vtkMRMLScalarVolumeNode, folder: str | Path, *, addToDatabase: bool = False
    ) -> tuple[str, ...]:
        """Write a result as a DICOM series into a new or empty folder, and return the warnings.

        The volume that was enhanced must have been loaded from Slicer's DICOM database; patient and study come from
        there. addToDatabase puts the series there, too.
        """
        kinds.check_kind(vtkMRMLVolumeNode, volumeNode)
        if addToDatabase:
            dicom_export.check_database()
        report = dicom_export.export(volumeNode, Path(folder))
        if addToDatabase:
            dicom_export.add_to_database(Path(folder))
        return report.warnings


def _responsive(progress: Progress) -> Progress:
    """Keep the application responsive while a child process is waited for."""

    def report(done: int, total: int) -> None:
        slicer.app.processEvents()
        progress(done, total)

    return report


def _check_nodes(volume: object, output: object, roi: object) -> None:
    kinds.check_kind(vtkMRMLVolumeNode, volume, *([] if output is None else [output]))
    kinds.check_kind(vtkMRMLMarkupsROINode, *([] if roi is None else [roi]))


def _stacks(volumes: object) -> list[vtkMRMLScalarVolumeNode]:
    nodes = list(volumes) if isinstance(volumes, Iterable) else [volumes]
    kinds.check_kind(vtkMRMLVolumeNode, *nodes)
    return nodes


def _plain(value: Any) -> Any:  # noqa: ANN401
    """A number of numpy as one of Python, which a command line and a note can hold; an array as a list."""
    return value.tolist() if hasattr(value, "tolist") else value
