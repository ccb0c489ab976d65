"""One window and level for several volumes, whichever of them the user changes."""

from __future__ import annotations

from collections.abc import Iterable

import slicer
import vtk


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
        """Leave the windows as they are, each free again."""
        for display, tag in self._observations:
            display.RemoveObserver(tag)

    def _follow(self, changed: slicer.vtkMRMLScalarVolumeDisplayNode, *_: object) -> None:
        for display in self._displays:
            if display is not changed:
                display.SetWindowLevel(changed.GetWindow(), changed.GetLevel())  # no event where nothing changes
