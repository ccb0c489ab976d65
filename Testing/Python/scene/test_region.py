"""A region of interest as voxels: none too many, none too few, and exactly where they were."""

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="regions need slicer-core")

import vtk  # noqa: E402

from medical_super_resolution.errors import VolumeError  # noqa: E402
from medical_super_resolution.settings import EnhanceSettings  # noqa: E402
from MedicalSuperResolutionLib.engine import tasks  # noqa: E402
from MedicalSuperResolutionLib.scene.nodes import volume_from_node  # noqa: E402
from MedicalSuperResolutionLib.scene.region import box_over, lay_over  # noqa: E402
from slicer_host import add_sequence  # noqa: E402


@pytest.fixture
def a_region(a_scene, a_volume_node):
    """Makes a box around the given voxels (first and last of i, j, k) of the volume, along its axes."""

    def make(first_ijk, last_ijk, turned_degrees=0.0):
        grid = volume_from_node(a_volume_node).grid
        center = (np.array(first_ijk) + last_ijk) / 2
        place = np.eye(4)
        angle = np.deg2rad(turned_degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        place[:3, :3] = grid.direction @ turn
        place[:3, 3] = (grid.ijk_to_ras @ [*center, 1])[:3]
        roi = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Lesion")
        roi.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(place))
        roi.SetSize(*((np.array(last_ijk) - first_ijk + 1) * grid.spacing_ijk_mm))
        return roi

    return make


def moved(scene, offset):
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return transform


def test_a_region_gives_its_voxels_where_they_were(a_volume_node, a_volume, a_region):
    part = volume_from_node(a_volume_node, a_region((3, 4, 2), (12, 9, 6)))
    np.testing.assert_array_equal(part.array, a_volume.array[2:7, 4:10, 3:13])
    np.testing.assert_allclose(part.grid.ijk_to_ras @ [0, 0, 0, 1], a_volume.grid.ijk_to_ras @ [3, 4, 2, 1], atol=1e-9)
    np.testing.assert_allclose(part.grid.ijk_to_ras[:3, :3], a_volume.grid.ijk_to_ras[:3, :3], atol=1e-12)


def test_a_voxel_that_is_only_touched_belongs_to_it(a_volume_node, a_region):
    roi = a_region((3, 4, 2), (12, 9, 6))
    roi.SetSize(*(np.array(roi.GetSize()) + 0.02))
    assert volume_from_node(a_volume_node, roi).array.shape == (7, 8, 12)


def test_what_lies_beyond_the_volume_is_left_out(a_volume_node, a_volume, a_region):
    part = volume_from_node(a_volume_node, a_region((-5, -5, -5), (7, 30, 3)))
    np.testing.assert_array_equal(part.array, a_volume.array[:4, :, :8])


def test_a_turned_region_gives_the_box_of_voxels_around_it(a_volume_node, a_region):
    part = volume_from_node(a_volume_node, a_region((6, 6, 2), (11, 11, 6), turned_degrees=45))
    assert part.array.shape == (5, 10, 10)  # 6 times the square root of 2 is 8.5, which touches 10


def test_transforms_of_volume_and_region_count(a_scene, a_volume_node, a_region):
    roi = a_region((3, 4, 2), (12, 9, 6))
    expected = volume_from_node(a_volume_node, roi)
    transform = moved(a_scene, (50, -20, 7))
    a_volume_node.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(VolumeError, match="lies outside"):
        volume_from_node(a_volume_node, roi)
    roi.SetAndObserveTransformNodeID(transform.GetID())
    np.testing.assert_array_equal(volume_from_node(a_volume_node, roi).array, expected.array)


def test_a_warp_between_them_is_refused(a_scene, a_volume_node, a_region):
    roi = a_region((3, 4, 2), (12, 9, 6))
    roi.SetAndObserveTransformNodeID(a_scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode").GetID())
    roi.GetParentTransformNode().SetAndObserveTransformFromParent(vtk.vtkThinPlateSplineTransform())
    with pytest.raises(VolumeError, match="a warp lies between Lesion and Chest"):
        volume_from_node(a_volume_node, roi)


def test_a_region_outside_of_the_volume_is_refused(a_volume_node, a_region):
    with pytest.raises(VolumeError, match="the region Lesion lies outside of the volume Chest; move it"):
        volume_from_node(a_volume_node, a_region((100, 4, 2), (110, 9, 6)))


def test_a_region_that_was_not_drawn_yet_is_refused(a_scene, a_volume_node):
    roi = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Lesion")
    with pytest.raises(VolumeError, match="Lesion has no size yet"):
        box_over(a_volume_node, roi)


def test_a_new_region_lies_over_the_middle_half(a_scene, a_volume_node, a_volume):
    transform = moved(a_scene, (50, -20, 7))
    a_volume_node.SetAndObserveTransformNodeID(transform.GetID())
    roi = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    lay_over(roi, a_volume_node)
    np.testing.assert_array_equal(
        volume_from_node(a_volume_node, roi).array, a_volume.array[2:7, 4:14, 5:15]
    )  # of 9, 18 and 20; parts of a voxel count as touched
    assert not roi.GetDisplayNode().GetFillVisibility()


@pytest.mark.parametrize("first", [1, -1])
def test_a_new_region_is_no_mirror_image(a_scene, a_volume_node, first):
    a_volume_node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.diag([first, 1.0, 3.0, 1.0])))
    roi = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    lay_over(roi, a_volume_node)
    assert roi.GetObjectToNodeMatrix().Determinant() > 0


def test_the_result_lies_exactly_in_the_region(a_volume_node, a_volume, a_region, an_enhanced):
    def enhance(volume, settings, **_):
        target = volume.grid.refined("k", settings.factor)
        array = np.repeat(volume.array, 3, axis=0)
        return type(an_enhanced)(type(volume)(array, target), an_enhanced.report)

    roi = a_region((3, 4, 2), (12, 9, 6))
    result = tasks.run(tasks.task_of(a_volume_node, roi=roi), EnhanceSettings(factor=3), enhance)
    whole = a_volume.grid.refined("k", 3)
    part = volume_from_node(result).grid
    assert part.shape_kji == (15, 6, 10)
    on_whole = np.linalg.inv(whole.ijk_to_ras) @ part.ijk_to_ras
    np.testing.assert_allclose(on_whole[:3, 3], (3, 4, 6), atol=1e-9)  # a voxel of the whole, refined


@pytest.mark.parametrize("is_sequence", [False, True])
def test_a_region_of_a_ct_without_air_is_a_ct(a_volume_node, a_volume, a_region, is_sequence):
    array = a_volume.array.clip(-100)
    array[0] = -1000
    slicer.util.updateVolumeFromArray(a_volume_node, array)
    roi = a_region((3, 4, 2), (12, 9, 6))
    node = add_sequence([array, array], a_volume.grid.ijk_to_ras) if is_sequence else a_volume_node
    part = tasks.task_of(node, roi=roi).volume()
    assert (part.modality, part.array.min() > -850) == ("ct", True)


def test_a_region_of_a_volume_of_another_kind_is_of_no_known_modality(a_volume_node, a_volume, a_region):
    slicer.util.updateVolumeFromArray(a_volume_node, a_volume.array.clip(0))
    assert tasks.task_of(a_volume_node, roi=a_region((3, 4, 2), (12, 9, 6))).volume().modality is None
