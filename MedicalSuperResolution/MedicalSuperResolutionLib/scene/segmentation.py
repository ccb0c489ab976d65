"""Segmentations come along: onto the grid of a result, segment by segment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import slicer

from medical_super_resolution.progress import Progress, ignore
from MedicalSuperResolutionLib.scene import dicom_source
from MedicalSuperResolutionLib.scene import nodes as scene


def refine(
    segmentation: slicer.vtkMRMLSegmentationNode,
    source: slicer.vtkMRMLScalarVolumeNode,
    result: slicer.vtkMRMLScalarVolumeNode,
    progress: Progress = ignore,
) -> slicer.vtkMRMLSegmentationNode:
    """A new segmentation on the grid of a result, with the names and colors of the old one; segments may overlap.

    Parameters
    ----------
    segmentation : of ``source``.
    source, result : the volume that was enhanced, and what was made of it.
    progress : called with steps done and in total of each segment; what it raises goes through, and nothing is made.

    Raises
    ------
    VolumeError : segmentation and result do not overlap.
    """
    from medical_super_resolution.volumes.labels import refine_labels

    old = segmentation.GetSegmentation()
    names = [old.GetNthSegmentID(number) for number in range(old.GetNumberOfSegments())]
    coarse, grid = scene.volume_from_node(source), scene.volume_from_node(result).grid
    arrays = {}
    for name in names:
        array = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, name, source)
        labels = replace(coarse, array=(np.asarray(array) > 0).astype(np.uint8))
        arrays[name] = refine_labels(labels, grid, progress).array
    mrml = result.GetScene()
    left_over = set(slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeDisplayNode", mrml))
    made = mrml.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{segmentation.GetName()} on {result.GetName()}")
    made.CreateDefaultDisplayNodes()
    made.SetReferenceImageGeometryParameterFromVolumeNode(result)
    for name, array in arrays.items():
        segment = old.GetSegment(name)
        made.GetSegmentation().AddEmptySegment(name, segment.GetName(), segment.GetColor())
        slicer.util.updateSegmentBinaryLabelmapFromArray(array, made, name, result)
    made.SetAndObserveTransformNodeID(result.GetTransformNodeID())
    dicom_source.place_beside(result, made)
    for display in set(slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeDisplayNode", mrml)) - left_over:
        mrml.RemoveNode(display)  # slicer.util has removed the label map and left its display node
    return made
