"""Before, after and their difference on one grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import slicer
import vtk

from medical_super_resolution.volumes.intensity import guess_modality
from MedicalSuperResolutionLib.compare import layouts
from MedicalSuperResolutionLib.compare.common_grid import before_on_grid_of
from MedicalSuperResolutionLib.compare.fitting import revealing_orientation
from MedicalSuperResolutionLib.compare.view_settings import color_numbers_only, diverging_colors, ends_of_colors
from MedicalSuperResolutionLib.compare.views import CompareViews
from MedicalSuperResolutionLib.scene import nodes as scene
from MedicalSuperResolutionLib.scene import uncertainty_node
from MedicalSuperResolutionLib.scene.dicom_source import are_of_several_patients, modality, units_of
from MedicalSuperResolutionLib.translation import tr as _

_HOUNSFIELD = "HU"
_ROUNDING = 4e-6  # of the values, in float32, in which before is resampled: a difference far below it is none
_SURE = 0.25  # of the brightest uncertainty; lower values are not colored


@dataclass(frozen=True)
class Shown:
    """The comparison on the screen.

    Parameters
    ----------
    before, after
        Names of the volumes.
    resampled
        Whether before was resampled onto the grid of after.
    limit
        The difference with the strongest color, in ``units``.
    units
        Unit of the values; empty if it is not known.
    uncertainty
        Lowest and highest uncertainty in the color scale, in ``units``; None if it is not known.
    of_two_patients
        Whether DICOM names different patients for before and after.
    """

    before: str
    after: str
    resampled: bool
    limit: float
    units: str
    uncertainty: tuple[float, float] | None = None
    of_two_patients: bool = False

    @property
    def is_ct(self) -> bool:
        """Whether the values are Hounsfield units."""
        return self.units == _HOUNSFIELD


class Comparison:
    """Shows before, after, and after minus before. Its nodes are hidden, not saved, and removed at the end."""

    def __init__(self, views: CompareViews, on_colors: Callable[[], None] = lambda: None) -> None:
        """``on_colors`` is called when the user has changed a color scale, and with it what is `shown`."""
        self.views, self._on_colors = views, on_colors
        self._temporary: list[slicer.vtkMRMLNode] = []
        self._shown: Shown | None = None

    @property
    def is_active(self) -> bool:
        """Whether the compare views are on the screen."""
        return self.views.is_active

    @property
    def shown(self) -> Shown | None:
        """The present comparison, or None."""
        return self._shown if self.is_active else None

    def enter(
        self,
        before: slicer.vtkMRMLScalarVolumeNode,
        after: slicer.vtkMRMLScalarVolumeNode,
        *,
        arrangement: layouts.Arrangement = layouts.ROW,
        plane: str | None = None,
        keeps_place: bool = False,
    ) -> None:
        """Compare two volumes.

        Parameters
        ----------
        arrangement
            One of `layouts.ARRANGEMENTS`.
        plane
            "Axial", "Sagittal" or "Coronal"; None takes the plane across the thick slices of the volumes, in
            which a difference can be seen.
        keeps_place
            Leave views that show this arrangement already at the place, plane and zoom that the user has chosen.

        Raises
        ------
        VolumeError
            One of them cannot be compared, they do not overlap, or a warp lies between them.
        SuperResolutionError
            There are no slice views, or SimpleITK is missing.
        """
        resampled = before_on_grid_of(before, after)
        width_mm = before.GetSpacing()[0]
        plane = plane or revealing_orientation(before) or revealing_orientation(after, width_mm) or "Axial"
        old, self._temporary = self._temporary, []
        try:
            source = before if resampled is None else self._add_before(before, after, resampled)
            resampled = None  # as large as after; the node holds a copy
            difference, limit = self._add_difference(source, after)
            colors = self._add_uncertainty(after)
            volumes, also = (source, after, difference), {"sharing_window": (before,), "colors": colors}
            if keeps_place:
                self.views.replace(*volumes, **also)
            else:
                self.views.enter(*volumes, arrangement=arrangement, plane=plane, **also)
            units = _units(before, after)
            for node, quantity in ((difference, _("Difference")), (colors, _("Uncertainty"))):
                if node is not None:  # after the views exist, which look for legends only then
                    self._temporary.append(self.views.add_legend(node, quantity, units))
        except BaseException:
            self._remove(self._temporary)
            self._temporary = old
            raise
        self._remove(old)
        ends = None if colors is None else ends_of_colors(colors.GetDisplayNode())
        strangers = are_of_several_patients((before, after))
        self._shown = Shown(before.GetName(), after.GetName(), source is not before, limit, units, ends, strangers)

    def exit(self) -> None:
        """Restore the previous layout, and remove the nodes that were added to the scene."""
        self.views.exit()
        self._remove(self._temporary)
        self._temporary, self._shown = [], None

    def _add_before(
        self, before: slicer.vtkMRMLScalarVolumeNode, after: slicer.vtkMRMLScalarVolumeNode, array: np.ndarray
    ) -> slicer.vtkMRMLScalarVolumeNode:
        node = self._add_volume(f"{before.GetName()} (B-spline)", array, after)
        scene.copy_display(before, node)
        return node

    def _add_difference(
        self, before: slicer.vtkMRMLScalarVolumeNode, after: slicer.vtkMRMLScalarVolumeNode
    ) -> tuple[slicer.vtkMRMLScalarVolumeNode, float]:
        arrays = [slicer.util.arrayFromVolume(node) for node in (after, before)]
        difference = np.subtract(*arrays, dtype=np.float32, casting="unsafe")
        limit = max(uncertainty_node.limit(difference), _ROUNDING * uncertainty_node.limit(arrays[0]))
        node = self._add_volume(_("Difference"), difference, after)
        colors = self._add(diverging_colors())
        display = node.GetDisplayNode()
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(2 * limit, 0)
        display.SetAndObserveColorNodeID(colors.GetID())
        color_numbers_only(display)
        display.AddObserver(vtk.vtkCommand.ModifiedEvent, self._keep_middle)
        return node, limit

    def _keep_middle(self, display: slicer.vtkMRMLScalarVolumeDisplayNode, event: str) -> None:
        """Leave the color of no difference where it is: by the mouse, the user changes window and level at once."""
        display.SetWindowLevel(display.GetWindow(), 0)  # no event where nothing changes
        self._follow_colors(limit=display.GetWindow() / 2)

    def _follow_colors(self, **ends: float | tuple[float, float]) -> None:
        if self._shown is not None and (changed := replace(self._shown, **ends)) != self._shown:
            self._shown = changed
            self._on_colors()

    def _add_uncertainty(self, after: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The uncertainty of after, if it is known, as an overlay of its own; the voxels are shared."""
        known = uncertainty_node.map_of(after)
        if known is None or known.GetImageData() is None or known.GetDisplayNode() is None:
            return None
        is_whole = known.GetImageData().GetDimensions() == after.GetImageData().GetDimensions()
        place = after if is_whole else known  # after may have been registered to something meanwhile
        node = self._add_node(known.GetName(), known.GetImageData(), place)
        scene.copy_display(known, node)
        display = node.GetDisplayNode()
        brightest = display.GetLevel() + display.GetWindow() / 2
        first = _SURE * brightest
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(brightest - first, (brightest + first) / 2)  # the legend begins where the colors do
        display.SetAutoThreshold(False)
        display.SetThreshold(first, max(first, known.GetImageData().GetScalarRange()[1]))
        display.SetApplyThreshold(True)
        display.AddObserver(vtk.vtkCommand.ModifiedEvent, self._begin_with_the_legend)
        return node

    def _begin_with_the_legend(self, display: slicer.vtkMRMLScalarVolumeDisplayNode, event: str) -> None:
        first, brightest = ends_of_colors(display)
        if display.GetLowerThreshold() != first:
            display.SetLowerThreshold(first)
        self._follow_colors(uncertainty=(first, brightest))

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


def _units(before: slicer.vtkMRMLScalarVolumeNode, after: slicer.vtkMRMLScalarVolumeNode) -> str:
    """The unit of both: as DICOM states it, or HU where a volume of unknown modality has the values of a CT."""
    if units := units_of(after):
        return units
    known = modality(before) or guess_modality(slicer.util.arrayFromVolume(before))
    return _HOUNSFIELD if known == "ct" else ""
