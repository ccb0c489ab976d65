"""Volumes side by side, linked: the same place, zoom and window in every view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import slicer

from medical_super_resolution.errors import SuperResolutionError, VolumeError
from MedicalSuperResolutionLib.compare import fitting, layouts
from MedicalSuperResolutionLib.compare.blend import Blend
from MedicalSuperResolutionLib.compare.fitted_views import FittedViews
from MedicalSuperResolutionLib.compare.view_settings import (
    Crosshair,
    SharedWindow,
    Unfilled,
    add_legend,
    put_back,
    show_alone,
)
from MedicalSuperResolutionLib.translation import tr as _

_PREVIOUS_LAYOUT = "MedicalSuperResolution.PreviousLayout"  # attribute of the layout node, saved with the scene


class CompareViews:
    """Before, after and their difference in linked slice views of a layout of their own."""

    def __init__(
        self,
        application_logic: slicer.vtkMRMLApplicationLogic,
        later: Callable[[Callable[[], None]], None] = lambda call: call(),
    ) -> None:
        """Open nothing yet.

        Parameters
        ----------
        application_logic
            Knows the scene and the slice views: `slicer.app.applicationLogic()` in Slicer.
        later
            Calls back once all views have the size that a change of the layout gives them.
        """
        self._application_logic = application_logic
        self._fitted = FittedViews(lambda: self._visible_rows, later)
        self._window: SharedWindow | None = None
        self._crosshair: Crosshair | None = None
        self._unfilled: Unfilled | None = None
        self._blends: list[Blend] = []

    @property
    def blends(self) -> list[Blend]:
        """Overlays on after, one for each of its views; empty while the compare views are not shown."""
        return self._blends if self.is_active else []

    @property
    def is_active(self) -> bool:
        """Whether the compare views are on the screen."""
        return layouts.arrangement_of(self.layout_node) is not None

    def enter(
        self,
        before: slicer.vtkMRMLScalarVolumeNode,
        after: slicer.vtkMRMLScalarVolumeNode,
        difference: slicer.vtkMRMLScalarVolumeNode,
        *,
        arrangement: layouts.Arrangement = layouts.ROW,
        plane: str = "Axial",
        sharing_window: Sequence[slicer.vtkMRMLScalarVolumeNode] = (),
        colors: slicer.vtkMRMLScalarVolumeNode | None = None,
    ) -> None:
        """Open views that show volumes side by side, each whole.

        ``after`` gets the window of ``before``, and from then on they share it; ``difference`` keeps its own.

        Parameters
        ----------
        arrangement
            One of `layouts.ARRANGEMENTS`.
        plane
            "Axial", "Sagittal" or "Coronal", for an arrangement that leaves the plane open.
        sharing_window
            Further volumes that are to share it, though they are not shown.
        colors
            A volume that may be laid over after, in colors of its own: see `blends`.

        Raises
        ------
        VolumeError
            A volume is missing, empty or a label map.
        SuperResolutionError
            There are no slice views, as in Slicer without its main window.
        """
        _check(before, after, difference, *sharing_window)
        self._open_layout(arrangement)
        self._release()
        self._fill(before, after, difference, sharing_window, colors)
        rows = self._rows
        for row, plane_of_row in zip(rows, arrangement.planes, strict=True):
            for logic in row:
                logic.GetSliceNode().SetOrientation(plane_of_row or plane)
        self._fitted.follow([logic.GetSliceNode() for logic in chain(*rows)])

    def replace(
        self,
        before: slicer.vtkMRMLScalarVolumeNode,
        after: slicer.vtkMRMLScalarVolumeNode,
        difference: slicer.vtkMRMLScalarVolumeNode,
        *,
        sharing_window: Sequence[slicer.vtkMRMLScalarVolumeNode] = (),
        colors: slicer.vtkMRMLScalarVolumeNode | None = None,
    ) -> None:
        """Show other volumes in the views that are open, at the place, plane and zoom that the user has chosen.

        Parameters, and errors of volumes, are those of `enter`.
        """
        _check(before, after, difference, *sharing_window)
        self._fitted.forget_legends()
        self._release_volumes()
        self._fill(before, after, difference, sharing_window, colors)

    def add_legend(
        self, volume: slicer.vtkMRMLScalarVolumeNode, quantity: str, units: str
    ) -> slicer.vtkMRMLColorLegendDisplayNode:
        """See `view_settings.add_legend`. It is placed where it covers least of the volumes; the caller removes it."""
        legend = add_legend(volume, quantity, units)
        self._fitted.add_legend(legend)
        return legend

    def set_window(self, low: float, high: float) -> None:
        """Show these values black and white in before and after."""
        if self._window is not None:
            self._window.set(low, high)

    def show_crosshair(self, visible: bool) -> None:
        """Show or hide the crosshair, which Shift and the mouse move in all views at once."""
        if self._crosshair is not None:
            self._crosshair.show(visible)

    def set_label(self, column: int, text: str) -> None:
        """Write into the title bars of the views of one volume."""
        for row in self._rows:
            row[column].GetSliceNode().SetLayoutLabel(text)

    def exit(self) -> None:
        """Restore the previous layout, unless the user has chosen another one meanwhile. The window is kept."""
        self._release()
        if not self.is_active:
            return
        for logic in chain(*self._rows):
            logic.GetSliceCompositeNode().SetBackgroundVolumeID(None)
            logic.GetSliceCompositeNode().SetForegroundVolumeID(None)
        layout_node = self.layout_node
        previous = layout_node.GetAttribute(_PREVIOUS_LAYOUT)
        layout_node.RemoveAttribute(_PREVIOUS_LAYOUT)
        layout_node.RemoveAllMaximizedViewNodes()  # an enlarged view of ours would be all that is seen of the other
        layout_node.SetViewArrangement(int(previous) if previous else layout_node.SlicerLayoutFourUpView)

    @property
    def tags(self) -> list[str]:
        """The singleton tags of the views on the screen."""
        arrangement = layouts.arrangement_of(self.layout_node)
        return [] if arrangement is None else list(chain(*arrangement.tags))

    @property
    def layout_node(self) -> slicer.vtkMRMLLayoutNode | None:
        """Knows the layout on the screen."""
        return self._application_logic.GetMRMLScene().GetFirstNodeByClass("vtkMRMLLayoutNode")

    @property
    def _rows(self) -> fitting.Rows:
        """The logics of the present arrangement's views; a view that does not exist is left out."""
        arrangement = layouts.arrangement_of(self.layout_node)
        found = self._application_logic.GetSliceLogicByLayoutName
        rows = [] if arrangement is None else [[found(tag) for tag in tags] for tags in arrangement.tags]
        return [[logic for logic in row if logic is not None] for row in rows]

    @property
    def _visible_rows(self) -> fitting.Rows:
        """`_rows`, or the one view that the user has enlarged by a double-click."""
        enlarged = self.layout_node.GetMaximizedViewNode(0) if self.is_active else None
        rows = self._rows
        return rows if enlarged is None else [[one for one in row if one.GetSliceNode() is enlarged] for row in rows]

    def _open_layout(self, arrangement: layouts.Arrangement) -> None:
        layout_node = self.layout_node
        if layout_node is not None:
            layouts.register(layout_node)
            if not self.is_active:
                layout_node.SetAttribute(_PREVIOUS_LAYOUT, str(layout_node.GetViewArrangement()))
            layout_node.RemoveAllMaximizedViewNodes()  # as Slicer does it when the user chooses a layout
            layout_node.SetViewArrangement(arrangement.number)
        if layout_node is None or any(len(row) < arrangement.columns for row in self._rows):
            self.exit()
            raise SuperResolutionError(_("there are no slice views to compare in; start Slicer with its main window"))

    def _fill(
        self,
        before: slicer.vtkMRMLScalarVolumeNode,
        after: slicer.vtkMRMLScalarVolumeNode,
        difference: slicer.vtkMRMLScalarVolumeNode,
        sharing_window: Sequence[slicer.vtkMRMLScalarVolumeNode],
        colors: slicer.vtkMRMLScalarVolumeNode | None,
    ) -> None:
        """Show volumes in the views that are open."""
        self._window = SharedWindow(dict.fromkeys([before, after, *sharing_window]))
        scene = self._application_logic.GetMRMLScene()
        self._crosshair, self._unfilled = Crosshair(scene), Unfilled(scene)
        rows = self._rows
        for row in rows:
            for logic, volume in zip(row, (before, after, difference), strict=False):
                show_alone(logic, volume)
        self._blends = [Blend(row[layouts.AFTER], before, colors) for row in rows]

    def _release(self) -> None:
        self._fitted.release()
        self._release_volumes()

    def _release_volumes(self) -> None:
        for kept in (*self._blends, self._window, self._unfilled):
            if kept is not None:
                kept.release()
        put_back(self._application_logic.GetMRMLScene())
        self._blends, self._window, self._crosshair, self._unfilled = [], None, None, None


def _check(*volumes: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    for volume in volumes:
        if volume is None or volume.GetScene() is None or volume.GetImageData() is None:
            raise VolumeError(_("there are no two volumes to compare; choose both"))
        volume.CreateDefaultDisplayNodes()
        if not volume.GetDisplayNode().IsA("vtkMRMLScalarVolumeDisplayNode"):
            message = _("{name} is a label map, without gray values to compare; choose an image volume")
            raise VolumeError(message.format(name=volume.GetName()))
