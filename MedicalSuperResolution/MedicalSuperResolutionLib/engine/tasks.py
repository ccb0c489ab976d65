"""The two tasks of an enhancement: one volume of the scene, or all items of a sequence, one after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import slicer

from medical_super_resolution.errors import SettingsError, VolumeError
from medical_super_resolution.report import Report
from medical_super_resolution.settings import EnhanceSettings
from medical_super_resolution.volumes.volume import Enhanced, Volume
from MedicalSuperResolutionLib.scene import dicom_source, kinds, provenance, region, uncertainty_node
from MedicalSuperResolutionLib.scene import nodes as scene
from MedicalSuperResolutionLib.translation import tr as _

_STEPS = 10_000  # for each item of a sequence, as the engine's steps differ between items


class Engine(Protocol):
    """Enhances a volume, here or in another process."""

    def __call__(self, volume: Volume, settings: EnhanceSettings, *, profile_of: Report | None) -> Enhanced:
        """``profile_of`` is the report of another item of its sequence, whose slice profile is this one's, too."""


class VolumeTask:
    """Enhancing one volume node into a new one, or into ``output_node``."""

    count = 1
    profile_of = None
    takes_uncertainty = True

    def __init__(
        self,
        node: slicer.vtkMRMLScalarVolumeNode,
        output_node: slicer.vtkMRMLScalarVolumeNode | None = None,
        roi: slicer.vtkMRMLMarkupsROINode | None = None,
    ) -> None:
        """Prepare the task; nothing is started.

        Raises
        ------
        VolumeError
            The output node cannot take the result.
        """
        if output_node is not None:
            kinds.check_output(output_node, node)
        self._node, self._output_node, self._roi = node, output_node, roi

    def volume(self) -> Volume:
        """The next volume to enhance; see `scene.volume_from_node`."""
        self._moves = region.Moves(self._node)
        volume = scene.volume_from_node(self._node)
        return volume if self._roi is None else region.part_to_enhance(volume, region.box_over(self._node, self._roi))

    def check_present(self) -> None:
        """Raise if the input was removed from the scene.

        Raises
        ------
        VolumeError
            See above.
        """
        if self._node.GetScene() is None:
            raise VolumeError(
                _("the volume {name} was removed meanwhile; nothing was made").format(name=self._node.GetName())
            )

    def step(self, done: int, total: int) -> tuple[int, int]:
        """Progress of the whole task, from the progress of the present volume."""
        return done, total

    def take(self, enhanced: Enhanced) -> slicer.vtkMRMLScalarVolumeNode | None:
        """Take a result of the engine. Returns the node of the task's result, or None while volumes are left."""
        return uncertainty_node.write(self._moves.applied_to(enhanced), self._node, self._output_node)


class SequenceTask:
    """Enhancing all items of a sequence into a new sequence with the same index, played by the same browser.

    Nothing is added to the scene before the last item is done. If inputs are removed meanwhile, an error names them.

    Attributes
    ----------
    profile_of
        Report of the item whose slice profile was estimated first: it is that of all further ones, which would differ
        in sharpness otherwise. None before.
    """

    takes_uncertainty = False

    def __init__(
        self,
        proxy: slicer.vtkMRMLScalarVolumeNode,
        browser: slicer.vtkMRMLSequenceBrowserNode,
        roi: slicer.vtkMRMLMarkupsROINode | None = None,
    ) -> None:
        """``proxy`` is the volume that shows the sequence's present item in the scene of ``browser``.

        Raises
        ------
        VolumeError
            See `region.box_over`.
        """
        self._proxy, self._browser = proxy, browser
        self._box = None if roi is None else region.box_over(proxy, roi)  # the same for all, though the user moves it
        self._sequence = browser.GetSequenceNode(proxy)
        self.count = self._sequence.GetNumberOfDataNodes()
        self._values = [self._sequence.GetNthIndexValue(number) for number in range(self.count)]
        self._moves: list[region.Moves] = []  # of the items that were read
        self._shown: Enhanced | None = None
        self.profile_of: Report | None = None
        self._result = slicer.vtkMRMLSequenceNode()  # of no scene yet
        self._result.SetIndexName(self._sequence.GetIndexName())
        self._result.SetIndexUnit(self._sequence.GetIndexUnit())
        self._result.SetIndexType(self._sequence.GetIndexType())
        self._result.SetNumericIndexValueTolerance(self._sequence.GetNumericIndexValueTolerance())

    def volume(self) -> Volume:
        """The next item."""
        self.check_present()
        item = self._item()
        self._moves.append(region.Moves(item, self._proxy))
        volume = scene.volume_from_node(item, shown_by=self._proxy)
        return self._of_modality(volume if self._box is None else region.part_to_enhance(volume, self._box))

    def _item(self) -> slicer.vtkMRMLScalarVolumeNode:
        item = self._sequence.GetDataNodeAtValue(self._values[self._done], True)
        if item is None:
            message = _("items of {name} were removed meanwhile; nothing was made")
            raise VolumeError(message.format(name=self._sequence.GetName()))
        return item

    def _of_modality(self, volume: Volume) -> Volume:
        """An item as an image of the modality of the first one: each for itself might be normalized unlike."""
        from medical_super_resolution.volumes.label_maps.detection import is_label_map

        if self.profile_of is None or volume.modality is not None or is_label_map(volume):
            return volume
        return replace(volume, modality=self.profile_of.modality)

    def step(self, done: int, total: int) -> tuple[int, int]:
        """Progress over all items."""
        return _STEPS * self._done + _STEPS * done // max(total, 1), _STEPS * self.count

    def take(self, enhanced: Enhanced) -> slicer.vtkMRMLScalarVolumeNode | None:
        """Take one item; after the last one, the sequence and the volume that shows it enter the scene."""
        self.check_present()
        if self.profile_of is None and enhanced.report.slice_profile_source == "estimated":
            self.profile_of = enhanced.report
        item = scene.draft(enhanced, self._proxy)
        provenance.name_images(item, self._item())  # the volume that shows it may show another one meanwhile
        item.SetName(scene.result_name(self._sequence.GetName(), enhanced.report))
        if self._shown is None or self._done == self._browser.GetSelectedItemNumber():
            self._shown = enhanced
        self._result.SetDataNodeAtValue(item, self._values[self._done])
        return self._finish() if self._done == self.count else None

    @property
    def _done(self) -> int:
        return self._result.GetNumberOfDataNodes()

    def _finish(self) -> slicer.vtkMRMLScalarVolumeNode:
        mrml = self._proxy.GetScene()
        name = scene.result_name(self._sequence.GetName(), self._shown.report)
        self._result.SetName(scene.free_name(mrml, name))
        provenance.sign(self._result, self._sequence)
        for value, moves in zip(self._values, self._moves, strict=True):  # of the item on the screen, with Save Changes
            move = moves.matrix()
            if move is not None:
                item = self._result.GetDataNodeAtValue(value, True)
                item.ApplyTransformMatrix(slicer.util.vtkMatrixFromArray(move))
        mrml.AddNode(self._result)
        try:
            node = scene.write_to_node(self._shown, self._proxy, name=self._result.GetName())
        except BaseException:
            mrml.RemoveNode(self._result)
            raise
        if dicom_source.is_in_hierarchy(self._sequence):
            dicom_source.place_beside(self._sequence, self._result)
        self._browser.AddProxyNode(node, self._result, False)  # from here on it shows the item that the browser shows
        return node

    def check_present(self) -> None:
        """See `VolumeTask.check_present`."""
        if any(node.GetScene() is None for node in (self._proxy, self._sequence, self._browser)):
            raise VolumeError(
                _("the sequence {name} was removed meanwhile; nothing was made").format(name=self._sequence.GetName())
            )


def task_of(
    node: slicer.vtkMRMLScalarVolumeNode,
    output_node: slicer.vtkMRMLScalarVolumeNode | None = None,
    roi: slicer.vtkMRMLMarkupsROINode | None = None,
) -> VolumeTask | SequenceTask:
    """The task for a node: its volume, or all items if it shows one item of a sequence.

    Raises
    ------
    VolumeError
        The output node cannot take the result; or see `region.box_over`.
    SettingsError
        An output volume for a sequence.
    """
    browser = kinds.browser_of(node)
    if browser is None or browser.GetSequenceNode(node).GetNumberOfDataNodes() == 0:
        return VolumeTask(node, output_node, roi)
    if output_node is not None:
        raise SettingsError(
            _("{name} is of a sequence, which becomes a new sequence; choose no output volume").format(
                name=node.GetName()
            )
        )
    return SequenceTask(node, browser, roi)


def check(task: VolumeTask | SequenceTask, settings: EnhanceSettings) -> None:
    """Refuse settings that the task does not support.

    Raises
    ------
    SettingsError
        An uncertainty map of a sequence.
    """
    if settings.uncertainty and not task.takes_uncertainty:
        raise SettingsError(_("an uncertainty map is made of a single volume only; ask for none of a sequence"))


def run(task: VolumeTask | SequenceTask, settings: EnhanceSettings, enhance: Engine) -> slicer.vtkMRMLScalarVolumeNode:
    """Carry out a task and wait for it.

    Parameters
    ----------
    enhance
        If it raises, the scene stays as it was.

    Returns
    -------
    The node that holds the result, or shows one item of it.
    """
    check(task, settings)
    node = None
    while node is None:
        node = task.take(enhance(task.volume(), settings, profile_of=task.profile_of))
    return node
