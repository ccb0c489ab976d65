"""Segmentations refined onto the grid of a result, segment by segment."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace

import numpy as np
import slicer

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
        No segment has a voxel in the result, or the result lies elsewhere.
    """
    from medical_super_resolution.volumes.label_maps.refinement import refine_labels

    old = segmentation.GetSegmentation()
    names = _segments_of(segmentation)
    coarse, grid = scene.volume_from_node(source), scene.volume_from_node(result).grid
    segments = [old.GetSegment(name) for name in names]
    drawn = [_Mask(_drawn(segmentation, [name], source)) for name in names]  # the user may edit them meanwhile
    fine = [_Mask(refine_labels(replace(coarse, array=mask.array()), grid, progress).array) for mask in drawn]
    if all(mask.is_empty for mask in fine):
        raise _no_overlap(segmentation, result)
    name = f"{segmentation.GetName()} on {result.GetName()}"
    made = result.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    made.CreateDefaultDisplayNodes()
    made.SetAndObserveTransformNodeID(result.GetTransformNodeID())  # first: Slicer would transform what comes next
    made.SetReferenceImageGeometryParameterFromVolumeNode(result)
    shown_before = _label_displays(result.GetScene())
    for name, segment, mask in zip(names, segments, fine, strict=True):
        made.GetSegmentation().AddEmptySegment(name, segment.GetName(), segment.GetColor())
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.array(), made, name, result)
    for display in _label_displays(result.GetScene()):  # of label maps that slicer.util has made for a moment
        if display not in shown_before:
            result.GetScene().RemoveNode(display)
    dicom_source.place_beside(result, made)
    if segmentation.GetDisplayNode() is not None:
        segmentation.GetDisplayNode().SetVisibility(False)
    return made


class _Mask:
    """Voxels that are 0 or 1, compressed: a hundred segments of a large volume would take more than 10 GB."""

    def __init__(self, array: np.ndarray) -> None:
        self._shape, self.is_empty = array.shape, not array.any()
        self._bits = zlib.compress(np.packbits(array), 1)

    def array(self) -> np.ndarray:
        """(K, J, I), uint8."""
        bits = np.frombuffer(zlib.decompress(self._bits), np.uint8)
        return np.unpackbits(bits, count=math.prod(self._shape)).reshape(self._shape)


def _label_displays(mrml: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLNode]:
    return slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeDisplayNode", mrml)
