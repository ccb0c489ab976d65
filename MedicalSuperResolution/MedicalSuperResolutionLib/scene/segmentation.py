"""Segmentations refined onto the grid of a result, segment by segment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import slicer

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.progress import Progress, ignore
from MedicalSuperResolutionLib.scene import dicom_source, kinds
from MedicalSuperResolutionLib.scene import nodes as scene
from MedicalSuperResolutionLib.translation import tr as _


def check(segmentation: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    """Refuse, before any work, a segmentation that is empty or lies beside the volume, as far as their bounds show it.

    Raises
    ------
    VolumeError
        See above; or there is no volume.
    """
    kinds.check_readable(volume)
    bounds_ras_mm = np.zeros((2, 6))  # lowest and highest along each axis
    for node, bounds in zip((segmentation, volume), bounds_ras_mm, strict=True):
        node.GetRASBounds(bounds)
    if (bounds_ras_mm[:, ::2].max(axis=0) >= bounds_ras_mm[:, 1::2].min(axis=0)).any():
        raise _no_overlap(segmentation, volume)


def _no_overlap(segmentation: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLScalarVolumeNode) -> VolumeError:
    message = _("no segment of {name} lies in the volume {volume}; choose a segmentation of this volume, or none")
    return VolumeError(message.format(name=segmentation.GetName(), volume=volume.GetName()))


def refine(
    segmentation: slicer.vtkMRMLSegmentationNode,
    source: slicer.vtkMRMLScalarVolumeNode,
    result: slicer.vtkMRMLScalarVolumeNode,
    progress: Progress = ignore,
) -> slicer.vtkMRMLSegmentationNode:
    """A new segmentation on the grid of a result, with the names and colors of the old one; segments may overlap.

    It is shown in place of the old one, whose coarse borders would lie over its own.

    Parameters
    ----------
    segmentation
        The segmentation that belongs to ``source``.
    source, result
        The volume that was enhanced, and what was made of it.
    progress
        Called with steps done and in total of each segment; what it raises goes through, and nothing is made.

    Raises
    ------
    VolumeError
        No segment has a voxel in ``source``, or the result lies elsewhere.
    """
    mrml = result.GetScene()
    known = set(_label_displays(mrml))
    try:
        return _refined(segmentation, source, result, progress)
    finally:
        for display in set(_label_displays(mrml)) - known:
            mrml.RemoveNode(display)  # slicer.util makes label maps for a moment, and leaves their display nodes


def _refined(
    segmentation: slicer.vtkMRMLSegmentationNode,
    source: slicer.vtkMRMLScalarVolumeNode,
    result: slicer.vtkMRMLScalarVolumeNode,
    progress: Progress,
) -> slicer.vtkMRMLSegmentationNode:
    from medical_super_resolution.volumes.label_maps.refinement import refine_labels

    old = segmentation.GetSegmentation()
    names = [old.GetNthSegmentID(number) for number in range(old.GetNumberOfSegments())]
    coarse, grid = scene.volume_from_node(source), scene.volume_from_node(result).grid
    segments = [old.GetSegment(name) for name in names]
    drawn = [slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, name, source) > 0 for name in names]
    if not any(array.any() for array in drawn):
        raise _no_overlap(segmentation, source)
    fine = [  # meanwhile the user may edit the segmentation
        refine_labels(replace(coarse, array=array.astype(np.uint8)), grid, progress).array for array in drawn
    ]
    name = f"{segmentation.GetName()} on {result.GetName()}"
    made = result.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    made.CreateDefaultDisplayNodes()
    made.SetAndObserveTransformNodeID(result.GetTransformNodeID())  # first: Slicer would transform what comes next
    made.SetReferenceImageGeometryParameterFromVolumeNode(result)
    for name, segment, array in zip(names, segments, fine, strict=True):
        made.GetSegmentation().AddEmptySegment(name, segment.GetName(), segment.GetColor())
        slicer.util.updateSegmentBinaryLabelmapFromArray(array, made, name, result)
    dicom_source.place_beside(result, made)
    if segmentation.GetDisplayNode() is not None:
        segmentation.GetDisplayNode().SetVisibility(False)
    return made


def _label_displays(mrml: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLNode]:
    return slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeDisplayNode", mrml)
