"""Colors of a difference, and legends with units."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

_COLORS = 255  # an odd number: the one in the middle stands for no difference
_LOWER, _SAME, _HIGHER = (0.35, 0.68, 1.0), (0.10, 0.10, 0.10), (1.0, 0.48, 0.25)


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


def add_legend(node: slicer.vtkMRMLScalarVolumeNode, title: str) -> slicer.vtkMRMLColorLegendDisplayNode:
    """A legend in every view that shows a volume. It is hidden from lists and not saved with the scene."""
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(node)
    legend.SetTitleText(title)
    legend.SetHideFromEditors(True)
    legend.SetSaveWithScene(False)
    return legend
