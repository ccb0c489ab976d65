"""Views that show whole volumes at one scale, with legends, at any size of the views."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import slicer
import vtk

from MedicalSuperResolutionLib.compare import fitting

_BEFORE_DRAWING = 1.0  # a priority above that of Slicer's own observers


class FittedViews:
    """Fits the volumes into their views, and again when the views are resized, until the user zooms."""

    def __init__(self, rows: Callable[[], fitting.Rows], later: Callable[[Callable[[], None]], None]) -> None:
        """Fit nothing yet.

        Parameters
        ----------
        rows
            Gives the logics of the views that are visible.
        later
            Calls back once all views have the size that a change of the layout gives them.
        """
        self._rows, self._later = rows, later
        self._is_due = False
        self._observed: list[tuple[slicer.vtkMRMLSliceNode, int]] = []  # with the tags of their observers
        self._fitted: fitting.Sizes = {}
        self._fitted_count = 0
        self._legends: list[slicer.vtkMRMLColorLegendDisplayNode] = []

    def follow(self, nodes: list[slicer.vtkMRMLSliceNode]) -> None:
        """Fit now, once more when the views are shown, which loses their place, and after each change of their size."""
        self.fit()
        for node in nodes:
            tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._view_changed, _BEFORE_DRAWING)
            self._observed.append((node, tag))
        self._is_due = True
        self._later(self._fit_shown)

    def fit(self) -> None:
        """Show whole volumes in every view, at one scale."""
        known, self._fitted = self._fitted, {}  # what follows is no zooming by the user
        now = fitting.fit(self._rows(), with_legends=bool(self._legends))
        self._fitted, self._fitted_count = known | now, len(now)
        self._place_legends()

    def add_legend(self, legend: slicer.vtkMRMLColorLegendDisplayNode) -> None:
        """Place a legend where it covers least of the volumes, now and after each fit."""
        self._legends.append(legend)
        self._place_legends()

    def forget_legends(self) -> None:
        """Leave the legends where they are, and no room for them."""
        self._legends = []

    def release(self) -> None:
        """Leave the views as they are."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._fitted, self._legends, self._observed = {}, [], []

    def _place_legends(self) -> None:
        fitting.place_legends(self._legends, self._rows())

    def _view_changed(self, *_: object) -> None:
        """Fit once for all views that are resized together; one that is enlarged, or back, before it is drawn."""
        now = {} if self._is_due else self._sizes_and_heights()
        if self._are_resized(now):
            self._is_due = True
            if len(now) == self._fitted_count:
                self._later(self._fit_again)
            else:
                self._fit_again()

    def _fit_shown(self) -> None:
        self._is_due = False
        if self._fitted:  # else they were left, or zoomed, meanwhile
            self.fit()

    def _sizes_and_heights(self) -> fitting.Sizes:
        """Sizes of the visible views; empty while none is fitted."""
        return fitting.sizes_and_heights(self._rows()) if self._fitted else {}

    def _are_resized(self, now: fitting.Sizes) -> bool:
        known = self._fitted
        return any(name not in known or size != known[name][0] for name, (size, _) in now.items())

    def _fit_again(self) -> None:
        """Fit anew where the views have changed their size and the user has not zoomed since."""
        self._is_due = False
        now, known = self._sizes_and_heights(), self._fitted
        if not self._are_resized(now):
            return
        if any(name in known and height != known[name][1] for name, (_, height) in now.items()):
            self._fitted = {}  # zoomed by hand
            return
        offsets = [(logic, logic.GetSliceOffset()) for logic in chain(*self._rows())]
        self.fit()
        for logic, offset in offsets:
            logic.SetSliceOffset(offset)
