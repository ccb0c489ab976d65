"""The settings in one line: model, detail, modality, slices and their profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicer import vtkMRMLScalarVolumeNode

from medical_super_resolution.errors import SuperResolutionError
from medical_super_resolution.models.profile_calibration import expected_profile
from medical_super_resolution.report import Report
from medical_super_resolution.volumes.grid import in_digits
from MedicalSuperResolutionLib.panel.choices import Profile
from MedicalSuperResolutionLib.scene import dicom_source, provenance
from MedicalSuperResolutionLib.scene import nodes as scene
from MedicalSuperResolutionLib.setup.models import short_name
from MedicalSuperResolutionLib.translation import tr as _

if TYPE_CHECKING:  # imports this file
    from MedicalSuperResolutionLib.panel.parameter_node import MedicalSuperResolutionParameterNode

_SAME_MM = 1e-3


def settings_line(chosen: MedicalSuperResolutionParameterNode, detail: float) -> str:
    """The settings that Enhance will use. ``detail`` is 0 where the model has no detail model."""
    return _("{model}, detail {detail:g}, {modality}, slices {thickness}, {profile}").format(
        model=short_name(chosen.model),
        detail=detail,
        modality=_modality(chosen.inputVolume),
        thickness=_thickness(chosen),
        profile=_profile(chosen),
    )


def automatic_thickness(volume: vtkMRMLScalarVolumeNode | None) -> str:
    """The text in the box of the slice thickness while the user has set none."""
    distance = _slice_distance_mm(volume)
    if distance is None:
        return _("auto")
    thickness = dicom_source.slice_thickness_mm(volume) or distance
    return _("auto, {thickness} mm").format(thickness=in_digits(thickness, 4))


def _slice_distance_mm(volume: vtkMRMLScalarVolumeNode | None) -> float | None:
    """The distance between the slices, in mm; None of what cannot be enhanced."""
    try:
        return scene.straight_grid_of(volume).through_plane_spacing_mm
    except SuperResolutionError:
        return None


def _modality(volume: vtkMRMLScalarVolumeNode | None) -> str:
    known = None if volume is None else dicom_source.modality(volume)
    return _("CT or MR by the values") if known is None else known.upper()


def _thickness(chosen: MedicalSuperResolutionParameterNode) -> str:
    """The slice thickness and its source."""
    if chosen.sliceThickness:
        return _("{thickness} mm (set by hand)").format(thickness=in_digits(chosen.sliceThickness, 4))
    distance = _slice_distance_mm(chosen.inputVolume)
    if distance is None:
        return _("from the volume")
    if thickness := dicom_source.slice_thickness_mm(chosen.inputVolume):
        return _("{thickness} mm (from DICOM)").format(thickness=in_digits(thickness, 4))
    return _("{spacing} mm (their distance)").format(spacing=in_digits(distance, 4))


def _profile(chosen: MedicalSuperResolutionParameterNode) -> str:
    """The slice profile: as it was asked for, as the slices of this volume have shown it, or as scanners make it."""
    distance = _slice_distance_mm(chosen.inputVolume)
    if distance is None:
        return _("profile {name}").format(name=chosen.profile.label().lower())
    thickness = chosen.sliceThickness or dicom_source.slice_thickness_mm(chosen.inputVolume) or distance
    if chosen.profile is not Profile.AUTO:
        return _("{shape} {width} mm").format(shape=chosen.profile.label(), width=in_digits(thickness, 3))
    known = _estimated_before(chosen, thickness)
    if known is not None:
        shape, width, error = Profile(known.slice_profile).label(), known.slice_width_mm, known.slice_width_error_mm
        return _("{shape} {width:.2f} ± {error:.2f} mm (estimated)").format(shape=shape, width=width, error=error)
    try:
        expected = expected_profile(thickness / distance)
    except SuperResolutionError:  # without the file of the estimator
        return _("profile {name}").format(name=chosen.profile.label().lower())
    width, error = expected.profile.width * distance, expected.error * distance
    return _("Gaussian {width:.1f} ± {error:.1f} mm (expected)").format(width=width, error=error)


def _estimated_before(chosen: MedicalSuperResolutionParameterNode, thickness_mm: float) -> Report | None:
    """The report of the input's latest result, where it has estimated the profile as it is to be estimated again."""
    result = chosen.present_result()
    report = None if result is None else provenance.report_of(result)
    if report is None or report.slice_profile_source != "estimated":
        return None
    taken_for = (report.modality, dicom_source.modality(result))  # None is by the values, which are the same again
    is_same = abs(report.slice_thickness_mm - thickness_mm) < _SAME_MM
    return report if is_same and dicom_source.modality(chosen.inputVolume) in taken_for else None
