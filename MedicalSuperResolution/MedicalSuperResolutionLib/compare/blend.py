"""One volume over another in a slice view: wiped, faded, as a checkerboard, or as colors.

Where only a part of the view shows the upper volume, the filter that cuts its slice is given a stencil in pixels of
the view. The border stays where it is on the screen while the user scrolls, pans and zooms, and no voxel is copied.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import slicer
import vtk

_SQUARES = 8  # of the checkerboard, across the view
_LARGEST_SCREEN = 4096  # pixels a side: a view that grows asks for its picture before its resize event

Pattern = Callable[[int, int], Iterable[tuple[int, int]]]
"""Of a view so many pixels wide, in a row (from 0, bottom first): the first and the last of pixels next to each other
that show the upper volume, for each such group."""


@dataclass(frozen=True)
class _Left:
    """The left part of a view, a ``share`` of its width."""

    share: float

    def __call__(self, width: int, row: int) -> Iterable[tuple[int, int]]:
        return [(0, round(self.share * width) - 1)]


def _squares(width: int, row: int) -> Iterable[tuple[int, int]]:
    """Every other square of a checkerboard, beginning at the bottom left."""
    side = math.ceil(width / _SQUARES)
    first = side * (row // side % 2)
    return [(left, left + side - 1) for left in range(first, max(width, _LARGEST_SCREEN), 2 * side)]


class Blend:
    """The overlay on the volume of a slice view; empty at first."""

    def __init__(
        self,
        logic: slicer.vtkMRMLSliceLogic,
        before: slicer.vtkMRMLScalarVolumeNode,
        colors: slicer.vtkMRMLScalarVolumeNode | None = None,
    ) -> None:
        """``before`` is what to blend with the volume that the view shows; ``colors`` is what to color it with."""
        self._logic, self._before, self._colors = logic, before, colors
        self._pattern: Pattern | None = None
        self._drawn: tuple[Pattern | None, int, int] = (None, 0, 0)
        self._slice_node = logic.GetSliceNode()
        self._tag = self._slice_node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._draw)
        self.clear()

    @property
    def has_colors(self) -> bool:
        """Whether there is something to color the volume with."""
        return self._colors is not None and self._colors.GetScene() is not None

    def clear(self) -> None:
        """Show the volume alone."""
        self._show(None, 0)

    def wipe(self, share: float) -> None:
        """Show before in the left part of the view, from 0 (none of it) to 1 (all of it)."""
        self._show(self._before, 1, _Left(share))

    def fade(self, opacity: float) -> None:
        """Blend before over the volume, from 0 (not visible) to 1 (nothing else is visible)."""
        self._show(self._before, opacity)

    def checkerboard(self) -> None:
        """Show before in every other square."""
        self._show(self._before, 1, _squares)

    def color(self, opacity: float) -> None:
        """Color the volume, if there is something to color it with."""
        self._show(self._colors, opacity)

    def release(self) -> None:
        """Show the volume alone, and release the view."""
        self._slice_node.RemoveObserver(self._tag)
        self.clear()

    def _show(self, volume: slicer.vtkMRMLVolumeNode | None, opacity: float, pattern: Pattern | None = None) -> None:
        is_present = volume is not None and volume.GetScene() is not None
        composite = self._logic.GetSliceCompositeNode()
        composite.SetForegroundVolumeID(volume.GetID() if is_present else None)
        composite.SetForegroundOpacity(opacity)
        self._pattern = pattern
        self._draw()
        self._show_legend()

    def _show_legend(self) -> None:
        """Show the legend with its colors; VTK redraws it only when it is modified itself."""
        legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(self._colors) if self.has_colors else None
        if legend is not None:
            legend.Modified()

    def _draw(self, *_: object) -> None:
        """Redraw the stencil if the pattern or the size of the view has changed."""
        width, height, _depth = self._slice_node.GetDimensions()
        if (self._pattern, width, height) == self._drawn:
            return
        self._drawn = (self._pattern, width, height)
        layer = self._logic.GetForegroundLayer()
        layer.GetReslice().SetStencilData(None if self._pattern is None else _stencil(self._pattern, width, height))
        layer.Modified()  # the view observes it and draws itself


def _stencil(pattern: Pattern, width: int, height: int) -> vtk.vtkImageStencilData:
    columns, rows = max(width, _LARGEST_SCREEN), max(height, _LARGEST_SCREEN)
    stencil = vtk.vtkImageStencilData()
    stencil.SetExtent(0, columns - 1, 0, rows - 1, 0, 0)
    stencil.AllocateExtents()
    for row in range(rows):
        for first, last in pattern(width, row):
            if first <= last:
                stencil.InsertNextExtent(first, min(last, columns - 1), row, 0)
    return stencil
