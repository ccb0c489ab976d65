"""Volumes that are moved while their result is computed: the result goes with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import slicer
import vtk

from medical_super_resolution.errors import VolumeError
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume
from MedicalSuperResolutionLib.scene.acquisition_transform import parent_of
from MedicalSuperResolutionLib.translation import tr as _


class Moves:
    """The moves of a volume node from now on: a hardened transform, another origin or spacing."""

    def __init__(self, node: slicer.vtkMRMLScalarVolumeNode) -> None:
        self._node, self._parent = node, parent_of(node)
        self._matrix, self._voxels = _ijk_to_ras(node), _version(node)

    def applied_to(self, volume: Volume) -> Volume:
        """What was computed from the node, where its voxels lie now, before the parent transform that it has now.

        Raises
        ------
        VolumeError
            The node lies under another transform and has other voxels, as after hardening a warp.
        """
        if _version(self._node) != self._voxels:
            if parent_of(self._node) is not self._parent:
                message = _(
                    "the volume {name} was moved and resampled meanwhile, so the place of its result is not known;"
                    " try again"
                )
                raise VolumeError(message.format(name=self._node.GetName()))
            return volume  # other voxels lie where they lie; ours have not moved
        now = _ijk_to_ras(self._node)
        if np.array_equal(now, self._matrix):
            return volume
        moved = now @ np.linalg.inv(self._matrix) @ volume.grid.ijk_to_ras
        return replace(volume, grid=Grid(volume.grid.shape_kji, moved))


def _ijk_to_ras(node: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _version(node: slicer.vtkMRMLScalarVolumeNode) -> int:
    """A number that changes with the voxels."""
    image = node.GetImageData()
    return 0 if image is None else image.GetMTime()
