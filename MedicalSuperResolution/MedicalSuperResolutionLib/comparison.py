"""Before, after and their difference on one grid, whatever two volumes they come from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import slicer
import vtk

from medical_super_resolution.errors import SuperResolutionError, VolumeError
from medical_super_resolution.volumes.grid import Grid
from medical_super_resolution.volumes.volume import Volume
from MedicalSuperResolutionLib import region, scene
from MedicalSuperResolutionLib.compare import PANES, CompareViews

RESAMPLED_LABEL = "Before, cubic B-spline"
_SAME_PLACE_VOXELS = 1e-3  # grids whose voxels lie this close together are the same
_WIDEST = 99.5  # percentile of the differences that gets the strongest color
_SAMPLES = 1_000_000  # as many differences tell the percentile well enough
_COLORS = 255  # an odd number: the one in the middle stands for no difference
_BLUE, _WHITE, _RED = (0.02, 0.19, 0.58), (0.97, 0.97, 0.97), (0.60, 0.0, 0.05)


@dataclass(frozen=True)
class Shown:
    """What is on the screen. limit : the difference with the strongest color, in ``units`` (may be empty).

    resampled : whether before was brought onto the grid of after.
    """

    before: str
    after: str
    resampled: bool
    limit: float
    units: str


class Comparison:
    """Shows before, after, and after minus before. What it adds to the scene is hidden, is not saved, and leaves."""

    def __init__(self, views: CompareViews) -> None:
        self._views = views
        self._temporary: list[slicer.vtkMRMLNode] = []
        self._shown: Shown | None = None

    @property
    def is_active(self) -> bool:
        """Whether the compare views are on the screen."""
        return self._views.is_active

    @property
    def shown(self) -> Shown | None:
        """What is compared now; None where nothing is."""
        return self._shown if self.is_active else None

    def enter(self, before: slicer.vtkMRMLScalarVolumeNode, after: slicer.vtkMRMLScalarVolumeNode) -> None:
        """Compare two volumes.

        Raises
        ------
        VolumeError : one of them cannot be compared, they do not overlap, or a warp lies between them.
        SuperResolutionError : there are no slice views, or SimpleITK is missing.
        """
        resampled = before_on_grid_of(before, after)
        old, self._temporary = self._temporary, []
        try:
            source = before if resampled is None else self._add_before(before, after, resampled)
            difference, limit = self._add_difference(source, after)
            self._views.enter(source, after, difference, sharing_window=(before,))
        except BaseException:
            self._remove(self._temporary)
            self._temporary = old
            raise
        self._remove(old)
        self._views.set_label(0, PANES[0].label if resampled is None else RESAMPLED_LABEL)
        units = after.GetVoxelValueUnits()
        self._shown = Shown(
            before.GetName(),
            after.GetName(),
            resampled is not None,
            limit,
            units.GetCodeMeaning() or "" if units is not None else "",
        )

    def fade(self, opacity: float) -> None:
        """In the view of after, show before in its place: 0 not at all, 1 fully."""
        self._views.fade(opacity)

    def fit(self) -> None:
        """See `CompareViews.fit`."""
        self._views.fit()

    def exit(self) -> None:
        """Bring the previous layout back, and take what was added out of the scene."""
        self._views.exit()
        self._remove(self._temporary)
        self._temporary, self._shown = [], None

    def _add_before(
        self, before: slicer.vtkMRMLScalarVolumeNode, after: slicer.vtkMRMLScalarVolumeNode, array: np.ndarray
    ) -> slicer.vtkMRMLScalarVolumeNode:
        node = self._add_volume(f"{before.GetName()} (cubic B-spline)", array, after)
        scene.copy_display(before, node)
        return node

    def _add_difference(
        self, before: slicer.vtkMRMLScalarVolumeNode, after: slicer.vtkMRMLScalarVolumeNode
    ) -> tuple[slicer.vtkMRMLScalarVolumeNode, float]:
        arrays = [slicer.util.arrayFromVolume(node) for node in (after, before)]
        difference = np.subtract(*arrays, dtype=np.float32, casting="unsafe")
        limit = _limit(difference)
        node = self._add_volume(f"{after.GetName()} minus {before.GetName()}", difference, after)
        colors = self._add(_diverging_colors())
        display = node.GetDisplayNode()
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(2 * limit, 0)
        display.SetAndObserveColorNodeID(colors.GetID())
        return node, limit

    def _add_volume(
        self, name: str, array: np.ndarray, like: slicer.vtkMRMLScalarVolumeNode
    ) -> slicer.vtkMRMLScalarVolumeNode:
        node = slicer.vtkMRMLScalarVolumeNode()
        node.SetName(name)
        slicer.util.updateVolumeFromArray(node, array)
        node.CopyOrientation(like)
        node.SetAndObserveTransformNodeID(like.GetTransformNodeID())
        self._add(node)
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetSaveWithScene(False)
        return node

    def _add(self, node: slicer.vtkMRMLNode) -> slicer.vtkMRMLNode:
        node.SetHideFromEditors(True)  # before it is added: the subject hierarchy looks only then
        node.SetSaveWithScene(False)
        slicer.mrmlScene.AddNode(node)
        self._temporary.append(node)
        return node

    @staticmethod
    def _remove(nodes: list[slicer.vtkMRMLNode]) -> None:
        for node in nodes:
            if node.GetScene() is not None:  # else the scene was closed
                scene.remove(node)


def before_on_grid_of(
    before: slicer.vtkMRMLScalarVolumeNode, after: slicer.vtkMRMLScalarVolumeNode
) -> np.ndarray | None:
    """The values of one volume at the voxels of another, (K, J, I) float32; None where both have the same grid.

    Parent transforms are taken into account. Beyond the border of ``before`` its nearest values go on.

    Raises
    ------
    VolumeError, SuperResolutionError : see `Comparison.enter`.
    """
    volume, target = scene.volume_from_node(before), scene.volume_from_node(after).grid
    grid = Grid(volume.grid.shape_kji, region.between(before, after) @ volume.grid.ijk_to_ras)
    if grid.is_sheared:
        raise VolumeError(f"a transform shears {before.GetName()} against {after.GetName()}; harden it, then resample")
    if grid.shape_kji == target.shape_kji and _same_place(grid, target):
        return None
    volume = replace(volume, grid=grid)
    try:
        return _along_axes(volume, target) if _is_parallel(grid, target) else _resampled(volume, target)
    except ImportError as problem:
        raise SuperResolutionError(
            "SimpleITK is missing in this Python; install it with slicer.util.pip_install('SimpleITK') and try again"
        ) from problem


def _resampled(volume: Volume, target: Grid) -> np.ndarray:
    from medical_super_resolution.volumes.resampling import resampled

    return resampled(volume, target)


def _along_axes(volume: Volume, target: Grid) -> np.ndarray:
    """`_resampled` for parallel grids, one axis after the other: the same values in a fraction of the time."""
    to_index = np.linalg.inv(volume.grid.ijk_to_ras) @ target.ijk_to_ras
    weights = [
        _weights(volume.grid.count(axis), target.count(axis), to_index[column, column], to_index[column, 3])
        for column, axis in enumerate("ijk")
    ]
    values = volume.array.astype(np.float32)
    moved = [not np.array_equal(one, np.eye(len(one))) for one in weights]
    if moved[2]:
        shape_ji = values.shape[1:]
        values = np.matmul(weights[2], values.reshape(len(values), -1)).reshape(-1, *shape_ji)
    if moved[1]:
        values = np.matmul(weights[1], values)
    if moved[0]:
        values = np.matmul(values, weights[0].T)
    return values


def _weights(count: int, target_count: int, step: float, start: float) -> np.ndarray:
    """What each of ``count`` samples contributes to each new one, (target_count, count) float32.

    The new samples lie at ``start``, ``start + step`` and so on, in indices of the old ones.
    """
    if count == target_count and abs(step - 1) * count < _SAME_PLACE_VOXELS and abs(start) < _SAME_PLACE_VOXELS:
        return np.eye(count, dtype=np.float32)
    impulses = Volume(np.eye(count, dtype=np.float32)[:, :, None], Grid((count, count, 1), np.eye(4)))
    along_k = np.diag([1.0, 1.0, step, 1.0])
    along_k[2, 3] = start
    return _resampled(impulses, Grid((target_count, count, 1), along_k))[:, :, 0]


def _is_parallel(one: Grid, other: Grid) -> bool:
    """Whether each axis of a grid runs along the same axis, in the same direction, of the other."""
    turn = np.linalg.inv(one.ijk_to_ras)[:3, :3] @ other.ijk_to_ras[:3, :3]
    drift = np.abs(turn - np.diag(np.diag(turn))) * max(other.shape_kji)
    return bool(drift.max() < _SAME_PLACE_VOXELS and np.diag(turn).min() > 0)


def _same_place(one: Grid, other: Grid) -> bool:
    apart = np.linalg.inv(one.ijk_to_ras) @ other.ijk_to_ras - np.eye(4)
    apart[:, :3] *= max(one.shape_kji)
    return bool(np.abs(apart).max() < _SAME_PLACE_VOXELS)


def _limit(difference: np.ndarray) -> float:
    """A symmetric window for differences, with two digits: nearly all of them lie in it."""
    size = np.abs(difference.reshape(-1)[:: max(1, difference.size // _SAMPLES)])
    size = size[np.isfinite(size)]
    widest = float(np.percentile(size, _WIDEST)) if size.size else 0.0
    return float(f"{widest or float(size.max(initial=0)) or 1.0:.2g}")


def _diverging_colors() -> slicer.vtkMRMLColorTableNode:
    """Blue, over white for no difference, to red."""
    node = slicer.vtkMRMLColorTableNode()
    node.SetName("Medical Super-Resolution difference")
    node.SetTypeToUser()
    table = vtk.vtkLookupTable()
    table.SetNumberOfTableValues(_COLORS)
    for index, place in enumerate(np.linspace(-1, 1, _COLORS)):
        end = np.array(_BLUE if place < 0 else _RED)
        table.SetTableValue(index, *(np.array(_WHITE) * (1 - abs(place)) + end * abs(place)), 1)
    table.SetTableRange(0, _COLORS - 1)
    node.SetAndObserveLookupTable(table)
    return node
