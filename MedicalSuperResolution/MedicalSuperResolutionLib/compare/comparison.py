"""Before, after and their difference on one grid, whatever two volumes they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from MedicalSuperResolutionLib.compare.blend import Mixture
from MedicalSuperResolutionLib.compare.common_grid import before_on_grid_of
from MedicalSuperResolutionLib.compare.views import PANES, CompareViews
from MedicalSuperResolutionLib.scene import nodes as scene
from MedicalSuperResolutionLib.scene import uncertainty_node as uncertainty_map

RESAMPLED_LABEL = "Before, B-spline"
_SURE = 0.25  # of the brightest uncertainty: what lies below it is not colored
_COLORS = 255  # an odd number: the one in the middle stands for no difference
_BLUE, _WHITE, _RED = (0.02, 0.19, 0.58), (0.97, 0.97, 0.97), (0.60, 0.0, 0.05)


@dataclass(frozen=True)
class Shown:
    """What is on the screen. limit : the difference with the strongest color, in ``units`` (may be empty).

    resampled : whether before was brought onto the grid of after. uncertainty : where the colors of the uncertainty of
    after begin and end, in ``units``; None where it is not known.
    """

    before: str
    after: str
    resampled: bool
    limit: float
    units: str
    uncertainty: tuple[float, float] | None = None


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
            colors = self._add_uncertainty(after)
            self._views.enter(source, after, difference, sharing_window=(before,), colors=colors)
            if colors is not None:
                self._add_legend(
                    colors, f"Uncertainty {_units(after)}".strip()
                )  # views hear of legends that come later
        except BaseException:
            self._remove(self._temporary)
            self._temporary = old
            raise
        self._remove(old)
        self._views.set_label(0, PANES[0].label if resampled is None else RESAMPLED_LABEL)
        self._shown = Shown(
            before.GetName(),
            after.GetName(),
            resampled is not None,
            limit,
            _units(after),
            None if colors is None else _ends_of_colors(colors.GetDisplayNode()),
        )

    @property
    def mixture(self) -> Mixture | None:
        """What lies over after in its view: before, or the uncertainty of after; None where nothing is compared."""
        return self._views.mixture

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
        limit = uncertainty_map.limit(difference)
        node = self._add_volume(f"{after.GetName()} minus {before.GetName()}", difference, after)
        colors = self._add(_diverging_colors())
        display = node.GetDisplayNode()
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(2 * limit, 0)
        display.SetAndObserveColorNodeID(colors.GetID())
        return node, limit

    def _add_uncertainty(self, after: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The uncertainty of after, if it is known, as an overlay of its own; the voxels are shared."""
        known = uncertainty_map.map_of(after)
        if known is None or known.GetImageData() is None or known.GetDisplayNode() is None:
            return None
        node = self._add_node(known.GetName(), known.GetImageData(), known)
        scene.copy_display(known, node)
        display, (first, _) = node.GetDisplayNode(), _ends_of_colors(node.GetDisplayNode())
        display.SetAutoThreshold(False)
        display.SetThreshold(first, max(first, known.GetImageData().GetScalarRange()[1]))
        display.SetApplyThreshold(True)
        return node

    def _add_legend(self, node: slicer.vtkMRMLScalarVolumeNode, title: str) -> None:
        legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(node)
        legend.SetTitleText(title)
        legend.SetHideFromEditors(True)
        legend.SetSaveWithScene(False)
        self._temporary.append(legend)

    def _add_volume(
        self, name: str, array: np.ndarray, like: slicer.vtkMRMLScalarVolumeNode
    ) -> slicer.vtkMRMLScalarVolumeNode:
        holder = slicer.vtkMRMLScalarVolumeNode()
        slicer.util.updateVolumeFromArray(holder, array)
        return self._add_node(name, holder.GetImageData(), like)

    def _add_node(
        self, name: str, image: vtk.vtkImageData, like: slicer.vtkMRMLScalarVolumeNode
    ) -> slicer.vtkMRMLScalarVolumeNode:
        node = slicer.vtkMRMLScalarVolumeNode()
        node.SetName(name)
        node.SetAndObserveImageData(image)
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
        for node in sorted(nodes, key=lambda one: not one.IsA("vtkMRMLColorLegendDisplayNode")):  # before its colors
            if node.GetScene() is not None:  # else the scene was closed
                scene.remove(node)


def _ends_of_colors(display: slicer.vtkMRMLScalarVolumeDisplayNode) -> tuple[float, float]:
    """The uncertainty that is the first to be colored, and the one that is the brightest."""
    brightest = display.GetLevel() + display.GetWindow() / 2
    return _SURE * brightest, brightest


def _units(volume: slicer.vtkMRMLScalarVolumeNode) -> str:
    units = volume.GetVoxelValueUnits()
    return units.GetCodeMeaning() or "" if units is not None else ""


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
