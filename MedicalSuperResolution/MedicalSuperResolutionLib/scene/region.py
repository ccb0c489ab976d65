"""Position of a volume in the patient, its moves, and the voxels of it in a region of interest."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import slicer
import vtk

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.intensity import guess_modality
from medical_super_resolution.volumes.tilt import straight_grid
from medical_super_resolution.volumes.volume import Volume
from MedicalSuperResolutionLib.scene.acquisition_transform import before_transform, ijk_to_ras_of, parent_of
from MedicalSuperResolutionLib.translation import tr as _

_Made = TypeVar("_Made")
_TOUCH = 1e-3  # of a voxel: a face of the region that lies on a border between voxels takes no part of the next one
_CORNERS = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))  # of a box of size 1 around the origin


def between(node: slicer.vtkMRMLTransformableNode, other: slicer.vtkMRMLTransformableNode) -> np.ndarray:
    """(4, 4) matrix from the coordinates of one node, before its parent transform, to those of another.

    Raises
    ------
    VolumeError
        A transform between them is a warp, which no matrix describes.
    """
    matrix = vtk.vtkMatrix4x4()
    if not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(parent_of(node), parent_of(other), matrix):
        raise VolumeError(
            _("a warp lies between {name} and {other}; harden the transforms first").format(
                name=node.GetName(), other=other.GetName()
            )
        )
    return slicer.util.arrayFromVTKMatrix(matrix)


class Moves:
    """The moves of a volume node from now on: a hardened transform, another origin or spacing.

    What is computed from it meanwhile goes with it.
    """

    def __init__(
        self, node: slicer.vtkMRMLScalarVolumeNode, shown_by: slicer.vtkMRMLScalarVolumeNode | None = None
    ) -> None:
        """``shown_by`` : see `acquisition_transform.ijk_to_ras_of`."""
        self._node, self._shown = node, shown_by or node
        self._parent = parent_of(self._shown)
        self._matrix, self._voxels = before_transform(node), _version(node)

    def applied_to(self, made: _Made) -> _Made:
        """What was computed from the node, where its voxels lie now, before the parent transform that it has now.

        Parameters
        ----------
        made
            A dataclass with a volume and its uncertainty, or None for that.

        Raises
        ------
        VolumeError
            See `matrix`.
        """
        move = self.matrix()
        if move is None:
            return made
        unsure = made.uncertainty
        uncertainty = None if unsure is None else _moved(unsure, move)
        return replace(made, volume=_moved(made.volume, move), uncertainty=uncertainty)

    def matrix(self) -> np.ndarray | None:
        """(4, 4), from where the voxels were to where they are, mm, RAS; None if they have not moved.

        Raises
        ------
        VolumeError
            The node lies under another transform and has other voxels, as after hardening a warp.
        """
        if _version(self._node) != self._voxels:
            if parent_of(self._shown) is not self._parent:
                message = _(
                    "the volume {name} was moved and resampled meanwhile, so the place of its result is not known;"
                    " try again"
                )
                raise VolumeError(message.format(name=self._shown.GetName()))
            return None  # other voxels lie where they lie; ours have not moved
        now = before_transform(self._node)
        return None if np.array_equal(now, self._matrix) else now @ np.linalg.inv(self._matrix)


def anatomical_axes(node: slicer.vtkMRMLScalarVolumeNode) -> str:
    """For the index axes i, j and k of a volume: the letter of "RAS" of the nearest direction."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASDirectionMatrix(matrix)
    direction = np.abs(slicer.util.arrayFromVTKMatrix(matrix)[:3, :3])
    best = max(itertools.permutations(range(3)), key=lambda ras: sum(direction[ras[axis], axis] for axis in range(3)))
    return "".join("RAS"[axis] for axis in best)


@dataclass(frozen=True)
class Box:
    """Where a region of interest lies over a volume, whatever becomes of both.

    Parameters
    ----------
    region, volume
        Their names.
    corners
        (4, 8), in the coordinates of the volume before its parent transform.
    """

    region: str
    volume: str
    corners: np.ndarray


def box_over(node: slicer.vtkMRMLScalarVolumeNode, roi: slicer.vtkMRMLMarkupsROINode) -> Box:
    """Where a region lies over a volume; the parent transforms of both are taken into account.

    Raises
    ------
    VolumeError
        The region has no size yet, or a warp lies between them.
    """
    if min(roi.GetSize()) <= 0:
        raise VolumeError(
            _("the region {region} has no size yet; draw it in a slice view, or choose none").format(
                region=roi.GetName()
            )
        )
    to_ras = between(roi, node) @ slicer.util.arrayFromVTKMatrix(roi.GetObjectToNodeMatrix())
    corners = np.column_stack([_CORNERS * roi.GetSize(), np.ones(len(_CORNERS))])
    return Box(roi.GetName(), node.GetName(), to_ras @ corners.T)


def cropped(volume: Volume, box: Box) -> Volume:
    """The voxels of a volume that a region of interest touches; they stay where they are.

    A region that is turned against the voxels gives the smallest box of voxels around it.

    Raises
    ------
    VolumeError
        The region lies outside of the volume.
    """
    corners_ijk = (np.linalg.inv(volume.grid.ijk_to_ras) @ box.corners)[:3]
    size_ijk = np.array(volume.array.shape[::-1])
    first = np.clip(np.floor(corners_ijk.min(axis=1) + 0.5 + _TOUCH), 0, size_ijk).astype(int)
    after = np.clip(np.ceil(corners_ijk.max(axis=1) + 0.5 - _TOUCH), 0, size_ijk).astype(int)
    if (after <= first).any():
        raise VolumeError(
            _("the region {region} lies outside of the volume {name}; move it onto the volume, or choose none").format(
                region=box.region, name=box.volume
            )
        )
    array = volume.array[tuple(slice(begin, end) for begin, end in zip(first[::-1], after[::-1], strict=True))]
    shift = np.eye(4)
    shift[:3, 3] = first
    return replace(volume, array=array, grid=Grid(array.shape, volume.grid.ijk_to_ras @ shift))


def part_to_enhance(volume: Volume, box: Box) -> Volume:
    """`cropped`, and a CT where the whole volume is one by its values: tissue without air around it looks like MR."""
    part, is_known = cropped(volume, box), volume.modality is not None
    return part if is_known or guess_modality(volume.array) != "ct" else replace(part, modality="ct")


def lay_over(roi: slicer.vtkMRMLMarkupsROINode, node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    """Place a new region in the middle half of a volume, along the axes of its voxels, or of the straightened ones.

    Without a volume that can be enhanced, it stays where it is. It is not filled: that would tint the slices.
    """
    if node is None or node.GetImageData() is None:
        return
    try:
        grid = straight_grid(Grid(node.GetImageData().GetDimensions()[::-1], ijk_to_ras_of(node)))
    except VolumeError:  # which the panel shows
        return
    size_ijk = np.array(grid.shape_kji[::-1])
    place = np.eye(4)
    place[:3, :3] = grid.direction
    if np.linalg.det(place) < 0:
        place[:3, 0] *= -1  # a box looks the same from the other side
    place[:3, 3] = (grid.ijk_to_ras @ [*(size_ijk - 1) / 2, 1])[:3]
    parent = parent_of(node)
    with slicer.util.NodeModify(roi):
        roi.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
        roi.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(place))
        roi.SetSize(*(size_ijk * grid.spacing_ijk_mm / 2))
    roi.CreateDefaultDisplayNodes()
    roi.GetDisplayNode().SetFillVisibility(False)


def _moved(volume: Volume, move: np.ndarray) -> Volume:
    return replace(volume, grid=Grid(volume.grid.shape_kji, move @ volume.grid.ijk_to_ras))


def _version(node: slicer.vtkMRMLScalarVolumeNode) -> int:
    """A number that changes with the voxels."""
    image = node.GetImageData()
    return 0 if image is None else image.GetMTime()
