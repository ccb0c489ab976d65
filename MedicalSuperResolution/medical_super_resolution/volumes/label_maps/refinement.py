"""Label maps on a finer grid: shape-based interpolation, one axis at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...errors import VolumeError
from ...progress import Progress, ignore
from ..grid import AXES_IJK, Grid, array_axis
from ..resampling import resampled, to_image
from ..volume import Volume
from .shapes import ALIGNED, AxisRefinement

BACKGROUND = 0
_MOST_LABELS = 65535


def refine_labels(labels: Volume, grid: Grid, progress: Progress = ignore, *, image: Volume | None = None) -> Volume:
    """The label map on another grid of the same space, mostly a finer one.

    Parameters
    ----------
    labels
        Whole numbers, (K, J, I), of any type.
    grid
        Grid of the result. Along axes parallel to those of the label map, shapes are interpolated; on an oblique grid
        the label map is first refined on its own axes, then each voxel takes the nearest label.
    progress
        Called with slices done and in total; it may raise `errors.Cancelled`.
    image
        The refined image: between slices, boundaries are also drawn to its edges. Without it, shapes alone count.

    Returns
    -------
    Volume of the same type, with no label that was not there; beyond the label map it is 0.

    Raises
    ------
    VolumeError
        A voxel is not a whole number, there are more than 65535 labels, or the grids do not overlap.

    Notes
    -----
    Along each axis that the new grid splits, the old label keeps at least half of the new voxels inside an old one.
    """
    check_labels(labels)
    if not labels.grid.overlaps(grid):
        raise VolumeError("the label map does not overlap the volume in space; is it of the same scan?")
    values, indices = _as_indices(labels.array)
    transform = np.linalg.inv(labels.grid.ijk_to_ras) @ grid.ijk_to_ras
    if _is_parallel(transform, grid):
        return _placed(labels, values[_along_axes(indices, labels.grid, grid, transform, progress, image)], grid)
    own = _as_fine(labels.grid, min(grid.spacing_ijk_mm))
    transform = np.linalg.inv(labels.grid.ijk_to_ras) @ own.ijk_to_ras
    fine = _placed(labels, _along_axes(indices, labels.grid, own, transform, progress, image), own)
    return _placed(labels, values[_nearest(fine, grid)], grid)


def _placed(labels: Volume, array: np.ndarray, grid: Grid) -> Volume:
    return replace(
        labels, array=array, grid=grid, slice_thickness_mm=None, padding=None, sheared_grid=None, measured=None
    )


def label_values(labels: Volume) -> np.ndarray:
    """The labels that occur, ascending, without the background."""
    values, _ = _as_indices(labels.array)
    return values[values != BACKGROUND]


def check_labels(labels: Volume) -> None:
    """Refuse a label map with values that are not whole numbers.

    Raises
    ------
    VolumeError
        There are such values.
    """
    array = labels.array
    if array.dtype.kind == "f" and not all(np.array_equal(plane, np.round(plane)) for plane in array):
        raise VolumeError("the label map holds values that are not whole numbers; give the segmentation, not an image")


def _as_indices(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values that occur, background first, and the array with their numbers in place of them, uint16."""
    found = np.unique(np.concatenate([np.unique(plane) for plane in array]))
    values = np.concatenate([np.array([BACKGROUND], array.dtype), found[found != BACKGROUND]])
    if len(values) > _MOST_LABELS:
        raise VolumeError(f"the label map holds {len(values)} labels; {_MOST_LABELS} are the most that can be refined")
    order = np.argsort(values)
    indices = np.empty(array.shape, np.uint16)
    for plane, into in zip(array, indices, strict=True):
        into[...] = order[np.searchsorted(values[order], plane)]
    return values, indices


def _is_parallel(transform: np.ndarray, grid: Grid) -> bool:
    leaning = np.abs(transform[:3, :3] - np.diag(np.diag(transform[:3, :3])))
    return bool((leaning * np.array(grid.shape_kji[::-1])).max() < ALIGNED)


def _as_fine(grid: Grid, spacing_mm: float) -> Grid:
    for axis in AXES_IJK:
        factor = grid.spacing_mm(axis) / spacing_mm
        grid = grid.refined(axis, factor) if factor > 1 else grid
    return grid


def _nearest(labels: Volume, grid: Grid) -> np.ndarray:
    import SimpleITK as sitk

    reference = to_image(Volume(np.broadcast_to(np.uint8(0), grid.shape_kji), grid))
    image = sitk.Resample(to_image(labels), reference, sitk.Transform(), sitk.sitkNearestNeighbor, float(BACKGROUND))
    return sitk.GetArrayFromImage(image)


def _along_axes(
    indices: np.ndarray,
    source: Grid,
    target: Grid,
    transform: np.ndarray,
    progress: Progress,
    image: Volume | None,
) -> np.ndarray:
    """One pass for each axis that changes, the through-plane axis first."""
    through_plane = source.through_plane_axis
    spacing_kji = list(source.spacing_ijk_mm[::-1])
    for axis in sorted(AXES_IJK, key=lambda name: (name != through_plane, name)):
        column, number = AXES_IJK.index(axis), array_axis(axis)
        positions = np.arange(target.count(axis)) * transform[column, column] + transform[column, 3]
        moved = np.moveaxis(indices, number, 0)
        first, second = (value for other, value in enumerate(spacing_kji) if other != number)
        values = None
        if image is not None and axis == through_plane:
            values = np.moveaxis(_values_on(image, _refined_along(source, target, transform, column)), number, 0)
        one = AxisRefinement(moved, positions, (spacing_kji[number], first, second), progress, values)
        indices = np.moveaxis(one.refined(), 0, number)
        spacing_kji[number] = target.spacing_mm(axis)
    return indices


def _refined_along(source: Grid, target: Grid, transform: np.ndarray, column: int) -> Grid:
    """The source's grid with the places of the target along one index axis."""
    axis = np.eye(4)
    axis[column, column], axis[column, 3] = transform[column, column], transform[column, 3]
    shape = list(source.shape_kji)
    shape[2 - column] = target.shape_kji[2 - column]
    return Grid((shape[0], shape[1], shape[2]), source.ijk_to_ras @ axis)


def _values_on(image: Volume, grid: Grid) -> np.ndarray:
    """The image on a grid, (K, J, I): as it is where it lies there already."""
    ends = np.array([[0, 0, 0, 1.0], [*grid.shape_kji[::-1], 1.0]]).T
    difference = np.linalg.solve(grid.ijk_to_ras, image.grid.ijk_to_ras @ ends) - ends
    if image.grid.shape_kji == grid.shape_kji and np.abs(difference).max() < ALIGNED:
        return image.array
    return resampled(replace(image, padding=None), grid, "linear")
