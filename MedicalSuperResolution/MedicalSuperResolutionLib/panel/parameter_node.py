"""Everything a user can choose in the panel, stored in the scene, and what it asks of the engine."""

from enum import Enum
from typing import Annotated

import slicer
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from medical_super_resolution.settings import LARGEST_FACTOR, EnhanceSettings
from MedicalSuperResolutionLib.panel.sections.model import why_not_sharper


class Goal(Enum):
    """What the user wants to reach. Scenes store the names: never rename one."""

    ISOTROPIC = 1
    THIN_SLICES_2 = 2
    THIN_SLICES_4 = 3
    IN_PLANE_2 = 4
    CUSTOM_FACTOR = 5
    CUSTOM_SPACING = 6

    def label(self) -> str:
        """The text in the panel (parameterNodeWrapper looks for a method of this name)."""
        return {
            Goal.ISOTROPIC: _("Isotropic"),
            Goal.THIN_SLICES_2: _("Thin slices x2"),
            Goal.THIN_SLICES_4: _("Thin slices x4"),
            Goal.IN_PLANE_2: _("In-plane x2"),
            Goal.CUSTOM_FACTOR: _("Thin slices, other factor"),
            Goal.CUSTOM_SPACING: _("Custom spacing"),
        }[self]


class Mix(Enum):
    """What lies over after in its view while comparing. Scenes store the names: never rename one."""

    NOTHING = 1
    WIPE = 2
    FADE = 3
    CHECKERBOARD = 4
    UNCERTAINTY = 5

    def label(self) -> str:
        """The text in the panel."""
        return {
            Mix.NOTHING: _("After alone"),
            Mix.WIPE: _("Wipe to before"),
            Mix.FADE: _("Fade to before"),
            Mix.CHECKERBOARD: _("Checkerboard with before"),
            Mix.UNCERTAINTY: _("Uncertainty in colors"),
        }[self]


class Device(Enum):
    """Where to compute. Scenes store the names: never rename one."""

    AUTO = "auto"
    CUDA = "cuda"
    MPS = "mps"
    CPU = "cpu"

    def label(self) -> str:
        """The text in the panel."""
        return {
            Device.AUTO: _("Automatic"),
            Device.CUDA: _("NVIDIA GPU (CUDA)"),
            Device.MPS: _("Apple GPU (MPS)"),
            Device.CPU: _("CPU"),
        }[self]


_PRESETS = {
    Goal.ISOTROPIC: {},
    Goal.THIN_SLICES_2: {"factor": 2.0, "axes": "through-plane"},
    Goal.THIN_SLICES_4: {"factor": 4.0, "axes": "through-plane"},
    Goal.IN_PLANE_2: {"factor": 2.0, "axes": "in-plane"},
}


@parameterNodeWrapper
class MedicalSuperResolutionParameterNode:
    """The choices of the panel.

    inputVolume : the volume to enhance. outputVolume : the volume to write to; None makes a new one.
    region : enhance only what it touches; None takes the whole volume.
    goal : what to reach. factor : for the goal CUSTOM_FACTOR. spacingI, spacingJ, spacingK : target spacing in mm for
        the goal CUSTOM_SPACING, along the index axes of the volume; 0 keeps an axis as it is.
    sliceThickness : tissue in one slice, in mm; 0 takes what the volume says.
    model : an installed model's name, or the path of a model file.
    sharpness : how far the model goes towards its sharp twin; 0 is fidelity. Without a twin it has no effect.
    keepMeasuredData : make the result reproduce the measured slices.
    uncertainty : also make a volume that tells how sure the result is.
    device, threads : where to compute; 0 threads are all.
    compareVolume : what to compare the input with; None means what was made of it.
    mix : what the comparison lays over after, in its view. mixShare : how much of it, in percent.
    exportVolume : what to export to DICOM; None means the latest result. addToDatabase : put it into Slicer's, too.
    resultVolume, resultSource : what the latest run made, and from which volume; no widget shows them.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    outputVolume: vtkMRMLScalarVolumeNode
    region: vtkMRMLMarkupsROINode
    goal: Goal = Goal.ISOTROPIC
    factor: Annotated[float, WithinRange(1.1, LARGEST_FACTOR)] = 3.0
    spacingI: Annotated[float, WithinRange(0, 50)] = 0.0
    spacingJ: Annotated[float, WithinRange(0, 50)] = 0.0
    spacingK: Annotated[float, WithinRange(0, 50)] = 0.0
    sliceThickness: Annotated[float, WithinRange(0, 50)] = 0.0
    model: str = "general"
    sharpness: Annotated[float, WithinRange(0, 1)] = 0.0
    keepMeasuredData: bool = True
    uncertainty: bool = False
    device: Device = Device.AUTO
    threads: Annotated[int, WithinRange(0, 256)] = 0
    compareVolume: vtkMRMLScalarVolumeNode
    mix: Mix = Mix.NOTHING
    mixShare: Annotated[int, WithinRange(0, 100)] = 50
    exportVolume: vtkMRMLScalarVolumeNode
    addToDatabase: bool = True
    resultVolume: vtkMRMLScalarVolumeNode
    resultSource: vtkMRMLScalarVolumeNode

    def choose_input(self) -> None:
        """Save the user a click: take the first volume where none is chosen. Label maps are of a class of their own."""
        volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        volumes = [
            volume
            for volume in volumes
            if volume.GetClassName() == "vtkMRMLScalarVolumeNode" and not volume.GetHideFromEditors()
        ]
        if volumes and not self.inputVolume:
            self.inputVolume = volumes[0]

    def settings(self) -> EnhanceSettings:
        """What the choices ask of the engine.

        Raises
        ------
        SettingsError : a choice has no meaning.
        """
        return EnhanceSettings(
            **self._refinement(),
            slice_thickness_mm=self.sliceThickness or None,
            model=self.model,
            sharpness=0.0 if why_not_sharper(self.model) else self.sharpness,
            consistency=self.keepMeasuredData,
            uncertainty=self.uncertainty,
            device=self.device.value,
            threads=self.threads or None,
        )

    def engine_settings(self) -> EnhanceSettings:
        """Where and with which model to compute, without what to make: for a test run on another volume."""
        return EnhanceSettings(model=self.model, device=self.device.value, threads=self.threads or None)

    def _refinement(self) -> dict:
        if self.goal in _PRESETS:
            return _PRESETS[self.goal]
        if self.goal is Goal.CUSTOM_FACTOR:
            return {"factor": self.factor}
        present = self.inputVolume.GetSpacing() if self.inputVolume else (1.0, 1.0, 1.0)
        wanted = (self.spacingI, self.spacingJ, self.spacingK)
        return {"spacing_ijk_mm": tuple(new or old for new, old in zip(wanted, present, strict=True))}

    def pair_to_compare(self) -> tuple[vtkMRMLScalarVolumeNode, vtkMRMLScalarVolumeNode] | None:
        """The input and what to compare it with: the chosen volume, or else the output, or else the latest result.

        None where there is no such thing.
        """
        before, after = self.inputVolume, self.compareVolume or self.outputVolume
        if after is None and before is self.resultSource:
            after = self.resultVolume
        if before is None or after is None or after is before:
            return None
        return None if after.GetScene() is None or after.GetImageData() is None else (before, after)
