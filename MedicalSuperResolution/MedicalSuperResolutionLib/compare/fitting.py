"""Plane, center and scale of linked slice views."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from itertools import chain

import numpy as np
import slicer
import vtk

_THICKER = 1.01  # times the other spacings: from here on, an axis is that of the slices
_VERTICAL = 0.15, 0.5  # width and height of a vertical legend, of those of the view
_HORIZONTAL_PIXELS, _HORIZONTAL = 40, 0.45  # height of a horizontal one with title and numbers; width, of the view
_GAP_PIXELS = 8  # above it
_LABELS, _FEW_LABELS = 5, 3  # beside the colors, and in one line above them
_AT_THE_RIGHT, _CENTERED = 0.95, 0.5  # position of a legend

Rows = list[list[slicer.vtkMRMLSliceLogic]]
Sizes = dict[str, tuple[tuple[int, int], float]]


def revealing_orientation(volume: slicer.vtkMRMLScalarVolumeNode) -> str | None:
    """The anatomical plane that cuts across the thick slices of a volume; None where its voxels are cubes."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    axes = slicer.util.arrayFromVTKMatrix(matrix)[:3, :3]
    spacing_ijk_mm = np.linalg.norm(axes, axis=0)
    if spacing_ijk_mm.max() <= _THICKER * spacing_ijk_mm.min():
        return None
    stacking = np.abs(axes[:, spacing_ijk_mm.argmax()])  # along right, anterior and superior
    return "Coronal" if stacking.argmax() == 2 else "Axial"


def fit(rows: Rows) -> Sizes:
    """Show the whole volume in every view: one plane for each row, one scale for all.

    No view is drawn before the last of these changes.

    Returns
    -------
    `sizes_and_heights` of the views.
    """
    with ExitStack() as changes:
        for logic in chain(*rows):
            changes.enter_context(slicer.util.NodeModify(logic.GetSliceNode()))
        _fit(rows)
    return sizes_and_heights(rows)


def _fit(rows: Rows) -> None:
    for row in filter(None, rows):
        narrowest = min(row, key=lambda logic: min(logic.GetSliceNode().GetDimensions()[:2]))
        narrowest.RotateSliceToLowestVolumeAxes(False)
        narrowest.FitSliceToBackground()
        for other in row:
            _copy_plane(narrowest.GetSliceNode(), other.GetSliceNode())
    scale = max((_mm_per_pixel(row[0].GetSliceNode()) for row in rows if row), default=1.0)
    for logic in chain(*rows):
        _set_scale(logic.GetSliceNode(), scale)


def place_legends(legends: Iterable[slicer.vtkMRMLColorLegendDisplayNode], rows: Rows) -> None:
    """Put legends beside the volumes where there is more room than below them, else below."""
    logics = list(chain(*rows))
    if not logics:
        return
    beside, below = np.min([_free_pixels(logic) for logic in logics], axis=0)
    height = min(logic.GetSliceNode().GetDimensions()[1] for logic in logics)
    for legend in legends:
        if beside >= below:
            legend.SetOrientation(legend.Vertical)
            legend.SetSize(*_VERTICAL)
            legend.SetNumberOfLabels(_LABELS)
            legend.SetPosition(_AT_THE_RIGHT, _CENTERED)
        else:
            share = _HORIZONTAL_PIXELS / height
            legend.SetOrientation(legend.Horizontal)
            legend.SetSize(share, _HORIZONTAL)
            legend.SetNumberOfLabels(_FEW_LABELS)
            legend.SetPosition(_CENTERED, max(0.0, (below - _GAP_PIXELS) / height - share) / (1 - share))


def _free_pixels(logic: slicer.vtkMRMLSliceLogic) -> tuple[float, float]:
    """Free pixels of a view beside and below a centered volume."""
    shown_mm, node = [0.0, 0.0, 0.0], logic.GetSliceNode()
    logic.GetBackgroundSliceDimensions(shown_mm, [0.0, 0.0, 0.0])
    fields = zip(node.GetDimensions()[:2], node.GetFieldOfView()[:2], shown_mm[:2], strict=True)
    return tuple(pixels * max(0.0, 1 - shown / whole) / 2 for pixels, whole, shown in fields)


def sizes_and_heights(rows: Rows) -> Sizes:
    """Size in pixels and height in mm of each view, by its node's ID; Slicer keeps the height on resizing."""
    nodes = [logic.GetSliceNode() for logic in chain(*rows)]
    return {node.GetID(): (tuple(node.GetDimensions()[:2]), node.GetFieldOfView()[1]) for node in nodes}


def _copy_plane(source: slicer.vtkMRMLSliceNode, target: slicer.vtkMRMLSliceNode) -> None:
    if target is source:
        return
    target.GetSliceToRAS().DeepCopy(source.GetSliceToRAS())
    target.SetXYZOrigin(source.GetXYZOrigin())
    _set_scale(target, _mm_per_pixel(source))


def _mm_per_pixel(node: slicer.vtkMRMLSliceNode) -> float:
    return node.GetFieldOfView()[0] / node.GetDimensions()[0]


def _set_scale(node: slicer.vtkMRMLSliceNode, mm_per_pixel: float) -> None:
    width, height, _ = node.GetDimensions()
    node.SetFieldOfView(mm_per_pixel * width, mm_per_pixel * height, node.GetFieldOfView()[2])
    node.UpdateMatrices()
