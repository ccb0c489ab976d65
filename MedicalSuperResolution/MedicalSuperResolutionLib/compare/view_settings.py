"""What the comparison changes in Slicer's views for as long as it is open, and brings back at its end."""

from __future__ import annotations

import slicer


class Crosshair:
    """Shows the crosshair at the same place of the patient in every view."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._node = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        self._mode_before = None if self._node is None else self._node.GetCrosshairMode()

    def show(self, visible: bool) -> None:
        """Show or hide it; Shift and the mouse move it."""
        if self._node is not None:
            self._node.SetCrosshairMode(self._node.ShowSmallBasic if visible else self._node.NoCrosshair)

    def release(self) -> None:
        """As it was before."""
        if self._node is not None:
            self._node.SetCrosshairMode(self._mode_before)


class UnfilledRegions:
    """Regions of interest without their fill, which would tint the slices of the comparison."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        displays = slicer.util.getNodesByClass("vtkMRMLMarkupsROIDisplayNode", scene)
        self._filled = [display for display in displays if display.GetFillVisibility()]
        for display in self._filled:
            display.SetFillVisibility(False)

    def release(self) -> None:
        """Fill them again."""
        for display in self._filled:
            if display.GetScene() is not None:
                display.SetFillVisibility(True)
