"""Stacks of the scene that are to be fused, and the fused volume in the scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import slicer

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume
from MedicalSuperResolutionLib.scene import dicom_source, provenance, region, uncertainty_node
from MedicalSuperResolutionLib.scene import nodes as scene
from MedicalSuperResolutionLib.scene.acquisition_transform import parent_of
from MedicalSuperResolutionLib.translation import tr as _

FEWEST, MOST = 2, 12
_UNCERTAINTY = "how far the stacks contradict each other, as a standard deviation"


@dataclass(frozen=True)
class FusedStacks:
    """The result of a fusion.

    Parameters
    ----------
    volume
        The fused volume, with cubic voxels.
    report
        What was done, as `medsr fuse` writes it down.
    uncertainty
        How far the stacks contradict each other around each voxel, if it was requested.
    """

    volume: Volume
    report: dict[str, Any]
    uncertainty: Volume | None = None


def volumes_of(nodes: Sequence[slicer.vtkMRMLScalarVolumeNode]) -> list[Volume]:
    """The stacks in the coordinates of the first node, before its parent transform.

    Raises
    ------
    VolumeError
        See `check`, `nodes.volume_from_node` and `region.between`.
    """
    check(nodes)
    found = []
    for node in nodes:
        volume = scene.volume_from_node(node)
        grid = Grid(volume.grid.shape_kji, region.between(node, nodes[0]) @ volume.grid.ijk_to_ras)
        found.append(replace(volume, grid=grid))
    modalities = sorted({volume.modality.upper() for volume in found if volume.modality})
    if len(modalities) > 1:
        message = _("the volumes are of different modality, {names}; fuse stacks of one contrast")
        raise VolumeError(message.format(names=", ".join(modalities)))
    return found


def check(nodes: Sequence[slicer.vtkMRMLScalarVolumeNode]) -> None:
    """Refuse too few or too many stacks, ones that were removed from the scene, or ones of different sessions.

    Raises
    ------
    VolumeError
        See above.
    """
    if not FEWEST <= len(nodes) <= MOST:
        message = _("fusion needs {fewest} to {most} stacks of one session, and {count} are checked; check others")
        raise VolumeError(message.format(fewest=FEWEST, most=MOST, count=len(nodes)))
    for node in nodes:
        if node.GetScene() is None:
            message = _("the volume {name} was removed meanwhile; nothing was made")
            raise VolumeError(message.format(name=node.GetName()))
    if dicom_source.are_of_several_patients(nodes):
        raise VolumeError(_("the volumes are of different patients; fuse stacks of one session"))
    untouched = [node for node in nodes if parent_of(node) is None]  # others were brought into place
    if len({dicom_source.frame_of_reference(node) for node in untouched} - {""}) > 1:
        message = _(
            "the volumes have different frames of reference, so their places do not fit; register one to the other, and"
            " keep it under the transform"
        )
        raise VolumeError(message)


def write(
    fused: FusedStacks, nodes: Sequence[slicer.vtkMRMLScalarVolumeNode], moves: region.Moves
) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a fused volume to the scene, with the display and the place of the first stack, and a note.

    ``moves`` : of the first stack, since it was read.
    """
    check(nodes)
    fused = moves.applied_to(fused)
    first, mrml = nodes[0], nodes[0].GetScene()
    grid = scene.volume_from_node(first).grid
    facts = provenance.fusion_attributes(fused.report, nodes, grid, fused.volume.grid)
    node = scene.add_draft(
        scene.draft_of(fused.volume, first, facts),
        scene.free_name(mrml, _("{name} fused").format(name=first.GetName())),
        first,
        provenance.fusion_sentences(fused.report),
    )
    provenance.name_sources(node, nodes)
    dicom_source.state_modality(node, next(filter(None, map(dicom_source.modality, nodes)), None))
    if fused.uncertainty is not None:
        made = scene.draft_of(fused.uncertainty, first, facts)
        provenance.keep_from_export(made)
        uncertainty_node.attach(made, _UNCERTAINTY, node)
    return node
