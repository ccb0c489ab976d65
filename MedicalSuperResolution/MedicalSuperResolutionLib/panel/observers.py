"""Following what changes in the scene."""

from collections.abc import Callable
from typing import Protocol

import vtk


class Observed(Protocol):
    """A VTK object, or a wrapped parameter node."""

    def AddObserver(self, event: int, callback: Callable) -> int: ...

    def RemoveObserver(self, tag: int) -> None: ...


class Observer:
    """Calls back when one thing changes; which one may change.

    `slicer.util.VTKObservationMixin` keeps what it once observed alive, for volumes a matter of gigabytes.
    """

    def __init__(self, callback: Callable) -> None:
        self._callback = callback
        self._thing: Observed | None = None
        self._tag = 0

    def follow(self, thing: Observed | None) -> None:
        """Follow this from now on, or nothing."""
        if thing is self._thing:
            return
        if self._thing is not None:
            self._thing.RemoveObserver(self._tag)
        if thing is not None:
            self._tag = thing.AddObserver(vtk.vtkCommand.ModifiedEvent, self._callback)
        self._thing = thing
