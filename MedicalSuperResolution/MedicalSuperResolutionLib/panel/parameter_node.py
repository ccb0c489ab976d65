"""Everything a user can choose in the panel, stored in the scene, and what it asks of the engine."""

from dataclasses import replace
from typing import Annotated

import qt
import slicer
from slicer import (
    vtkMRMLMarkupsROINode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLScriptedModuleNode,
    vtkMRMLSegmentationNode,
)
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from medical_super_resolution.errors import SettingsError
from medical_super_resolution.settings import BEST, LARGEST_FACTOR, STANDARD, EnhanceSettings, with_own_factor
from MedicalSuperResolutionLib.panel.choices import Arrangement, Device, Goal, Overlay, Plane, Profile, forget_unknown
from MedicalSuperResolutionLib.scene import nodes as scene
from MedicalSuperResolutionLib.scene import provenance
from MedicalSuperResolutionLib.setup.models import own_factors, why_no_detail
from MedicalSuperResolutionLib.translation import tr as _

_PRESETS = {
    Goal.ISOTROPIC: {},
    Goal.THIN_SLICES_2: {"factor": 2.0, "axes": "through-plane"},
    Goal.THIN_SLICES_4: {"factor": 4.0, "axes": "through-plane"},
    Goal.IN_PLANE_2: {"factor": 2.0, "axes": "in-plane"},
}

_REMEMBERED_KEY = "MedicalSuperResolution/Comparison/"  # in the settings of the application
_REMEMBERED = {"arrangement": Arrangement, "plane": Plane}


@parameterNodeWrapper
class MedicalSuperResolutionParameterNode:
    """The choices of the panel.

    Parameters
    ----------
    inputVolume
        The volume to enhance.
    outputVolume
        The volume to write to; None makes a new one.
    region
        Enhance only what it touches; None takes the whole volume.
    segmentation
        Brought onto the grid of the result, too; None for none.
    goal
        What to reach.
    factor
        For the goal CUSTOM_FACTOR.
    spacingI, spacingJ, spacingK
        Target spacing in mm for the goal CUSTOM_SPACING, along the index axes of the volume; 0 keeps an axis as
        it is.
    sliceThickness
        Tissue in one slice, in mm; 0 takes that of the volume.
    profile
        Shape of the slice profile.
    model
        An installed model's name, or the path of a model file.
    detail
        How far the model goes towards its detail model; 0 is fidelity. Without a detail model it has no effect.
    keepMeasuredData
        Make the result reproduce the measured slices.
    uncertainty
        Also make a volume with the uncertainty of the result.
    bestQuality
        Take the mean over mirror images of the scan.
    device, threads
        Where to compute; 0 threads are all.
    compareVolume
        What to compare the input with, until another is chosen; None means what was made of it.
    arrangement, plane
        Arrangement and plane of the comparison's views.
    crosshair
        Whether they mark the same place.
    overlay
        What the comparison lays over after, in its views.
    overlayShare
        How much of it, in percent.
    exportVolume
        What to export to DICOM; None means the `present_result`.
    resultVolume
        What the latest run made; no widget shows it.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    outputVolume: vtkMRMLScalarVolumeNode
    region: vtkMRMLMarkupsROINode
    segmentation: vtkMRMLSegmentationNode
    goal: Goal = Goal.ISOTROPIC
    factor: Annotated[float, WithinRange(1.1, LARGEST_FACTOR)] = 3.0
    spacingI: Annotated[float, WithinRange(0, 50)] = 0.0
    spacingJ: Annotated[float, WithinRange(0, 50)] = 0.0
    spacingK: Annotated[float, WithinRange(0, 50)] = 0.0
    sliceThickness: Annotated[float, WithinRange(0, 50)] = 0.0
    profile: Profile = Profile.AUTO
    model: str = "general"
    detail: Annotated[float, WithinRange(0, 1)] = 0.0
    keepMeasuredData: bool = True
    uncertainty: bool = False
    bestQuality: bool = False
    device: Device = Device.AUTO
    threads: Annotated[int, WithinRange(0, 256)] = 0
    compareVolume: vtkMRMLScalarVolumeNode
    arrangement: Arrangement = Arrangement.ROW
    plane: Plane = Plane.REVEALING
    crosshair: bool = False
    overlay: Overlay = Overlay.NOTHING
    overlayShare: Annotated[int, WithinRange(0, 100)] = 50
    exportVolume: vtkMRMLScalarVolumeNode
    resultVolume: vtkMRMLScalarVolumeNode

    def choose_input(self) -> None:
        """Take the volume on the screen, or else the first in the scene, where none is chosen; results come last."""
        if not self.inputVolume:
            self.inputVolume = _volume_on_screen()

    def change_input(self, volume: vtkMRMLScalarVolumeNode) -> None:
        """Choose an input volume, and no longer what was chosen for another."""
        if volume is not self.inputVolume:
            self.inputVolume, self.outputVolume, self.compareVolume = volume, None, None
            self.region, self.segmentation = None, None

    def settings(self, volume: vtkMRMLScalarVolumeNode | None = None) -> EnhanceSettings:
        """The settings of the engine for these choices and a volume; None is the input volume.

        Raises
        ------
        SettingsError, VolumeError
            A choice has no meaning; or a spacing is kept as it is in a volume that cannot be read.
        """
        settings = EnhanceSettings(
            **self._refinement(volume or self.inputVolume),
            slice_thickness_mm=self.sliceThickness or None,
            slice_profile=self.profile.value,
            model=self.model,
            detail=0.0 if why_no_detail(self.model) else self.detail,
            consistency=self.keepMeasuredData,
            uncertainty=self.uncertainty,
            quality=BEST if self.bestQuality else STANDARD,
            device=self.device.value,
            threads=self.threads or None,
        )
        return with_own_factor(settings, own_factors(self.model))

    def engine_settings(self) -> EnhanceSettings:
        """Model, device and threads alone, for a test run on another volume."""
        return EnhanceSettings(model=self.model, device=self.device.value, threads=self.threads or None)

    def fusion_settings(self) -> EnhanceSettings:
        """The settings for a fusion of several volumes."""
        thickness = self.sliceThickness or None
        return replace(self.engine_settings(), slice_thickness_mm=thickness, uncertainty=self.uncertainty)

    def fusion_spacing_mm(self) -> float | None:
        """The spacing that a fused volume is to have; None takes the finest of its stacks."""
        wanted = [one for one in (self.spacingI, self.spacingJ, self.spacingK) if one]
        return min(wanted) if wanted and self.goal is Goal.CUSTOM_SPACING else None

    def _refinement(self, volume: vtkMRMLScalarVolumeNode | None) -> dict:
        if self.goal in _PRESETS:
            return _PRESETS[self.goal]
        if self.goal is Goal.CUSTOM_FACTOR:
            return {"factor": self.factor}
        wanted = (self.spacingI, self.spacingJ, self.spacingK)
        if not any(wanted):
            raise SettingsError(_("Enter a spacing."))
        present = scene.straight_grid_of(volume).spacing_ijk_mm
        return {"spacing_ijk_mm": tuple(new or old for new, old in zip(wanted, present, strict=True))}

    def pair_to_compare(self) -> tuple[vtkMRMLScalarVolumeNode, vtkMRMLScalarVolumeNode] | None:
        """The input and what to compare it with: the chosen volume, or else the `present_result`; None without one."""
        before, after = self.inputVolume, self.compareVolume or self.present_result()
        if before is None or after is None or after is before:
            return None
        return None if after.GetScene() is None or after.GetImageData() is None else (before, after)

    def present_result(self) -> vtkMRMLScalarVolumeNode | None:
        """What was made of the input, alone or with other stacks: by the latest run, or else last; None for nothing.

        A copy of a result, which shares its note, is no result: deleting it would take the note along.
        """
        made: dict = {}  # the first volume of each note
        for volume in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
            if self.inputVolume in provenance.sources_of(volume):
                made.setdefault(provenance.note_of(volume) or volume, volume)
        found = list(made.values())
        return self.resultVolume if self.resultVolume in found else next(reversed(found), None)


def choices_in(node: vtkMRMLScriptedModuleNode) -> MedicalSuperResolutionParameterNode:
    """The choices that a node of the scene holds; those of a new scene begin with what is remembered."""
    is_new = node.GetParameterCount() == 0
    forget_unknown(node, MedicalSuperResolutionParameterNode)
    chosen = MedicalSuperResolutionParameterNode(node)
    if is_new:
        _recall(chosen)
    return chosen


def remember(chosen: MedicalSuperResolutionParameterNode) -> None:
    """Keep the arrangement of the comparison in the settings of the application, for new scenes."""
    settings = qt.QSettings()
    for name in _REMEMBERED:
        settings.setValue(_REMEMBERED_KEY + name, getattr(chosen, name).name)
    settings.setValue(_REMEMBERED_KEY + "crosshair", "yes" if chosen.crosshair else "no")


def _recall(chosen: MedicalSuperResolutionParameterNode) -> None:
    """Take the arrangement that was kept; an unknown name changes nothing."""
    settings = qt.QSettings()
    for name, kind in _REMEMBERED.items():
        known = settings.value(_REMEMBERED_KEY + name, "")
        if known in kind.__members__:
            setattr(chosen, name, kind[known])
    chosen.crosshair = settings.value(_REMEMBERED_KEY + "crosshair", "no") == "yes"


def _volume_on_screen() -> vtkMRMLScalarVolumeNode | None:
    """The volume that a slice view shows, or else the first in the scene; label maps and colors do not count.

    A result, which is fine already, is taken only where there is nothing else.
    """
    logics = slicer.app.applicationLogic().GetSliceLogics()
    count = logics.GetNumberOfItems() if logics is not None else 0  # None: Slicer runs without its main window
    composites = [logics.GetItemAsObject(index).GetSliceCompositeNode() for index in range(count)]
    shown = [slicer.mrmlScene.GetNodeByID(one.GetBackgroundVolumeID() or "") for one in composites if one is not None]
    volumes = [*filter(None, shown), *slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
    plain = [one for one in volumes if one.GetClassName() == "vtkMRMLScalarVolumeNode" and not one.GetHideFromEditors()]
    return min(plain, key=provenance.was_made_here, default=None)
