"""The prior of a fusion: each stack refined by the model, blended on the common grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F  # PyTorch's own name for it
from torch import Tensor

from ...models.file import Model
from ...physics.acquisition import SliceProfile
from ...progress import Progress
from ...settings import LARGEST_FACTOR, EnhanceSettings
from ...volumes.grid import Grid
from ...volumes.resampling import resampled
from ...volumes.volume import Volume
from ...volumes.windows import continued
from ..enhance import enhance
from ..refiners.padding import padding_on
from .operator import StackOperator

_SOFT_MM = 4.0  # distance from the border of a stack within which its weight falls
_OUTSIDE = 1e-3


@dataclass(frozen=True, eq=False)
class RefinedStack:
    """One stack and its refinement by the model.

    Parameters
    ----------
    stack
        The stack as measured, float32.
    fine
        Refined to about the spacing of the result, the measured values continued into its padding.
    profile
        Slice profile of the stack.
    motion
        (4, 4) from the stack's millimeters to those of the result.
    gain
        Factor that the values are multiplied with.
    slice_motions
        (K, 4, 4), the same as ``motion`` for each slice, where slices move by themselves.
    slice_weights
        (K,) weight of each slice, 0 to 1; None weights all slices by 1.
    device
        Where the model refined it; empty if it was fine enough.
    """

    stack: Volume
    fine: Volume
    profile: SliceProfile
    motion: np.ndarray
    gain: float = 1.0
    slice_motions: np.ndarray | None = None
    slice_weights: Tensor | None = None
    device: str = ""

    @property
    def moved_grid(self) -> Grid:
        """The grid of the stack after its motion."""
        return Grid(self.stack.grid.shape_kji, self.motion @ self.stack.grid.ijk_to_ras, self.stack.grid.slice_axis)

    @property
    def measured(self) -> Tensor | None:
        """(K, J, I) bool, where the stack was measured: no padding, no interpolated slice; None if everywhere."""
        padding, is_gap = self.stack.padding, self.stack.interpolated
        if padding is None and is_gap is None:
            return None
        unknown = np.zeros(self.stack.array.shape, bool) if padding is None else padding
        return torch.from_numpy(~unknown if is_gap is None else ~(unknown | is_gap[:, None, None]))

    @property
    def lowest(self) -> float:
        """The lowest measured value."""
        inside = True if self.stack.padding is None else ~self.stack.padding
        return float(self.stack.array.min(where=inside, initial=self.stack.array.max()))

    @property
    def motions(self) -> np.ndarray:
        """Motion of each slice where it is known, else of the stack."""
        return self.motion if self.slice_motions is None else self.slice_motions


def refined_stack(
    stack: Volume, spacing_mm: float, model: Model, settings: EnhanceSettings, progress: Progress
) -> RefinedStack:
    """Enhance a stack to the spacing of the result, at most 8 times along each axis."""
    stack = replace(stack, array=stack.array.astype(np.float32))
    spacing = stack.grid.spacing_ijk_mm
    i, j, k = (min(value, max(spacing_mm, value / LARGEST_FACTOR)) for value in spacing)
    wanted = (i, j, k)
    distance = stack.grid.through_plane_spacing_mm
    profile = SliceProfile(width=(stack.slice_thickness_mm or distance) / distance)
    if all(abs(new - old) < 1e-3 * old for new, old in zip(wanted, spacing, strict=True)):
        return RefinedStack(stack, _continued(stack), profile, np.eye(4))
    asked = replace(settings, factor=None, axes="through-plane", spacing_ijk_mm=wanted, uncertainty=False)
    enhanced = enhance(stack, model, asked, progress)
    report = enhanced.report
    profile = SliceProfile(report.slice_profile, (report.slice_width_mm or distance) / distance)
    fine = replace(enhanced.volume, padding=padding_on(stack, enhanced.volume.grid))
    return RefinedStack(stack, _continued(fine), profile, np.eye(4), device=report.device)


def _continued(fine: Volume) -> Volume:
    """A volume with measured values in place of its padding, so that nothing is blended with that."""
    if fine.padding is None:
        return fine
    planes = zip(fine.array, fine.padding, strict=True)
    return replace(fine, array=np.stack([continued(plane, padded) for plane, padded in planes]))


def refined_again(
    one: RefinedStack, fused: Tensor, grid: Grid, model: Model, settings: EnhanceSettings, progress: Progress
) -> RefinedStack:
    """A stack whose refinement is that of the fused volume, acquired in its direction with slices half as far apart.

    What the other stacks have resolved is kept that way, and the model adds what none of them has.
    """
    stack, spacing_mm = one.stack.grid, min(grid.spacing_ijk_mm)
    halved = stack.refined(stack.through_plane_axis, 2)
    values = StackOperator(halved, grid, SliceProfile(), one.motion).acquire(fused, beyond=True)
    thinner = replace(
        one.stack,
        array=values.numpy(),
        grid=replace(halved, slice_axis=stack.through_plane_axis),
        slice_thickness_mm=halved.through_plane_spacing_mm,
        padding=None,
        measured=None,
    )
    asked = replace(settings, slice_profile="gaussian", slice_thickness_mm=None)
    return replace(one, fine=refined_stack(thinner, spacing_mm, model, asked, progress).fine, gain=1.0)


def blended(stacks: Sequence[RefinedStack], grid: Grid, empty: float, *, sharp: bool = False) -> Tensor:
    """The refined stacks on one grid, averaged where they overlap, (Z, Y, X); ``empty`` where there is none.

    Parameters
    ----------
    sharp
        Sample by cubic B-splines, which blur less than linear interpolation and take longer.
    """
    total, weights = (torch.zeros(grid.shape_kji, dtype=torch.float32) for _ in range(2))
    for one in stacks:
        values, weight = on_grid(one, grid, weights_alone=sharp)
        if sharp and bool((weight > 0).any()):
            moved = Grid(one.fine.grid.shape_kji, one.motion @ one.fine.grid.ijk_to_ras)
            values = torch.from_numpy(resampled(replace(one.fine, grid=moved, padding=None), grid)) * one.gain
        total += weight * values
        weights += weight
    return torch.where(weights > 0, total / weights.clamp_min(1e-12), empty)


def on_grid(one: RefinedStack, grid: Grid, *, weights_alone: bool = False) -> tuple[Tensor, Tensor]:
    """A refined stack sampled on a grid, slice by slice, and the weight of each sample: 0 outside and in padding.

    Parameters
    ----------
    weights_alone
        The samples are not needed and are 0.
    """
    fine = one.fine.grid
    count = np.array(fine.shape_kji[::-1], float)
    to_fine = np.linalg.inv(one.motion @ fine.ijk_to_ras) @ grid.ijk_to_ras
    soft = torch.tensor(_SOFT_MM / np.array(fine.spacing_ijk_mm)).float()
    last = torch.tensor(count - 1).float()
    source = torch.from_numpy(np.ascontiguousarray(one.fine.array, dtype=np.float32))[None, None] * one.gain
    padded = None if one.fine.padding is None else torch.from_numpy(one.fine.padding).float()[None, None]
    values = torch.zeros(grid.shape_kji, dtype=torch.float32)
    weights = torch.empty_like(values)
    columns = torch.from_numpy(to_fine[:3]).double()
    j, i = torch.meshgrid(*(torch.arange(size).double() for size in grid.shape_kji[1:]), indexing="ij")
    plane = i[..., None] * columns[:, 0] + j[..., None] * columns[:, 1] + columns[:, 3]
    for k in range(grid.shape_kji[0]):
        places = (plane + k * columns[:, 2]).float()
        normalized = (places / last.clamp_min(1) * 2 - 1)[None, None]
        if not weights_alone:
            sampled = F.grid_sample(source, normalized, padding_mode="border", align_corners=True)
            values[k] = sampled[0, 0, 0]
        depth = torch.minimum(places, last - places) + 0.5  # voxels inside the outer border
        weights[k] = torch.where(depth > -_OUTSIDE, (depth / soft).clamp(0.05, 1), 0.0).prod(dim=-1)
        if padded is not None:
            weights[k] *= 1 - F.grid_sample(padded, normalized, "nearest", "border", align_corners=True)[0, 0, 0]
    return values, weights
