"""Settings of Slicer's views during a comparison: crosshair, outlines without fill, one window, colors, legends."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import slicer
import vtk

from MedicalSuperResolutionLib.translation import tr as _

_VIEW_GROUP = 615  # views are linked within their group; Slicer's own views are in group 0
_COLORS = 255  # an odd number: the one in the middle stands for no difference
_FILLS = {
    "vtkMRMLMarkupsROIDisplayNode": "FillVisibility",
    "vtkMRMLSegmentationDisplayNode": "Visibility2DFill",
}
_CHANGED = "MedicalSuperResolution.ChangedByComparison"  # attribute of nodes, saved with the scene
_PLAIN = 1e-3, 1e5  # numbers that are smaller or larger are written with a power of ten: a legend has no room for more
_LOWER, _SAME, _HIGHER = (0.35, 0.68, 1.0), (0.10, 0.10, 0.10), (1.0, 0.48, 0.25)


class Crosshair:
    """Shows the crosshair at the same place of the patient in every view."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._node = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if self._node is not None and self._node.GetAttribute(_CHANGED) is None:
            self._node.SetAttribute(_CHANGED, str(self._node.GetCrosshairMode()))

    def show(self, visible: bool) -> None:
        """Show or hide it; Shift and the mouse move it."""
        if self._node is not None:
            self._node.SetCrosshairMode(self._node.ShowSmallBasic if visible else self._node.NoCrosshair)


class Unfilled:
    """Shows regions and segmentations, also new ones, as outlines: their fill would tint the comparison."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene
        self._tag = scene.AddObserver(scene.NodeAddedEvent, self._unfill)
        self._unfill()

    def _unfill(self, *_: object) -> None:
        for kind, fill in _FILLS.items():
            for display in slicer.util.getNodesByClass(kind, self._scene):
                if getattr(display, f"Get{fill}")():
                    display.SetAttribute(_CHANGED, fill)
                    getattr(display, f"Set{fill}")(False)

    def release(self) -> None:
        """Leave new ones as they are."""
        self._scene.RemoveObserver(self._tag)


def put_back(scene: slicer.vtkMRMLScene) -> None:
    """Restore the crosshair, and fill again what was filled; also in a scene that was saved while comparing."""
    for kind in _FILLS:
        for display in slicer.util.getNodesByClass(kind, scene):
            if fill := display.GetAttribute(_CHANGED):
                display.RemoveAttribute(_CHANGED)
                getattr(display, f"Set{fill}")(True)
    crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    if crosshair is not None and (mode := crosshair.GetAttribute(_CHANGED)):
        crosshair.RemoveAttribute(_CHANGED)
        crosshair.SetCrosshairMode(int(mode))


class SharedWindow:
    """Keeps the window of some volumes the same. The first volume decides at the beginning."""

    def __init__(self, volumes: Iterable[slicer.vtkMRMLScalarVolumeNode]) -> None:
        self._displays = [volume.GetDisplayNode() for volume in volumes]
        for display in self._displays:
            display.SetAutoWindowLevel(False)
        self._follow(self._displays[0])
        self._observations = [
            (display, display.AddObserver(vtk.vtkCommand.ModifiedEvent, self._follow)) for display in self._displays
        ]

    def set(self, low: float, high: float) -> None:
        """Show these values black and white, in the units of the volumes."""
        self._displays[0].SetWindowLevel(high - low, (low + high) / 2)

    def release(self) -> None:
        """Unlink the windows; they keep their present values."""
        for display, tag in self._observations:
            display.RemoveObserver(tag)

    def _follow(self, changed: slicer.vtkMRMLScalarVolumeDisplayNode, *_: object) -> None:
        for display in self._displays:
            if display is not changed:
                display.SetWindowLevel(changed.GetWindow(), changed.GetLevel())  # no event where nothing changes


def show_alone(logic: slicer.vtkMRMLSliceLogic, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Show one volume in a view, which is linked with the others of the comparison."""
    logic.GetSliceNode().SetViewGroup(_VIEW_GROUP)
    composite = logic.GetSliceCompositeNode()
    composite.SetDoPropagateVolumeSelection(False)  # a volume loaded meanwhile must not take the place of ours
    composite.SetBackgroundVolumeID(volume.GetID())
    composite.SetForegroundVolumeID(None)
    composite.SetForegroundOpacity(0)
    composite.SetLabelVolumeID(None)
    composite.SetLinkedControl(True)
    composite.SetHotLinkedControl(True)


def diverging_colors() -> slicer.vtkMRMLColorTableNode:
    """Bright blue over dark gray, for no difference, to bright orange. The node is in no scene yet."""
    node = slicer.vtkMRMLColorTableNode()
    node.SetName("Medical Super-Resolution difference")
    node.SetTypeToUser()
    table = vtk.vtkLookupTable()
    table.SetNumberOfTableValues(_COLORS)
    for index, place in enumerate(np.linspace(-1, 1, _COLORS)):
        end = np.array(_LOWER if place < 0 else _HIGHER)
        table.SetTableValue(index, *(np.array(_SAME) * (1 - abs(place)) + end * abs(place)), 1)
    table.SetTableRange(0, _COLORS - 1)
    node.SetAndObserveLookupTable(table)
    return node


def color_numbers_only(display: slicer.vtkMRMLScalarVolumeDisplayNode) -> None:
    """Leave out what is not finite: Slicer gives NaN the color of the lowest value."""
    numbers = np.finfo(np.float32)
    display.SetAutoThreshold(False)
    display.SetThreshold(float(numbers.min), float(numbers.max))
    display.SetApplyThreshold(True)


def ends_of_colors(display: slicer.vtkMRMLScalarVolumeDisplayNode) -> tuple[float, float]:
    """The values at both ends of a color scale."""
    return display.GetLevel() - display.GetWindow() / 2, display.GetLevel() + display.GetWindow() / 2


def add_legend(node: slicer.vtkMRMLScalarVolumeNode, quantity: str, units: str) -> slicer.vtkMRMLColorLegendDisplayNode:
    """A legend in every view that shows a volume. It is hidden from lists and not saved with the scene."""
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(node)
    units = units or _("unit unknown")
    legend.SetTitleText(f"{quantity} ({units})")
    legend.SetLabelFormat(_label_format(*ends_of_colors(node.GetDisplayNode())))
    legend.SetHideFromEditors(True)
    legend.SetSaveWithScene(False)
    return legend


def _label_format(low: float, high: float) -> str:
    """Three digits for the largest number, and one behind the point at least, as the user may narrow the window.

    Slicer gives the title the size of the numbers, and those the size at which the longest fills its place: without a
    space on either side, a title above short numbers is wider than the view.
    """
    largest = max(abs(low), abs(high)) or 1.0
    if not _PLAIN[0] <= largest < _PLAIN[1]:
        return " %.3g "
    return f" %.{max(1, 2 - math.floor(math.log10(largest)))}f "
