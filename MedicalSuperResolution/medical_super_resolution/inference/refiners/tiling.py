"""Tiles of a slice plane: cores that cover it once, each with the margin that its computation needs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """One tile of a (J, I) plane.

    Parameters
    ----------
    core_j, core_i : slice
        The part of the plane that this tile fills. The cores cover the plane without overlap.
    outer_j, outer_i : slice
        The core and its margin, cut off at the borders of the plane.
    inner_j, inner_i : slice
        The core inside the outer part.
    cut_edges : tuple of bool
        Whether the outer part ends inside the plane at its (first row, last row, first column, last column).
    """

    core_j: slice
    core_i: slice
    outer_j: slice
    outer_i: slice
    inner_j: slice
    inner_i: slice
    cut_edges: tuple[bool, bool, bool, bool]

    @property
    def core_size(self) -> int:
        """Voxels of the core."""
        return (self.core_j.stop - self.core_j.start) * (self.core_i.stop - self.core_i.start)


def tiles(shape: tuple[int, ...], side: int, margin: int) -> Iterator[Tile]:
    """Cut a (J, I) plane into tiles of about the same size, with cores of at most ``side`` along each axis.

    The outer part has the whole margin at a cut edge, so that a computation with a reach of ``margin`` voxels is exact
    in the core. Where the border of the plane is nearer than the margin, the outer part ends there, and the edge is not
    cut.
    """
    rows, columns = (list(_spans(length, side, margin)) for length in shape)
    for core_j, outer_j, inner_j, cut_j in rows:
        for core_i, outer_i, inner_i, cut_i in columns:
            yield Tile(core_j, core_i, outer_j, outer_i, inner_j, inner_i, (*cut_j, *cut_i))


def _spans(length: int, side: int, margin: int) -> Iterator[tuple[slice, slice, slice, tuple[bool, bool]]]:
    count = math.ceil(length / side)
    bounds = [round(length * number / count) for number in range(count + 1)]
    for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
        low, high = max(0, start - margin), min(length, stop + margin)
        yield slice(start, stop), slice(low, high), slice(start - low, stop - low), (low > 0, high < length)
