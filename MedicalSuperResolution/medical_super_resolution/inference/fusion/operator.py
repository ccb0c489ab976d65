"""What the scanner would have measured of a fine volume as one stack: the matrix A of a stack, and its adjoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor

from ...physics.acquisition import SliceProfile, acquisition_matrix
from ...physics.projection import BandedMatrix
from ...volumes.grid import AXES_IJK, Grid, array_axis
from .half_grid import with_middles, without_middles

_SAMPLES = 4_000_000  # of the fine volume, at a time
_LINEAR, _BORDER = 0, 1  # as PyTorch numbers interpolation and padding
_SAME = 1e-3
_ALONG = 0.9  # cosine to the through-plane direction
_INSIDE = 0.99  # a measured voxel counts where this share of it lies inside the fine volume


@dataclass(frozen=True, eq=False)
class _Slab:
    """Some measured slices: their rows, the part of the fine volume they see, and where they sample it."""

    rows: slice
    through: Tensor  # (rows, samples) weights through the plane
    box: tuple[slice, slice, slice]
    places: Tensor  # (1, S, A, B, 3), normalised coordinates inside the box


class StackOperator:
    """A x = the stack: samples of x on the refined grid of the stack, then the profile along each axis.

    Parameters
    ----------
    stack
        Grid of the measured stack, of any direction.
    target
        Grid of x; its voxels are about cubes.
    profile
        Slice profile. In-plane axes coarser than the target are taken as Gaussian, finer ones as points.
    motion
        (4, 4) from the stack's millimetres (RAS) to the target's, or (K, 4, 4) for each slice its own.

    Notes
    -----
    Both directions go slab by slab, so that memory stays bounded; `correlate` is exactly the adjoint of `acquire`. A
    constant volume gives a constant stack of the same value. Samples are trilinear; where they lie between the voxels
    of x, it is first made twice as dense along the axes across the slices. Measured voxels that reach outside the
    target are 0 in both directions.
    """

    def __init__(self, stack: Grid, target: Grid, profile: SliceProfile, motion: np.ndarray | None = None) -> None:
        spacing = min(target.spacing_ijk_mm)
        axes = [stack.through_plane_axis, *(axis for axis in "kji" if axis != stack.through_plane_axis)]
        self._order = [array_axis(axis) for axis in axes]
        fine, matrices = stack, []
        for axis in axes:
            factor = stack.spacing_ijk_mm[AXES_IJK.index(axis)] / spacing
            if factor <= 1 + _SAME:
                matrices.append(np.eye(stack.count(axis)))
                continue
            fine = fine.refined(axis, factor)
            shape = profile if axis == axes[0] else SliceProfile()
            matrices.append(
                acquisition_matrix(
                    stack.count(axis), fine.count(axis), factor, profile=shape.shape, thickness=shape.width
                )
            )
        self._through, *self._across = (torch.from_numpy(matrix.astype(np.float32)) for matrix in matrices)
        self._band = BandedMatrix(matrices[0])
        self.shape_kji = stack.shape_kji
        self._target_shape = target.shape_kji
        motions = np.eye(4)[None] if motion is None else motion.reshape(-1, 4, 4)
        to_target = np.linalg.inv(target.ijk_to_ras) @ motions @ fine.ijk_to_ras
        self._to_target = to_target[..., [*(AXES_IJK.index(axis) for axis in reversed(axes)), 3]]  # of fine (b, a, s)
        self._is_inside = self._lies_inside()
        self._dense_axes = _dense_axes(self._to_target)

    def acquire(self, volume: Tensor, *, beyond: bool = False) -> Tensor:
        """The stack of a fine ``volume``, (Z, Y, X) -> (K, J, I).

        Parameters
        ----------
        beyond
            Outside the volume its border goes on, instead of 0 for measured voxels that reach there.
        """
        sequence = volume.new_zeros([self.shape_kji[axis] for axis in self._order])
        for slab in self._slabs():
            acquired = self._measure(volume, slab)
            sequence[slab.rows] = acquired if beyond else self._inside(acquired, slab)
        return self._as_stack(sequence)

    def correlate(self, stack: Tensor) -> Tensor:
        """The adjoint: (K, J, I) -> (Z, Y, X)."""
        result = stack.new_zeros(self._target_shape)
        sequence = self._as_sequence(stack)
        for slab in self._slabs():
            self._spread(sequence[slab.rows], slab, result)
        return result

    def add_normal(self, volume: Tensor, weights: Tensor, result: Tensor) -> None:
        """Add A^T W A volume to ``result``; W holds the ``weights`` of the slices, (K,)."""
        for slab in self._slabs():
            self._spread(weights[slab.rows, None, None] * self._measure(volume, slab), slab, result)

    def by_slice(self, values: Tensor) -> Tensor:
        """One value for each slice, (K,), in a shape that multiplies a stack."""
        return self._as_stack(values[:, None, None])

    @property
    def slice_axis(self) -> int:
        """Array axis of the slices."""
        return self._order[0]

    def valid(self) -> Tensor:
        """1 where a measured voxel lies inside the target, (K, J, I); 0 elsewhere."""
        if self._is_inside:
            return torch.ones(self.shape_kji)
        return self.acquire(torch.ones(self._target_shape)).round_()

    def _as_sequence(self, stack: Tensor) -> Tensor:
        return stack.permute(self._order)

    def _as_stack(self, sequence: Tensor) -> Tensor:
        return sequence.permute([self._order.index(axis) for axis in range(3)])

    def _measure(self, volume: Tensor, slab: _Slab) -> Tensor:
        part = volume[slab.box]
        for axis in self._dense_axes:
            part = with_middles(part, axis)
        samples = F.grid_sample(
            part[None, None], slab.places, mode="bilinear", padding_mode="border", align_corners=True
        )[0, 0]
        return self._integrated(samples, slab)

    def _integrated(self, samples: Tensor, slab: _Slab) -> Tensor:
        rows, columns = self._across
        in_plane = along(columns, along(rows, samples, 1), 2)
        return along(slab.through, in_plane, 0)

    def _spread(self, sequence: Tensor, slab: _Slab, result: Tensor) -> None:
        rows, columns = self._across
        sequence = along(slab.through.T, self._inside(sequence, slab), 0)
        samples = along(columns.T, along(rows.T, sequence, 1), 2)
        part = result[slab.box]
        shape = [2 * n - 1 if axis in self._dense_axes else n for axis, n in enumerate(part.shape)]
        gradients = torch.ops.aten.grid_sampler_3d_backward(
            samples[None, None].contiguous(), part.new_empty(1, 1, *shape), slab.places, _LINEAR, _BORDER, True,
            [True, False],
        )  # fmt: skip
        gradient = gradients[0][0, 0]
        for axis in reversed(self._dense_axes):
            gradient = without_middles(gradient, axis)
        part += gradient

    def _inside(self, sequence: Tensor, slab: _Slab) -> Tensor:
        if self._is_inside:
            return sequence
        within = (slab.places[0].abs() <= 1 + _SAME).all(dim=-1).float()
        return sequence * (self._integrated(within, slab) > _INSIDE)

    def _fine_shape(self) -> tuple[int, int, int]:
        return self._through.shape[1], self._across[0].shape[1], self._across[1].shape[1]

    def _corners(self, to_target: np.ndarray, first: int, stop: int) -> np.ndarray:
        """Target indices (i, j, k) of the corners of some fine slices, (3, 8)."""
        _, rows, columns = self._fine_shape()
        corners = np.array(np.meshgrid((0, columns - 1), (0, rows - 1), (first, stop - 1), [1.0])).reshape(4, -1)
        return (to_target @ corners)[:3]

    def _lies_inside(self) -> bool:
        count = self._fine_shape()[0]
        corners = np.concatenate([self._corners(one, 0, count) for one in self._to_target], axis=1)
        last = np.array(self._target_shape[::-1])[:, None] - 1
        return bool((corners > -0.5 - _SAME).all() and (corners < last + 0.5 + _SAME).all())

    def _slabs(self) -> Iterator[_Slab]:
        count, (_, rows, columns) = self._through.shape[0], self._fine_shape()
        start = 0
        while start < count:
            stop = start + 1
            first, last = self._band.columns(start, stop)
            while len(self._to_target) == 1 and stop < count:
                further = self._band.columns(start, stop + 1)[1]
                if (further - first) * rows * columns > _SAMPLES:
                    break
                stop, last = stop + 1, further
            yield self._slab(slice(start, stop), first, last)
            start = stop

    def _slab(self, rows: slice, first: int, last: int) -> _Slab:
        to_target = self._to_target[rows.start if len(self._to_target) > 1 else 0]
        corners = self._corners(to_target, first, last)
        limits = self._target_shape[::-1]
        low = [int(np.clip(np.floor(line.min()) - 1, 0, n - 2)) for line, n in zip(corners, limits, strict=True)]
        high = [int(np.clip(np.ceil(line.max()) + 2, 2, n)) for line, n in zip(corners, limits, strict=True)]
        high = [max(stop, start + 2) for start, stop in zip(low, high, strict=True)]
        shape = (last - first, *self._fine_shape()[1:])
        theta = _normalised(to_target, shape, first, low, high)
        places = F.affine_grid(torch.from_numpy(theta)[None].float(), [1, 1, *shape], align_corners=True)
        box = (slice(low[2], high[2]), slice(low[1], high[1]), slice(low[0], high[0]))
        return _Slab(rows, self._through[rows, first:last], box, places)


def _dense_axes(to_target: np.ndarray) -> list[int]:
    """Array axes of the target that are sampled between voxels and whose detail the slice profile does not blur.

    Parameters
    ----------
    to_target
        (K, 4, 4) from fine samples (b, a, s) to target indices (i, j, k).
    """
    if np.abs(to_target - np.round(to_target)).max() < _SAME:
        return []
    through = np.abs(to_target[0, :3, 2]) / np.linalg.norm(to_target[0, :3, 2])
    return [2 - column for column in range(3) if through[column] < _ALONG]


def _normalised(
    to_target: np.ndarray, shape: tuple[int, int, int], first: int, low: list[int], high: list[int]
) -> np.ndarray:
    """(3, 4) from the normalised coordinates of ``shape`` fine samples to those of a box of the target."""
    half = (np.array(shape[::-1]) - 1) / 2
    to_index = np.eye(4)
    to_index[:3, :3] = np.diag(half)
    to_index[:3, 3] = half + np.array([0, 0, first])
    extent = (np.array(high) - np.array(low) - 1) / 2
    to_box = np.eye(4)
    to_box[:3, :3] = np.diag(1 / extent)
    to_box[:3, 3] = -np.array(low) / extent - 1
    return (to_box @ to_target @ to_index)[:3]


def along(matrix: Tensor, array: Tensor, axis: int) -> Tensor:
    """Multiply a (M, N) matrix with one axis of a three-dimensional array."""
    if matrix.shape[0] == matrix.shape[1] and bool((matrix.diagonal() == 1).all()):
        return array
    if axis == 0:
        return (matrix @ array.flatten(1)).unflatten(1, array.shape[1:])
    if axis == 1:
        return torch.matmul(matrix, array)
    return torch.matmul(array, matrix.T)
