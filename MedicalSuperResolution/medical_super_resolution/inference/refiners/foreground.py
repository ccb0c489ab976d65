"""Where a volume has structure: all else, such as the air around a body, need not be computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional

from .tiling import Tile

_ROUNDING = 1e-6  # of the range: what floating point leaves of a constant after a pass


def foreground_box(parts: Iterable[Tensor], shape: tuple[int, ...], margin: int) -> tuple[slice, slice, slice] | None:
    """The box of a volume outside which neighbours are the same, with a margin; None if there is none.

    Beyond it the generator's features are exactly 0, so that leaving it out is no approximation.

    Parameters
    ----------
    parts : iterable of Tensor
        The volume, (K, J, I), as some of its slices after the others.
    shape : tuple of int
        Of the volume.
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
    """Mark, along each axis, the first of each pair of neighbours that differ; ``first`` is the number of a slice."""
    for along in range(3):
        changes = torch.diff(slices, dim=along).abs_() > _ROUNDING
        for axis in range(3):
            seen = changes.any(dim=tuple(other for other in range(3) if other != axis)).cpu()
            begin = first if axis == 0 else 0
            marks[axis][begin : begin + len(seen)] |= seen


def where_slices_change(
    residual: Tensor, slices: Callable[[int, int], Tensor], count: int, positions: Tensor, tile: Tile
) -> Tensor:
    """The residual, 0 where the four slices around are the same in a voxel and its eight neighbours.

    There is nothing to refine between slices that are all the same, as outside the field of view, so that they come
    back the same. In tissue, noise makes such places next to impossible.

    Parameters
    ----------
    residual : Tensor
        (m, J, I), of the core of a tile.
    slices : callable
        Gives measured slices of the outer part of the tile, (k, J, I), from one number up to another.
    count : int
        Number of measured slices, at least 2.
    positions : Tensor
        (m,), ascending, of the residual's slices in units of the measured ones.
    tile : Tile
        Of the slice plane.
    """
    before = torch.floor(positions).long().clamp(0, count - 2)
    first, stop = max(int(before[0]) - 1, 0), min(int(before[-1]) + 3, count)
    changed = functional.pad(torch.diff(slices(first, stop), dim=0) != 0, (1, 1, 1, 1))
    changed = changed[:, :-2] | changed[:, 1:-1] | changed[:, 2:]
    changed = (changed[..., :-2] | changed[..., 1:-1] | changed[..., 2:])[:, tile.inner_j, tile.inner_i]
    if changed.all():  # the rule in tissue
        return residual
    around = torch.stack([(before + step).clamp(first, stop - 2) - first for step in (-1, 0, 1)])
    return residual * changed[around].any(dim=0)
