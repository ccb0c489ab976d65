"""Brightness of the stacks of one fusion: one gain for each, times a smooth shading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from torch import Tensor

from ...volumes.grid import AXES_IJK, Grid
from ...volumes.resampling import resampled
from ...volumes.volume import Volume
from .prior import RefinedStack, on_grid

_STEP_MM = 3.0  # distance of the samples
_FLOOR = 0.1  # of the bright voxels; darker samples are left out
_FEWEST = 200  # samples in the overlap of two stacks
_DEGREE = 2  # of the polynomials; the shading of coils is smoother than anatomy
_LARGEST = 0.7  # difference of logarithms; more is contrast, not shading


class _Overlap:
    """The refined stacks sampled on one coarse grid: logarithms of their values, and which of them are used."""

    def __init__(self, stacks: Sequence[RefinedStack], grid: Grid) -> None:
        self.grid = grid
        for axis in AXES_IJK:
            self.grid = self.grid.refined(axis, min(1.0, grid.spacing_mm(axis) / _STEP_MM))
        samples = [on_grid(one, self.grid) for one in stacks]
        self.known = [(weight > 0) & (values > _floor(values, weight)) for values, weight in samples]
        self.logarithms = [values.clamp_min(torch.finfo(values.dtype).tiny).log() for values, _ in samples]


def matched_gains(stacks: Sequence[RefinedStack], grid: Grid) -> list[float]:
    """The gain of each stack that makes the overlaps equally bright; their geometric mean is 1."""
    overlap = _Overlap(stacks, grid)
    rows, ratios = [], []
    for first in range(len(stacks)):
        for second in range(first):
            both = overlap.known[first] & overlap.known[second]
            count = int(both.sum())
            if count < _FEWEST:
                continue
            row = np.zeros(len(stacks))
            row[[first, second]] = 1, -1
            rows.append(row * np.sqrt(count))
            ratio = (overlap.logarithms[second] - overlap.logarithms[first])[both].median()
            ratios.append(float(ratio) * np.sqrt(count))
    if not rows:
        return [1.0] * len(stacks)
    rows.append(np.ones(len(stacks)))  # the mean of the logarithms is 0
    gains, *_ = np.linalg.lstsq(np.array(rows), np.array([*ratios, 0.0]), rcond=None)
    return [float(value) for value in np.exp(gains)]


def evenly_shaded(stacks: Sequence[RefinedStack], grid: Grid) -> list[RefinedStack]:
    """The stacks with their gain, each multiplied by a smooth field so that they agree on average around each place.

    The logarithm of a field is the polynomial of second degree that fits the difference between the stack and the mean
    of all. The mean of the polynomials is about 0, so that what all stacks share of the shading stays.
    """
    overlap = _Overlap(stacks, grid)
    known = torch.stack(overlap.known)
    logarithms = torch.stack(overlap.logarithms)
    several = known.sum(dim=0) >= 2
    mean = (logarithms * known).sum(dim=0) / known.sum(dim=0).clamp_min(1)
    terms = _polynomials(overlap.grid)
    corrected = []
    for one, values, inside in zip(stacks, logarithms, known & several, strict=True):
        if int(inside.sum()) < _FEWEST:
            corrected.append(one)
            continue
        difference = (mean - values)[inside].clamp(-_LARGEST, _LARGEST).double()
        fitted = torch.linalg.lstsq(terms[inside], difference[:, None]).solution[:, 0]
        field = terms @ fitted
        low, high = field[inside].aminmax()  # the polynomial is not extrapolated beyond the overlap
        shading = Volume(field.clamp(low, high).float().numpy(), overlap.grid)
        corrected.append(
            replace(one, stack=_shaded(one.stack, shading, one.motion), fine=_shaded(one.fine, shading, one.motion))
        )
    return corrected


def _polynomials(grid: Grid) -> Tensor:
    """(Z, Y, X, terms) float64, products of the coordinates up to the degree, each coordinate from -1 to 1."""
    lines = [torch.linspace(-1, 1, count, dtype=torch.float64) for count in grid.shape_kji]
    z, y, x = torch.meshgrid(*lines, indexing="ij")
    powers = [p for p in product(range(_DEGREE + 1), repeat=3) if sum(p) <= _DEGREE]
    return torch.stack([z**k * y**j * x**i for k, j, i in powers], dim=-1)


def _shaded(volume: Volume, shading: Volume, motion: np.ndarray) -> Volume:
    place = Grid(volume.grid.shape_kji, motion @ volume.grid.ijk_to_ras)
    return replace(volume, array=volume.array * np.exp(resampled(shading, place, "linear")))


def _floor(values: Tensor, weight: Tensor) -> float:
    inside = values[weight > 0]
    if not len(inside):
        return 0.0
    step = max(1, len(inside) // 1_000_000)  # few enough values for a quantile
    return float(inside[::step].quantile(0.99)) * _FLOOR
