"""What the model expects of the fused volume: each stack refined by itself, blended on the common grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor

from ...models.file import Model
from ...physics.acquisition import SliceProfile
from ...progress import Progress
from ...settings import LARGEST_FACTOR, EnhanceSettings
from ...volumes.grid import AXES_IJK, Grid
from ...volumes.volume import Volume
from ..enhance import enhance

_SOFT_MM = 4.0  # within so much of its border a stack gives way to the others
_OUTSIDE = 1e-3
_GAIN_STEP = 3  # every third voxel along each axis tells the gain
_GAIN_FLOOR = 0.1  # of the bright voxels: darker ones tell nothing
_FEWEST_FOR_GAIN = 200


@dataclass(frozen=True, eq=False)
class RefinedStack:
    """One stack and what the model makes of it.

    Parameters
    ----------
    stack
        The stack as measured, float32.
    fine
        Refined to about the spacing of the result.
    profile
        Slice profile of the stack.
    motion
        (4, 4) from the stack's millimetres to those of the result.
    gain
        Factor that the values are multiplied with.
    """

    stack: Volume
    fine: Volume
    profile: SliceProfile
    motion: np.ndarray
    gain: float = 1.0


def refined_stack(
    stack: Volume, spacing_mm: float, model: Model, settings: EnhanceSettings, progress: Progress
) -> RefinedStack:
    """Enhance a stack to the spacing of the result, at most 8 times along each axis."""
    stack = replace(stack, array=stack.array.astype(np.float32))
    spacing = stack.grid.spacing_ijk_mm
    i, j, k = (min(value, max(spacing_mm, value / LARGEST_FACTOR)) for value in spacing)
    wanted = (i, j, k)
    profile = SliceProfile(width=(stack.slice_thickness_mm or _distance(stack)) / _distance(stack))
    if all(abs(new - old) < 1e-3 * old for new, old in zip(wanted, spacing, strict=True)):
        return RefinedStack(stack, stack, profile, np.eye(4))
    asked = replace(settings, factor=None, axes="through-plane", spacing_ijk_mm=wanted, uncertainty=False)
    enhanced = enhance(stack, model, asked, progress)
    report = enhanced.report
    profile = SliceProfile(report.slice_profile, (report.slice_width_mm or _distance(stack)) / _distance(stack))
    return RefinedStack(stack, enhanced.volume, profile, np.eye(4))


def blended(stacks: Sequence[RefinedStack], grid: Grid, empty: float) -> Tensor:
    """The refined stacks on one grid, averaged where they overlap, (Z, Y, X); ``empty`` where there is none."""
    total, weights = torch.zeros(grid.shape_kji), torch.zeros(grid.shape_kji)
    for one in stacks:
        values, weight = on_grid(one, grid)
        total += weight * values
        weights += weight
    return torch.where(weights > 0, total / weights.clamp_min(1e-12), torch.tensor(empty))


def on_grid(one: RefinedStack, grid: Grid) -> tuple[Tensor, Tensor]:
    """A refined stack sampled on a grid, slice by slice, and the weight of each sample: 0 outside the stack."""
    fine = one.fine.grid
    count = np.array(fine.shape_kji[::-1], float)
    to_fine = np.linalg.inv(one.motion @ fine.ijk_to_ras) @ grid.ijk_to_ras
    soft = torch.tensor(_SOFT_MM / np.array(fine.spacing_ijk_mm)).float()
    last = torch.tensor(count - 1).float()
    source = torch.from_numpy(np.ascontiguousarray(one.fine.array, dtype=np.float32))[None, None] * one.gain
    values, weights = torch.empty(grid.shape_kji), torch.empty(grid.shape_kji)
    columns = torch.from_numpy(to_fine[:3]).double()
    j, i = torch.meshgrid(*(torch.arange(size).double() for size in grid.shape_kji[1:]), indexing="ij")
    plane = i[..., None] * columns[:, 0] + j[..., None] * columns[:, 1] + columns[:, 3]
    for k in range(grid.shape_kji[0]):
        places = (plane + k * columns[:, 2]).float()
        normalised = places / last.clamp_min(1) * 2 - 1
        sampled = F.grid_sample(source, normalised[None, None], padding_mode="border", align_corners=True)
        depth = torch.minimum(places, last - places) + 0.5  # voxels inside the outer border
        values[k] = sampled[0, 0, 0]
        weights[k] = torch.where(depth > -_OUTSIDE, (depth / soft).clamp(0.05, 1), torch.zeros(())).prod(dim=-1)
    return values, weights


def matched_gains(stacks: Sequence[RefinedStack], grid: Grid) -> list[float]:
    """The gain of each stack that makes the overlaps equally bright; their geometric mean is 1."""
    coarse = grid
    for axis in AXES_IJK:
        coarse = coarse.refined(axis, 1 / _GAIN_STEP)
    samples = [on_grid(one, coarse) for one in stacks]
    floors = [float(values[weight > 0].quantile(0.99)) * _GAIN_FLOOR for values, weight in _thinned(samples)]
    rows, ratios = [], []
    for first in range(len(stacks)):
        for second in range(first):
            (a, in_a), (b, in_b) = samples[first], samples[second]
            both = (in_a > 0) & (in_b > 0) & (a > floors[first]) & (b > floors[second])
            count = int(both.sum())
            if count < _FEWEST_FOR_GAIN:
                continue
            row = np.zeros(len(stacks))
            row[[first, second]] = 1, -1
            rows.append(row * np.sqrt(count))
            ratios.append(float((b[both] / a[both]).median().log()) * np.sqrt(count))
    if not rows:
        return [1.0] * len(stacks)
    rows.append(np.ones(len(stacks)))  # the mean of the logarithms is 0
    gains, *_ = np.linalg.lstsq(np.array(rows), np.array([*ratios, 0.0]), rcond=None)
    return [float(value) for value in np.exp(gains)]


def _thinned(samples: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """Few enough values for a quantile."""
    step = max(1, samples[0][0].numel() // 1_000_000)
    return [(values.flatten()[::step], weight.flatten()[::step]) for values, weight in samples]


def _distance(stack: Volume) -> float:
    return stack.grid.through_plane_spacing_mm
