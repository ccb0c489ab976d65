"""Noise as a fixed function of voxel indices, so that it does not depend on tiles or their order."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

KINDS = 2  # white, and blurred in the plane
_PRIMES = (0x1E3779B97F4A7C15, 0x3F58476D1CE4E5B9, 0x14D049BB133111EB, 0x2545F4914F6CDD1D)  # odd, at most 62 bits
_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # a Gaussian of one voxel
_MARGIN = len(_BINOMIAL) // 2
_DEVIATION = sum(weight**2 for weight in _BINOMIAL)  # of white noise after blurring along both axes
_PIECES, _BITS = 4, 16  # parts of a hash whose sum is nearly normally distributed


def grain(slices: Tensor, rows: Tensor, columns: Tensor, seed: int = 0) -> Tensor:
    """Noise of mean 0 and variance 1 as a function of voxel indices: white, and blurred inside the slices.

    Parameters
    ----------
    slices, rows, columns
        (M,), (J,) and (I,) int64 indices of the voxels; rows and columns are consecutive.

    Returns
    -------
    (2, M, J, I) float32.
    """
    wide = white(slices, _widened(rows), _widened(columns), seed)
    kernel = torch.tensor(_BINOMIAL, device=wide.device, dtype=torch.float32)
    blurred = functional.conv2d(wide[:, None], kernel.outer(kernel)[None, None])[:, 0] / _DEVIATION
    return torch.stack([wide[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN], blurred])


def white(slices: Tensor, rows: Tensor, columns: Tensor, seed: int = 0) -> Tensor:
    """(M, J, I) float32 of mean 0 and variance 1, each the hash of three numbers and a seed (the finalizer of [1]_).

    References
    ----------
    .. [1] Steele, Lea and Flood (2014), Fast splittable pseudorandom number generators. DOI 10.1145/2660193.2660195
    """
    hashed = slices[:, None, None] * _PRIMES[0] + rows[:, None] * _PRIMES[1] + columns * _PRIMES[2]
    hashed = hashed + seed * _PRIMES[3] % (1 << 62)
    for shift, factor in ((30, _PRIMES[1]), (27, _PRIMES[2])):
        hashed = (hashed ^ (hashed >> shift & (1 << 64 - shift) - 1)) * factor
    hashed = hashed ^ (hashed >> 31 & (1 << 33) - 1)
    most = (1 << _BITS) - 1
    added = sum((hashed >> _BITS * piece & most for piece in range(_PIECES)), start=torch.zeros_like(hashed))
    return (added.float() / most - _PIECES / 2) * math.sqrt(12 / _PIECES)


def _widened(numbers: Tensor) -> Tensor:
    first, last = int(numbers[0]), int(numbers[-1])
    return torch.arange(first - _MARGIN, last + _MARGIN + 1, device=numbers.device)
