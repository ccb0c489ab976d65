"""Volumes side by side, linked: the same place, zoom and window in every view."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from medical_super_resolution.errors import SuperResolutionError, VolumeError
from MedicalSuperResolutionLib.compare.blend import Mixture

_FIRST_LAYOUT = 61500  # Slicer keeps the numbers up to 100 for itself; ours is this plus the number of views
_VIEW_GROUP = 615  # views are linked within their group; Slicer's own views are in group 0
_PREVIOUS_LAYOUT = "MedicalSuperResolution.PreviousLayout"  # attribute of the layout node, saved with the scene
_THICKER = 1.01  # a spacing this many times the others tells slices apart from planes


@dataclass(frozen=True)
class _Pane:
    """One view: its singleton tag in the scene, and the label and color of its title bar."""

    tag: str
    label: str
    color: str


PANES = (
    _Pane("MedicalSuperResolutionBefore", "Before", "#5D8CAE"),
    _Pane("MedicalSuperResolutionAfter", "After", "#6CA36C"),
    _Pane("MedicalSuperResolutionDifference", "Difference", "#B0813F"),
)


def register_layouts(layout_node: slicer.vtkMRMLLayoutNode) -> None:
    """Make the compare layouts known to the application.

    To be done when the module starts too: a scene that was saved while comparing asks for one of them on loading.
    """
    for count in range(2, len(PANES) + 1):
        description = _layout_description(PANES[:count])
        if not layout_node.AddLayoutDescription(_FIRST_LAYOUT + count, description):
            layout_node.SetLayoutDescription(_FIRST_LAYOUT + count, description)


class CompareViews:
    """Before and after, and the difference if there is one, in linked slice views of a layout of their own."""

    def __init__(self, application_logic: slicer.vtkMRMLApplicationLogic) -> None:
        """``application_logic`` knows the scene and the slice views: `slicer.app.applicationLogic()` in Slicer."""
        self._application_logic = application_logic
        self._shared_window: _SharedWindow | None = None
        self._mixture: Mixture | None = None

    @property
    def mixture(self) -> Mixture | None:
        """What lies over after in its view; None where the compare views are not on the screen."""
        return self._mixture if self.is_active else None

    @property
    def is_active(self) -> bool:
        """Whether the compare views are on the screen."""
        layout_node = self._layout_node
        return layout_node is not None and 0 < layout_node.GetViewArrangement() - _FIRST_LAYOUT <= len(PANES)

    def enter(
        self,
        before: slicer.vtkMRMLScalarVolumeNode,
        after: slicer.vtkMRMLScalarVolumeNode,
        difference: slicer.vtkMRMLScalarVolumeNode | None = None,
        *,
        orientation: str | None = None,
        sharing_window: Iterable[slicer.vtkMRMLScalarVolumeNode] = (),
        colors: slicer.vtkMRMLScalarVolumeNode | None = None,
    ) -> None:
        """Show volumes side by side, fitted to the first.

        ``after`` gets the window of ``before``, and from then on they share it; ``difference`` keeps its own.

        Parameters
        ----------
        sharing_window : further volumes that are to share it, though they are not shown.
        colors : a volume that may be laid over after, in colors of its own: see `mixture`.
        orientation : "Axial", "Sagittal" or "Coronal"; None takes a plane across the thick slices of ``before``, where
            a difference can be seen.

        Raises
        ------
        VolumeError : a volume is missing, empty or a label map.
        SuperResolutionError : there are no slice views, as in Slicer without its main window.
        """
        volumes = [before, after] if difference is None else [before, after, difference]
        for volume in volumes:
            _check(volume)
        self._open_layout(len(volumes))
        self._release()
        self._shared_window = _SharedWindow(dict.fromkeys([before, after, *sharing_window]))
        for logic, volume in zip(self._slice_logics, volumes, strict=True):
            _show(logic, volume)
            logic.GetSliceNode().SetOrientation(orientation or revealing_orientation(before))
        self._mixture = Mixture(self._slice_logics[1], before, colors)
        self.fit()

    def fit(self) -> None:
        """Fit the first volume into its view, and show the same place at the same scale in the others.

        To be called again once the views have their final size on the screen.
        """
        if not self.is_active:
            return
        first, *others = self._slice_logics
        first.RotateSliceToLowestVolumeAxes(False)
        first.FitSliceToBackground()
        for other in others:
            _copy_geometry(first.GetSliceNode(), other.GetSliceNode())

    def set_label(self, number: int, text: str) -> None:
        """Write into the title bar of a view."""
        self._slice_logics[number].GetSliceNode().SetLayoutLabel(text)

    def exit(self) -> None:
        """Bring the previous layout back, unless the user has chosen another one meanwhile. The window stays."""
        self._release()
        if not self.is_active:
            return
        for logic in self._slice_logics:
            logic.GetSliceCompositeNode().SetBackgroundVolumeID(None)
            logic.GetSliceCompositeNode().SetForegroundVolumeID(None)
        layout_node = self._layout_node
        previous = layout_node.GetAttribute(_PREVIOUS_LAYOUT)
        layout_node.RemoveAttribute(_PREVIOUS_LAYOUT)
        layout_node.SetViewArrangement(int(previous) if previous else layout_node.SlicerLayoutFourUpView)

    @property
    def _layout_node(self) -> slicer.vtkMRMLLayoutNode | None:
        return self._application_logic.GetMRMLScene().GetFirstNodeByClass("vtkMRMLLayoutNode")

    @property
    def _slice_logics(self) -> list[slicer.vtkMRMLSliceLogic]:
        """Of the views on the screen, in the order of `PANES`."""
        count = self._layout_node.GetViewArrangement() - _FIRST_LAYOUT
        logics = (self._application_logic.GetSliceLogicByLayoutName(pane.tag) for pane in PANES[:count])
        return [logic for logic in logics if logic is not None]

    def _open_layout(self, count: int) -> None:
        layout_node = self._layout_node
        if layout_node is not None:
            register_layouts(layout_node)
            if not self.is_active:
                layout_node.SetAttribute(_PREVIOUS_LAYOUT, str(layout_node.GetViewArrangement()))
            layout_node.SetViewArrangement(_FIRST_LAYOUT + count)
        if layout_node is None or len(self._slice_logics) < count:
            self.exit()
            raise SuperResolutionError("there are no slice views to compare in; start Slicer with its main window")

    def _release(self) -> None:
        if self._mixture is not None:
            self._mixture.release()
            self._mixture = None
        if self._shared_window is not None:
            self._shared_window.release()
            self._shared_window = None


def revealing_orientation(volume: slicer.vtkMRMLScalarVolumeNode) -> str:
    """The anatomical plane that cuts across the thick slices of a volume; "Axial" where its voxels are cubes."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    axes = slicer.util.arrayFromVTKMatrix(matrix)[:3, :3]
    spacing_ijk_mm = np.linalg.norm(axes, axis=0)
    if spacing_ijk_mm.max() <= _THICKER * spacing_ijk_mm.min():
        return "Axial"
    stacking = np.abs(axes[:, spacing_ijk_mm.argmax()])  # along right, anterior and superior
    return "Coronal" if stacking.argmax() == 2 else "Axial"


class _SharedWindow:
    """Keeps the window of some volumes the same, whichever of them the user changes. The first has the first say."""

    def __init__(self, volumes: Iterable[slicer.vtkMRMLScalarVolumeNode]) -> None:
        self._displays = [volume.GetDisplayNode() for volume in volumes]
        for display in self._displays:
            display.SetAutoWindowLevel(False)
        self._follow(self._displays[0])
        self._observations = [
            (display, display.AddObserver(vtk.vtkCommand.ModifiedEvent, self._follow)) for display in self._displays
        ]

    def release(self) -> None:
        for display, tag in self._observations:
            display.RemoveObserver(tag)

    def _follow(self, changed: slicer.vtkMRMLScalarVolumeDisplayNode, *_: object) -> None:
        for display in self._displays:
            if display is not changed:
                display.SetWindowLevel(changed.GetWindow(), changed.GetLevel())  # says nothing where nothing changes


def _check(volume: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    if volume is None or volume.GetScene() is None or volume.GetImageData() is None:
        raise VolumeError("there are no two volumes to compare; choose both")
    volume.CreateDefaultDisplayNodes()
    if not volume.GetDisplayNode().IsA("vtkMRMLScalarVolumeDisplayNode"):
        raise VolumeError(f"{volume.GetName()} is a label map, without gray values to compare; choose an image volume")


def _show(logic: slicer.vtkMRMLSliceLogic, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
    logic.GetSliceNode().SetViewGroup(_VIEW_GROUP)
    composite = logic.GetSliceCompositeNode()
    composite.SetDoPropagateVolumeSelection(False)  # a volume loaded meanwhile must not take the place of ours
    composite.SetBackgroundVolumeID(volume.GetID())
    composite.SetForegroundVolumeID(None)
    composite.SetForegroundOpacity(0)
    composite.SetLabelVolumeID(None)
    composite.SetLinkedControl(True)
    composite.SetHotLinkedControl(True)


def _copy_geometry(source: slicer.vtkMRMLSliceNode, target: slicer.vtkMRMLSliceNode) -> None:
    """Give a slice view the plane, center and scale (mm a pixel) of another."""
    target.GetSliceToRAS().DeepCopy(source.GetSliceToRAS())
    target.SetXYZOrigin(source.GetXYZOrigin())
    width_mm, height_mm, depth_mm = source.GetFieldOfView()
    (source_width, source_height, _), (width, height, _) = source.GetDimensions(), target.GetDimensions()
    target.SetFieldOfView(width_mm * width / source_width, height_mm * height / source_height, depth_mm)
    target.UpdateMatrices()


def _layout_description(panes: tuple[_Pane, ...]) -> str:
    views = "".join(
        f'<item><view class="vtkMRMLSliceNode" singletontag="{pane.tag}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{pane.label}</property>'
        f'<property name="viewcolor" action="default">{pane.color}</property>'
        "</view></item>"
        for pane in panes
    )
    return f'<layout type="horizontal">{views}</layout>'
