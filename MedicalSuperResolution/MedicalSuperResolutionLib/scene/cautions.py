"""Cautions about a volume before it is enhanced."""

from __future__ import annotations

import slicer

from medical_super_resolution.inference.planning import Plan
from medical_super_resolution.volumes.grid import in_digits
from medical_super_resolution.volumes.tilt import tilt_degrees
from medical_super_resolution.volumes.volume import Volume
from MedicalSuperResolutionLib.scene import dicom_source, provenance
from MedicalSuperResolutionLib.scene.acquisition_transform import parent_of
from MedicalSuperResolutionLib.translation import tr as _

_FAR_FACTOR = 5.0  # above it, models were trained on few examples
_FILL_HU = -1500  # lower values are padding
_GAP = 1.05  # slice distance over thickness
_TRAINED_ON = ("ct", "mr")


def cautions(
    node: slicer.vtkMRMLScalarVolumeNode,
    volume: Volume,
    planned: Plan,
    output_node: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> list[str]:
    """Cautions about an enhancement, one sentence each.

    Parameters
    ----------
    node
        The volume in the scene.
    volume
        The voxels of the node, or the part to be enhanced.
    planned
        What is to be done.
    output_node
        The volume to write to; None for a new one.
    """
    found = []
    if output_node is not None and output_node.GetImageData() is not None:
        found.append(
            _("Enhance replaces the voxels of {name}, the output volume in Advanced.").format(
                name=output_node.GetName()
            )
        )
    instances = node.GetAttribute(dicom_source.INSTANCES) or ""
    if provenance.was_made_here(node):
        found.append(_("The volume is a result itself; what was guessed in it counts as measured."))
    if dicom_source.are_turned_over(instances):
        found.append(
            _(
                "The images are MONOCHROME1; Slicer turns their values over, unless DCMTK is its DICOM reader"
                " (Application Settings, DICOM)."
            )
        )
    if dicom_source.are_uneven(instances):
        found.append(
            _(
                "The slices lie at uneven distances, which a volume in Slicer cannot have; medsr enhance, on the folder"
                " of their series, takes them where they were measured."
            )
        )
    if dicom_source.are_stacked(instances, node.GetSpacing()[2]):
        found.append(
            _(
                "Several images lie at each place (phases, b-values or echoes), and Slicer has put all of them into one"
                " stack; medsr enhance, on the folder of their series, takes them apart."
            )
        )
    transform = parent_of(node)
    if volume.grid.is_sheared:
        angle = tilt_degrees(volume.grid)
        found.append(
            _(
                "The slices are tilted by {angle:.1f} degrees; the result is straight, and its field of view larger."
            ).format(angle=angle)
        )
    if transform is not None and not transform.IsLinear():
        found.append(
            _(
                "The transform {transform} is no matrix (uneven slices, or a warp); the volume is enhanced as it lies"
                " before it."
            ).format(transform=transform.GetName())
        )
    factor = max(planned.factor_ijk)
    if factor > _FAR_FACTOR:
        found.append(
            _("{factor:.3g} times finer is far: above {limit:g}, more is guessed.").format(
                factor=factor, limit=_FAR_FACTOR
            )
        )
    untrained = dicom_source.other_modality(node)
    if volume.modality is not None:
        untrained = "" if volume.modality in _TRAINED_ON else volume.modality.upper()
    if untrained:
        found.append(_("The model was trained on CT and MR, not on {modality}.").format(modality=untrained))
    return found + _about_gaps_and_padding(volume, planned.source.through_plane_spacing_mm)


def _about_gaps_and_padding(volume: Volume, distance: float) -> list[str]:
    """Cautions about gaps between slices, which are straight and ``distance`` mm apart, and about padding."""
    found = []
    thickness = volume.slice_thickness_mm
    if thickness is not None and distance > _GAP * thickness:
        found.append(
            _("Slices of {thickness} mm lie {distance} mm apart; nothing was measured between them.").format(
                thickness=in_digits(thickness, 3), distance=in_digits(distance, 3)
            )
        )
    if volume.modality == "ct" and volume.array[len(volume.array) // 2].min() < _FILL_HU:
        found.append(
            _("Values below {value} HU fill what was not measured; edges beside them are less sure.").format(
                value=_FILL_HU
            )
        )
    return found
