"""The acquisition of a stack from a fine volume, the matrix A, and its adjoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...physics.acquisition import SliceProfile, acquisition_matrix
from ...physics.projection import BandedMatrix
from ...volumes.grid import AXES_IJK, Grid, array_axis
from .sampling import PlaneSampling, corners, plane_sampling

_SAMPLES = 4_000_000  # of the fine volume, at a time
_SAME = 1e-3
_INSIDE = 0.99  # a measured voxel counts where this share of it lies inside the fine volume


@dataclass(frozen=True, eq=False)
class _Slab:
    """Some measured slices: their rows, and where they sample the fine volume."""

    rows: slice
    through: Tensor  # (rows, samples) weights through the plane
    sampling: PlaneSampling


class StackOperator:
    """A x = the stack: samples of x on the refined grid of the stack, then the profile along each axis.

    Parameters
    ----------
    stack
        Grid of the measured stack, of any direction.
    target
        Grid of x; its voxels are about cubes.
    profile
        Slice profile. Along in-plane axes, the profile is Gaussian if they are coarser than the target, else a point.
    motion
        (4, 4) from the stack's millimeters (RAS) to those of the target, or (K, 4, 4) with one for each slice.

    Notes
    -----
    Both directions go slab by slab, so that memory stays bounded; `correlate` is exactly the adjoint of `acquire`. A
    constant volume gives a constant stack of the same value. Measured voxels that reach outside the target are 0 in
    both directions.
    """

    def __init__(self, stack: Grid, target: Grid, profile: SliceProfile, motion: np.ndarray | None = None) -> None:
        spacing = min(target.spacing_ijk_mm)
        axes = [stack.through_plane_axis, *(axis for axis in "kji" if axis != stack.through_plane_axis)]
        self._order = [array_axis(axis) for axis in axes]
        fine, matrices = stack, []
        for axis in axes:
            factor = stack.spacing_mm(axis) / spacing
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

    def acquire(self, volume: Tensor, *, beyond: bool = False) -> Tensor:
        """The stack of a fine ``volume``, (Z, Y, X) -> (K, J, I).

        Parameters
        ----------
        beyond
            Repeat the border outside the volume, instead of 0 for measured voxels that reach there.
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
        """Add A^T W A volume to ``result``; W holds the ``weights``, of a shape that multiplies a stack."""
        sequence = self._as_sequence(weights)
        for slab in self._slabs():
            self._spread(sequence[slab.rows] * self._measure(volume, slab), slab, result)

    def by_slice(self, values: Tensor) -> Tensor:
        """One value for each slice, (K,), in a shape that multiplies a stack."""
        return self._as_stack(values[:, None, None])

    def valid(self) -> Tensor:
        """1 where a measured voxel lies inside the target, (K, J, I); 0 elsewhere."""
        if self._is_inside:
            return torch.ones(self.shape_kji, dtype=torch.float32)
        return self.acquire(torch.ones(self._target_shape, dtype=torch.float32)).round_()

    def _as_sequence(self, stack: Tensor) -> Tensor:
        return stack.permute(self._order)

    def _as_stack(self, sequence: Tensor) -> Tensor:
        return sequence.permute([self._order.index(axis) for axis in range(3)])

    def _measure(self, volume: Tensor, slab: _Slab) -> Tensor:
        return self._integrated(slab.sampling.sampled(volume), slab)

    def _integrated(self, samples: Tensor, slab: _Slab) -> Tensor:
        rows, columns = self._across
        in_plane = along(columns, along(rows, samples, 1), 2)
        return along(slab.through, in_plane, 0)

    def _spread(self, sequence: Tensor, slab: _Slab, result: Tensor) -> None:
        rows, columns = self._across
        sequence = along(slab.through.T, self._inside(sequence, slab), 0)
        samples = along(columns.T, along(rows.T, sequence, 1), 2)
        slab.sampling.spread(samples, result)

    def _inside(self, sequence: Tensor, slab: _Slab) -> Tensor:
        if self._is_inside:
            return sequence
        return sequence * (self._integrated(slab.sampling.inside(), slab) > _INSIDE)

    def _fine_shape(self) -> tuple[int, int, int]:
        return self._through.shape[1], self._across[0].shape[1], self._across[1].shape[1]

    def _lies_inside(self) -> bool:
        ends = np.concatenate([corners(one, 0, self._fine_shape()) for one in self._to_target], axis=1)
        last = np.array(self._target_shape[::-1])[:, None] - 1
        return bool((ends > -0.5 - _SAME).all() and (ends < last + 0.5 + _SAME).all())

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
        sampling = plane_sampling(to_target, first, (last - first, *self._fine_shape()[1:]), self._target_shape)
        return _Slab(rows, self._through[rows, first:last], sampling)


def along(matrix: Tensor, array: Tensor, axis: int) -> Tensor:
    """Multiply a (M, N) matrix with one axis of a three-dimensional array."""
    if matrix.shape[0] == matrix.shape[1] and bool((matrix.diagonal() == 1).all()):
        return array
    if axis == 0:
        return (matrix @ array.flatten(1)).unflatten(1, array.shape[1:])
    if axis == 1:
        return torch.matmul(matrix, array)
    return torch.matmul(array, matrix.T)
