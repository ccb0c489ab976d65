"""Registration of stacks, or of their slices, to the volume fused from the other stacks.

Gauss-Newton steps minimize |gain A(motion) x - y|^2 over the motion, where x is the volume fused from the other stacks,
y the measured stack and A the acquisition model of the solver. So the motion is accurate to a fraction of a voxel,
which a registration of volumes that are blurred along different axes is not.

References
----------
.. [1] Gholipour et al. (2010), Robust super-resolution volume reconstruction from slice acquisitions.
   DOI 10.1109/TMI.2010.2051680
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...volumes.grid import Grid, array_axis
from .brightness import matched_gains
from .operator import StackOperator
from .prior import RefinedStack, blended, on_grid
from .solver import measurement, solve
from .stacks import as_coarse_as, union_grid

_WORKING_MM = 2.0  # least spacing during the search
_ROUNDS, _STEPS = 2, 2
_ITERATIONS, _PRIOR_WEIGHT = 6, 0.05  # of the volume from the other stacks
_KNOWN = 0.99  # a measured voxel counts if at least this share of it lies where the volume is known
_FEWEST = 50  # measured voxels from which a motion can be estimated
_STEP_MM = 0.25  # of the finite differences
_ARM_MM = 40.0  # rotations are given in mm of motion at this distance from the center
_STEP_DEVIATION_MM = 1.5  # prior standard deviation of a step
_USUAL_ERROR = 0.03  # of the values: error that does not reduce the weight of a slice
_LEAST_DAMPING = 1e-12  # relative
_TINY = float(np.finfo(np.float64).tiny)  # against division by zero; values can be of any magnitude
_HALF_WEIGHT = 2.0  # a slice whose error is this many times the median gets half the weight


def aligned(
    stacks: Sequence[RefinedStack], spacing_mm: float, *, slices: bool, step: Callable[[], None]
) -> list[RefinedStack]:
    """The stacks with their motions improved; the first one stays in place.

    Parameters
    ----------
    stacks
        Roughly registered stacks.
    spacing_mm
        Spacing of the result.
    slices
        Whether to register each slice too, and to reduce the weight of slices that still contradict the other stacks.
    step
        Called after each stack and round; it may raise `errors.Cancelled`.
    """
    working_mm = max(_WORKING_MM, spacing_mm)
    coarse = [replace(one, stack=as_coarse_as(one.stack, working_mm)) for one in stacks]
    grid = union_grid([one.moved_grid for one in coarse], working_mm)
    gains = matched_gains(coarse, grid)
    coarse = [replace(one, gain=gain) for one, gain in zip(coarse, gains, strict=True)]
    for _ in range(_ROUNDS):
        for number in range(1, len(coarse)):
            search = _search(coarse, number, grid)
            coarse[number] = replace(coarse[number], motion=search.improved(coarse[number].motion)[0])
            step()
    for _ in range(_ROUNDS if slices else 0):
        for number, one in enumerate(coarse):
            search = _search(coarse, number, grid)
            count = one.stack.grid.count(one.stack.grid.through_plane_axis)
            motions, errors = search.improved(np.broadcast_to(one.motions, (count, 4, 4)))
            coarse[number] = replace(one, slice_motions=motions, slice_weights=_slice_weights(errors, one.stack.array))
            step()
    return [
        replace(one, motion=found.motion, slice_motions=found.slice_motions, slice_weights=found.slice_weights)
        for one, found in zip(stacks, coarse, strict=True)
    ]


def step_count(count: int, *, slices: bool) -> int:
    """Number of calls of ``step`` by `aligned` for ``count`` stacks."""
    return _ROUNDS * (count - 1 + (count if slices else 0))


def _search(stacks: Sequence[RefinedStack], number: int, grid: Grid) -> _Search:
    """The search for the motion of one stack against the volume fused from the others."""
    one, others = stacks[number], [other for other in stacks if other is not stacks[number]]
    volume = solve(
        blended(others, grid, min(other.lowest for other in others)),
        [measurement(other, grid) for other in others],
        prior_weight=_PRIOR_WEIGHT,
        iterations=_ITERATIONS,
    )
    known = torch.zeros(grid.shape_kji, dtype=torch.float32)
    for other in others:
        known[on_grid(other, grid)[1] > 0] = 1
    middle = (np.array(one.stack.grid.shape_kji[::-1]) - 1) / 2
    return _Search(
        lambda motions: StackOperator(one.stack.grid, grid, one.profile, motions),
        torch.from_numpy(np.ascontiguousarray(one.stack.array)),
        one.measured,
        volume,
        known,
        array_axis(one.stack.grid.through_plane_axis),
        (one.moved_grid.ijk_to_ras @ np.append(middle, 1.0))[:3],
    )


@dataclass(frozen=True, eq=False)
class _Search:
    """The search for the motion of one stack.

    Parameters
    ----------
    operator
        Makes the acquisition model for a motion.
    values
        (K, J, I) the measured stack.
    measured
        (K, J, I) bool, see `RefinedStack.measured`.
    volume, known
        (Z, Y, X) the volume fused from the other stacks, and 1 where it is known.
    slice_axis
        Array axis of the slices.
    center_mm
        (3,) center of rotations, in RAS of the volume.
    """

    operator: Callable[[np.ndarray], StackOperator]
    values: Tensor
    measured: Tensor | None
    volume: Tensor
    known: Tensor
    slice_axis: int
    center_mm: np.ndarray

    def improved(self, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The motion for which the acquisition of the volume is most similar to the measured stack, near a first guess.

        Parameters
        ----------
        motion
            (4, 4) of the stack, or (K, 4, 4) of its slices: start of the search. A Gauss-Newton step that increases the
            error is undone.

        Returns
        -------
        The motion, and the mean square error of each slice (K,) or of the stack (1,); infinite where too few voxels are
        known.
        """
        best = motions = motion.reshape(-1, 4, 4)
        least = np.full(len(motions), np.inf)
        for step in range(_STEPS + 1):
            difference, slopes, counts = self._linearized(motions, with_slopes=step < _STEPS)
            error = (difference.square().sum(dim=1) / counts.clamp_min(1)).numpy()
            better = (error < least) & (counts.numpy() > _FEWEST)
            best, least = np.where(better[:, None, None], motions, best), np.where(better, error, least)
            if step == _STEPS or not better.any():
                break
            change = _gauss_newton(difference, slopes, counts)
            motions = np.where(better[:, None, None], self._steps(change) @ motions, best)
        return best.reshape(motion.shape), least

    def _linearized(self, motions: np.ndarray, *, with_slopes: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Measured minus acquired values, their derivatives by the six parameters, and the number of voxels that count.

        For N slices or 1: (N, n), (6, N, n) and (N,).
        """
        acquisition = self.operator(motions)
        valid = (self._flat(acquisition.acquire(self.known), len(motions)) > _KNOWN).double()
        if self.measured is not None:
            valid *= self._flat(self.measured, len(motions))
        measured = self._flat(self.values, len(motions)) * valid
        acquired = self._flat(acquisition.acquire(self.volume, beyond=True), len(motions))
        inside = acquired * valid
        squared = inside.square().sum(dim=1, keepdim=True).clamp_min(_TINY)
        gain = (inside * measured).sum(dim=1, keepdim=True) / squared
        slopes = []
        for number in range(6 if with_slopes else 0):
            shift = np.zeros((1, 6))
            shift[0, number] = _STEP_MM
            moved = self.operator(self._steps(shift) @ motions).acquire(self.volume, beyond=True)
            slope = gain * (self._flat(moved, len(motions)) - acquired) * valid / _STEP_MM
            refitted = (slope * inside).sum(dim=1, keepdim=True) / squared  # the gain
            slopes.append(slope - inside * refitted)
        return measured - gain * inside, torch.stack(slopes) if slopes else inside, valid.sum(dim=1)

    def _flat(self, stack: Tensor, count: int) -> Tensor:
        return stack.movedim(self.slice_axis, 0).reshape(count, -1).double()

    def _steps(self, change_mm: np.ndarray) -> np.ndarray:
        """(N, 4, 4) rigid motions of (N, 6) shifts and rotations, both in mm; rotations as the motion at `_ARM_MM`."""
        return np.array([_rigid(one[:3], one[3:] / _ARM_MM, self.center_mm) for one in change_mm])


def _gauss_newton(difference: Tensor, slopes: Tensor, counts: Tensor) -> np.ndarray:
    """(N, 6) in mm: the step of each slice, damped where its voxels determine little."""
    normal = torch.einsum("pnv,qnv->npq", slopes, slopes)
    noise = difference.square().sum(dim=1) / counts.clamp_min(1)
    least = _LEAST_DAMPING * normal.diagonal(dim1=1, dim2=2).sum(dim=1) + _TINY
    normal += (noise / _STEP_DEVIATION_MM**2 + least)[:, None, None] * torch.eye(6, dtype=normal.dtype)
    wanted = torch.einsum("pnv,nv->np", slopes, difference)
    return torch.linalg.solve(normal, wanted).numpy()


def _slice_weights(errors: np.ndarray, values: np.ndarray) -> Tensor:
    """Weights of slices, (K,) float32, from their mean square errors; 1 where the error is not known."""
    known = np.isfinite(errors)
    if not known.any():
        return torch.ones(len(errors), dtype=torch.float32)
    usual = max(
        float(np.median(errors[known])), float(np.square(_USUAL_ERROR * values, dtype=np.float64).mean()), _TINY
    )
    ratio = np.sqrt(np.where(known, errors, 0) / usual)
    return torch.from_numpy(1 / (1 + (ratio / _HALF_WEIGHT) ** 4)).float()


def _rigid(shift_mm: np.ndarray, rotation: np.ndarray, center_mm: np.ndarray) -> np.ndarray:
    """(4, 4): a rotation about a center, by a rotation vector in radians, then a shift."""
    angle = float(np.linalg.norm(rotation))
    x, y, z = rotation / angle if angle > 0 else rotation
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix = np.eye(4)
    matrix[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    matrix[:3, 3] = center_mm - matrix[:3, :3] @ center_mm + shift_mm
    return matrix
