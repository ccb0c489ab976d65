"""Samples of a volume on the fine slices of a stack in any direction, and the adjoint.

Two passes of two-dimensional interpolation are at least twice as fast in PyTorch as one in three dimensions, and use
all cores. The first interpolates along the axis of the volume that is nearest to the normal of the slices (``facing``),
onto their planes; the second, inside each plane. Where samples lie between voxels, cubic convolution first doubles the
density along the other two axes.

References
----------
.. [1] Catmull and Smith (1980), 3-D transformations of images in scanline order. DOI 10.1145/965105.807505
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # PyTorch's own name for it
from torch import Tensor

from .half_grid import with_middles, without_middles

_LINEAR, _BORDER = 0, 1  # as PyTorch numbers interpolation and padding
_SAME = 1e-3
_UPRIGHT = 0.999  # cosine between the normal of the planes and an axis, from which they count as parallel
_SLANTED = 0.95  # cosine below which all axes are doubled first, because the planes are too oblique


@dataclass(frozen=True, eq=False)
class PlaneSampling:
    """Sample positions of some fine slices in a volume.

    Parameters
    ----------
    box
        The part of the volume that is sampled.
    order
        Array axes of the volume: down the planes, the facing axis, and along the planes.
    dense_first, dense_later
        Axes whose density is doubled: of the volume in that order (Q, C, P), and of the planes (S, Q, P).
    planes
        (Q, S, P, 2) where each line of the volume (Q) intersects the planes (S), normalized to the box.
    places
        (S, A, B, 2) places of the samples in each plane, normalized to the box.
    facing
        (S, A, 1) and (B,), whose sum is the place of the samples along the facing axis, normalized to the box.
    """

    box: tuple[slice, slice, slice]
    order: tuple[int, int, int]
    dense_first: Sequence[int]
    dense_later: Sequence[int]
    planes: Tensor
    places: Tensor
    facing: tuple[Tensor, Tensor]

    def sampled(self, volume: Tensor) -> Tensor:
        """The samples of a volume, (Z, Y, X) -> (S, A, B); the border is repeated outside."""
        lines = volume[self.box].permute(self.order)
        for axis in self.dense_first:
            lines = with_middles(lines, axis)
        planes = _interpolated(lines.contiguous(), self.planes).movedim(1, 0)
        for axis in self.dense_later:
            planes = with_middles(planes, axis)
        return _interpolated(planes.contiguous(), self.places)

    def spread(self, samples: Tensor, result: Tensor) -> None:
        """Add the adjoint of `sampled` to a volume, (S, A, B) -> (Z, Y, X)."""
        part = result[self.box].permute(self.order)
        down, count, along, _ = self.planes.shape
        planes = _interpolated_adjoint(samples, self.places, _dense((count, down, along), self.dense_later))
        for axis in reversed(self.dense_later):
            planes = without_middles(planes, axis)
        lines = _interpolated_adjoint(planes.movedim(0, 1), self.planes, _dense(part.shape, self.dense_first))
        for axis in reversed(self.dense_first):
            lines = without_middles(lines, axis)
        part += lines

    def inside(self) -> Tensor:
        """1 where a sample lies inside the volume, (S, A, B); 0 elsewhere."""
        largest = torch.maximum(self.places.abs().amax(dim=-1), torch.add(*self.facing).abs())
        return (largest <= 1 + _SAME).float()


def plane_sampling(
    to_target: np.ndarray, first: int, shape: tuple[int, int, int], target_shape: tuple[int, int, int]
) -> PlaneSampling:
    """The sampling of a volume by fine slices.

    Parameters
    ----------
    to_target
        (4, 4) from fine samples (b, a, s) to indices (i, j, k) of the volume.
    first
        The first of the slices.
    shape
        (S, A, B) of the samples.
    target_shape
        (Z, Y, X) of the volume.
    """
    cut = np.linalg.inv(to_target)[2]  # s = cut . (i, j, k, 1)
    facing = int(np.abs(cut[:3]).argmax())
    along, down = (axis for axis in range(3) if axis != facing)
    low, high = _box(corners(to_target, first, shape), _margins(cut, facing), target_shape)
    scale = 2 / (high - 1 - low)  # -1 at the first voxel of the box and 1 at the last
    shift = -scale * low - 1
    dense_first, dense_later = _dense_axes(to_target, abs(cut[facing]) / float(np.linalg.norm(cut[:3])))
    step = 0.5 if 0 in dense_first else 1.0
    q, p = (np.arange(low[axis], high[axis] - 1 + step, step) for axis in (down, along))
    s, a, b = (np.arange(count, dtype=np.float64) for count in shape)
    s += first
    crossing = _Linear([-cut[down], 1.0, -cut[along]], -cut[3]).scaled(scale[facing] / cut[facing], shift[facing])
    at_p = _Linear([0.0, 0.0, 1.0], 0.0).scaled(scale[along], shift[along])
    where = [
        _Linear(line[[2, 1, 0]], line[3]).scaled(scale[axis], shift[axis]) for axis, line in enumerate(to_target[:3])
    ]
    return PlaneSampling(
        (slice(low[2], high[2]), slice(low[1], high[1]), slice(low[0], high[0])),
        (2 - down, 2 - facing, 2 - along),
        dense_first,
        dense_later,
        _pairs([at_p, crossing], [q, s, p]),
        _pairs([where[along], where[down]], [s, a, b]),
        where[facing].on([s, a, b]),
    )


def corners(to_target: np.ndarray, first: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Indices (i, j, k) of the volume at the corners of some fine slices, (3, 8)."""
    slices, rows, columns = shape
    ends = np.array(np.meshgrid((0, columns - 1), (0, rows - 1), (first, first + slices - 1), [1.0])).reshape(4, -1)
    return (to_target @ ends)[:3]


def _margins(cut: np.ndarray, facing: int) -> np.ndarray:
    """Voxels (i, j, k) beyond the samples that count: two, and where the planes run on over them."""
    margins = np.full(3, 2)
    slopes = np.abs(cut[:3] / cut[facing]).sum() - 1
    margins[facing] += int(np.ceil(2 * slopes))
    return margins


def _box(ends: np.ndarray, margins: np.ndarray, target_shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """First and last index (i, j, k), the last one excluded, of what lies around ``ends``; at least two of each."""
    count = np.array(target_shape[::-1])
    low = np.clip(np.floor(ends.min(axis=1)) + 1 - margins, 0, count - 2).astype(int)
    high = np.clip(np.ceil(ends.max(axis=1)) + margins, 2, count).astype(int)
    return low, np.maximum(high, low + 2)


def _dense_axes(to_target: np.ndarray, cosine: float) -> tuple[Sequence[int], Sequence[int]]:
    """`PlaneSampling.dense_first` and ``dense_later``, for planes whose normal has this cosine to the axis they face.

    Along that axis the slice profile blurs more than linear interpolation does, as long as the planes are upright.
    """
    if np.abs(to_target - np.round(to_target)).max() < _SAME:
        return (), ()
    if cosine < _SLANTED:
        return (0, 1, 2), ()
    return () if cosine > _UPRIGHT else (1,), (1, 2)


def _dense(shape: Sequence[int], axes: Sequence[int]) -> list[int]:
    return [2 * count - 1 if axis in axes else count for axis, count in enumerate(shape)]


@dataclass(frozen=True, eq=False)
class _Linear:
    """A linear function of three coordinates."""

    factors: Sequence[float] | np.ndarray
    constant: float

    def scaled(self, scale: float, shift: float) -> _Linear:
        """The function times ``scale`` plus ``shift``."""
        return _Linear(np.asarray(self.factors) * scale, self.constant * scale + shift)

    def on(self, lines: list[np.ndarray]) -> tuple[Tensor, Tensor]:
        """On the grid of three lines, as the sum of (N, M, 1) and (L,), float32."""
        first, second, third = (line * factor for line, factor in zip(lines, self.factors, strict=True))
        both = first[:, None, None] + second[:, None] + self.constant
        return torch.from_numpy(both).float(), torch.from_numpy(third).float()


def _pairs(functions: list[_Linear], lines: list[np.ndarray]) -> Tensor:
    """Two functions on a grid, (N, M, L, 2)."""
    pairs = torch.empty(*map(len, lines), 2, dtype=torch.float32)
    for number, function in enumerate(functions):
        torch.add(*function.on(lines), out=pairs[..., number])
    return pairs


def _interpolated(images: Tensor, places: Tensor) -> Tensor:
    """(N, H, W) images at (N, h, w, 2) places, (N, h, w)."""
    return F.grid_sample(images[:, None], places, mode="bilinear", padding_mode="border", align_corners=True)[:, 0]


def _interpolated_adjoint(samples: Tensor, places: Tensor, sizes: Sequence[int]) -> Tensor:
    """The adjoint of `_interpolated`: (N, h, w) samples to (N, H, W) images of these ``sizes``."""
    count, height, width = sizes
    gradients = torch.ops.aten.grid_sampler_2d_backward(
        samples[:, None].contiguous(), samples.new_empty(count, 1, height, width), places, _LINEAR, _BORDER, True,
        [True, False],
    )  # fmt: skip
    return gradients[0][:, 0]
