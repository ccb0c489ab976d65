"""A volume that is moved while its result is computed: the result lies where the voxels lie in the end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="the scene needs slicer-core")

import vtk  # noqa: E402

from medical_super_resolution.errors import VolumeError  # noqa: E402
from medical_super_resolution.settings import EnhanceSettings  # noqa: E402
from MedicalSuperResolutionLib.engine import tasks  # noqa: E402
from MedicalSuperResolutionLib.scene import kinds, uncertainty_node  # noqa: E402
from slicer_host import add_sequence, ijk_to_ras  # noqa: E402

TURNED = np.array([[0.0, -1, 0, 50], [1, 0, 0, -7], [0, 0, 1, 3], [0, 0, 0, 1]])


def under_a_transform(node: slicer.vtkMRMLScalarVolumeNode, kind: str = "vtkMRMLLinearTransformNode") -> None:
    transform = node.GetScene().AddNewNodeByClass(kind)
    if transform.IsLinear():
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(TURNED))
    node.SetAndObserveTransformNodeID(transform.GetID())


def to_world(node: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(node.GetParentTransformNode(), None, matrix)
    return slicer.util.arrayFromVTKMatrix(matrix) @ ijk_to_ras(node)


def enhance(node: slicer.vtkMRMLScalarVolumeNode, an_enhanced, meanwhile) -> slicer.vtkMRMLScalarVolumeNode:
    def engine(volume, settings, *, profile_of):
        meanwhile(node)
        return replace(an_enhanced, uncertainty=an_enhanced.volume)

    return tasks.run(tasks.task_of(node), EnhanceSettings(factor=3), engine)


def center(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    node.SetOrigin(-10, -9, -12)


def correct_the_spacing(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    node.SetSpacing(0.5, 0.5, 4)


@pytest.mark.parametrize(
    "meanwhile",
    [lambda node: node.HardenTransform(), center, correct_the_spacing, under_a_transform, lambda node: None],
)
def test_the_result_goes_with_its_volume(a_volume_node, an_enhanced, meanwhile):
    under_a_transform(a_volume_node)
    finer = np.linalg.inv(ijk_to_ras(a_volume_node)) @ an_enhanced.volume.grid.ijk_to_ras  # in voxels of the volume
    result = enhance(a_volume_node, an_enhanced, meanwhile)
    for made in (result, uncertainty_node.map_of(result)):
        np.testing.assert_allclose(to_world(made), to_world(a_volume_node) @ finer, atol=1e-9)


def test_voxels_that_are_cropped_meanwhile_do_not_move_the_result(a_volume_node, an_enhanced):
    def crop(node):
        place = ijk_to_ras(node)
        slicer.util.updateVolumeFromArray(node, slicer.util.arrayFromVolume(node)[2:].copy())
        place[:3, 3] += 2 * place[:3, 2]
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(place))

    result = enhance(a_volume_node, an_enhanced, crop)
    np.testing.assert_allclose(ijk_to_ras(result), an_enhanced.volume.grid.ijk_to_ras, atol=1e-9)


def test_a_warp_that_is_hardened_meanwhile_is_refused(a_volume_node, an_enhanced):
    under_a_transform(a_volume_node, "vtkMRMLBSplineTransformNode")
    count = a_volume_node.GetScene().GetNumberOfNodes()
    with pytest.raises(VolumeError, match="Chest was moved and resampled meanwhile"):
        enhance(a_volume_node, an_enhanced, lambda node: node.HardenTransform())
    assert a_volume_node.GetScene().GetNumberOfNodes() == count


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_results_of_a_sequence_go_with_an_item_whose_transform_is_hardened(a_volume, a_scene, an_enhanced, number):
    proxy = add_sequence([a_volume.array] * 3, a_volume.grid.ijk_to_ras)
    browser = kinds.browser_of(proxy)
    browser.SetSaveChanges(browser.GetSequenceNode(proxy), True)
    browser.SetSelectedItemNumber(1)
    under_a_transform(proxy)
    finer = np.linalg.inv(ijk_to_ras(proxy)) @ an_enhanced.volume.grid.ijk_to_ras  # in voxels of the volume
    done = []

    def engine(volume, settings, *, profile_of):
        if len(done) == number:
            proxy.HardenTransform()
        done.append(volume.grid)
        return replace(an_enhanced, volume=replace(an_enhanced.volume, grid=volume.grid.refined("k", 3)))

    result = tasks.run(tasks.task_of(proxy), EnhanceSettings(factor=3), engine)
    for shown in range(3):
        browser.SetSelectedItemNumber(shown)
        np.testing.assert_allclose(to_world(result), to_world(proxy) @ finer, atol=1e-9)
    browser.SetSelectedItemNumber(1)
    np.testing.assert_allclose(ijk_to_ras(proxy), TURNED @ a_volume.grid.ijk_to_ras, atol=1e-9)


def test_a_warp_that_is_hardened_on_a_sequence_meanwhile_is_refused(a_volume, a_scene, an_enhanced):
    proxy = add_sequence([a_volume.array] * 2, a_volume.grid.ijk_to_ras)
    browser = kinds.browser_of(proxy)
    browser.SetSaveChanges(browser.GetSequenceNode(proxy), True)
    under_a_transform(proxy, "vtkMRMLBSplineTransformNode")
    nodes = a_scene.GetNumberOfNodes()

    def engine(volume, settings, *, profile_of):
        if proxy.GetParentTransformNode() is not None:
            proxy.HardenTransform()
        return an_enhanced

    with pytest.raises(VolumeError, match="Phases was moved and resampled meanwhile"):
        tasks.run(tasks.task_of(proxy), EnhanceSettings(factor=3), engine)
    assert a_scene.GetNumberOfNodes() == nodes
