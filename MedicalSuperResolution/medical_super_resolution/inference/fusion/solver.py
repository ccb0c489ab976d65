"""Conjugate gradients for the volume that fits all stacks and stays near the prior."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...volumes.grid import Grid
from .operator import StackOperator
from .prior import RefinedStack


@dataclass(frozen=True, eq=False)
class Measurement:
    """One stack in the equations of the solver.

    Parameters
    ----------
    operator
        The acquisition A_s of the stack.
    values
        y_s, (K, J, I) float32, multiplied with its gain.
    slice_weights
        w_s, (K,), of each slice.
    measured
        (K, J, I) bool, see `RefinedStack.measured`.
    """

    operator: StackOperator
    values: Tensor
    slice_weights: Tensor
    measured: Tensor | None = None

    @property
    def weights(self) -> Tensor:
        """The weight of each voxel, of a shape that multiplies a stack."""
        by_slice = self.operator.by_slice(self.slice_weights)
        return by_slice if self.measured is None else by_slice * self.measured

    def valid(self) -> Tensor:
        """1 where a voxel was measured inside the volume, (K, J, I); 0 elsewhere."""
        inside = self.operator.valid()
        return inside if self.measured is None else inside * self.measured

    def missing(self, volume: Tensor) -> Tensor:
        """Y - A x, 0 where the stack reaches outside the volume or was not measured; (K, J, I)."""
        return (self.values - self.operator.acquire(volume)) * self.valid()

    def spread(self, stack: Tensor) -> Tensor:
        """The adjoint of the acquisition of a stack whose voxels are weighted, (Z, Y, X)."""
        return self.operator.correlate(stack * self.weights)


def measurement(one: RefinedStack, grid: Grid) -> Measurement:
    """The equations of a stack; ``grid`` is that of the fused volume."""
    operator = StackOperator(one.stack.grid, grid, one.profile, one.motions)
    values = torch.from_numpy(np.ascontiguousarray(one.stack.array)) * one.gain
    count = one.stack.grid.count(one.stack.grid.through_plane_axis)
    slice_weights = torch.ones(count, dtype=torch.float32) if one.slice_weights is None else one.slice_weights
    return Measurement(operator, values, slice_weights, one.measured)


def solve(
    prior: Tensor,
    measurements: Sequence[Measurement],
    *,
    prior_weight: float,
    iterations: int,
    step: Callable[[], None] = lambda: None,
) -> Tensor:
    """The x of least prior_weight * |x - prior|^2 + sum_s w_s |A_s x - y_s|^2.

    Parameters
    ----------
    prior
        (Z, Y, X) float32; the iterations start from it.
    prior_weight
        Weight of the prior, above 0.
    iterations
        Largest number of iterations; they stop early if the gradient vanishes.
    step
        Called after each iteration; it may raise `errors.Cancelled`.

    References
    ----------
    .. [1] Hestenes and Stiefel (1952), Methods of conjugate gradients for solving linear systems.
       DOI 10.6028/jres.049.044
    """
    volume = prior.clone()
    gradient = torch.zeros_like(prior)
    for one in measurements:
        gradient += one.spread(one.missing(prior))
    direction = gradient.clone()
    squared = first = float(gradient.double().square().sum())
    for _ in range(iterations):
        if squared <= 1e-10 * first:
            break
        image = prior_weight * direction
        for one in measurements:
            one.operator.add_normal(direction, one.weights, image)
        length = squared / float((direction.double() * image.double()).sum())
        volume.add_(direction, alpha=length)
        gradient.add_(image, alpha=-length)
        before, squared = squared, float(gradient.double().square().sum())
        direction.mul_(squared / before).add_(gradient)
        step()
    return volume


def contradiction(volume: Tensor, measurements: Sequence[Measurement]) -> Tensor:
    """Local root mean square difference between the stacks and the volume, (Z, Y, X)."""
    squares, counts = torch.zeros_like(volume), torch.zeros_like(volume)
    for one in measurements:
        squares += one.spread(one.missing(volume).square())
        counts += one.spread(torch.ones_like(one.values))
    return (squares / counts.clamp_min(1e-6)).clamp_min(0).sqrt()
