"""The transform that Slicer gives a DICOM volume whose slices are tilted, taken as the place of its slices.

Slicer loads such a series on a straight grid, and moves the corners of each slice to where DICOM has them by a grid
transform of its own: one displacement for each of the four corners of each slice.
"""

from __future__ import annotations

import numpy as np
import slicer
import vtk

_MATRIX_MM = 0.1  # corners nearer than this to where a matrix takes them lie on tilted, evenly spaced slices
_CORNERS = 2  # along the rows and along the columns of a slice


def ijk_to_ras_of(node: slicer.vtkMRMLVolumeNode, shown_by: slicer.vtkMRMLVolumeNode | None = None) -> np.ndarray:
    """(4, 4) voxel-center index to mm, RAS, in the coordinates of `parent_of` the volume.

    Parameters
    ----------
    node : vtkMRMLVolumeNode
        The volume.
    shown_by : vtkMRMLVolumeNode or None
        The node that shows it in the scene, and has its transform, where it is an item of a sequence.
    """
    tilted = _tilted(shown_by or node)
    return before_transform(node) if tilted is None else tilted


def parent_of(node: slicer.vtkMRMLTransformableNode) -> slicer.vtkMRMLTransformNode | None:
    """The transform above a node; of a volume with tilted slices, the one above its acquisition transform."""
    transform = node.GetParentTransformNode()
    return transform if _tilted(node) is None else transform.GetParentTransformNode()


def before_transform(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """(4, 4) voxel-center index to mm, RAS, as the node has it, before any transform above it."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _tilted(node: slicer.vtkMRMLTransformableNode) -> np.ndarray | None:
    """The voxel positions by the acquisition transform, as a matrix.

    None where there is no such transform, or where the slices are not evenly spaced, which no matrix can express.
    """
    transform = node.GetParentTransformNode()
    if transform is None or not transform.IsA("vtkMRMLGridTransformNode") or not node.IsA("vtkMRMLVolumeNode"):
        return None
    if not transform.GetTransformFromParent().IsA("vtkOrientedGridTransform"):  # another one was hardened on it
        return None
    transform.GetTransformFromParent().Update()  # else Slicer 5.12 knows no grid of one that is stored as an inverse
    displacements = slicer.util.arrayFromGridTransform(transform)  # (K, J, I, RAS)
    columns, rows, slices = node.GetImageData().GetDimensions() if node.GetImageData() else (0, 0, 0)
    if displacements is None or slices < _CORNERS or displacements.shape != (slices, _CORNERS, _CORNERS, 3):
        return None
    k, j, i = np.meshgrid(range(slices), (0, rows), (0, columns), indexing="ij")
    corners = np.stack([i, j, k, np.ones_like(k)], axis=-1).reshape(-1, 4).astype(float)
    targets = (corners @ before_transform(node).T)[:, :3] + displacements.reshape(-1, 3)
    solution = np.linalg.lstsq(corners, targets, rcond=None)[0]
    if np.abs(corners @ solution - targets).max() > _MATRIX_MM:
        return None
    matrix = np.eye(4)
    matrix[:3] = solution.T
    return matrix
