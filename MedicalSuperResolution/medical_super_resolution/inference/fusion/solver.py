"""Conjugate gradients for the volume that fits all stacks and stays near the prior."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .operator import StackOperator


@dataclass(frozen=True, eq=False)
class Measurement:
    """One stack as the solver sees it.

    Parameters
    ----------
    operator
        The acquisition A_s of the stack.
    values
        y_s, (K, J, I) float32, its gain matched.
    weight
        w_s.
    """

    operator: StackOperator
    values: Tensor
    weight: float = 1.0

    def missing(self, volume: Tensor) -> Tensor:
        """Y - A x, 0 where the stack reaches outside the volume; (K, J, I)."""
        return (self.values - self.operator.acquire(volume)) * self.operator.valid()


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
        (Z, Y, X) float32, also where the search starts.
    prior_weight
        Weight of the prior, above 0.
    iterations
        Largest number of iterations; fewer where the gradient has vanished.
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
        gradient += one.weight * one.operator.correlate(one.missing(prior))
    direction = gradient.clone()
    squared = first = float(gradient.double().square().sum())
    for _ in range(iterations):
        if squared <= 1e-10 * first:
            break
        image = prior_weight * direction
        for one in measurements:
            one.operator.add_normal(direction, one.weight, image)
        length = squared / float((direction.double() * image.double()).sum())
        volume.add_(direction, alpha=length)
        gradient.add_(image, alpha=-length)
        before, squared = squared, float(gradient.double().square().sum())
        direction.mul_(squared / before).add_(gradient)
        step()
    return volume


def contradiction(volume: Tensor, measurements: Sequence[Measurement]) -> Tensor:
    """How far the stacks are from the volume around each of its voxels: a root mean square, (Z, Y, X)."""
    squares, counts = torch.zeros_like(volume), torch.zeros_like(volume)
    for one in measurements:
        squares += one.weight * one.operator.correlate(one.missing(volume).square())
        counts += one.weight * one.operator.correlate(torch.ones_like(one.values))
    return (squares / counts.clamp_min(1e-6)).clamp_min(0).sqrt()
