"""The foreground of a volume; nothing is computed outside it, such as in the air around a body."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional

from .tiling import Tile

_ROUNDING = 1e-6  # of the range: variation of a constant by rounding


def foreground_box(parts: Iterable[Tensor], shape: tuple[int, ...], margin: int) -> tuple[slice, slice, slice] | None:
    """The box outside which all neighboring voxels are equal, plus a margin; None where all voxels are equal.

    Outside it the features of the generator are exactly 0, so that skipping it is no approximation.

    Parameters
    ----------
    parts : iterable of Tensor
        The volume, (K, J, I), in parts of consecutive slices.
    shape : tuple of int
        Shape of the volume.
    margin : int
        Voxels added on each side.
    """
    marks = [torch.zeros(count, dtype=torch.bool) for count in shape]
    start = 0
    before: Tensor | None = None
    for part in parts:
        known = part if before is None else torch.cat([before, part])
        _mark(marks, known, start - (before is not None))
        start, before = start + len(part), part[-1:].clone()
    if not marks[0].any():
        return None
    ends = [mark.nonzero()[[0, -1], 0].tolist() for mark in marks]
    k, j, i = (
        slice(max(first - margin, 0), min(last + 2 + margin, count))
        for (first, last), count in zip(ends, shape, strict=True)
    )
    return k, j, i


def _mark(marks: list[Tensor], slices: Tensor, first: int) -> None:
    """Mark, along each axis, the first of each pair of neighbors that differ; ``first`` is the number of a slice."""
    for along in range(3):
        changes = torch.diff(slices, dim=along).abs_() > _ROUNDING
        for axis in range(3):
            changed_along = changes.any(dim=tuple(other for other in range(3) if other != axis)).cpu()
            begin = first if axis == 0 else 0
            marks[axis][begin : begin + len(changed_along)] |= changed_along


def where_slices_change(
    residual: Tensor, slices: Callable[[int, int], Tensor], count: int, positions: Tensor, tile: Tile
) -> Tensor:
    """The residual, set to 0 where the four slices around agree in a voxel and its eight in-plane neighbors.

    Equal slices, as outside the field of view, stay unchanged this way. In tissue, noise makes them improbable.

    Parameters
    ----------
    residual : Tensor
        (m, J, I), of the core of a tile.
    slices : callable
        Called with start and stop; returns these measured slices of the outer part of the tile, (k, J, I).
    count : int
        Number of measured slices, at least 2.
    positions : Tensor
        (m,), ascending, places of the residual's slices in units of the measured ones.
    tile : Tile
        The part of the slice plane.
    """
    before = torch.floor(positions).long().clamp(0, count - 2)
    first, stop = max(int(before[0]) - 1, 0), min(int(before[-1]) + 3, count)
    changed = functional.pad(torch.diff(slices(first, stop), dim=0) != 0, (1, 1, 1, 1))
    changed = changed[:, :-2] | changed[:, 1:-1] | changed[:, 2:]
    changed = (changed[..., :-2] | changed[..., 1:-1] | changed[..., 2:])[:, tile.inner_j, tile.inner_i]
    if changed.all():  # the usual case
        return residual
    around = torch.stack([(before + step).clamp(first, stop - 2) - first for step in (-1, 0, 1)])
    return residual * changed[around].any(dim=0)
