"""Segmentations refined onto the grid of a result, segment by segment."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.progress import Progress, ignore
from MedicalSuperResolutionLib.scene import dicom_source, kinds, region
from MedicalSuperResolutionLib.scene import nodes as scene
from MedicalSuperResolutionLib.translation import tr as _


def check(
    segmentation: slicer.vtkMRMLSegmentationNode,
    volume: slicer.vtkMRMLScalarVolumeNode | None,
    roi: slicer.vtkMRMLMarkupsROINode | None = None,
) -> None:
    """Refuse, before any work, a segmentation without a voxel in the volume, or in the region of it.

    Raises
    ------
    VolumeError
        See above; or see `nodes.volume_from_node`.
    """
    kinds.check_readable(volume)
    bounds_ras_mm = np.zeros((2, 6))  # lowest and highest along each axis
    for node, bounds in zip((segmentation, volume), bounds_ras_mm, strict=True):
        node.GetRASBounds(bounds)
    if (bounds_ras_mm[:, ::2].max(axis=0) >= bounds_ras_mm[:, 1::2].min(axis=0)).any():  # cheaper than the voxels
        raise _no_overlap(segmentation, volume)
    whole, box = scene.volume_from_node(volume), None if roi is None else region.box_over(volume, roi)
    names = _segments_of(segmentation)
    for group in [[name] for name in names] if box is None else [names]:  # of a volume, mostly the first lies in it
        array = _drawn(segmentation, group, volume)
        if (array if box is None else region.cropped(replace(whole, array=array), box).array).any():
            return
    raise _no_overlap(segmentation, volume, roi)


def _no_overlap(
    segmentation: slicer.vtkMRMLSegmentationNode,
    volume: slicer.vtkMRMLScalarVolumeNode,
    roi: slicer.vtkMRMLMarkupsROINode | None = None,
) -> VolumeError:
    if roi is not None:
        message = _("no segment of {name} lies in the region {region}; move the region, or choose no segmentation")
        return VolumeError(message.format(name=segmentation.GetName(), region=roi.GetName()))
    message = _("no segment of {name} lies in the volume {volume}; choose a segmentation of this volume, or none")
    return VolumeError(message.format(name=segmentation.GetName(), volume=volume.GetName()))


def _segments_of(segmentation: slicer.vtkMRMLSegmentationNode) -> list[str]:
    segments = segmentation.GetSegmentation()
    return [segments.GetNthSegmentID(number) for number in range(segments.GetNumberOfSegments())]


def _drawn(
    segmentation: slicer.vtkMRMLSegmentationNode, names: list[str], volume: slicer.vtkMRMLScalarVolumeNode
) -> np.ndarray:
    """Which voxels of a volume belong to any of some segments, given by their IDs: 0 or 1.

    Raises
    ------
    VolumeError
        They have no representation that Slicer can convert to voxels.
    """
    mrml = segmentation.GetScene()
    labels = mrml.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    try:
        if not slicer.modules.segmentations.logic().ExportSegmentsToLabelmapNode(segmentation, names, labels, volume):
            message = _(
                "the segments of {name} cannot be converted to voxels (a binary labelmap); choose another segmentation,"
                " or none"
            )
            raise VolumeError(message.format(name=segmentation.GetName()))
        return (slicer.util.arrayFromVolume(labels) > 0).astype(np.uint8)
    finally:
        if labels.GetDisplayNode() is not None:
            mrml.RemoveNode(labels.GetDisplayNode().GetColorNode())
        scene.remove(labels)


def refine(
    segmentation: slicer.vtkMRMLSegmentationNode,
    source: slicer.vtkMRMLScalarVolumeNode,
    result: slicer.vtkMRMLScalarVolumeNode,
    progress: Progress = ignore,
) -> slicer.vtkMRMLSegmentationNode:
    """A new segmentation on the grid of a result, of the same segments with their terminology. They may overlap.

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
        No segment has a voxel in the result, or the result lies elsewhere.
    """
    from medical_super_resolution.volumes.label_maps.refinement import refine_labels

    old = segmentation.GetSegmentation()
    names = _segments_of(segmentation)
    coarse, grid = scene.volume_from_node(source), scene.volume_from_node(result).grid
    segments = [old.GetSegment(name) for name in names]
    drawn = [_Mask(_drawn(segmentation, [name], source)) for name in names]  # the user may edit them meanwhile
    refined = (refine_labels(replace(coarse, array=mask.array()), grid, progress).array for mask in drawn)
    fine = [_labels(array, grid.ijk_to_ras) for array in refined]
    if not any(fine):
        raise _no_overlap(segmentation, result)
    name = f"{segmentation.GetName()} on {result.GetName()}"
    made = result.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    made.CreateDefaultDisplayNodes()
    made.SetAndObserveTransformNodeID(result.GetTransformNodeID())
    made.SetReferenceImageGeometryParameterFromVolumeNode(result)
    for name, segment, labels in zip(names, segments, fine, strict=True):
        copy = slicer.vtkSegment()
        copy.DeepCopyMetadata(segment)
        copy.SetLabelValue(1)
        if labels is not None:
            copy.AddRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName(), labels)
        made.GetSegmentation().AddSegment(copy, name)
    dicom_source.place_beside(result, made)
    display = segmentation.GetDisplayNode()
    if display is not None:
        for name in names:
            made.GetDisplayNode().SetSegmentVisibility(name, display.GetSegmentVisibility(name))
        display.SetVisibility(False)
    return made


class _Mask:
    """Voxels that are 0 or 1, compressed: a hundred segments of a large volume would take more than 10 GB."""

    def __init__(self, array: np.ndarray) -> None:
        self._shape, self._bits = array.shape, zlib.compress(np.packbits(array), 1)

    def array(self) -> np.ndarray:
        """(K, J, I), uint8."""
        bits = np.frombuffer(zlib.decompress(self._bits), np.uint8)
        return np.unpackbits(bits, count=math.prod(self._shape)).reshape(self._shape)


def _labels(array: np.ndarray, ijk_to_ras: np.ndarray) -> slicer.vtkOrientedImageData | None:
    """The box around the voxels that are 1 in an array (K, J, I), as a segment holds it; None where none is.

    `slicer.util` would store the whole array: a volume for each segment.
    """
    if not array.any():
        return None
    found = [np.flatnonzero(array.any(axis=rest)) for rest in ((1, 2), (0, 2), (0, 1))]
    labels = slicer.vtkOrientedImageData()
    labels.SetExtent([int(end) for inside in reversed(found) for end in (inside[0], inside[-1])])
    labels.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    box = tuple(slice(inside[0], inside[-1] + 1) for inside in found)
    vtk_to_numpy(labels.GetPointData().GetScalars())[:] = array[box].ravel()
    labels.SetGeometryFromImageToWorldMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras))
    return labels
