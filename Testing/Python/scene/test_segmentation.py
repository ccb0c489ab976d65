"""Segmentations are refined onto the grid of a result."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the scene needs slicer-core")

import vtk  # noqa: E402
from vtk.util.numpy_support import vtk_to_numpy  # noqa: E402

from medical_super_resolution.errors import VolumeError  # noqa: E402
from medical_super_resolution.volumes.grid import Grid  # noqa: E402
from medical_super_resolution.volumes.volume import Enhanced, Volume  # noqa: E402
from MedicalSuperResolutionLib.scene import nodes as scene  # noqa: E402
from MedicalSuperResolutionLib.scene import region, segmentation  # noqa: E402
from MedicalSuperResolutionLib.scene.nodes import write_to_node  # noqa: E402
from slicer_host import hierarchy_of, node_ids  # noqa: E402


@pytest.fixture
def a_segmentation(a_scene, a_volume_node):
    """Two segments that overlap: a box, and the same box one slice higher."""
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Drawn")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(a_volume_node)
    for name, first in (("Low", 2), ("High", 3)):
        array = np.zeros(slicer.util.arrayFromVolume(a_volume_node).shape, np.uint8)
        array[first : first + 3, 4:10, 5:12] = 1
        node.GetSegmentation().AddEmptySegment(name, f"{name} box", (1, 0, 0.5))
        slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, name, a_volume_node)
    return node


def test_segments_lie_on_the_fine_grid_where_they_were_drawn(a_segmentation, a_volume_node, an_enhanced):
    result = write_to_node(an_enhanced, a_volume_node)
    made = segmentation.refine(a_segmentation, a_volume_node, result)
    assert made.GetName() == "Drawn on Chest x3"
    for name, first in (("Low", 2), ("High", 3)):
        segment = made.GetSegmentation().GetSegment(name)
        assert (segment.GetName(), segment.GetColor()) == (f"{name} box", (1.0, 0.0, 0.5))
        array = slicer.util.arrayFromSegmentBinaryLabelmap(made, name, result)
        assert array.shape == slicer.util.arrayFromVolume(result).shape
        inside = array[3 * first + 1 : 3 * (first + 3) - 1, 5:9, 6:11]
        assert inside.all()
        assert array.sum() == pytest.approx(9 * 6 * 7, rel=0.15)


def test_segments_that_were_drawn_on_another_grid_lie_there_too(a_scene, a_volume_node, a_volume, an_enhanced):
    corner = a_volume.grid.ijk_to_ras.copy()
    corner[:3, 3] = (a_volume.grid.ijk_to_ras @ [3, 2, 1, 1])[:3]
    part = slicer.util.addVolumeFromArray(a_volume.array[1:7, 2:14, 3:15].copy(), corner, "Part")
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Drawn")
    node.SetReferenceImageGeometryParameterFromVolumeNode(part)
    array = np.zeros((6, 12, 12), np.uint8)
    array[1:4, 2:8, 2:9] = 1
    node.GetSegmentation().AddEmptySegment("Low", "Low box", (1, 0, 0.5))
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, "Low", part)
    result = write_to_node(an_enhanced, a_volume_node)
    made = segmentation.refine(node, a_volume_node, result)
    found = slicer.util.arrayFromSegmentBinaryLabelmap(made, "Low", result)
    assert found[7:14, 5:9, 6:11].all()
    assert found.sum() == pytest.approx(9 * 6 * 7, rel=0.15)
    assert made.GetNodeReference(made.GetReferenceImageGeometryReferenceRole()) is result


def test_under_a_transform_segments_lie_where_the_result_lies(a_segmentation, a_volume_node, an_enhanced, a_scene):
    shift = np.eye(4)
    shift[:3, 3] = 50, -20, 7
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
    for node in (a_volume_node, a_segmentation):
        node.SetAndObserveTransformNodeID(transform.GetID())
    result = write_to_node(an_enhanced, a_volume_node)
    made = segmentation.refine(a_segmentation, a_volume_node, result)
    assert made.GetParentTransformNode() is transform
    array = slicer.util.arrayFromSegmentBinaryLabelmap(made, "Low", result)
    assert array[7:14, 5:9, 6:11].all()
    assert array.sum() == pytest.approx(9 * 6 * 7, rel=0.15)


def test_a_segment_that_is_removed_meanwhile_is_refined_as_it_was(a_segmentation, a_volume_node, an_enhanced):
    def remove(done: int, total: int) -> None:
        a_segmentation.GetSegmentation().RemoveSegment("High")

    made = segmentation.refine(a_segmentation, a_volume_node, write_to_node(an_enhanced, a_volume_node), remove)
    names = [made.GetSegmentation().GetNthSegment(number).GetName() for number in range(2)]
    assert names == ["Low box", "High box"]


def test_a_label_map_that_is_loaded_meanwhile_keeps_its_display(a_segmentation, a_volume_node, an_enhanced):
    loaded = []

    def load(done: int, total: int) -> None:
        if not loaded:
            loaded.append(slicer.modules.volumes.logic().CreateAndAddLabelVolume(a_volume_node, "Organs"))

    segmentation.refine(a_segmentation, a_volume_node, write_to_node(an_enhanced, a_volume_node), load)
    assert loaded[0].GetDisplayNode() is not None


def test_only_the_segmentation_is_added(a_segmentation, a_volume_node, an_enhanced, a_scene):
    result = write_to_node(an_enhanced, a_volume_node)
    nodes = node_ids(a_scene)
    made = segmentation.refine(a_segmentation, a_volume_node, result)
    assert node_ids(a_scene) - nodes == {made.GetID(), made.GetDisplayNodeID()}


def test_it_is_shown_in_place_of_the_coarse_one(a_segmentation, a_volume_node, an_enhanced):
    result = write_to_node(an_enhanced, a_volume_node)
    made = segmentation.refine(a_segmentation, a_volume_node, result)
    assert (bool(a_segmentation.GetDisplayVisibility()), bool(made.GetDisplayVisibility())) == (False, True)
    assert segmentation.refine(a_segmentation, a_volume_node, result).GetDisplayVisibility()  # of the hidden one, too


def test_segments_that_were_hidden_stay_so(a_segmentation, a_volume_node, an_enhanced):
    a_segmentation.GetDisplayNode().SetSegmentVisibility("High", False)
    made = segmentation.refine(a_segmentation, a_volume_node, write_to_node(an_enhanced, a_volume_node))
    assert [made.GetDisplayNode().GetSegmentVisibility(name) for name in ("Low", "High")] == [True, False]


def test_a_segmentation_of_another_place_is_refused_and_nothing_is_made(
    a_segmentation, a_volume_node, an_enhanced, a_scene
):
    result = write_to_node(an_enhanced, a_volume_node)
    far = np.eye(4)
    far[:3, 3] = 5000
    result.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(far))
    nodes = node_ids(a_scene)
    with pytest.raises(VolumeError, match="does not overlap"):
        segmentation.refine(a_segmentation, a_volume_node, result)
    assert node_ids(a_scene) == nodes


def moved(node, mm):
    """Move a node by a transform of its own."""
    matrix = np.eye(4)
    matrix[:3, 3] = mm
    transform = node.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())


def test_a_segmentation_beside_the_volume_is_refused_before_the_work(a_segmentation, a_volume_node):
    segmentation.check(a_segmentation, a_volume_node)
    moved(a_segmentation, 100)
    with pytest.raises(VolumeError, match="no segment of Drawn lies in the volume Chest; choose a segmentation of"):
        segmentation.check(a_segmentation, a_volume_node)
    moved(a_volume_node, 100)
    segmentation.check(a_segmentation, a_volume_node)


def test_a_segmentation_without_segments_is_refused_before_the_work(a_scene, a_volume_node):
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Empty")
    with pytest.raises(VolumeError, match="no segment of Empty lies in the volume Chest"):
        segmentation.check(node, a_volume_node)
    node.GetSegmentation().AddEmptySegment("Box")
    with pytest.raises(VolumeError, match="no segment of Empty lies in the volume Chest"):
        segmentation.check(node, a_volume_node)


def test_a_segmentation_without_a_volume_is_refused_before_the_work(a_segmentation):
    with pytest.raises(VolumeError, match="there is no volume to work on"):
        segmentation.check(a_segmentation, None)


def test_it_lies_in_the_folder_of_the_result_also_where_the_coarse_one_was_never_shown(
    a_segmentation, a_volume_node, an_enhanced, a_scene
):
    hierarchy = hierarchy_of(a_scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(study, a_volume_node)
    result = write_to_node(an_enhanced, a_volume_node)
    a_scene.RemoveNode(a_segmentation.GetDisplayNode())
    made = segmentation.refine(a_segmentation, a_volume_node, result)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(made)) == study


def test_segments_whose_voxels_lie_beside_the_volume_are_refused_and_still_shown(
    a_segmentation, a_volume_node, an_enhanced
):
    moved(a_segmentation, 15)  # the bounds, which those of the volume were, still overlap it
    with pytest.raises(VolumeError, match="no segment of Drawn lies in the volume Chest"):
        segmentation.check(a_segmentation, a_volume_node)
    result = write_to_node(an_enhanced, a_volume_node)
    with pytest.raises(VolumeError, match="no segment of Drawn lies in the volume Chest"):
        segmentation.refine(a_segmentation, a_volume_node, result)
    assert a_segmentation.GetDisplayVisibility()


def test_a_segmentation_beside_the_region_is_refused_before_the_work(a_segmentation, a_volume_node, a_scene):
    roi = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Lesion")
    region.lay_over(roi, a_volume_node)
    a_segmentation.GetSegmentation().AddEmptySegment("Empty")
    nodes = node_ids(a_scene)
    segmentation.check(a_segmentation, a_volume_node, roi)
    place = scene.volume_from_node(a_volume_node).grid.ijk_to_ras
    roi.SetSize(2, 2, 2)
    roi.SetCenter(*place[:3, 3])  # the first voxel, while the bounds of the segmentation are those of the volume
    with pytest.raises(VolumeError, match="no segment of Drawn lies in the region Lesion; move the region, or choose"):
        segmentation.check(a_segmentation, a_volume_node, roi)
    roi.SetCenter(*(place @ [8, 7, 5, 1])[:3])  # of the second segment only
    segmentation.check(a_segmentation, a_volume_node, roi)
    assert node_ids(a_scene) == nodes


def test_segments_beside_the_region_are_looked_at_all_at_once(a_segmentation, a_volume_node, a_scene):
    roi = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Lesion")
    roi.SetSize(2, 2, 2)
    roi.SetCenter(*scene.volume_from_node(a_volume_node).grid.ijk_to_ras[:3, 3])
    made = []

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def note(_scene, _event, node):
        made.append(node.GetClassName())

    tag = a_scene.AddObserver(a_scene.NodeAddedEvent, note)
    with pytest.raises(VolumeError, match="lies in the region Lesion"):
        segmentation.check(a_segmentation, a_volume_node, roi)
    a_scene.RemoveObserver(tag)
    assert made.count("vtkMRMLLabelMapVolumeNode") == 1


def test_segments_that_cannot_become_voxels_are_refused_before_the_work(a_scene, a_volume_node):
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Contours")
    node.GetSegmentation().SetSourceRepresentationName("Planar contour")  # only SlicerRT knows how to convert it
    cube, segment = vtk.vtkCubeSource(), slicer.vtkSegment()
    cube.SetBounds([-1000, 1000] * 3)
    cube.Update()
    segment.SetName("Box")
    segment.AddRepresentation("Planar contour", cube.GetOutput())
    node.GetSegmentation().AddSegment(segment)
    nodes = node_ids(a_scene)
    with pytest.raises(VolumeError, match="the segments of Contours cannot be converted to voxels"):
        segmentation.check(node, a_volume_node)
    assert node_ids(a_scene) == nodes


def test_a_result_without_a_voxel_of_a_segment_gets_no_segmentation(a_segmentation, a_volume_node, an_enhanced):
    report, volume = an_enhanced.report, an_enhanced.volume
    first = replace(volume, array=volume.array[:3], grid=Grid((3, *volume.grid.shape_kji[1:]), volume.grid.ijk_to_ras))
    result = write_to_node(Enhanced(first, report), a_volume_node)
    with pytest.raises(VolumeError, match="no segment of Drawn lies in the volume Chest x3; choose a"):
        segmentation.refine(a_segmentation, a_volume_node, result)


def test_segments_keep_their_terminology_whatever_their_label(a_segmentation, a_volume_node, an_enhanced):
    tag, liver = slicer.vtkSegment.GetTerminologyEntryTagName(), "Segmentation category~SCT^10200004^Liver"
    high = a_segmentation.GetSegmentation().GetSegment("High")
    high.SetTag(tag, liver)
    labels = high.GetRepresentation("Binary labelmap").GetPointData().GetScalars()
    vtk_to_numpy(labels)[:] *= 7
    high.SetLabelValue(7)
    result = write_to_node(an_enhanced, a_volume_node)
    made, found = segmentation.refine(a_segmentation, a_volume_node, result), vtk.reference("")
    made.GetSegmentation().GetSegment("High").GetTag(tag, found)
    assert found == liver
    assert slicer.util.arrayFromSegmentBinaryLabelmap(made, "High", result).sum() == 378


def test_a_segment_holds_no_more_than_the_voxels_around_it(a_segmentation, a_volume_node, an_enhanced):
    made = segmentation.refine(a_segmentation, a_volume_node, write_to_node(an_enhanced, a_volume_node))
    for name, first in (("Low", 2), ("High", 3)):
        labels = made.GetSegmentation().GetSegment(name).GetRepresentation("Binary labelmap")
        assert labels.GetExtent() == (5, 11, 4, 9, 3 * first, 3 * (first + 3) - 1)


def test_an_empty_segment_stays_one_beside_others(a_segmentation, a_volume_node, an_enhanced):
    a_segmentation.GetSegmentation().AddEmptySegment("Last")
    a_segmentation.GetSegmentation().SetSegmentIndex("Last", 0)
    result = write_to_node(an_enhanced, a_volume_node)
    made = segmentation.refine(a_segmentation, a_volume_node, result)
    assert list(made.GetSegmentation().GetSegmentIDs()) == ["Last", "Low", "High"]
    counts = [slicer.util.arrayFromSegmentBinaryLabelmap(made, name, result).sum() for name in ("Last", "Low", "High")]
    assert counts == [0, 378, 378]


def test_the_memory_does_not_grow_with_the_number_of_segments(a_scene, a_volume, an_enhanced):
    coarse = np.zeros((16, 48, 48), np.int16)
    source = slicer.util.addVolumeFromArray(coarse, a_volume.grid.ijk_to_ras, "Chest")
    volume = Volume(np.repeat(coarse, 3, axis=0), Grid(coarse.shape, a_volume.grid.ijk_to_ras).refined("k", 3))
    result = write_to_node(replace(an_enhanced, volume=volume), source)

    def peak(count: int) -> int:
        node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{count} organs")
        for number in range(count):
            array = np.zeros(coarse.shape, np.uint8)
            array[4:9, number : number + 12, 8:30] = 1
            node.GetSegmentation().AddEmptySegment(str(number))
            slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, str(number), source)
        tracemalloc.start()
        segmentation.refine(node, source, result)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)  # imports, and what else is kept after the first time
    assert peak(26) - peak(2) < volume.array.size  # 24 segments more in less than the bytes of one
