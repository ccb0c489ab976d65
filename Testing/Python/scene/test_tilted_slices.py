"""Tilted slices in Slicer: as a sheared matrix, and as the acquisition transform that its DICOM reader makes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the scene needs slicer-core")

import vtk  # noqa: E402
from vtk.util.numpy_support import vtk_to_numpy  # noqa: E402

from medical_super_resolution.errors import VolumeError  # noqa: E402
from medical_super_resolution.inference.planning import plan  # noqa: E402
from medical_super_resolution.settings import EnhanceSettings  # noqa: E402
from medical_super_resolution.volumes.tilt import straight_grid, straightened, tilt_degrees  # noqa: E402
from MedicalSuperResolutionLib.compare.common_grid import before_on_grid_of  # noqa: E402
from MedicalSuperResolutionLib.scene.cautions import cautions  # noqa: E402
from MedicalSuperResolutionLib.scene.nodes import volume_from_node, write_to_node  # noqa: E402
from MedicalSuperResolutionLib.scene.region import lay_over  # noqa: E402

TWICE = EnhanceSettings(factor=2)


def with_acquisition_transform(node: slicer.vtkMRMLScalarVolumeNode, displacement_of) -> np.ndarray:
    """As DICOMScalarVolumePlugin of Slicer makes it: the corners of each slice, displaced.

    Returns
    -------
    numpy.ndarray
        (4, 4) voxel index to mm, RAS, of the tilted slices where ``displacement_of(k)`` grows evenly with k.
    """
    columns, rows, slices = node.GetImageData().GetDimensions()
    image = vtk.vtkImageData()
    image.SetOrigin(*node.GetOrigin())
    image.SetDimensions(2, 2, slices)
    spacing = node.GetSpacing()
    image.SetSpacing(spacing[0] * columns, spacing[1] * rows, spacing[2])
    image.AllocateScalars(vtk.VTK_DOUBLE, 3)
    transform, direction = slicer.vtkOrientedGridTransform(), vtk.vtkMatrix4x4()
    node.GetIJKToRASDirectionMatrix(direction)
    transform.SetGridDirectionMatrix(direction)
    transform.SetDisplacementGridData(image)
    made = node.GetScene().AddNewNodeByClass("vtkMRMLGridTransformNode", "Chest acquisition transform")
    made.SetAndObserveTransformToParent(transform)
    displacements = slicer.util.arrayFromGridTransform(made)
    for k in range(slices):
        displacements[k] = displacement_of(k)
    node.SetAndObserveTransformNodeID(made.GetID())
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    tilted = slicer.util.arrayFromVTKMatrix(matrix)
    tilted[:3, 2] += np.reshape(displacement_of(1), (-1, 3))[0]
    tilted[:3, 3] += np.reshape(displacement_of(0), (-1, 3))[0]
    return tilted


@pytest.fixture
def tilted_matrix(a_volume_node) -> np.ndarray:
    along_j = volume_from_node(a_volume_node).grid.direction[:, 1]
    return with_acquisition_transform(a_volume_node, lambda k: 0.9 * k * along_j)


def test_the_acquisition_transform_is_taken_as_the_place_of_the_slices(a_volume_node, tilted_matrix):
    volume = volume_from_node(a_volume_node)
    np.testing.assert_allclose(volume.grid.ijk_to_ras, tilted_matrix, atol=1e-6)
    assert tilt_degrees(volume.grid) == pytest.approx(np.degrees(np.arctan(0.9 / 3)), abs=1e-3)
    assert plan(volume.grid, TWICE).source == straight_grid(volume.grid)


def test_a_transform_that_slicer_has_not_yet_computed_is_computed(a_volume_node, tilted_matrix, monkeypatch):
    def array_as_in_slicer_5_12(node: slicer.vtkMRMLGridTransformNode) -> np.ndarray:
        grid = node.GetTransformFromParent().GetDisplacementGrid()
        return vtk_to_numpy(grid.GetPointData().GetScalars()).reshape(*reversed(grid.GetDimensions()), 3)

    monkeypatch.setattr(slicer.util, "arrayFromGridTransform", array_as_in_slicer_5_12)
    transform, copy = a_volume_node.GetParentTransformNode(), slicer.vtkOrientedGridTransform()
    copy.DeepCopy(transform.GetTransformToParent())
    transform.SetAndObserveTransformToParent(copy)
    np.testing.assert_allclose(volume_from_node(a_volume_node).grid.ijk_to_ras, tilted_matrix, atol=1e-6)


def test_a_result_lies_above_the_acquisition_transform_where_the_slices_lie(a_volume_node, tilted_matrix, an_enhanced):
    registration = a_volume_node.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode", "registration")
    a_volume_node.GetParentTransformNode().SetAndObserveTransformNodeID(registration.GetID())
    straight = straightened(volume_from_node(a_volume_node))
    made = write_to_node(replace(an_enhanced, volume=straight), a_volume_node)
    assert made.GetParentTransformNode() is registration
    np.testing.assert_allclose(volume_from_node(made).grid.ijk_to_ras, straight.grid.ijk_to_ras, atol=1e-6)


def test_the_tilted_slices_are_compared_where_they_lie(a_volume_node, tilted_matrix, an_enhanced):
    pytest.importorskip("SimpleITK")
    straight = straightened(volume_from_node(a_volume_node))
    made = write_to_node(replace(an_enhanced, volume=straight), a_volume_node)
    before = before_on_grid_of(a_volume_node, made)
    assert before is not None
    inside = ~straight.padding
    inside[:, :2], inside[:, -2:] = False, False
    difference = np.abs(before - straight.array)[inside]
    assert np.median(difference) < 20  # of 1900; two interpolations by different kernels


def test_a_new_region_lies_in_the_middle_of_the_tilted_slices(a_volume_node, tilted_matrix):
    registration = a_volume_node.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode", "registration")
    a_volume_node.GetParentTransformNode().SetAndObserveTransformNodeID(registration.GetID())
    roi = a_volume_node.GetScene().AddNewNodeByClass("vtkMRMLMarkupsROINode")
    lay_over(roi, a_volume_node)
    assert roi.GetParentTransformNode() is registration
    middle_ijk = (np.array(a_volume_node.GetImageData().GetDimensions()) - 1) / 2
    np.testing.assert_allclose(roi.GetCenter(), (tilted_matrix @ [*middle_ijk, 1])[:3], atol=0.8)
    assert volume_from_node(a_volume_node, roi).array.shape == (5, 18, 10)  # of 9, 18 and 20


def test_uneven_slices_are_enhanced_as_they_are_stored_and_that_is_a_caution(a_volume_node):
    before = volume_from_node(a_volume_node).grid
    with_acquisition_transform(a_volume_node, lambda k: np.array([0, 0, 2.0 * (k > 3)]))
    volume = volume_from_node(a_volume_node)
    assert volume.grid == before
    assert "Chest acquisition transform is no matrix" in cautions(a_volume_node, volume, plan(volume.grid, TWICE))[0]


def test_a_grid_transform_with_another_hardened_on_it_is_a_caution(a_volume_node):
    before = volume_from_node(a_volume_node).grid
    with_acquisition_transform(a_volume_node, lambda k: np.array([0, 0, 2.0 * (k > 3)]))
    transform = a_volume_node.GetParentTransformNode()
    registration = a_volume_node.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode", "registration")
    transform.SetAndObserveTransformNodeID(registration.GetID())
    assert transform.HardenTransform()
    volume = volume_from_node(a_volume_node)
    assert volume.grid == before
    assert "Chest acquisition transform is no matrix" in cautions(a_volume_node, volume, plan(volume.grid, TWICE))[0]


def test_slices_that_lie_evenly_farther_apart_than_stored_are_no_caution(a_volume_node):
    along_k = volume_from_node(a_volume_node).grid.direction[:, 2]
    with_acquisition_transform(a_volume_node, lambda k: 0.3 * k * along_k)
    volume = volume_from_node(a_volume_node)
    assert volume.grid.spacing_ijk_mm[2] == pytest.approx(3.3)
    assert cautions(a_volume_node, volume, plan(volume.grid, TWICE)) == []


def test_slices_that_are_wider_than_stored_are_wider_along_their_rows_alone(a_volume_node):
    along_i = volume_from_node(a_volume_node).grid.direction[:, 0]
    corners = np.zeros((2, 2, 3))  # J, I and RAS
    corners[:, 1] = 4 * along_i
    with_acquisition_transform(a_volume_node, lambda k: corners)
    columns = a_volume_node.GetImageData().GetDimensions()[0]
    np.testing.assert_allclose(volume_from_node(a_volume_node).grid.spacing_ijk_mm, (0.8 + 4 / columns, 0.8, 3))


def test_tilted_slices_under_a_warp_are_two_cautions(a_volume_node, tilted_matrix):
    warp = a_volume_node.GetScene().AddNewNodeByClass("vtkMRMLBSplineTransformNode", "Warp")
    warp.SetAndObserveTransformToParent(slicer.vtkOrientedBSplineTransform())
    a_volume_node.GetParentTransformNode().SetAndObserveTransformNodeID(warp.GetID())
    volume = volume_from_node(a_volume_node)
    tilted, warped = cautions(a_volume_node, volume, plan(volume.grid, TWICE))
    assert "The slices are tilted" in tilted
    assert "The transform Warp is no matrix" in warped


def test_a_sheared_matrix_is_straightened_and_that_is_a_caution(a_volume_node):
    sheared = np.diag([0.8, 0.8, 3.0, 1.0])
    sheared[1, 2] = 0.9
    a_volume_node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(sheared))
    volume = volume_from_node(a_volume_node)
    found = cautions(a_volume_node, volume, plan(volume.grid, TWICE))
    assert found[0].startswith("The slices are tilted by 16.7 degrees; the result is straight")


def test_tilted_slices_as_thick_as_they_are_apart_leave_no_gap(a_volume_node, tilted_matrix):
    tilted_matrix[:3, :3] *= (1, 1, 2)
    volume = volume_from_node(a_volume_node)
    volume = replace(volume, grid=replace(volume.grid, ijk_to_ras=tilted_matrix))
    planned, thick = plan(volume.grid, TWICE), straight_grid(volume.grid).through_plane_spacing_mm
    assert volume.grid.spacing_ijk_mm[2] > 1.04 * thick
    found = [
        cautions(a_volume_node, replace(volume, slice_thickness_mm=mm), planned) for mm in (0.99 * thick, thick / 2)
    ]
    assert ["nothing was measured between them" in " ".join(one) for one in found] == [False, True]


def test_slices_that_lie_almost_beside_each_other_are_refused(a_volume_node):
    sheared = np.diag([0.8, 0.8, 3.0, 1.0])
    sheared[1, 2] = 30
    a_volume_node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(sheared))
    with pytest.raises(VolumeError, match="tilted by 84 degrees"):
        volume_from_node(a_volume_node)
