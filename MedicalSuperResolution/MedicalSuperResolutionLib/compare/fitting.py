"""Plane, center and scale of linked slice views."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from itertools import chain

import numpy as np
import slicer

from MedicalSuperResolutionLib.scene.acquisition_transform import before_transform

_THICKER = 1.01  # times the other spacings, above which an axis is the slice axis
_VERTICAL = 0.15, 0.5  # width and height of a vertical legend, of those of the view; its title is wider
_VERTICAL_ROOM = 0.32  # of the width of the view
_HORIZONTAL_PIXELS, _HORIZONTAL = 40, 0.45  # height of a horizontal one with title and numbers; width, of the view
_GAP_PIXELS = 8  # above it, and below
_HORIZONTAL_ROOM_PIXELS = _HORIZONTAL_PIXELS + 2 * _GAP_PIXELS
_LABELS, _FEW_LABELS = 5, 3  # beside the colors, and in one line above them
_AT_THE_RIGHT, _CENTERED = 0.95, 0.5  # position of a legend

Rows = list[list[slicer.vtkMRMLSliceLogic]]
Sizes = dict[str, tuple[tuple[int, int], float]]


def revealing_orientation(volume: slicer.vtkMRMLScalarVolumeNode, other_mm: float = 0.0) -> str | None:
    """The anatomical plane that cuts across the thick slices of a volume; None where its voxels are cubes.

    Beside cubes ``other_mm`` wide, it cuts across the slices that are the most unlike them: thicker or thinner.
    """
    axes = before_transform(volume)[:3, :3]
    spacing_ijk_mm = np.linalg.norm(axes, axis=0)
    if spacing_ijk_mm.max() <= _THICKER * spacing_ijk_mm.min():
        return None
    unlike = np.abs(np.log(spacing_ijk_mm / other_mm)) if other_mm else spacing_ijk_mm
    stacking = np.abs(axes[:, unlike.argmax()])  # along right, anterior and superior
    return "Coronal" if stacking.argmax() == 2 else "Axial"


def fit(rows: Rows, *, with_legends: bool = False) -> Sizes:
    """Show the whole volume in every view: one plane for each row, one scale for all.

    No view is drawn before the last of these changes.

    Parameters
    ----------
    with_legends
        Whether to leave room for a legend beside or below the volume.

    Returns
    -------
    `sizes_and_heights` of the views.
    """
    with ExitStack() as changes:
        for logic in chain(*rows):
            changes.enter_context(slicer.util.NodeModify(logic.GetSliceNode()))
        _fit(rows)
        if with_legends and any(rows):
            _make_room(list(chain(*rows)))
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


def _make_room(logics: list[slicer.vtkMRMLSliceLogic]) -> None:
    """Move and shrink the volume in all views alike, where it leaves too little room for a legend.

    The legend gets the side, at the right or below, that costs less of the size of the volume.
    """
    free, needed = _free_pixels(logics), _needed_pixels(logics)
    if (free >= needed).any():
        return
    sizes = np.array([logic.GetSliceNode().GetDimensions()[:2] for logic in logics])
    shown = sizes - 2 * np.array([_free_pixels([logic]) for logic in logics])  # centered by `_fit`
    shrunk = np.maximum(1, shown / np.maximum(1, sizes - needed)).max(axis=0)
    axis = int(shrunk.argmin())
    scale = _mm_per_pixel(logics[0].GetSliceNode()) * shrunk[axis]
    for logic in logics:
        _set_scale(logic.GetSliceNode(), scale)
    missing_mm = [0.0, 0.0, 0.0]
    missing_mm[axis] = scale * max(0.0, needed[axis] - _free_pixels(logics)[axis]) * (1, -1)[axis]
    for logic in logics:
        logic.GetSliceNode().SetXYZOrigin(missing_mm)
        logic.GetSliceNode().UpdateMatrices()


def place_legends(legends: Iterable[slicer.vtkMRMLColorLegendDisplayNode], rows: Rows) -> None:
    """Put legends beside the volumes or below them, where there is more of the room that they need.

    Beside a volume the unit gets a line of its own: in one, the title would reach over the volume.
    """
    logics = list(chain(*rows))
    if not logics:
        return
    free = _free_pixels(logics)
    is_beside, below = np.argmax(free / _needed_pixels(logics)) == 0, free[1]
    height = min(logic.GetSliceNode().GetDimensions()[1] for logic in logics)
    for legend in legends:
        title = legend.GetTitleText().replace("\n", " ")
        legend.SetTitleText(title.replace(" (", "\n(", 1) if is_beside else title)
        if is_beside:
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


def _needed_pixels(logics: list[slicer.vtkMRMLSliceLogic]) -> np.ndarray:
    """Width of a legend with its title beside the volume, and height of one below it."""
    widest = max(logic.GetSliceNode().GetDimensions()[0] for logic in logics)
    return np.array([_VERTICAL_ROOM * widest, _HORIZONTAL_ROOM_PIXELS])


def _free_pixels(logics: list[slicer.vtkMRMLSliceLogic]) -> np.ndarray:
    """Free pixels at the right of the volume and below it, (2,): the least of all views."""
    free = []
    for logic in logics:
        shown_mm, node = [0.0, 0.0, 0.0], logic.GetSliceNode()
        logic.GetBackgroundSliceDimensions(shown_mm, [0.0, 0.0, 0.0])
        whole, moved = np.array(node.GetFieldOfView()[:2]), np.array(node.GetXYZOrigin()[:2]) * (1, -1)
        free.append(((whole - shown_mm[:2]) / 2 + moved) / _mm_per_pixel(node))
    return np.min(free, axis=0)


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
