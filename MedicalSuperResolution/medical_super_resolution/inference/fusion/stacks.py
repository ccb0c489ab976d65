"""The stacks of one fusion: which sets are accepted, and the grid that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...errors import VolumeError
from ...volumes.grid import AXES_IJK, Grid, array_axis
from ...volumes.intensity import check_magnitude, guess_modality
from ...volumes.label_maps.detection import is_label_map
from ...volumes.volume import Volume

FEWEST, MOST = 2, 12
_MOST_VOXELS = 2**30
_MARGIN_MM = 10.0  # around a region: motion is smaller, and samples reach less far
_NARROWEST_MM = 80.0  # less tissue than that determines a motion badly
_FEWEST_SLICES = 4


def check(stacks: Sequence[Volume]) -> str:
    """Refuse stacks that cannot be fused; return their modality.

    Raises
    ------
    VolumeError
        There are fewer than 2 or more than 12 stacks, their modalities differ, one is a label map, is given twice or is
        sheared, or overlaps with no other.
    """
    check_count(len(stacks))
    for number, stack in enumerate(stacks, 1):
        if is_label_map(stack):
            raise VolumeError(
                f"stack {number} is a label map, whose labels have no mean; if it is a scan, state its modality"
            )
    modalities = sorted({stack.modality or guess_modality(stack.array) for stack in stacks})
    if len(modalities) > 1:
        found = " and ".join(map(str.upper, modalities))
        raise VolumeError(f"the stacks are of different modality, {found}; give stacks of one")
    for number, stack in enumerate(stacks):
        stack.check_finite()
        check_magnitude(stack.array)
        if stack.grid.is_sheared:
            raise VolumeError(f"the axes of stack {number + 1} are not at right angles; resample it to a straight grid")
        for earlier in range(number):
            other = stacks[earlier]
            if stack.grid == other.grid and np.array_equal(stack.array, other.array):
                raise VolumeError(f"stacks {earlier + 1} and {number + 1} are the same scan; give each stack once")
        others = [other.grid for place, other in enumerate(stacks) if place != number]
        if not any(stack.grid.overlaps(other) for other in others):
            raise VolumeError(f"stack {number + 1} overlaps with no other stack in space; are they of one session?")
    return modalities[0]


def check_count(count: int) -> None:
    """Refuse too few or too many stacks."""
    if not FEWEST <= count <= MOST:
        raise VolumeError(f"fusion needs {FEWEST} to {MOST} stacks, got {count}; a single one is for medsr enhance")


def check_reached(stacks: Sequence[Volume], grid: Grid) -> None:
    """Refuse a grid for the result on which no stack lies."""
    if not any(stack.grid.overlaps(grid) for stack in stacks):
        raise VolumeError("no stack overlaps with the volume whose grid is asked for; is it of the same session?")


def in_order(stacks: Sequence[Volume]) -> list[int]:
    """Numbers of the stacks, the finest in plane first: an order that does not depend on how they were given."""

    def key(number: int) -> tuple[float, ...]:
        stack = stacks[number]
        return (*sorted(stack.grid.spacing_ijk_mm), *stack.grid.ijk_to_ras.ravel(), float(stack.array.sum(dtype=float)))

    return sorted(range(len(stacks)), key=key)


def finest_spacing_mm(stacks: Sequence[Volume]) -> float:
    """The smallest distance between voxels of any stack."""
    return min(min(stack.grid.spacing_ijk_mm) for stack in stacks)


def union_grid(grids: Sequence[Grid], spacing_mm: float) -> Grid:
    """Cubic voxels over all grids, along the axes of the first one and from its first corner.

    Raises
    ------
    VolumeError
        It would hold more than 2^30 voxels.
    """
    first = grids[0]
    axes = np.eye(4)
    axes[:3, :3] = first.direction * spacing_mm
    axes[:3, 3] = (first.ijk_to_ras @ [-0.5, -0.5, -0.5, 1.0])[:3] + axes[:3, :3] @ [0.5, 0.5, 0.5]
    corners = np.concatenate([np.linalg.inv(axes) @ grid.ijk_to_ras @ grid.corners_ijk for grid in grids], axis=1)[:3]
    low, high = np.floor(corners.min(axis=1) + 0.5 + 1e-3), np.ceil(corners.max(axis=1) + 0.5 - 1e-3)
    count = np.maximum((high - low).astype(int), 2)
    if count.prod() > _MOST_VOXELS:
        size = "x".join(map(str, count))
        raise VolumeError(f"the fused volume would have {size} voxels; ask for a coarser spacing than {spacing_mm:g}")
    axes[:3, 3] = (axes @ [*low, 1.0])[:3]
    return Grid((int(count[2]), int(count[1]), int(count[0])), axes)


def cropped_grid(grid: Grid, region_ras_mm: Sequence[float]) -> Grid:
    """The part of a grid around a box, given by its lowest and highest R, A and S in mm.

    Raises
    ------
    VolumeError
        The box lies outside the grid.
    """
    low, high = _span(grid, np.reshape(region_ras_mm, (3, 2)))
    if (high - low).min() < 2:
        raise VolumeError("the region lies outside the stacks; give its lowest and highest R, A and S in mm")
    return _part_of(grid, low, high)


def near(stack: Volume, region_ras_mm: Sequence[float]) -> Volume:
    """The part of a stack around a region, so that motion elsewhere has no influence.

    It reaches 10 mm farther on all sides, and is at least 80 mm wide. A stack of which that leaves less than four
    slices stays whole, and so does one whose slices do not lie at even places.
    """
    box = np.reshape(region_ras_mm, (3, 2)).astype(float)
    margin = np.maximum(_MARGIN_MM, (_NARROWEST_MM - (box[:, 1] - box[:, 0])) / 2)
    low, high = _span(stack.grid, box + np.outer(margin, (-1, 1)))
    if (high - low).min() < _FEWEST_SLICES or stack.measured is not None:
        return stack
    part = tuple(slice(first, stop) for first, stop in zip(low[::-1], high[::-1], strict=True))
    array = np.ascontiguousarray(stack.array[part])
    padding = None if stack.padding is None else stack.padding[part]
    return replace(stack, array=array, grid=_part_of(stack.grid, low, high), padding=padding)


def _span(grid: Grid, bounds_ras_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last index (i, j, k), the last one excluded, of the voxels of a grid around a box, (3, 2) in mm."""
    corners = np.array(np.meshgrid(*bounds_ras_mm, [1.0])).reshape(4, -1)
    places = (np.linalg.inv(grid.ijk_to_ras) @ corners)[:3]
    low = np.maximum(np.floor(places.min(axis=1) + 0.5 + 1e-3), 0).astype(int)
    return low, np.minimum(np.ceil(places.max(axis=1) + 0.5 - 1e-3), grid.shape_kji[::-1]).astype(int)


def _part_of(grid: Grid, low: np.ndarray, high: np.ndarray) -> Grid:
    matrix = grid.ijk_to_ras.copy()
    matrix[:3, 3] = (matrix @ [*low, 1.0])[:3]
    i, j, k = high - low
    return Grid((int(k), int(j), int(i)), matrix, grid.slice_axis)


def as_coarse_as(stack: Volume, spacing_mm: float) -> Volume:
    """The stack with as many in-plane voxels averaged as fit into one of the result; with padding, they are padding."""
    slice_axis = stack.grid.through_plane_axis  # the spacings may be equal afterwards
    for axis in AXES_IJK.replace(slice_axis, ""):
        size = int(spacing_mm / stack.grid.spacing_mm(axis) + 1e-3)
        if size < 2 or stack.grid.count(axis) < 2 * size:
            continue
        number = array_axis(axis)
        array, padding = _averaged(stack.array, stack.padding, number, size)
        measured = stack.measured
        if measured is not None:
            slices, slice_padding = _averaged(measured.array, measured.padding, number, size)
            measured = replace(measured, array=slices, padding=slice_padding)
        grid = Grid(array.shape, stack.grid.refined(axis, 1 / size).ijk_to_ras, slice_axis)
        stack = replace(stack, array=array, grid=grid, padding=padding, measured=measured)
    return stack


def _averaged(
    array: np.ndarray, padding: np.ndarray | None, axis: int, size: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """The means of ``size`` voxels along an array axis, float32; where one of them is padding, they are padding."""
    means = _in_groups(array, axis, size).mean(axis=axis + 1, dtype=np.float32)
    return means, None if padding is None else _in_groups(padding, axis, size).max(axis=axis + 1)


def _in_groups(array: np.ndarray, axis: int, size: int) -> np.ndarray:
    """An array with one of its axes in groups of ``size``, along a further axis after it; what is left is cut off."""
    count = array.shape[axis] // size
    whole = array[(*(slice(None),) * axis, slice(count * size))]
    return whole.reshape(*array.shape[:axis], count, size, *array.shape[axis + 1 :])
